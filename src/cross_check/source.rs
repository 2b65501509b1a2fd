//! Pure: which of the two rounds answers for a finding. Each replaces what it answers for, and leaves what
//! the other has found.

use crate::audit::{FindingCode as Code, Topic};

/// Who looks for a kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The comparison with MX records, every hour at the latest.
    Mx,
    /// The look at the STS record that goes with it.
    Record,
    /// The audit, once a day.
    Audit,
}

impl Source {
    /// Who answers for `code`. An audit sees what the quick round sees, too; the quick round is fresher.
    pub fn of(code: Code) -> Self {
        match code {
            Code::NoSuchDomain
            | Code::NoMailHost
            | Code::NullMxWithPolicy
            | Code::NullMxNotAlone
            | Code::ImplicitMx
            | Code::NoMxCovered
            | Code::MxNotInPolicy
            | Code::MxIsIp
            | Code::MxHostNotLdh
            | Code::MxPatternUnused
            | Code::MxPatternUnusedLong
            | Code::MxLookupFailed => Self::Mx,
            Code::IdDiffers => Self::Record,
            Code::StsRecordWildcard => Self::Audit,
            code if code.entry().topic == Topic::Record => Self::Record,
            _ => Self::Audit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Finding, Seen, compare, judge_record},
        dns::{Answer, MxRecord, TxtAnswer},
        name::DomainName,
        policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    };
    use jiff::Timestamp;
    use std::sync::Arc;

    fn policy() -> Policy {
        let mx = ["mx.example.com", "old.example.com"].map(|text| MxPattern::from_ascii(text).unwrap());
        Policy::new(Mode::Enforce, mx.into(), MaxAge::WEEK).unwrap()
    }

    #[test]
    fn the_quick_round_answers_for_all_that_it_finds() {
        let domain = DomainName::from_ascii("example.com").unwrap();
        let record = |host: &&str| MxRecord { preference: 1, host: crate::dns::DnsName::new(host) };
        let records = |hosts: &[&str]| Seen::Records(hosts.iter().map(record).collect());
        let seen = [
            records(&["mx.example.com", "new.example.com", "192.0.2.1", "_a.example.com"]),
            records(&["."]),
            records(&[".", "mx.example.com"]),
            Seen::Implicit,
            Seen::Nothing,
            Seen::NoSuchDomain,
            Seen::Unanswered,
        ];
        for finding in seen.iter().flat_map(|seen| compare(&policy(), &domain, seen)) {
            assert_eq!(Source::of(finding.code), Source::Mx, "{}", finding.code);
        }
    }

    /// What is found of the records at `_mta-sts`, with `OURS` in place of our id.
    fn found(records: &[&str]) -> Vec<String> {
        let policy = Arc::new(RenderedPolicy::of(policy()).unwrap());
        let domain = DomainName::from_ascii("example.com").unwrap();
        let id = policy.id().as_str();
        let text = |text: &&str| vec![text.replace("OURS", id).into_bytes()];
        let data = TxtAnswer { records: records.iter().map(text).collect(), ..TxtAnswer::default() };
        let findings =
            judge_record(&domain, Ok(Answer::new(data, None)), vec![], &policy, Timestamp::UNIX_EPOCH);
        assert!(findings.iter().all(|finding| Source::of(finding.code) == Source::Record), "{findings:?}");
        let shown = |f: Finding| format!("{} {}", f.code, f.subject.replace(id, "OURS"));
        findings.into_iter().map(shown).collect()
    }

    #[test]
    fn the_record_must_be_there_once_and_have_our_id() {
        assert_eq!(found(&["v=STSv1; id=OURS;"]), [""; 0]);
        assert_eq!(found(&["v=STSv1; id=OURS;", "unrelated"]), ["STS_RECORD_UNRELATED_TXT "]);
        assert_eq!(found(&["v=STSv1; id=20260101;"]), ["ID_DIFFERS OURS"]);
        assert_eq!(found(&[]), ["STS_RECORD_MISSING "]);
        assert_eq!(found(&["unrelated"])[0], "STS_RECORD_MISSING ");
        assert_eq!(found(&["v=STSv1; id=OURS;", "v=STSv1; id=1;"]), ["STS_RECORD_MULTIPLE "]);
        assert_eq!(found(&["v=STSv1; id=a-b;"]), ["STS_RECORD_MALFORMED BAD_ID"]);
        assert_eq!(found(&["\"v=STSv1; id=1;\""]), ["STS_RECORD_QUOTED "]);
    }
}
