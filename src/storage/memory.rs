//! The store in memory: for tests and the simulation, where it can be told to fail.
//!
//! Keeps the same contract as the store on disk, except that nothing survives the process.

mod history;
mod rows;

use super::{
    Budget, FindingEvent, FindingRow, Held, HistoryStorage, Next, ScheduleStorage, Scheduled, ServedTenant,
    Storage, StorageError, unusable::Unusable,
};
use crate::{
    certificate::{Certificate, CertificateSource, SourceError},
    name::{DomainName, PolicyHost},
};
use history::History;
use jiff::Timestamp;
use rows::Rows;
use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};
use zeroize::Zeroizing;

/// A store that forgets everything with the process; share it as `Arc<MemoryStorage>`.
#[derive(Default)]
pub struct MemoryStorage {
    kept: Mutex<Kept>,
    refuses_writes: AtomicBool,
    refuses_reads: AtomicBool,
    certificate_reads: AtomicU64,
    writes: AtomicU64,
    unusable: Unusable,
}

#[derive(Default)]
struct Kept {
    certificates: HashMap<PolicyHost, Certificate>,
    credentials: HashMap<String, Zeroizing<Vec<u8>>>,
    findings: HashMap<DomainName, Vec<FindingRow>>,
    history: History,
    audits: HashMap<DomainName, Timestamp>,
    served: HashMap<String, ServedTenant>,
    schedule: Rows,
    budgets: HashMap<String, Timestamp>,
}

impl MemoryStorage {
    /// An empty store that does what it is asked.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every write is refused (`true`), as on a full disk, or accepted again (`false`).
    pub fn refuse_writes(&self, refuse: bool) {
        self.refuses_writes.store(refuse, Relaxed);
    }

    /// From now on every read fails (`true`), as on a broken disk, or succeeds again (`false`).
    pub fn refuse_reads(&self, refuse: bool) {
        self.refuses_reads.store(refuse, Relaxed);
    }

    /// How many times a certificate was asked for, refused reads included.
    pub fn certificate_reads(&self) -> u64 {
        self.certificate_reads.load(Relaxed)
    }

    /// How many writes were asked for, refused ones included.
    pub fn writes(&self) -> u64 {
        self.writes.load(Relaxed)
    }

    fn read(&self) -> Result<MutexGuard<'_, Kept>, StorageError> {
        if self.refuses_reads.load(Relaxed) {
            return Err(StorageError::Failed(io::Error::other("told to refuse reads").into()));
        }
        Ok(self.kept())
    }

    fn write(&self) -> Result<MutexGuard<'_, Kept>, StorageError> {
        self.writes.fetch_add(1, Relaxed);
        if self.refuses_writes.load(Relaxed) {
            let cause = io::Error::new(io::ErrorKind::StorageFull, "told to refuse writes");
            return Err(StorageError::NotWritable(cause.into()));
        }
        Ok(self.kept())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics between two halves of a change, so a poisoned lock still guards a whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl CertificateSource for MemoryStorage {
    async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError> {
        self.certificate_reads.fetch_add(1, Relaxed);
        let kept = self.read().map_err(|error| SourceError(error.into()))?;
        Ok(kept.certificates.get(host).cloned())
    }

    fn note_unusable(&self, host: &PolicyHost) {
        self.unusable.note(host);
    }
}

#[async_trait::async_trait]
impl Storage for MemoryStorage {
    async fn credential(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        Ok(self.read()?.credentials.get(name).cloned())
    }

    async fn save_credential(&self, name: &str, secret: &[u8]) -> Result<(), StorageError> {
        self.write()?.credentials.insert(name.to_owned(), Zeroizing::new(secret.to_vec()));
        Ok(())
    }

    async fn save_certificate(&self, certificate: &Certificate) -> Result<(), StorageError> {
        self.save_issued(certificate, &Scheduled::holding(certificate)).await
    }

    async fn held(&self) -> Result<Vec<Held>, StorageError> {
        let kept = self.read()?;
        let held = kept.certificates.values().map(|certificate| Held {
            host: certificate.host.clone(),
            validity: certificate.validity,
            authority: certificate.authority.clone(),
        });
        Ok(held.collect())
    }

