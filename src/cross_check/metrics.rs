//! What the cross-check knows, in figures: one walk over the snapshot when somebody asks.

use super::{CrossCheckStatus, DomainStatus};
use crate::{
    audit::{FindingCode, Severity},
    metrics::{Registry, WORST, read_by},
    name::DomainName,
    snapshot::{SharedSnapshot, Snapshot},
};
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// Domains counted before what is known is let go of for a moment.
const COUNTED_AT_ONCE: usize = 512;

/// All domains, counted.
#[derive(Debug, Default)]
struct Tally {
    findings: BTreeMap<(FindingCode, Severity), usize>,
    answered: usize,
    silent: usize,
    unasked: usize,
    oldest_look: Option<Timestamp>,
    /// The most urgent on top of what is dropped first: the mildest, and of those the youngest.
    worst: BinaryHeap<Reverse<Urgent>>,
}

/// A finding that somebody was told of; the worse and the older, the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Urgent {
    severity: Severity,
    since: Reverse<Timestamp>,
    code: FindingCode,
    domain: DomainName,
}

impl Tally {
    fn of(snapshot: &Snapshot, status: &CrossCheckStatus) -> Self {
        let mut tally = Self::default();
        let mut hosts = snapshot.iter().map(|(host, _)| host).peekable();
        while hosts.peek().is_some() {
            // Let go of now and then: answers of DNS must not wait for as long as a walk over a fleet takes.
            let known = status.read();
            for host in hosts.by_ref().take(COUNTED_AT_ONCE) {
                match known.get_key_value(host.domain_str()) {
                    Some((domain, status)) => tally.count(domain, status),
                    None => tally.unasked += 1,
                }
            }
        }
        tally
    }

    fn count(&mut self, domain: &DomainName, status: &DomainStatus) {
        match (status.checked_at, status.unanswered_since) {
            (None, _) => self.unasked += 1,
            (Some(_), None) => self.answered += 1,
            (Some(_), Some(_)) => self.silent += 1,
        }
        if let Some(at) = status.checked_at {
            self.oldest_look = Some(self.oldest_look.map_or(at, |oldest| oldest.min(at)));
        }
        for known in &status.findings {
            let (code, severity) = (known.finding.code, known.finding.severity);
            *self.findings.entry((code, severity)).or_default() += 1;
            if !known.raised || severity < Severity::Error {
                continue;
            }
            let since = Reverse(known.since);
            let mildest = self.worst.peek().map(|Reverse(mildest)| (mildest.severity, mildest.since));
            if self.worst.len() < WORST || mildest < Some((severity, since)) {
                self.worst.push(Reverse(Urgent { severity, since, code, domain: domain.clone() }));
                if self.worst.len() > WORST {
                    self.worst.pop();
                }
            }
        }
    }
}

/// Shows in `registry` what `status` knows of the domains in `snapshot` at the moment of asking.
pub fn register(registry: &mut Registry, status: CrossCheckStatus, snapshot: SharedSnapshot) {
    read_by(registry, move |page| {
        let tally = Tally::of(&snapshot.load_full(), &status);
        let findings = tally.findings.iter().map(|((code, severity), count)| {
            ([("code", code.as_str()), ("severity", severity.as_str())], *count as f64)
        });
        page.gauges("findings", "Findings that stand now; docs/findings.md explains the codes", findings)?;
        let domains = [("answered", tally.answered), ("silent", tally.silent), ("unasked", tally.unasked)]
            .map(|(state, count)| ([("state", state)], count as f64));
        page.gauges(
            "domains",
            "Domains that are compared with DNS; answered: the last question was answered; silent: it was not; \
             unasked: not asked yet by this process",
            domains,
        )?;
        let oldest = tally.oldest_look.map_or(0, Timestamp::as_second);
        page.gauge(
            "oldest_look_timestamp_seconds",
            "When the domain was asked for that waits longest; 0 before the first",
            oldest as f64,
        )?;
        let worst = tally.worst.into_sorted_vec().into_iter().map(|Reverse(urgent)| {
            let labels = [
                ("domain", urgent.domain.to_string()),
                ("code", urgent.code.to_string()),
                ("severity", urgent.severity.to_string()),
            ];
            (labels, urgent.since.0.as_second() as f64)
        });
        page.gauges(
            "worst_finding_timestamp_seconds",
            "The 20 most urgent findings that were raised, error and critical only: since when",
            worst,
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::Finding, cross_check::KnownFinding, policy::Mode};

    fn known(severity: Severity, second: i64, raised: bool) -> KnownFinding {
        let finding =
            Finding { severity, ..Finding::about(FindingCode::MxNotInPolicy, "mx.a.example", Mode::Enforce) };
        KnownFinding { finding, since: Timestamp::from_second(second).unwrap(), raised }
    }

    #[test]
    fn the_list_is_bounded_and_has_the_worst_and_oldest() {
        let mut tally = Tally::default();
        let mut count = |n: usize, finding: KnownFinding| {
            let domain = DomainName::from_ascii(&format!("d{n}.example")).unwrap();
            let now = Some(Timestamp::from_second(5_000).unwrap());
            let status = DomainStatus {
                findings: vec![finding],
                checked_at: now,
                answered_at: now,
                ..DomainStatus::default()
            };
            tally.count(&domain, &status);
        };
        (0..100).for_each(|n| count(n, known(Severity::Error, 1_000 + n as i64, true)));
        count(100, known(Severity::Critical, 4_000, true));
        count(101, known(Severity::Critical, 1, false));
        count(102, known(Severity::Warn, 1, true));
        assert_eq!(tally.findings.values().sum::<usize>(), 103);
        assert_eq!((tally.answered, tally.silent, tally.unasked), (103, 0, 0));
        let worst: Vec<_> = tally
            .worst
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(urgent)| urgent.domain.to_string())
            .collect();
        let expected: Vec<_> =
            std::iter::once(100).chain(0..WORST - 1).map(|n| format!("d{n}.example")).collect();
        assert_eq!(worst, expected);
    }
}
