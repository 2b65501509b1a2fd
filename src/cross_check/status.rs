//! What the cross-check knows of every domain, for whoever wants to show it.

use crate::{audit::Finding, name::DomainName, storage::FindingRow};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The findings of all domains; cheap to clone, all clones show the same ones.
#[derive(Clone, Debug, Default)]
pub struct CrossCheckStatus {
    domains: Arc<RwLock<HashMap<DomainName, DomainStatus>>>,
}

/// What is known of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainStatus {
    /// What the last answer showed, sorted; as old as `answered_at` says.
    pub findings: Vec<KnownFinding>,
    /// When DNS was last asked; `None` before this process asked for the first time.
    pub checked_at: Option<Timestamp>,
    /// When DNS last answered; `None` when it has not since this process started, and then the
    /// findings are those kept from before.
    pub answered_at: Option<Timestamp>,
    /// Since when DNS has not answered; `None` while it does.
    pub unanswered_since: Option<Timestamp>,
}

/// A finding, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFinding {
    /// What was found.
    pub finding: Finding,
    /// When it was first seen.
    pub since: Timestamp,
}

impl KnownFinding {
    /// The finding as the store keeps it.
    pub(super) fn to_row(&self, domain: &DomainName) -> FindingRow {
        FindingRow {
            domain: domain.clone(),
            code: self.finding.code.as_str().into(),
            subject: self.finding.subject.to_string(),
            severity: self.finding.severity.as_str().into(),
            since: self.since,
        }
    }

    /// Reads a kept finding; `None` when another version kept what this one does not know.
    pub(super) fn from_row(row: &FindingRow) -> Option<Self> {
        Some(Self { finding: Finding::from_row(row)?, since: row.since })
    }
}

/// How one answer differs from what was known before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Findings that are new.
    pub appeared: Vec<Finding>,
    /// Findings that were there and are of another severity now, because the policy is another.
    pub reassessed: Vec<Finding>,
    /// Findings that are no more.
    pub gone: Vec<Finding>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.reassessed.is_empty() && self.gone.is_empty()
    }
}

impl CrossCheckStatus {
    /// What is known of `domain`; `None` when it is not served.
    pub fn of(&self, domain: &DomainName) -> Option<DomainStatus> {
        self.read().get(domain).cloned()
    }

    /// Takes `domain` in with what was kept of it, unless it is known already.
    pub(super) fn take_in(&self, domain: DomainName, kept: Vec<KnownFinding>) {
        self.write().entry(domain).or_insert(DomainStatus { findings: kept, ..DomainStatus::default() });
    }

    /// Forgets `domain`; says whether it had findings.
    pub(super) fn forget(&self, domain: &DomainName) -> bool {
        self.write().remove(domain).is_some_and(|status| !status.findings.is_empty())
    }

    /// Puts an answer's findings in the place of those before; what stays keeps its `since`.
    pub(super) fn answered(&self, domain: &DomainName, findings: Vec<Finding>, now: Timestamp) -> Change {
        let mut domains = self.write();
        let Some(status) = domains.get_mut(domain) else { return Change::default() };
        status.checked_at = Some(now);
        status.answered_at = Some(now);
        status.unanswered_since = None;
        let before = std::mem::take(&mut status.findings);
        let mut change = Change::default();
        for finding in findings {
            let known = before.iter().find(|known| same_matter(&known.finding, &finding));
            match known {
                None => change.appeared.push(finding.clone()),
                Some(known) if known.finding.severity != finding.severity => {
                    change.reassessed.push(finding.clone());
                }
                Some(_) => {}
            }
            status.findings.push(KnownFinding { finding, since: known.map_or(now, |known| known.since) });
        }
        let gone = |known: &&KnownFinding| {
            !status.findings.iter().any(|stays| same_matter(&stays.finding, &known.finding))
        };
        change.gone = before.iter().filter(gone).map(|known| known.finding.clone()).collect();
        change
    }