    async fn remove_certificates(&self, hosts: &[PolicyHost]) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        for host in hosts {
            kept.certificates.remove(host);
            kept.history.certificates.remove(host);
            kept.schedule.remove(host);
        }
        Ok(())
    }

    async fn findings(&self) -> Result<Vec<FindingRow>, StorageError> {
        Ok(self.read()?.findings.values().flatten().cloned().collect())
    }

    async fn replace_findings(
        &self,
        domain: &DomainName,
        findings: &[FindingRow],
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        kept.history.follow(domain, findings, now);
        if findings.is_empty() {
            kept.findings.remove(domain);
        } else {
            kept.findings.insert(domain.clone(), findings.to_vec());
        }
        Ok(())
    }

    async fn audits(&self) -> Result<Vec<(DomainName, Timestamp)>, StorageError> {
        Ok(self.read()?.audits.iter().map(|(domain, at)| (domain.clone(), *at)).collect())
    }

    async fn save_audit(&self, domain: &DomainName, at: Timestamp) -> Result<(), StorageError> {
        self.write()?.audits.insert(domain.clone(), at);
        Ok(())
    }

    async fn forget_audits(&self, domains: &[DomainName]) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        for domain in domains {
            kept.audits.remove(domain);
        }
        Ok(())
    }

    async fn served_tenants(&self) -> Result<Vec<ServedTenant>, StorageError> {
        Ok(self.read()?.served.values().cloned().collect())
    }

    async fn save_served_tenants(
        &self,
        tenants: &[ServedTenant],
        removed: &[String],
    ) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        kept.served.extend(tenants.iter().map(|served| (served.tenant.clone(), served.clone())));
        removed.iter().for_each(|tenant| drop(kept.served.remove(tenant)));
        Ok(())
    }

    async fn replace_served_tenants(&self, tenants: &[ServedTenant]) -> Result<(), StorageError> {
        self.write()?.served = tenants.iter().map(|served| (served.tenant.clone(), served.clone())).collect();
        Ok(())
    }

    async fn check_writable(&self) -> Result<(), StorageError> {
        self.write().map(drop)
    }
}

#[async_trait::async_trait]
impl HistoryStorage for MemoryStorage {
    async fn events_after(&self, number: i64, limit: usize) -> Result<Vec<FindingEvent>, StorageError> {
        Ok(self.read()?.history.after(number, limit))
    }

    async fn events_of(&self, domain: &DomainName, limit: usize) -> Result<Vec<FindingEvent>, StorageError> {
        Ok(self.read()?.history.of(domain, limit))
    }

    async fn forget_events(&self, before: Timestamp, limit: usize) -> Result<usize, StorageError> {
        Ok(self.write()?.history.forget(before, limit))
    }

    async fn certificates_of(&self, host: &PolicyHost) -> Result<Vec<Held>, StorageError> {
        Ok(self.read()?.history.certificates.get(host).cloned().unwrap_or_default())
    }

    async fn alert_position(&self, alert: &str) -> Result<Option<i64>, StorageError> {
        Ok(self.read()?.history.positions.get(alert).copied())
    }

    async fn save_alert_position(&self, alert: &str, number: i64) -> Result<(), StorageError> {
        self.write()?.history.positions.insert(alert.to_owned(), number);
        Ok(())
    }
}

#[async_trait::async_trait]
impl ScheduleStorage for MemoryStorage {
    async fn due(&self, next: Next, now: Timestamp, limit: usize) -> Result<Vec<Scheduled>, StorageError> {
        Ok(self.read()?.schedule.due(next, now, limit))
    }

    async fn next_due(&self, next: Next, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        Ok(self.read()?.schedule.next_due(next, now))
    }

    async fn scheduled(&self, host: &PolicyHost) -> Result<Option<Scheduled>, StorageError> {
        Ok(self.read()?.schedule.of(host))
    }

    async fn schedule_after(
        &self,
        after: Option<&PolicyHost>,
        limit: usize,
    ) -> Result<Vec<Scheduled>, StorageError> {
        Ok(self.read()?.schedule.after(after, limit))
    }

    async fn save_schedule(&self, rows: &[Scheduled], budgets: &[Budget]) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        for row in rows {
            kept.schedule.save(row);
        }
        for budget in budgets {
            kept.budgets.insert(budget.key.clone(), budget.full_at);
        }
        Ok(())
    }

    async fn save_issued(&self, certificate: &Certificate, row: &Scheduled) -> Result<(), StorageError> {
        let mut kept = self.write()?;
        kept.certificates.insert(certificate.host.clone(), certificate.clone());
        kept.history.remember(certificate);
        kept.schedule.save(row);
        self.unusable.forget(&row.host);
        Ok(())
    }

    async fn budgets(&self, keys: &[String]) -> Result<Vec<Budget>, StorageError> {
        let kept = self.read()?;
        let known = |key: &String| Some(Budget { key: key.clone(), full_at: *kept.budgets.get(key)? });
        Ok(keys.iter().filter_map(known).collect())
    }

    fn take_unusable(&self) -> Vec<PolicyHost> {
        self.unusable.take()
    }

    async fn remove_budgets(&self, full_since: Timestamp, limit: usize) -> Result<usize, StorageError> {
        let mut kept = self.write()?;
        let full = kept.budgets.iter().filter(|(_, at)| **at <= full_since).take(limit);
        let full: HashSet<String> = full.map(|(key, _)| key.clone()).collect();
        kept.budgets.retain(|key, _| !full.contains(key));
        Ok(full.len())
    }

    async fn budgets_with(&self, prefix: &str, now: Timestamp) -> Result<Vec<Budget>, StorageError> {
        let kept = self.read()?;
        let fitting = kept.budgets.iter().filter(|(key, at)| key.starts_with(prefix) && **at > now);
        Ok(fitting.map(|(key, at)| Budget { key: key.clone(), full_at: *at }).collect())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("certificates", &self.kept().certificates.len())
            .field("refuses_writes", &self.refuses_writes)
            .field("refuses_reads", &self.refuses_reads)
            .finish_non_exhaustive()
    }
}
