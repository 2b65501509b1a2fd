//! What an audit says in the end: a verdict, and per topic what was seen and found.

use super::{
    Expected, Finding, Observations, Severity, Topic, beside, hosts, policy, reading::Reading, record,
    transport,
};
use crate::{
    dns::{Answer, DnsName, MxAnswer, TxtAnswer, Unanswered},
    name::DomainName,
    policy::{Mode, RecordOutcome, RenderedPolicy},
};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// The name and version of the JSON form; `docs/schemas/audit.schema.json` describes it.
pub const SCHEMA: &str = "mta-sts-audit/1";

/// One audit of one domain.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose mail it is about.
    pub domain: DomainName,
    /// When the look began.
    pub at: Timestamp,
    /// The mode of the policy; `None` without a valid one.
    pub mode: Option<Mode>,
    /// All of it in a word and a sentence.
    pub verdict: Verdict,
    /// Per topic, in a fixed order; topics that do not apply are left out.
    pub topics: Vec<TopicReport>,
    /// What each known sender makes of the policy; empty without a valid one.
    pub compatibility: Vec<Compatibility>,
}

/// All of an audit in a word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `ok`, `findings` or `unknown`.
    pub word: &'static str,
    /// One sentence for people.
    pub sentence: String,
}

/// One topic of an audit.
#[derive(Clone, Debug)]
pub struct TopicReport {
    /// Which.
    pub topic: Topic,
    /// What was seen, a fact a line; strangers' text in it is escaped and cut.
    pub seen: Vec<String>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
}

/// What one known sender makes of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compatibility {
    /// Its stable name.
    pub sender: &'static str,
    /// Whether it reads the policy as the RFC does.
    pub as_written: bool,
    /// How it reads it, in words.
    pub reads: String,
}

impl Topic {
    pub(super) fn begin(self) -> TopicReport {
        TopicReport { topic: self, seen: vec![], findings: vec![] }
    }
}

impl TopicReport {
    pub(super) fn saw(&mut self, line: String) {
        self.seen.push(line);
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn found_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }
}

impl Report {
    /// Every finding, topic by topic.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.topics.iter().flat_map(|topic| &topic.findings)
    }
}

/// Judges what was seen of a domain. Pure.
pub fn judge(seen: &Observations, now: Timestamp) -> Report {
    let reading = Reading::of(seen, now);
    let mut topics = vec![
        record::judge(&reading),
        policy::judge(&reading),
        hosts::judge(&reading),
        transport::judge(&reading),
        beside::dane(&reading),
        beside::tlsrpt(&reading),
        beside::dns(&reading),
        beside::consistency(&reading),
    ];
    for topic in &mut topics {
        topic
            .findings
            .sort_unstable_by(|one, other| other.severity.cmp(&one.severity).then_with(|| one.cmp(other)));
        topic.findings.dedup();
    }
    topics.retain(|topic| !topic.seen.is_empty() || !topic.findings.is_empty());
    let mode = reading.parsed().and_then(|policy| policy.mode);
    let verdict = verdict(&reading, mode, topics.iter().flat_map(|topic| &topic.findings));
    let compatibility = policy::compatibility(&reading);
    Report { domain: seen.domain.clone(), at: seen.at, mode, verdict, topics, compatibility }
}

/// Judges the STS record of a domain for which we serve `policy`, and nothing else (RFC 8461 §3.1, §8.1);
/// sorted. `elsewhere` is what stands where such records are put by mistake. Pure.
pub fn judge_record(
    domain: &DomainName,
    record: Result<Answer<TxtAnswer>, Unanswered>,
    elsewhere: Vec<(DnsName, TxtAnswer)>,
    policy: &Arc<RenderedPolicy>,
    now: Timestamp,
) -> Vec<Finding> {
    let seen = Observations {
        record,
        elsewhere,
        expected: Some(Expected { policy: Arc::clone(policy), addresses: vec![], issuer: None }),
        ..Observations::of_nothing(domain.clone(), now)
    };
    let reading = Reading::of(&seen, now);
    let mut findings = record::judge(&reading).findings;
    findings.extend(beside::consistency(&reading).findings);
    findings.sort_unstable();
    findings.dedup();
    findings
}

fn verdict<'a>(
    reading: &Reading<'_>,
    mode: Option<Mode>,
    findings: impl Iterator<Item = &'a Finding> + Clone,
) -> Verdict {
    let domain = &reading.seen.domain;
    let worst = super::worst(findings.clone());
    let unknown = findings.clone().any(|finding| finding.severity == Severity::Unknown);
    let count = findings.filter(|finding| finding.severity >= Severity::Warn).count();
    let exists = !reading.seen.mx.as_ref().is_ok_and(|answer| answer.data == MxAnswer::NoSuchDomain);
    let unseen = reading.seen.policy_host.is_err() || !reading.seen.no_way_to.is_empty();
    let subject = match (reading.present, mode) {
        (false, _) if !exists => format!("{domain} does not exist"),
        (false, _) => format!("{domain} has no MTA-STS"),
        (true, None) if reading.record.outcome == RecordOutcome::Undetermined => {
            format!("Whether {domain} has MTA-STS could not be told")
        }
        (true, None) if unseen => format!("{domain} has MTA-STS with a policy that could not be seen"),
        (true, None) => format!("{domain} has MTA-STS without a policy that senders can use"),
        (true, Some(Mode::None)) => format!("{domain} has withdrawn MTA-STS (mode none)"),
        (true, Some(mode)) => format!("{domain} has MTA-STS in mode {mode}"),
    };
    let things = if count == 1 { "one thing" } else { "things" };
    let (word, rest) = match worst {
        Some(Severity::Critical) => ("findings", "and some senders refuse to deliver its mail".to_owned()),
        Some(Severity::Error) => ("findings", format!("and {things} must be mended")),
        Some(Severity::Warn) => ("findings", format!("and {things} should be mended")),
        _ if unknown => ("unknown", "and not all of it could be seen from here".to_owned()),
        _ => ("ok", "and nothing stands in the way".to_owned()),
    };
    let rest = match (reading.present, word) {
        (false, "ok") => "so its mail is delivered as before, unprotected".to_owned(),
        _ => rest,
    };
    Verdict { word, sentence: format!("{subject}, {rest}.") }
}
