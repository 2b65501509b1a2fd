//! What the scheduler knows: certificates held, failures, orders in flight, and what holds it back.
//!
//! One set of books for both readers: `plan` decides from it, `status` shows it, so that what an
//! operator reads is what the next decision is made of. Names are shared with the snapshot; a held
//! certificate costs about a hundred octets here, its chain and key stay in the store.

use super::{jitter::Jitter, renewal::renew_at, retry};
use crate::{
    name::PolicyHost,
    snapshot::Snapshot,
    storage::{Held, OrderFailures},
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// Everything the scheduler keeps in mind between two plans.
#[derive(Debug, Default)]
pub struct Books {
    /// Certificates by host, served and (but for `unsaved`) stored.
    pub held: HashMap<PolicyHost, HeldCertificate>,
    /// Hosts whose last order failed.
    pub failures: HashMap<PolicyHost, OrderFailures>,
    /// Hosts with an order under way, up to its certificate being stored.
    pub in_flight: HashSet<PolicyHost>,
    /// Hosts whose new certificate is served but could not be stored yet.
    pub unsaved: HashSet<PolicyHost>,
    /// What holds back the whole account. Kept after its end until one order shows that it is over.
    pub pause: Option<Pause>,
    /// Why the store cannot be used at the moment.
    pub storage_trouble: Option<String>,
}

/// When a held certificate ends, and when it should be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// Last moment of its validity.
    pub not_after: Timestamp,
    /// When to replace it.
    pub renew_at: Timestamp,
    /// Whether its expiry was already logged.
    pub expiry_told: bool,
}

/// No order is placed for anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Until when; the first order afterwards goes alone, to see whether it is over.
    pub until: Timestamp,
    /// `rate_limited` or `account`.
    pub kind: String,
    /// What the authority said.
    pub detail: String,
}

impl Books {
    /// The books as they stand after a start: what the store has, read for `authority`.
    ///
    /// A certificate of another authority goes on being served but is due: whoever changes the
    /// authority (from the internal one, or from a test directory) wants the new one's certificates.
    /// It is due since its beginning, which makes it pressing only in the second half of its life.
    pub fn open(held: Vec<Held>, failures: Vec<OrderFailures>, authority: &str, snapshot: &Snapshot) -> Self {
        let shared = |host: PolicyHost| match snapshot.find_host(host.as_str()) {
            Some((known, _)) => known.clone(),
            None => host,
        };
        let held = held.into_iter().map(|held| {
            let due = if held.authority == authority {
                renew_at(held.validity, Jitter::of(&held.host, held.validity.not_after))
            } else {
                held.validity.not_before
            };
            let not_after = held.validity.not_after;
            (shared(held.host), HeldCertificate { not_after, renew_at: due, expiry_told: false })
        });
        let mut books = Self { held: held.collect(), ..Self::default() };
        for failures in failures {
            books.pause_for(&failures);
            books.failures.insert(shared(failures.host.clone()), failures);
        }
        books
    }

    /// Holds back the whole account when `failures` are of that kind; never shortens a pause.
    pub fn pause_for(&mut self, failures: &OrderFailures) {
        let Some(until) = retry::pauses_until(failures) else { return };
        if self.pause.as_ref().is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, kind: failures.kind.clone(), detail: failures.detail.clone() });
        }
    }
}
