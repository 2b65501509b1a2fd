//! The history of findings: since when each was there, and until when.
//!
//! Kept beside the findings themselves and in the same transaction: what is raised opens an event,
//! what is raised no more closes it. What grows worse goes on as one event; what grows milder closes the
//! event of its old severity and opens one of its new severity. Every change gets a new, higher number, and each alert keeps the
//! number it has delivered up to, so that nothing is lost over a restart.

use super::{FindingRow, Held, StorageError};
use crate::name::{DomainName, PolicyHost};
use jiff::Timestamp;

/// The most closed events that are kept, whatever their age: domains that flap must not fill a disk.
pub const CLOSED_EVENTS_MAX: u64 = 1_000_000;
/// The most closed events that are kept of one domain, the latest ones: whoever changes their records all
/// the time pushes nobody else's history out.
pub const CLOSED_EVENTS_OF_DOMAIN_MAX: usize = 1_000;

/// The most certificates of one host that the history tells of, the latest ones.
pub const CERTIFICATES_OF_HOST_MAX: usize = 12;

/// One raised finding from beginning to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingEvent {
    /// Number of its last change; higher than that of every change before.
    pub number: i64,
    /// The policy domain.
    pub domain: DomainName,
    /// Stable code.
    pub code: String,
    /// What it is about; empty for the domain as a whole.
    pub subject: String,
    /// Severity keyword.
    pub severity: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was seen no more; `None` while it is there.
    pub until: Option<Timestamp>,
}

impl FindingEvent {
    /// Whether `row` speaks of the same thing, however bad it is by now.
    pub(super) fn is_of(&self, row: &FindingRow) -> bool {
        self.domain == row.domain && self.code == row.code && self.subject == row.subject
    }

    /// Whether `row` says nothing new.
    pub(super) fn says(&self, row: &FindingRow) -> bool {
        self.is_of(row) && self.severity == row.severity
    }

    /// Whether it is over as bad as it was: `findings` raise it no more, or milder. Who was told of it
    /// may want to hear nothing of what is milder, and would otherwise never hear of its end.
    pub(super) fn is_over(&self, findings: &[FindingRow]) -> bool {
        let mut same = findings.iter().filter(|row| row.raised && self.is_of(row));
        !same.any(|row| badness(&row.severity) >= badness(&self.severity))
    }

    /// The event that `row` opens.
    pub(super) fn opened(number: i64, row: &FindingRow) -> Self {
        Self {
            number,
            domain: row.domain.clone(),
            code: row.code.clone(),
            subject: row.subject.clone(),
            severity: row.severity.clone(),
            since: row.since,
            until: None,
        }
    }
}

/// The place of a severity's keyword in their order; a word of another version is milder than all.
fn badness(severity: &str) -> Option<usize> {
    ["unknown", "info", "warn", "error", "critical"].iter().position(|word| *word == severity)
}

/// Keeps the history, and how far it was told. Written by
/// [`Storage::replace_findings`](super::Storage::replace_findings).
#[async_trait::async_trait]
pub trait HistoryStorage: Send + Sync {
    /// At most `limit` events changed after the change `number`, in the order of their changes; an
    /// event that changed twice comes once, as it is now.
    async fn events_after(&self, number: i64, limit: usize) -> Result<Vec<FindingEvent>, StorageError>;

    /// At most `limit` events of `domain`, the latest change first.
    async fn events_of(&self, domain: &DomainName, limit: usize) -> Result<Vec<FindingEvent>, StorageError>;

    /// Forgets at most `limit` of the events that ended before `before`, or that are more than
    /// [`CLOSED_EVENTS_MAX`] changes old and ended; says how many.
    async fn forget_events(&self, before: Timestamp, limit: usize) -> Result<usize, StorageError>;

    /// The certificates that `host` has had, the latest first, at most a dozen; written by whatever keeps a
    /// certificate.
    async fn certificates_of(&self, host: &PolicyHost) -> Result<Vec<Held>, StorageError>;

    /// The number up to which `alert` has delivered changes; `None` for one that is new.
    async fn alert_position(&self, alert: &str) -> Result<Option<i64>, StorageError>;

    /// Keeps that `alert` has delivered every change up to `number`.
    async fn save_alert_position(&self, alert: &str, number: i64) -> Result<(), StorageError>;
}
