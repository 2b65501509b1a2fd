//! What the topics have in common: the record and the policy as read, and the mode to judge by.

use super::{Finding, FindingCode, Observations, Severity};
use crate::{
    policy::{
        Mode, ParsedPolicy, RecordDefect, RecordJudgement, RecordOutcome, TxtSeen, judge_records,
        misprint::{RecordKind, look_at},
        parse_body,
    },
    policy_fetch::{Answered, Fetch, Outcome},
};
use jiff::Timestamp;
use std::{collections::BTreeSet, net::IpAddr};

/// The observations, read once.
pub(super) struct Reading<'a> {
    pub seen: &'a Observations,
    pub now: Timestamp,
    pub record: RecordJudgement,
    /// The distinct bodies that came with status 200, in the order of their addresses.
    pub bodies: Vec<(IpAddr, &'a Answered, ParsedPolicy)>,
    /// The first of them that is a policy.
    pub policy: Option<usize>,
    /// Whether the domain has anything of MTA-STS; if only because we serve a policy for it.
    pub present: bool,
    /// By which the severity of findings is chosen: that of the policy that the world sees, else of the
    /// one that we serve, else testing.
    pub mode: Mode,
}

impl<'a> Reading<'a> {
    pub fn of(seen: &'a Observations, now: Timestamp) -> Self {
        let record = judge_records(match &seen.record {
            Ok(answer) => {
                TxtSeen::Answer { records: &answer.data.records, beside_cname: answer.data.beside_cname }
            }
            Err(_) => TxtSeen::Unanswered,
        });
        let mut bodies: Vec<(IpAddr, &Answered, ParsedPolicy)> = vec![];
        for (address, answered) in seen.fetches.iter().filter_map(served) {
            if !bodies.iter().any(|(_, other, _)| other.body == answered.body) {
                bodies.push((address, answered, parse_body(&answered.body)));
            }
        }
        let policy = bodies.iter().position(|(.., parsed)| parsed.is_valid());
        let ours = seen.expected.as_ref().map(|ours| ours.policy.policy().mode());
        let mode = policy.and_then(|at| bodies.get(at)?.2.mode).or(ours).unwrap_or(Mode::Testing);
        let mut reading = Self { seen, now, record, bodies, policy, present: true, mode };
        reading.present = ours.is_some() || reading.is_present();
        reading
    }

    fn is_present(&self) -> bool {
        let resembles = |strings: &Vec<Vec<u8>>| {
            let likeness = look_at(&strings.concat());
            likeness.kind == Some(RecordKind::Indicator)
        };
        let anything = |parsed: &ParsedPolicy| parsed.mode.is_some() || !parsed.mx.is_empty();
        self.record.outcome != RecordOutcome::NoPolicy(RecordDefect::NoRecord)
            || self.seen.record.as_ref().is_ok_and(|answer| answer.data.records.iter().any(resembles))
            || self.seen.elsewhere.iter().any(|(_, txt)| txt.records.iter().any(resembles))
            || self.bodies.iter().any(|(.., parsed)| anything(parsed))
    }

    /// The policy, when there is a valid one.
    pub fn parsed(&self) -> Option<&ParsedPolicy> {
        self.bodies.get(self.policy?).map(|(.., parsed)| parsed)
    }

    /// The patterns of that policy, or of the one that we serve.
    pub fn patterns(&self) -> Option<Vec<String>> {
        let ours = || self.seen.expected.as_ref().map(|ours| ours.policy.policy().mx());
        let seen = self.parsed().map(|policy| policy.mx.clone());
        seen.or_else(|| Some(ours()?.iter().map(ToString::to_string).collect()))
    }

    pub fn finding(&self, code: FindingCode) -> Finding {
        Finding::about_domain(code, self.mode)
    }

    pub fn finding_about(&self, code: FindingCode, subject: &str) -> Finding {
        Finding::about(code, subject, self.mode)
    }
}

/// The answer of a fetch that brought something to read.
fn served(fetch: &Fetch) -> Option<(IpAddr, &Answered)> {
    match &fetch.outcome {
        Outcome::Answered(answered) if answered.status == 200 && !answered.too_large => {
            Some((fetch.address, answered))
        }
        _ => None,
    }
}

/// One thing that was seen at one address.
pub(super) struct AtAddress {
    pub address: IpAddr,
    pub code: FindingCode,
    pub evidence: String,
    pub severity: Option<Severity>,
}

/// One finding for a whole host where all its `looked_at` addresses show the same, as far as they prove
/// anything, and one for each address otherwise.
pub(super) fn by_address(mode: Mode, host: &str, looked_at: usize, seen: Vec<AtAddress>) -> Vec<Finding> {
    let mut findings = vec![];
    let mut codes: Vec<FindingCode> = seen.iter().map(|at| at.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let is_unknown = |at: &AtAddress| {
        at.severity == Some(Severity::Unknown) || at.code.entry().severity(mode) == Severity::Unknown
    };
    let silent: BTreeSet<IpAddr> = seen.iter().filter(|at| is_unknown(at)).map(|at| at.address).collect();
    for code in codes {
        let of_code: Vec<&AtAddress> = seen.iter().filter(|at| at.code == code).collect();
        // An address that proves nothing does not make a fault of the host one of its other addresses.
        let looked_at = match of_code.iter().any(|at| is_unknown(at)) {
            true => looked_at,
            false => {
                looked_at - silent.iter().filter(|at| of_code.iter().all(|one| one.address != **at)).count()
            }
        };
        let raised = |finding: Finding, at: &AtAddress| match at.severity {
            Some(Severity::Unknown) => Finding { severity: Severity::Unknown, ..finding },
            Some(severity) => finding.at_least(severity),
            None => finding,
        };
        match of_code.as_slice() {
            [first, ..] if of_code.len() == looked_at => {
                let evidence = match of_code.len() {
                    1 => format!("{}: {}", first.address, first.evidence),
                    count => format!("{} and {} more: {}", first.address, count - 1, first.evidence),
                };
                findings.push(raised(Finding::about(code, host, mode), first).with_evidence(&evidence));
            }
            some => findings.extend(some.iter().map(|at| {
                let subject = format!("{host} [{}]", at.address);
                raised(Finding::about(code, &subject, mode), at).with_evidence(&at.evidence)
            })),
        }
    }
    findings
}