    /// Notes that DNS did not answer; the findings stay, and grow old.
    pub(super) fn unanswered(&self, domain: &DomainName, now: Timestamp) {
        if let Some(status) = self.write().get_mut(domain) {
            status.checked_at = Some(now);
            status.unanswered_since.get_or_insert(now);
        }
    }

    // A panic while the lock was held leaves plain values behind, each of them whole.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<DomainName, DomainStatus>> {
        self.domains.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<DomainName, DomainStatus>> {
        self.domains.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two findings speak of the same thing, however bad it is by now.
fn same_matter(one: &Finding, other: &Finding) -> bool {
    one.code == other.code && one.subject == other.subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{FindingCode, Severity},
        policy::Mode,
    };

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    fn finding(subject: &str, severity: Severity) -> Finding {
        Finding { severity, ..Finding::about(FindingCode::MxNotInPolicy, subject, Mode::Enforce) }
    }

    fn taken_in(kept: Vec<KnownFinding>) -> (CrossCheckStatus, DomainName) {
        let (status, domain) = (CrossCheckStatus::default(), DomainName::from_ascii("example.com").unwrap());
        status.take_in(domain.clone(), kept);
        (status, domain)
    }

    #[test]
    fn what_stays_keeps_its_since() {
        let (status, domain) = taken_in(vec![]);
        let (a, b) = (finding("a.example", Severity::Error), finding("b.example", Severity::Error));
        let change = status.answered(&domain, vec![a.clone()], at(1));
        assert_eq!(change, Change { appeared: vec![a.clone()], ..Change::default() });
        assert!(status.answered(&domain, vec![a.clone()], at(2)).is_empty());
        let change = status.answered(&domain, vec![a.clone(), b.clone()], at(3));
        assert_eq!(change, Change { appeared: vec![b.clone()], ..Change::default() });
        let milder = finding("a.example", Severity::Info);
        let change = status.answered(&domain, vec![milder.clone()], at(4));
        assert_eq!(change, Change { reassessed: vec![milder.clone()], gone: vec![b], ..Change::default() });
        let expected = [KnownFinding { finding: milder, since: at(1) }];
        assert_eq!(status.of(&domain).unwrap().findings, expected);
    }

    // M-14.
    #[test]
    fn without_an_answer_the_findings_stay_and_their_age_shows() {
        let (status, domain) = taken_in(vec![]);
        status.answered(&domain, vec![finding("a.example", Severity::Error)], at(1));
        status.unanswered(&domain, at(2));
        status.unanswered(&domain, at(3));
        let known = status.of(&domain).unwrap();
        assert_eq!(known.findings.len(), 1);
        assert_eq!(known.answered_at, Some(at(1)));
        assert_eq!(known.unanswered_since, Some(at(2)));
        assert_eq!(known.checked_at, Some(at(3)));
        status.answered(&domain, vec![], at(4));
        assert_eq!(status.of(&domain).unwrap().unanswered_since, None);
    }

    #[test]
    fn findings_come_back_from_their_rows() {
        let (_, domain) = taken_in(vec![]);
        for &code in FindingCode::ALL {
            for severity in Severity::ALL {
                let finding = Finding { severity, ..Finding::about(code, "a.example", Mode::Enforce) };
                let known = KnownFinding { finding, since: at(7) };
                assert_eq!(KnownFinding::from_row(&known.to_row(&domain)), Some(known));
            }
        }
        let row = KnownFinding { finding: finding("", Severity::Info), since: at(7) }.to_row(&domain);
        assert_eq!(KnownFinding::from_row(&FindingRow { code: "OTHER".into(), ..row }), None);
    }

    #[test]
    fn a_domain_without_an_answer_keeps_what_was_found_until_it_leaves() {
        let kept = KnownFinding { finding: finding("a.example", Severity::Critical), since: at(1) };
        let (status, domain) = taken_in(vec![kept.clone()]);
        status.unanswered(&domain, at(2));
        let known = status.of(&domain).unwrap();
        assert_eq!((known.findings, known.unanswered_since), (vec![kept], Some(at(2))));
        assert!(status.forget(&domain));
        assert_eq!(status.of(&domain), None);
    }
}
