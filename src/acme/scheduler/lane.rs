//! What is due of one sort, pulled from the store a batch at a time.

use super::Job;
use crate::storage::{Next, ScheduleStorage, Scheduled, StorageError};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, VecDeque};
use tokio::task::Id;

/// Rows pulled for each job at once, so that a bulk import is not asked for anew at every job's end.
const PULLED_AHEAD: usize = 16;

/// A batch older than this is pulled anew when more became due: who is small comes before who was
/// there, but no sooner than this.
const STALE: SignedDuration = SignedDuration::from_hours(1);

pub struct Lane {
    pub next: Next,
    pub queue: VecDeque<Scheduled>,
    /// When something becomes due that was not when the store was last asked.
    pub due_again: Option<Timestamp>,
    /// Whether the store has more that is due.
    more: bool,
    pulled_at: Timestamp,
}

impl Lane {
    pub fn new(next: Next) -> Self {
        Self { next, queue: VecDeque::new(), due_again: None, more: true, pulled_at: Timestamp::MIN }
    }

    /// Since when the row is due that waits longest, of those that were pulled.
    pub fn due_since(&self) -> Option<Timestamp> {
        self.queue.iter().map(|row| row.next_at).min()
    }

    /// Throws away what was pulled.
    pub fn empty(&mut self) {
        self.queue.clear();
        self.more = true;
    }

    /// Something will be due `at`.
    pub fn expect(&mut self, at: Timestamp, now: Timestamp) {
        if at <= now {
            self.more = true;
        } else if self.due_again.is_none_or(|known| at < known) {
            self.due_again = Some(at);
        }
    }

    /// Asks the store where there may be something new, and there is room for `at_once` jobs. The rows of
    /// hosts with `busy` jobs still look due and will look different when their jobs end: they are left out.
    pub async fn refill(
        &mut self,
        storage: &dyn ScheduleStorage,
        now: Timestamp,
        at_once: usize,
        busy: &HashMap<Id, Job>,
    ) -> Result<(), StorageError> {
        self.more |= self.due_again.take_if(|at| *at <= now).is_some();
        let is_stale = now.duration_since(self.pulled_at) > STALE;
        if !self.more || at_once == 0 || !(self.queue.is_empty() || is_stale) {
            return Ok(());
        }
        let limit = at_once * PULLED_AHEAD + busy.len();
        let due = storage.due(self.next, now, limit).await?;
        self.more = due.len() == limit;
        self.queue =
            due.into_iter().filter(|row| !busy.values().any(|job| job.row.host == row.host)).collect();
        self.due_again = storage.next_due(self.next, now).await?;
        self.pulled_at = now;
        Ok(())
    }
}
