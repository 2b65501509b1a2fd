//! What the cross-check knows of every domain, for whoever wants to show it.

use super::{
    LastAudit,
    confirm::{aged, is_raised, may_take_a_while, same_matter},
    record::is_about_record,
};
use crate::{
    audit::{Finding, Severity},
    dns::Agreed,
    name::DomainName,
    policy::Mode,
    storage::FindingRow,
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
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
    /// When it was last audited, be it by a process before this one; `None` when it never was.
    pub audited_at: Option<Timestamp>,
    /// What the last audit saw of its mail hosts; `None` before the first of this process.
    pub last_audit: Option<LastAudit>,
}

/// A finding, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFinding {
    /// What was found.
    pub finding: Finding,
    /// When it was first seen.
    pub since: Timestamp,
    /// Whether it is certain enough to tell somebody; it then stands in the history.
    pub raised: bool,
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
            raised: self.raised,
        }
    }

    /// Reads a kept finding; `None` when another version kept what this one does not know.
    pub(super) fn from_row(row: &FindingRow) -> Option<Self> {
        Some(Self { finding: Finding::from_row(row)?, since: row.since, raised: row.raised })
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
    /// Whether a finding became certain.
    pub raised: bool,
    /// Whether a finding would alarm and is not certain yet: it is to be looked at again soon.
    pub suspected: bool,
}

/// One answer, judged.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Whether the STS record was answered for, or not asked for; else what is known of it stays.
    pub record_answered: bool,
    /// The mode of the policy that it was judged by.
    pub mode: Mode,
    /// Who says so.
    pub agreed: Agreed,
    /// How long what would alarm has to be seen before it is certain.
    pub recheck: Duration,
}

impl Change {
    /// Whether there is nothing new to say.
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
    pub(super) fn answered(&self, domain: &DomainName, judged: Judged, now: Timestamp) -> Change {
        let Judged { findings, record_answered, mode, agreed, recheck } = judged;
        let mut domains = self.write();
        let Some(status) = domains.get_mut(domain) else { return Change::default() };
        status.checked_at = Some(now);
        status.answered_at = Some(now);
        status.unanswered_since = None;
        let before = std::mem::take(&mut status.findings);
        let mut change = Change::default();
        for finding in findings {
            let known = before.iter().find(|known| same_matter(&known.finding, &finding));
            let since = known.map_or(now, |known| known.since);
            let finding = aged(finding, since, mode, now);
            let raised = is_raised(&finding, known, agreed, now, recheck);
            change.raised |= raised && known.is_none_or(|known| !known.raised);
            change.suspected |= !raised && finding.severity >= Severity::Error && !may_take_a_while(&finding);
            match known {
                None => change.appeared.push(finding.clone()),
                Some(known) if known.finding != finding => {
                    change.reassessed.push(finding.clone());
                }
                Some(_) => {}
            }
            status.findings.push(KnownFinding { finding, since, raised });
        }
        if !record_answered {
            let stays = before.iter().filter(|known| is_about_record(&known.finding));
            status.findings.extend(stays.cloned());
            status.findings.sort_by(|a, b| a.finding.cmp(&b.finding));
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
    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<DomainName, DomainStatus>> {
        self.domains.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<DomainName, DomainStatus>> {
        self.domains.write().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn answered(
        status: &CrossCheckStatus,
        domain: &DomainName,
        findings: Vec<Finding>,
        now: Timestamp,
    ) -> Change {
        let (mode, agreed, recheck) = (Mode::Enforce, Agreed::Both, Duration::from_secs(120));
        let change =
            status.answered(domain, Judged { findings, record_answered: true, mode, agreed, recheck }, now);
        // When it becomes certain is told elsewhere.
        Change { raised: false, ..change }
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
        let change = answered(&status, &domain, vec![a.clone()], at(1));
        assert_eq!(change, Change { appeared: vec![a.clone()], ..Change::default() });
        assert!(answered(&status, &domain, vec![a.clone()], at(2)).is_empty());
        let change = answered(&status, &domain, vec![a.clone(), b.clone()], at(3));
        assert_eq!(change, Change { appeared: vec![b.clone()], ..Change::default() });
        let milder = finding("a.example", Severity::Info);
        let change = answered(&status, &domain, vec![milder.clone()], at(4));
        assert_eq!(change, Change { reassessed: vec![milder.clone()], gone: vec![b], ..Change::default() });
        let expected = [KnownFinding { finding: milder, since: at(1), raised: true }];
        assert_eq!(status.of(&domain).unwrap().findings, expected);
    }

    // M-14.
    #[test]
    fn without_an_answer_the_findings_stay_and_their_age_shows() {
        let (status, domain) = taken_in(vec![]);
        answered(&status, &domain, vec![finding("a.example", Severity::Error)], at(1));
        status.unanswered(&domain, at(2));
        status.unanswered(&domain, at(3));
        let known = status.of(&domain).unwrap();
        assert_eq!(known.findings.len(), 1);
        assert_eq!(known.answered_at, Some(at(1)));
        assert_eq!(known.unanswered_since, Some(at(2)));
        assert_eq!(known.checked_at, Some(at(3)));
        answered(&status, &domain, vec![], at(4));
        assert_eq!(status.of(&domain).unwrap().unanswered_since, None);
    }

    #[test]
    fn findings_come_back_from_their_rows() {
        let (_, domain) = taken_in(vec![]);
        for &code in FindingCode::ALL {
            for severity in Severity::ALL {
                let finding = Finding { severity, ..Finding::about(code, "a.example", Mode::Enforce) };
                let known = KnownFinding { finding, since: at(7), raised: true };
                assert_eq!(KnownFinding::from_row(&known.to_row(&domain)), Some(known));
            }
        }
        let row = KnownFinding { finding: finding("", Severity::Info), since: at(7), raised: false }
            .to_row(&domain);
        assert_eq!(KnownFinding::from_row(&FindingRow { code: "OTHER".into(), ..row }), None);
    }

    #[test]
    fn a_domain_without_an_answer_keeps_what_was_found_until_it_leaves() {
        let kept =
            KnownFinding { finding: finding("a.example", Severity::Critical), since: at(1), raised: true };
        let (status, domain) = taken_in(vec![kept.clone()]);
        status.unanswered(&domain, at(2));
        let known = status.of(&domain).unwrap();
        assert_eq!((known.findings, known.unanswered_since), (vec![kept], Some(at(2))));
        assert!(status.forget(&domain));
        assert_eq!(status.of(&domain), None);
    }
}
