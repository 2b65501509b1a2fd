//! What must survive a restart, and the port to it.
//!
//! Certificates with their keys, credentials (the ACME account, the internal root), the history of
//! orders, the cross-check's findings with their history, and every tenant as it was last served. One embedded implementation over SQLite and one in
//! memory for tests; both keep the contract that the tests in `contract.rs` state.

mod audits;
mod backup;
mod folder;
mod handing;
mod history;
mod history_rows;
mod memory;
pub mod metrics;
mod pools;
mod reader;
mod rows;
mod schedule;
mod schedule_rows;
mod seal;
mod served;
mod sqlite;
mod unusable;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod history_contract;
#[cfg(test)]
mod schedule_contract;
#[cfg(test)]
mod unwell;

pub use backup::{BackupError, back_up, restore};
pub use history::{CLOSED_EVENTS_MAX, FindingEvent, HistoryStorage};
pub use memory::MemoryStorage;
pub use reader::{StoreReader, read_served_tenants};
pub use schedule::{Budget, Next, Renewal, ScheduleStorage, Scheduled};
pub use seal::{KeyFileError, MasterKey};
pub use sqlite::SqliteStorage;

use crate::{
    certificate::{Certificate, CertificateSource, Validity},
    name::{DomainName, PolicyHost},
};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// Keeps what must survive us. Every write is durable when it returns, and whole or not at all.
#[async_trait::async_trait]
pub trait Storage: CertificateSource + HistoryStorage {
    /// A secret kept under `name` (an ACME account's credentials, the internal authority's root).
    async fn credential(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError>;

    /// Keeps `secret` under `name`, replacing what was there.
    async fn save_credential(&self, name: &str, secret: &[u8]) -> Result<(), StorageError>;

    /// Keeps a certificate with its key and, in the same transaction, puts its host on the schedule to be
    /// looked at, as [`Scheduled::holding`] says; whatever was there of the host is forgotten.
    async fn save_certificate(&self, certificate: &Certificate) -> Result<(), StorageError>;

    /// What is held, without keys and chains.
    async fn held(&self) -> Result<Vec<Held>, StorageError>;

    /// Removes the certificates and keys of `hosts` and, in the same transaction, takes them off the schedule.
    async fn remove_certificates(&self, hosts: &[PolicyHost]) -> Result<(), StorageError>;

    /// Every finding, in no particular order.
    async fn findings(&self) -> Result<Vec<FindingRow>, StorageError>;

    /// Replaces the findings of one domain, which all of `findings` are about; an empty list removes
    /// them. In the same transaction the history follows: what is raised has an open event, and the
    /// events of what is raised no more ended at `now` (see [`HistoryStorage`]).
    async fn replace_findings(
        &self,
        domain: &DomainName,
        findings: &[FindingRow],
        now: Timestamp,
    ) -> Result<(), StorageError>;

    /// When each domain was last audited, in no particular order.
    async fn audits(&self) -> Result<Vec<(DomainName, Timestamp)>, StorageError>;

    /// Keeps that `domain` was audited at `at`.
    async fn save_audit(&self, domain: &DomainName, at: Timestamp) -> Result<(), StorageError>;

    /// Forgets when `domains` were audited, all or none of them.
    async fn forget_audits(&self, domains: &[DomainName]) -> Result<(), StorageError>;

    /// Every tenant as it was last served, in no particular order.
    async fn served_tenants(&self) -> Result<Vec<ServedTenant>, StorageError>;

    /// Keeps `tenants` as they are served now and forgets those in `removed`; the others stay.
    async fn save_served_tenants(
        &self,
        tenants: &[ServedTenant],
        removed: &[String],
    ) -> Result<(), StorageError>;

    /// Keeps `tenants` as all that is served now and forgets every other.
    async fn replace_served_tenants(&self, tenants: &[ServedTenant]) -> Result<(), StorageError>;

    /// Proves that something can be written durably right now; asked before an order is placed,
    /// because a certificate that cannot be kept would be ordered again and again.
    async fn check_writable(&self) -> Result<(), StorageError>;
}

/// A certificate that is held, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its host.
    pub host: PolicyHost,
    /// Its validity.
    pub validity: Validity,
    /// Directory of the authority that issued it.
    pub authority: String,
}

/// What went wrong with a host's orders since the last success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFailures {
    /// The host.
    pub host: PolicyHost,
    /// Failures in a row.
    pub attempts: u32,
    /// When the last one ended.
    pub last_at: Timestamp,
    /// When the host may be tried again.
    pub retry_at: Timestamp,
    /// Sort of the last failure: a word from a closed set.
    pub kind: String,
    /// What the authority or the network said, escaped and cut.
    pub detail: String,
}

/// One finding of the cross-check, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    /// The policy domain.
    pub domain: DomainName,
    /// Stable code.
    pub code: String,
    /// The MX host or pattern it is about; empty for the domain as a whole.
    pub subject: String,
    /// Severity keyword.
    pub severity: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// Whether it is certain enough to tell somebody.
    pub raised: bool,
}

/// A tenant as it was last served: what a refused edit falls back on after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedTenant {
    /// Its name.
    pub tenant: String,
    /// The file it is written in.
    pub file: String,
    /// The policy text that senders were given.
    pub body: String,
    /// The policy hosts it owned, in the order written.
    pub hosts: Vec<PolicyHost>,
}

impl StorageError {
    /// Whether only a person can mend it, and trying again cannot.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unreadable { .. })
    }
}

/// Why the store did not do it, sorted by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nothing can be written: disk full, read-only, no permission. Reads may go on.
    #[error("the store cannot be written")]
    NotWritable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What stands there cannot be understood: sealed with another key, or damaged.
    #[error("{what} in the store cannot be read")]
    Unreadable {
        /// Which entry.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder is not one that we may keep keys in; it says what to do, and time does not mend it.
    #[error("the store's folder is refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else the database says.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
