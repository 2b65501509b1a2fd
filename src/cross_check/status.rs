//! What the cross-check knows of every domain, for whoever wants to show it.

use super::{
    LastAudit,
    confirm::{Sighting, aged, is_raised, may_take_a_while, same_matter},
};
use crate::{
    audit::{Finding, Severity},
    name::DomainName,
    policy::Mode,
    storage::FindingRow,
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The findings of all domains; cheap to clone, all clones show the same ones.
#[derive(Clone, Debug, Default)]
pub struct CrossCheckStatus {
    domains: Arc<RwLock<HashMap<DomainName, DomainStatus>>>,
    /// What is wrong with us.
    ours: Arc<RwLock<Vec<&'static str>>>,
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

impl Change {
    /// Whether there is nothing new to say.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.reassessed.is_empty() && self.gone.is_empty()
    }
}

impl DomainStatus {
    fn merge(
        &mut self,
        seen: Vec<Sighting>,
        mode: Mode,
        covers: impl Fn(&Finding) -> bool,
        now: Timestamp,
    ) -> Change {
        let before = std::mem::take(&mut self.findings);
        let mut change = Change::default();
        for mut sighting in seen {
            let known = before.iter().find(|known| same_matter(&known.finding, &sighting.finding));
            if let Some(known) = known.filter(|known| unlearnt(&sighting.finding, known)) {
                self.findings.push(known.clone());
                continue;
            }
            let since = known.map_or(sighting.at, |known| known.since);
            sighting.finding = aged(sighting.finding, since, mode, now);
            let raised = is_raised(&sighting, known);
            let finding = sighting.finding;
            change.raised |= raised && known.is_none_or(|known| !known.raised);
            change.suspected |= !raised && finding.severity >= Severity::Error && !may_take_a_while(&finding);
            match known {
                None => change.appeared.push(finding.clone()),
                Some(known) if known.finding != finding => change.reassessed.push(finding.clone()),
                Some(_) => {}
            }
            self.findings.push(KnownFinding { finding, since, raised });
        }
        for known in before {
            if self.findings.iter().any(|stays| same_matter(&stays.finding, &known.finding)) {
                continue;
            }
            if covers(&known.finding) {
                change.gone.push(known.finding);
            } else {
                self.findings.push(known);
            }
        }
        self.findings.sort_by(|a, b| a.finding.cmp(&b.finding));
        change
    }
}

/// Whether a sighting proves nothing where something was known.
fn unlearnt(seen: &Finding, known: &KnownFinding) -> bool {
    seen.severity == Severity::Unknown && known.finding.severity > Severity::Unknown
}

impl CrossCheckStatus {
    /// What is known of `domain`; `None` when it is not served.
    pub fn of(&self, domain: &DomainName) -> Option<DomainStatus> {
        self.read().get(domain).cloned()
    }

    /// Takes `domain` in with what was kept of it, unless it is known already.
    pub(super) fn take_in(&self, domain: DomainName, kept: Vec<KnownFinding>, audited_at: Option<Timestamp>) {
        let status = DomainStatus { findings: kept, audited_at, ..DomainStatus::default() };
        self.write().entry(domain).or_insert(status);
    }

    /// Forgets `domain`; returns what was known of it.
    pub(super) fn forget(&self, domain: &DomainName) -> Option<DomainStatus> {
        self.write().remove(domain)
    }

    /// Takes in what DNS answered. What was seen comes in the place of those known findings that `covers`
    /// says it answers for; what stays keeps its `since`.
    pub(super) fn answered(
        &self,
        domain: &DomainName,
        seen: Vec<Sighting>,
        mode: Mode,
        covers: impl Fn(&Finding) -> bool,
        now: Timestamp,
    ) -> Change {
        let mut domains = self.write();
        let Some(status) = domains.get_mut(domain) else { return Change::default() };
        status.checked_at = Some(now);
        status.answered_at = Some(now);
        status.unanswered_since = None;
        status.merge(seen, mode, covers, now)
    }

    /// Takes in what an audit saw, as [`answered`](Self::answered) does.
    pub(super) fn audited(
        &self,
        domain: &DomainName,
        seen: Vec<Sighting>,
        mode: Mode,
        covers: impl Fn(&Finding) -> bool,
        last: LastAudit,
        now: Timestamp,
    ) -> Change {
        let mut domains = self.write();
        let Some(status) = domains.get_mut(domain) else { return Change::default() };
        status.audited_at = Some(now);
        status.last_audit = Some(last);
        status.merge(seen, mode, covers, now)
    }

    /// What is wrong with us, not with a domain, as lines for people.
    pub fn troubles(&self) -> Vec<String> {
        let ours = self.ours.read().unwrap_or_else(PoisonError::into_inner);
        ours.iter().map(|trouble| (*trouble).to_owned()).collect()
    }

    /// Sets or ends a trouble of ours.
    pub(super) fn set_trouble(&self, trouble: &'static str, there: bool) {
        let mut ours = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        ours.retain(|other| *other != trouble);
        if there {
            ours.push(trouble);
        }
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
        cross_check::source::Source,
        dns::Agreed,
        policy::Mode,
    };
    use std::time::Duration;

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
        let covers = |finding: &Finding| Source::of(finding.code) != Source::Audit;
        let change = status.answered(domain, sightings(findings, now), Mode::Enforce, covers, now);
        // When it becomes certain is told elsewhere.
        Change { raised: false, ..change }
    }

    fn sightings(findings: Vec<Finding>, at: Timestamp) -> Vec<Sighting> {
        let recheck = Duration::from_secs(120);
        findings.into_iter().map(|finding| Sighting { finding, at, agreed: Agreed::Both, recheck }).collect()
    }

    #[test]
    fn the_two_rounds_leave_each_others_findings_alone() {
        let (status, domain) = taken_in(vec![]);
        let about = |code| Finding::about(code, "mx.example", Mode::Enforce);
        let (quick, deep) = (about(FindingCode::MxNotInPolicy), about(FindingCode::MxNoStarttls));
        let audited = |findings: Vec<Finding>, heard: bool, hour| {
            let covers = |finding: &Finding| heard && Source::of(finding.code) == Source::Audit;
            let last = LastAudit::default();
            status.audited(&domain, sightings(findings, at(hour)), Mode::Enforce, covers, last, at(hour))
        };
        let known = || -> Vec<(FindingCode, Timestamp)> {
            let findings = status.of(&domain).unwrap().findings;
            findings.iter().map(|known| (known.finding.code, known.since)).collect()
        };
        answered(&status, &domain, vec![quick.clone()], at(1));
        assert_eq!(audited(vec![deep.clone()], true, 2).appeared, std::slice::from_ref(&deep));
        let both = [(FindingCode::MxNotInPolicy, at(1)), (FindingCode::MxNoStarttls, at(2))];
        assert_eq!(known(), both);
        assert!(answered(&status, &domain, vec![quick.clone()], at(3)).is_empty());
        assert!(audited(vec![], false, 4).is_empty(), "silence ends nothing");
        assert_eq!(known(), both);
        assert_eq!(answered(&status, &domain, vec![], at(5)).gone, [quick]);
        assert_eq!(known(), &both[1..]);
        assert_eq!(audited(vec![], true, 6).gone, [deep]);
        assert_eq!((known(), status.of(&domain).unwrap().audited_at), (vec![], Some(at(6))));
    }

    #[test]
    fn a_trouble_of_ours_is_shown_while_it_lasts() {
        let status = CrossCheckStatus::default();
        for there in [true, true] {
            status.clone().set_trouble("nothing answers", there);
        }
        assert_eq!(status.troubles(), ["nothing answers"]);
        status.set_trouble("nothing answers", false);
        assert_eq!(status.troubles(), [""; 0]);
    }

    fn taken_in(kept: Vec<KnownFinding>) -> (CrossCheckStatus, DomainName) {
        let (status, domain) = (CrossCheckStatus::default(), DomainName::from_ascii("example.com").unwrap());
        status.take_in(domain.clone(), kept, None);
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
        assert!(status.forget(&domain).is_some());
        assert_eq!(status.of(&domain), None);
    }
}
