//! A [`Lookup`] that answers from memory, for tests and simulation.

use super::{Lookup, MxAnswer, MxHost, MxRecord, Unanswered};
use crate::name::DomainName;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// DNS as a test wants it to be; a domain it was told nothing about does not exist.
#[derive(Debug, Default)]
pub struct MemoryLookup {
    domains: Mutex<HashMap<DomainName, Domain>>,
}

#[derive(Debug, Default)]
struct Domain {
    mx: Option<Result<MxAnswer, Unanswered>>,
    has_address: Option<Result<bool, Unanswered>>,
    mx_questions: u64,
}

impl MemoryLookup {
    /// From now on, this is what is said about the MX records of `domain`.
    pub fn set_mx(&self, domain: &DomainName, answer: Result<MxAnswer, Unanswered>) {
        self.domains().entry(domain.clone()).or_default().mx = Some(answer);
    }

    /// From now on, `hosts` are the MX hosts of `domain`, preferred in this order.
    pub fn set_hosts(&self, domain: &DomainName, hosts: &[&str]) {
        let record = |(preference, host): (u16, &&str)| MxRecord { preference, host: MxHost::new(host) };
        self.set_mx(domain, Ok(MxAnswer::Records((1..).zip(hosts).map(record).collect())));
    }

    /// From now on, this is what is said about addresses of `domain` itself.
    pub fn set_address(&self, domain: &DomainName, answer: Result<bool, Unanswered>) {
        self.domains().entry(domain.clone()).or_default().has_address = Some(answer);
    }

    /// From now on, nobody answers for `domain`.
    pub fn silence(&self, domain: &DomainName) {
        let silent = Unanswered { reason: "no answer in time".into() };
        self.set_mx(domain, Err(silent.clone()));
        self.set_address(domain, Err(silent));
    }

    /// How often the MX records of `domain` were asked for.
    pub fn mx_questions(&self, domain: &DomainName) -> u64 {
        self.domains().get(domain).map_or(0, |domain| domain.mx_questions)
    }

    fn domains(&self) -> MutexGuard<'_, HashMap<DomainName, Domain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Lookup for MemoryLookup {
    async fn mx(&self, domain: &DomainName) -> Result<MxAnswer, Unanswered> {
        let mut domains = self.domains();
        let entry = domains.entry(domain.clone()).or_default();
        entry.mx_questions += 1;
        entry.mx.clone().unwrap_or(Ok(MxAnswer::NoSuchDomain))
    }

    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        self.domains().get(domain).and_then(|entry| entry.has_address.clone()).unwrap_or(Ok(false))
    }
}
