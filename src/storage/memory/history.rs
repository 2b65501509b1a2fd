//! The history of findings in memory, numbered as on disk.

use super::super::{
    FindingEvent, FindingRow, Held,
    history::{CERTIFICATES_OF_HOST_MAX, CLOSED_EVENTS_MAX, CLOSED_EVENTS_OF_DOMAIN_MAX},
};
use crate::{
    certificate::Certificate,
    name::{DomainName, PolicyHost},
};
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

#[derive(Default)]
pub(super) struct History {
    last: i64,
    events: BTreeMap<i64, FindingEvent>,
    open: HashMap<DomainName, BTreeSet<i64>>,
    closed: HashMap<DomainName, BTreeSet<i64>>,
    pub positions: HashMap<String, i64>,
    /// Of each host, the latest first.
    pub certificates: HashMap<PolicyHost, Vec<Held>>,
}

impl History {
    /// Brings the open events of `domain` in line with what is raised among `findings`.
    pub fn follow(&mut self, domain: &DomainName, findings: &[FindingRow], now: Timestamp) {
        let numbers = self.open.remove(domain).unwrap_or_default();
        let open: Vec<FindingEvent> = numbers.iter().filter_map(|n| self.events.get(n).cloned()).collect();
        let mut stay: BTreeSet<i64> = numbers;
        for event in open.iter().filter(|event| !findings.iter().any(|row| row.raised && event.says(row))) {
            self.events.remove(&event.number);
            stay.remove(&event.number);
            if event.is_over(findings) {
                self.add(FindingEvent { until: Some(now), ..event.clone() });
            }
        }
        for row in findings.iter().filter(|row| row.raised && !open.iter().any(|event| event.says(row))) {
            stay.insert(self.add(FindingEvent::opened(0, row)));
        }
        if !stay.is_empty() {
            self.open.insert(domain.clone(), stay);
        }
        if let Some(closed) = self.closed.get_mut(domain) {
            while closed.len() > CLOSED_EVENTS_OF_DOMAIN_MAX
                && let Some(oldest) = closed.pop_first()
            {
                self.events.remove(&oldest);
            }
        }
    }

    /// Takes `certificate` into the history of its host.
    pub fn remember(&mut self, certificate: &Certificate) {
        let Certificate { host, validity, authority, .. } = certificate;
        let of_host = self.certificates.entry(host.clone()).or_default();
        of_host.retain(|held| held.validity.not_before != validity.not_before);
        of_host.push(Held { host: host.clone(), validity: *validity, authority: authority.clone() });
        of_host.sort_by_key(|held| Reverse(held.validity.not_before));
        of_host.truncate(CERTIFICATES_OF_HOST_MAX);
    }

    fn add(&mut self, event: FindingEvent) -> i64 {
        self.last += 1;
        if event.until.is_some() {
            self.closed.entry(event.domain.clone()).or_default().insert(self.last);
        }
        self.events.insert(self.last, FindingEvent { number: self.last, ..event });
        self.last
    }

    pub fn after(&self, number: i64, limit: usize) -> Vec<FindingEvent> {
        let later = self.events.range(number.saturating_add(1)..);
        later.take(limit).map(|(_, event)| event.clone()).collect()
    }

    pub fn of(&self, domain: &DomainName, limit: usize) -> Vec<FindingEvent> {
        let of_domain = self.events.values().rev().filter(|event| event.domain == *domain);
        of_domain.take(limit).cloned().collect()
    }

    pub fn forget(&mut self, before: Timestamp, limit: usize) -> usize {
        let last = self.events.last_key_value().map_or(0, |(number, _)| *number);
        let oldest = last.saturating_sub_unsigned(CLOSED_EVENTS_MAX);
        let is_old =
            |event: &&FindingEvent| event.until.is_some_and(|until| until < before || event.number <= oldest);
        let old: Vec<i64> =
            self.events.values().filter(is_old).take(limit).map(|event| event.number).collect();
        for number in &old {
            let domain = self.events.remove(number).map(|event| event.domain);
            if let Some(closed) = domain.and_then(|domain| self.closed.get_mut(&domain)) {
                closed.remove(number);
            }
        }
        old.len()
    }
}
