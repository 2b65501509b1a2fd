//! What an operator can see at once: certificates held, failures, orders in flight, and what holds them
//! back.
//!
//! The schedule itself is in the store; this is its short form in memory, so that status needs no
//! reads. Names are shared with the snapshot; a held certificate costs about 50 octets here.

use super::retry;
use crate::{
    name::PolicyHost,
    storage::{Next, OrderFailures, Scheduled},
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// Everything the scheduler keeps in mind.
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
    /// What holds back a whole account, by the authority's number. Kept after its end until one order
    /// shows that it is over.
    pub pauses: HashMap<usize, Pause>,
    /// The clock is certainly wrong: until when it must be set to go on.
    pub clock_behind: Option<Pause>,
    /// Since when something is due that waits, by what is due; as of the scheduler's last look.
    pub due_since: Vec<(Next, Option<Timestamp>)>,
    /// Why the store cannot be used at the moment.
    pub storage_trouble: Option<String>,
}

/// When a held certificate ends, and when it should be replaced: in seconds since 1970, for there is one
/// for each host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    not_after: u32,
    renew_at: u32,
}

impl HeldCertificate {
    fn new(not_after: Timestamp, renew_at: Timestamp) -> Self {
        let second = |moment: Timestamp| u32::try_from(moment.as_second().max(0)).unwrap_or(u32::MAX);
        Self { not_after: second(not_after), renew_at: second(renew_at) }
    }

    /// When to replace it and when it ends, in seconds since 1970.
    pub fn in_seconds(self) -> (u32, u32) {
        (self.renew_at, self.not_after)
    }

    /// Last moment of its validity.
    pub fn not_after(self) -> Timestamp {
        moment(self.not_after)
    }

    /// When to replace it.
    pub fn renew_at(self) -> Timestamp {
        moment(self.renew_at)
    }
}

fn moment(second: u32) -> Timestamp {
    Timestamp::from_second(i64::from(second)).unwrap_or(Timestamp::MAX)
}

/// No order is placed for anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Until when; the first order afterwards goes alone, to see whether it is over.
    pub until: Timestamp,
    /// `rate_limited` or `account`; `clock` when that is certainly wrong.
    pub kind: String,
    /// What the authority said.
    pub detail: String,
}

impl Books {
    /// Shows `row` as it is now.
    pub fn enter(&mut self, row: &Scheduled) {
        match row.held {
            Some(held) => {
                let renew_at = row.renewal.at.unwrap_or(held.not_after);
                self.held.insert(row.host.clone(), HeldCertificate::new(held.not_after, renew_at));
            }
            None => drop(self.held.remove(&row.host)),
        }
        match &row.failures {
            Some(failures) => drop(self.failures.insert(row.host.clone(), failures.clone())),
            None => drop(self.failures.remove(&row.host)),
        }
    }

    /// Forgets `host`.
    pub fn forget(&mut self, host: &PolicyHost) {
        self.held.remove(host);
        self.failures.remove(host);
    }

    /// Holds back the whole account at the authority `number` when `failures` are of that kind; never
    /// shortens a pause. Returns what is to be remembered.
    pub fn pause_for(&mut self, number: usize, failures: &OrderFailures) -> Option<&Pause> {
        let until = retry::pauses_until(failures)?;
        if self.pauses.get(&number).is_none_or(|pause| pause.until < until) {
            let (kind, detail) = (failures.kind.clone(), failures.detail.clone());
            self.pauses.insert(number, Pause { until, kind, detail });
        }
        self.pauses.get(&number)
    }
}
