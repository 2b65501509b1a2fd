//! Pure: the STS record in DNS against the policy that we serve (RFC 8461 §3.1, §8.1).
//!
//! Only what changes what senders do; everything else about the record is for an audit.

use crate::{
    audit::{Finding, FindingCode},
    dns::TxtAnswer,
    policy::{RecordDefect, RecordOutcome, RenderedPolicy, TxtSeen, judge_records},
};

/// What is wrong with the records at `_mta-sts` of a domain for which `policy` is served.
pub(super) fn compare_record(policy: &RenderedPolicy, answer: &TxtAnswer) -> Vec<Finding> {
    let mode = policy.policy().mode();
    let seen = TxtSeen::Answer { records: &answer.records, beside_cname: answer.beside_cname };
    let finding = match judge_records(seen).outcome {
        RecordOutcome::Undetermined => return vec![],
        RecordOutcome::Indicated(record) if record.id == *policy.id() => return vec![],
        RecordOutcome::Indicated(_) => Finding::about(FindingCode::IdDiffers, policy.id().as_str(), mode),
        RecordOutcome::NoPolicy(RecordDefect::NoRecord) => {
            Finding::about_domain(FindingCode::StsRecordMissing, mode)
        }
        RecordOutcome::NoPolicy(RecordDefect::MultipleRecords) => {
            Finding::about_domain(FindingCode::StsRecordMultiple, mode)
        }
        RecordOutcome::NoPolicy(defect) => {
            Finding::about(FindingCode::StsRecordMalformed, defect.code(), mode)
        }
    };
    vec![finding]
}

/// Whether a finding comes from here.
pub(super) fn is_about_record(finding: &Finding) -> bool {
    use FindingCode::{IdDiffers, StsRecordMalformed, StsRecordMissing, StsRecordMultiple};
    [IdDiffers, StsRecordMissing, StsRecordMultiple, StsRecordMalformed].contains(&finding.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{MaxAge, Mode, MxPattern, Policy, render_record};

    fn found(records: &[&str]) -> Vec<String> {
        let mx = vec![MxPattern::from_ascii("mx.example.com").unwrap()];
        let policy = Policy::new(Mode::Enforce, mx, MaxAge::WEEK).unwrap();
        let policy = RenderedPolicy::of(policy).unwrap();
        let ours = render_record(policy.id());
        let text = |text: &&str| vec![text.replace("OURS", &ours).into_bytes()];
        let answer = TxtAnswer { records: records.iter().map(text).collect(), ..TxtAnswer::default() };
        let findings = compare_record(&policy, &answer);
        assert!(findings.iter().all(is_about_record));
        let shown = |finding: Finding| {
            format!("{} {}", finding.code, finding.subject.replace(policy.id().as_str(), "OURS"))
        };
        findings.into_iter().map(shown).collect()
    }

    #[test]
    fn the_record_must_be_there_once_and_have_our_id() {
        assert_eq!(found(&["OURS"]), [""; 0]);
        assert_eq!(found(&["OURS", "unrelated"]), [""; 0]);
        assert_eq!(found(&["v=STSv1; id=20260101;"]), ["ID_DIFFERS OURS"]);
        assert_eq!(found(&[]), ["STS_RECORD_MISSING "]);
        assert_eq!(found(&["unrelated"]), ["STS_RECORD_MISSING "]);
        assert_eq!(found(&["OURS", "v=STSv1; id=1;"]), ["STS_RECORD_MULTIPLE "]);
        assert_eq!(found(&["v=STSv1; id=a-b;"]), ["STS_RECORD_MALFORMED BAD_ID"]);
    }
}
