//! What an operator may know of certificates: valid until, next renewal, last failure, what holds us back.
//!
//! A window on the scheduler's books, read under a lock that is held for a look; nothing is copied
//! but what is asked for, so 100,000 hosts cost nothing twice.

pub use super::books::Pause;
use super::{
    books::Books,
    metrics::{Orders, Purses},
};
use crate::{name::PolicyHost, storage::OrderFailures};
use jiff::Timestamp;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The state of certificates as of this moment; cheap to clone, all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct AcmeStatus {
    books: Arc<RwLock<Books>>,
    pub(super) orders: Orders,
    pub(super) purses: Purses,
}

/// What is known of one host's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStatus {
    /// Until when the held certificate is valid; `None` when none is held.
    pub not_after: Option<Timestamp>,
    /// When it is to be replaced, failures aside; its beginning when another authority issued it.
    pub renew_at: Option<Timestamp>,
    /// What went wrong since the last success; its `retry_at` says when the host is tried again.
    pub last_failure: Option<OrderFailures>,
    /// Whether an order is under way.
    pub in_flight: bool,
    /// Whether the certificate is served but not stored yet, and would be lost with the process.
    pub unsaved: bool,
}

/// What is known of all certificates together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Certificates held, those of hosts that left included.
    pub held: usize,
    /// Hosts whose last order failed.
    pub failing: usize,
    /// Orders under way.
    pub in_flight: usize,
    /// Certificates that are served but not stored yet.
    pub unsaved: usize,
    /// What holds back the whole account; when `until` has passed, one order is showing whether it is over.
    pub pause: Option<Pause>,
    /// Why the store cannot be used, in which case no orders are placed.
    pub storage_trouble: Option<String>,
}

impl AcmeStatus {
    /// What is known of `host`; all empty for a host that was never heard of.
    pub fn of(&self, host: &PolicyHost) -> HostStatus {
        let books = self.read();
        let held = books.held.get(host);
        HostStatus {
            not_after: held.map(|held| held.not_after()),
            renew_at: held.map(|held| held.renew_at()),
            last_failure: books.failures.get(host).cloned(),
            in_flight: books.in_flight.contains(host),
            unsaved: books.unsaved.contains(host),
        }
    }

    /// What is known of all of them together.
    pub fn overview(&self) -> Overview {
        let books = self.read();
        Overview {
            held: books.held.len(),
            failing: books.failures.len(),
            in_flight: books.in_flight.len(),
            unsaved: books.unsaved.len(),
            pause: (books.clock_behind.as_ref())
                .or_else(|| books.pauses.values().max_by_key(|pause| pause.until))
                .cloned(),
            storage_trouble: books.storage_trouble.clone(),
        }
    }

    /// Which authorities hold back all orders, by their numbers in the configured list.
    pub fn pauses(&self) -> Vec<(usize, Pause)> {
        let mut pauses: Vec<_> =
            self.read().pauses.iter().map(|(number, pause)| (*number, pause.clone())).collect();
        pauses.sort_unstable_by_key(|(number, _)| *number);
        pauses
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Books> {
        // Every change is one insertion or removal, so books under a poisoned lock are still whole.
        self.books.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Books> {
        self.books.write().unwrap_or_else(PoisonError::into_inner)
    }
}
