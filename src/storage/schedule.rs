//! The schedule: one row for each host that is desired or held, and the budgets orders are paid from.
//!
//! Rows are plain values; what becomes of them is decided in the room of certificates. A store keeps
//! times to the second, rounded up, so that nothing is done sooner than was decided.

use super::{OrderFailures, Storage, StorageError};
use crate::{
    certificate::{Certificate, Validity},
    name::PolicyHost,
};
use jiff::Timestamp;

/// Keeps the schedule and the budgets.
#[async_trait::async_trait]
pub trait ScheduleStorage: Storage {
    /// Up to `limit` rows whose `next` is due at `now`.
    ///
    /// First certificates come fairly: those of tenants with the fewest due hosts first, of the tenant
    /// that waits longest among equals, the longest due first within a tenant. Renewals come soonest to expire first, everything else longest due
    /// first.
    async fn due(&self, next: Next, now: Timestamp, limit: usize) -> Result<Vec<Scheduled>, StorageError>;

    /// When the first row of the sort `next` becomes due that is not due at `now`.
    async fn next_due(&self, next: Next, now: Timestamp) -> Result<Option<Timestamp>, StorageError>;

    /// The row of `host`.
    async fn scheduled(&self, host: &PolicyHost) -> Result<Option<Scheduled>, StorageError>;

    /// Up to `limit` rows in the order of hosts, beginning after `after`: a page of them all.
    async fn schedule_after(
        &self,
        after: Option<&PolicyHost>,
        limit: usize,
    ) -> Result<Vec<Scheduled>, StorageError>;

    /// Keeps `rows` and `budgets` in one transaction, replacing what was there.
    async fn save_schedule(&self, rows: &[Scheduled], budgets: &[Budget]) -> Result<(), StorageError>;

    /// Keeps a certificate with its key and, in the same transaction, its host's row.
    async fn save_issued(&self, certificate: &Certificate, row: &Scheduled) -> Result<(), StorageError>;

    /// What is kept of the budgets `keys`; those without an entry are full.
    async fn budgets(&self, keys: &[String]) -> Result<Vec<Budget>, StorageError>;

    /// Hosts whose certificate turned out to be unusable since this was last asked: damaged, sealed with
    /// a lost key, or mixed up. What the store as a whole cannot read is not among them.
    fn take_unusable(&self) -> Vec<PolicyHost>;

    /// Forgets up to `limit` budgets that were full at `full_since`, and says how many there were.
    async fn remove_budgets(&self, full_since: Timestamp, limit: usize) -> Result<usize, StorageError>;

    /// Every budget whose key begins with `prefix` and that is not full at `now`.
    async fn budgets_with(&self, prefix: &str, now: Timestamp) -> Result<Vec<Budget>, StorageError>;
}

/// What is to be done for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Next {
    /// Order its first certificate.
    First,
    /// Replace the certificate it has.
    Renew,
    /// Ask when its certificate should be replaced.
    Ask,
    /// It left the configuration: forget it.
    Gone,
    /// Nothing, until what it is parked for changes.
    Parked,
}

impl Next {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::First, Self::Renew, Self::Ask, Self::Gone, Self::Parked];

    /// The word it is kept and shown as.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Renew => "renew",
            Self::Ask => "ask",
            Self::Gone => "gone",
            Self::Parked => "parked",
        }
    }
}

/// One row of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The host.
    pub host: PolicyHost,
    /// Who owns it; empty when that was not known yet.
    pub tenant: String,
    /// What is to be done.
    pub next: Next,
    /// When.
    pub next_at: Timestamp,
    /// Validity of the certificate that is held.
    pub held: Option<Validity>,
    /// Directory of the authority that issued it.
    pub authority: Option<String>,
    /// What that authority says of its renewal.
    pub renewal: Renewal,
    /// What went wrong since the last certificate.
    pub failures: Option<OrderFailures>,
    /// Failed validations in a row, as authorities count them.
    pub validations_failed: u32,
    /// Since when the host does not point at us.
    pub astray_since: Option<Timestamp>,
    /// What has to change before the host is tried again, as a fingerprint.
    pub parked_for: Option<String>,
    /// Which authority of the list is asked; 0 is the first.
    pub detour: u32,
    /// Failures in a row that are that authority's own.
    pub trouble: u32,
    /// When they began.
    pub trouble_since: Option<Timestamp>,
    /// When the last order was placed.
    pub placed_at: Option<Timestamp>,
}

/// When a certificate is to be replaced, and how that is known (RFC 9773).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewal {
    /// First and last moment of the window the authority suggests; none when it suggests nothing.
    pub window: Option<(Timestamp, Timestamp)>,
    /// A page that says why.
    pub explanation_url: Option<String>,
    /// The moment chosen.
    pub at: Option<Timestamp>,
    /// When the authority was last asked.
    pub asked_at: Option<Timestamp>,
    /// When to ask again.
    pub ask_at: Option<Timestamp>,
    /// Questions without an answer, in a row.
    pub asks_failed: u32,
}

impl Scheduled {
    /// The row of a host of which no more is known than its certificate: to be looked at.
    pub fn holding(certificate: &Certificate) -> Self {
        Self {
            next: Next::Ask,
            held: Some(certificate.validity),
            authority: Some(certificate.authority.clone()),
            ..Self::newcomer(certificate.host.clone(), "", Timestamp::UNIX_EPOCH)
        }
    }

    /// The row of a host of which nothing is known: its first certificate is due at `now`.
    pub fn newcomer(host: PolicyHost, tenant: &str, now: Timestamp) -> Self {
        Self {
            host,
            tenant: tenant.to_owned(),
            next: Next::First,
            next_at: now,
            held: None,
            authority: None,
            renewal: Renewal::default(),
            failures: None,
            validations_failed: 0,
            astray_since: None,
            parked_for: None,
            detour: 0,
            trouble: 0,
            trouble_since: None,
            placed_at: None,
        }
    }
}

/// One budget, as a single moment: the later it is full again, the less is left in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which.
    pub key: String,
    /// When it will be full again, to the millisecond.
    pub full_at: Timestamp,
}
