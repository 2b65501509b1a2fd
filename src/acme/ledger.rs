//! Pays for orders out of the budgets in the store, one order at a time.
//!
//! What is paid is kept in the same transaction that marks the order as placed, so a kill at any moment
//! costs a budget one order too many at the most, and never one too few.

use super::{
    authority::{IssueError, LimitScope},
    budget::{self, Keys, RENEWALS},
    calendar::{is_exempt, is_pressing},
    metrics::Purses,
    retry,
};
use crate::{
    config::{Allowance, Budgets},
    storage::{Budget, Next, ScheduleStorage, Scheduled, StorageError},
};
use jiff::Timestamp;
use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::Mutex;

/// Newcomers leave this part of the account's budget to renewals.
pub const RESERVED: u32 = 5;

/// Reads and writes the budgets; all payments go through one of it.
pub struct Ledger {
    storage: Arc<dyn ScheduleStorage>,
    budgets: Budgets,
    paying: Mutex<()>,
    purses: Purses,
    unpaid: AtomicUsize,
}

/// Whether an order may be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// It is paid for.
    Paid,
    /// Not before this.
    Short(Timestamp),
}

impl Ledger {
    /// `purses` is shown what is left of the budgets that all hosts pay from.
    pub fn new(storage: Arc<dyn ScheduleStorage>, budgets: Budgets, purses: Purses) -> Self {
        Self { storage, budgets, paying: Mutex::default(), purses, unpaid: AtomicUsize::new(0) }
    }

    /// Shows what is left for the accounts at `directories` and for renewals of a fleet with `held`
    /// certificates, before anything is paid.
    pub async fn show(&self, directories: &[&str], held: usize) -> Result<(), StorageError> {
        let mut purses: Vec<_> =
            directories.iter().map(|directory| (budget::account(directory), self.budgets.account)).collect();
        purses.push((RENEWALS.to_owned(), budget::renewals(held, self.budgets.renewals_percent)));
        let names: Vec<String> = purses.iter().map(|(key, _)| key.clone()).collect();
        let kept = self.storage.budgets(&names).await?;
        for (key, allowance) in purses {
            let full_at = kept.iter().find(|budget| budget.key == key).map(|budget| budget.full_at);
            self.purses.note(&key, allowance, full_at);
        }
        Ok(())
    }

    /// Pays for the order that `row` is due for at `directory`, and keeps the row as placed. `held` is
    /// how many certificates the fleet has.
    pub async fn pay(
        &self,
        row: &mut Scheduled,
        directory: &str,
        held: usize,
        now: Timestamp,
    ) -> Result<Payment, StorageError> {
        let keys = Keys { directory, host: &row.host };
        let mut bills = Vec::new();
        if row.next == Next::Renew && !is_pressing(row, now) {
            bills.push((RENEWALS.to_owned(), budget::renewals(held, self.budgets.renewals_percent)));
        }
        if !is_exempt(row, directory) {
            bills.push((keys.account(), self.account(row.next)));
            bills.push((keys.domain(), self.budgets.domain));
            bills.push((keys.same_name(), self.budgets.same_name));
        }
        let paid = bills.len();
        bills.push((keys.failures(), self.budgets.failures));

        let _one_at_a_time = self.paying.lock().await;
        let mut names: Vec<String> = bills.iter().map(|(key, _)| key.clone()).collect();
        names.push(keys.domain_pause());
        let kept = self.storage.budgets(&names).await?;
        let of = |key: &str| kept.iter().find(|budget| budget.key == key).map(|budget| budget.full_at);
        // One that no authority could have asked for was written while the clock was far ahead.
        let is_meant = |until: &Timestamp| *until > now && until.duration_since(now) <= retry::LONGEST_WAIT;
        let mut until = of(&keys.domain_pause()).filter(is_meant);
        let mut changed = Vec::new();
        for (key, allowance) in bills {
            match budget::take(allowance, of(&key), now) {
                Ok(full_at) => changed.push(Budget { key, full_at }),
                Err(there) => until = until.max(Some(there)),
            }
        }
        if let Some(until) = until {
            return Ok(Payment::Short(until));
        }
        // Whether there is a failure to pay for, the authority decides.
        changed.truncate(paid);
        // Should it never end, whoever waits comes before it at the next start.
        (row.placed_at, row.next_at) = (Some(now), row.next_at.max(now));
        self.storage.save_schedule(std::slice::from_ref(row), &changed).await?;
        for budget in &changed {
            if budget.key == RENEWALS {
                let allowance = budget::renewals(held, self.budgets.renewals_percent);
                self.purses.note(RENEWALS, allowance, Some(budget.full_at));
            } else if budget.key == keys.account() {
                self.purses.note(&budget.key, self.budgets.account, Some(budget.full_at));
            }
        }
        Ok(Payment::Paid)
    }

