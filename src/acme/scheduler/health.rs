//! Whether the clock and the store can be relied on, and what is said when they cannot.

use super::{Lane, PERIOD, Scheduler, after};
use crate::{
    acme::{books::Pause, calendar, retry},
    logging::chain,
    storage::{Next, StorageError},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// How often budgets that are full again are cleared away, and how many of them at most.
const CLEAR_EVERY: Duration = Duration::from_secs(6 * 3600);
const CLEARED_AT_ONCE: usize = 10_000;

/// Budgets are kept for this long after they are full, should the clock have jumped ahead.
const KEPT_FULL: SignedDuration = SignedDuration::from_hours(24);

impl Scheduler {
    /// Whether the clock may be gone by; one that was set back has left moments behind that are put right.
    pub(super) fn clock_can_be_right(&mut self, now: Timestamp) -> bool {
        if let Some(until) = calendar::clock_is_behind(now) {
            let detail = format!("the clock shows {now:.0}, nothing is ordered or dropped until it is set");
            let pause = Pause { until, kind: "clock".to_owned(), detail };
            if self.workshop.status.write().clock_behind.replace(pause).is_none() {
                error!(clock = %format_args!("{now:.0}"), "clock is not set, nothing is ordered or dropped");
            }
            self.fitted_to = None;
            return false;
        }
        if self.workshop.status.write().clock_behind.take().is_some() {
            info!("clock is set, orders resumed");
        }
        if self.looked_at.duration_since(now) > calendar::CLOCK_STEP {
            warn!(from = %format_args!("{:.0}", self.looked_at), "clock was set back, schedule put right");
            let mut books = self.workshop.status.write();
            books.pauses.retain(|_, pause| pause.until.duration_since(now) <= retry::LONGEST_PAUSE);
            self.fitted_to = None;
        }
        self.looked_at = now;
        true
    }

    /// Asks before orders are placed: a certificate that cannot be stored is better not ordered.
    pub(super) async fn store_takes_writes(&mut self, now: Timestamp) -> bool {
        self.probed_at = Some(Instant::now());
        match self.workshop.storage.check_writable().await {
            Ok(()) => {
                if self.workshop.status.write().storage_trouble.take().is_some() {
                    info!("store can be used again, orders resumed");
                }
                true
            }
            Err(error) => {
                self.store_refuses(&error, now);
                false
            }
        }
    }

    pub(super) fn store_refuses(&mut self, error: &StorageError, now: Timestamp) {
        self.store_failed(error);
        self.look_again_at(after(now, PERIOD));
    }

    /// Told once; the status says it until the store is well.
    pub(super) fn store_failed(&self, error: &StorageError) {
        let error = chain(error).to_string();
        if self.workshop.status.write().storage_trouble.replace(error.clone()).is_none() {
            error!(error, "store cannot be used, no orders are placed");
        }
    }

    /// Puts hosts whose certificate cannot be read back on the schedule as new ones. That handshakes find
    /// them orders nothing by itself: only hosts of the schedule count, and budgets hold (threat 1).
    pub(super) async fn replace_unusable(&mut self, now: Timestamp) -> Result<(), StorageError> {
        for host in self.workshop.storage.take_unusable() {
            if self.is_busy(&host) {
                continue;
            }
            let row = self.workshop.storage.scheduled(&host).await?;
            let Some(mut row) = row.filter(|row| row.held.is_some() && row.next != Next::Gone) else {
                continue;
            };
            calendar::lost(&mut row, now);
            warn!(%host, "certificate held cannot be used, another is due");
            self.lanes().into_iter().for_each(Lane::empty);
            self.put(row, now);
        }
        Ok(())
    }

    /// Whether the store was not asked for a period: a full disk shows before something is due.
    pub(super) fn is_time_to_probe(&self) -> bool {
        let troubled = self.workshop.status.read().storage_trouble.is_some();
        troubled || self.probed_at.is_none_or(|at| at.elapsed() >= PERIOD * 9 / 10)
    }

    /// Forgets budgets that are full again, so that hosts and domains that left leave nothing behind.
    pub(super) async fn clear_budgets(&mut self, now: Timestamp) -> Result<(), StorageError> {
        if self.cleared_at.is_some_and(|at| at.elapsed() < CLEAR_EVERY) {
            return Ok(());
        }
        self.cleared_at = Some(Instant::now());
        let full_since = now.saturating_sub(KEPT_FULL).unwrap_or(Timestamp::MIN);
        let cleared = self.workshop.storage.remove_budgets(full_since, CLEARED_AT_ONCE).await?;
        debug!(cleared, "budgets cleared away");
        Ok(())
    }
}