    /// Keeps `row` as it is after its order at `directory` ended in `error`, gives back what was paid
    /// for a certificate that did not come, and keeps waits that the authority told others. `exempt`
    /// says that nothing was paid.
    pub async fn settle(
        &self,
        row: &Scheduled,
        directory: &str,
        exempt: bool,
        error: &IssueError,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let keys = Keys { directory, host: &row.host };
        let _one_at_a_time = self.paying.lock().await;
        let kept = self.storage.budgets(&[keys.domain(), keys.same_name(), keys.failures()]).await?;
        let of = |key: &str| kept.iter().find(|budget| budget.key == key).map(|budget| budget.full_at);
        let mut changed = Vec::new();
        if !exempt && !matches!(error, IssueError::NotReady { .. } | IssueError::DnsSilent { .. }) {
            for (key, allowance) in
                [(keys.domain(), self.budgets.domain), (keys.same_name(), self.budgets.same_name)]
            {
                let back = of(&key).map(|full_at| budget::give_back(allowance, full_at));
                changed.extend(back.map(|full_at| Budget { key, full_at }));
            }
        }
        match error {
            IssueError::NotValidated { .. } => {
                let key = keys.failures();
                if let Ok(full_at) = budget::take(self.budgets.failures, of(&key), now) {
                    changed.push(Budget { key, full_at });
                }
            }
            IssueError::RateLimited { scope: LimitScope::RegisteredDomain, .. } => {
                let until = row.failures.as_ref().map_or(now, |failures| failures.retry_at);
                changed.push(Budget { key: keys.domain_pause(), full_at: until });
            }
            _ => {}
        }
        self.storage.save_schedule(std::slice::from_ref(row), &changed).await
    }

    /// How many more orders like that of `row` can be paid for at `directory`, those under way that did
    /// not pay yet taken off; and when there is one more.
    pub async fn room(
        &self,
        row: &Scheduled,
        directory: &str,
        held: usize,
        now: Timestamp,
    ) -> Result<(usize, Timestamp), StorageError> {
        let mut bills = Vec::new();
        if row.next == Next::Renew && !is_pressing(row, now) {
            bills.push((RENEWALS.to_owned(), budget::renewals(held, self.budgets.renewals_percent)));
        }
        if !is_exempt(row, directory) {
            bills.push((Keys { directory, host: &row.host }.account(), self.account(row.next)));
        }
        let names: Vec<String> = bills.iter().map(|(key, _)| key.clone()).collect();
        let kept = self.storage.budgets(&names).await?;
        let (mut room, mut there) = (usize::MAX, now);
        for (key, allowance) in bills {
            let full_at = kept.iter().find(|budget| budget.key == key).map(|budget| budget.full_at);
            room = room.min(budget::left(allowance, full_at, now) as usize);
            there = there.max(budget::take(allowance, full_at, now).err().unwrap_or(now));
        }
        Ok((room.saturating_sub(self.unpaid.load(Relaxed)), there))
    }

    /// Counts an order that has yet to pay, for as long as the mark lives.
    pub fn mark_unpaid(self: &Arc<Self>) -> Unpaid {
        self.unpaid.fetch_add(1, Relaxed);
        Unpaid(Arc::clone(self))
    }

    fn account(&self, next: Next) -> Allowance {
        let whole = self.budgets.account;
        let left = whole.amount - whole.amount / RESERVED;
        match next {
            Next::First if left > 0 => Allowance {
                amount: left,
                period: whole.period.mul_f64(f64::from(left) / f64::from(whole.amount)),
            },
            _ => whole,
        }
    }
}

/// An order that has yet to pay.
pub struct Unpaid(Arc<Ledger>);

impl Drop for Unpaid {
    fn drop(&mut self) {
        self.0.unpaid.fetch_sub(1, Relaxed);
    }
}
