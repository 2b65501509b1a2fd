//! The schedule against the snapshot: who is new, who left, for whom something changed.
//!
//! Both are walked once, side by side in the order of hosts and a page at a time, so that a fleet of any
//! size costs no more memory than a list of references.

use super::{calendar, jitter::fingerprint, order::Workshop, scheduler::Scheduler};
use crate::{
    config,
    snapshot::Snapshot,
    storage::{Scheduled, StorageError},
};
use jiff::Timestamp;
use tracing::debug;

/// Rows read in one go: few, because every thread that reads keeps the memory for its largest page.
const READ_AT_ONCE: usize = 50;

/// Newcomers written in one go, as each is waited for until it is on the disk.
const WRITTEN_AT_ONCE: usize = 1_000;

/// What orders are like, in short: when it changes, parked hosts are tried again.
pub fn fingerprint_of(settings: &config::Acme) -> String {
    format!("{:016x}", fingerprint(format!("{settings:?}").bytes()))
}

impl Scheduler {
    /// Makes the schedule fit `snapshot`, and shows what it holds. Hosts with a job under way are looked
    /// at when it ends.
    pub(super) async fn reconcile(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let workshop = self.workshop.clone();
        let mut hosts: Vec<_> = snapshot.iter().collect();
        hosts.sort_unstable_by_key(|(host, _)| *host);
        {
            // Grown step by step, it would leave its smaller selves behind.
            let held = &mut self.workshop.status.write().held;
            held.reserve(hosts.len().saturating_sub(held.len()));
        }
        let mut hosts = hosts.into_iter().peekable();
        let (mut after, mut changed) = (None, 0);
        loop {
            let page = workshop.storage.schedule_after(after.as_ref(), READ_AT_ONCE).await?;
            let is_last = page.len() < READ_AT_ONCE;
            after = page.last().map(|row| row.host.clone());
            let mut changes = Vec::new();
            let newcomer = |(host, hosted): (&crate::name::PolicyHost, &crate::snapshot::HostedPolicy)| {
                Scheduled::newcomer(host.clone(), hosted.tenant.as_str(), now)
            };
            for mut row in page {
                while let Some(new) = hosts.next_if(|(host, _)| **host < row.host) {
                    changes.push(newcomer(new));
                }
                let known = hosts.next_if(|(host, _)| **host == row.host);
                if let Some((host, _)) = known {
                    row.host = host.clone();
                }
                changes.extend(self.fit(row, snapshot, now));
            }
            while is_last && let Some(new) = hosts.next() {
                changes.push(newcomer(new));
                if changes.len() >= WRITTEN_AT_ONCE {
                    changed += keep(&workshop, &mut changes).await?;
                }
            }
            changed += keep(&workshop, &mut changes).await?;
            if is_last {
                break;
            }
        }
        debug!(changed, generation = snapshot.generation(), "schedule fitted to the snapshot");
        Ok(())
    }

    /// Shows the row, and returns it as it should be when it has to change.
    fn fit(&self, row: Scheduled, snapshot: &Snapshot, now: Timestamp) -> Option<Scheduled> {
        if self.is_busy(&row.host) {
            return None;
        }
        let healed = match calendar::clock_is_behind(now) {
            Some(_) => None,
            None => calendar::healed(&row, now),
        };
        let changed = self.fitted(healed.as_ref().unwrap_or(&row), snapshot, now).or(healed);
        self.workshop.status.write().enter(changed.as_ref().unwrap_or(&row));
        changed
    }

    /// The row as the snapshot wants it, when it has to change.
    pub(super) fn fitted(&self, row: &Scheduled, snapshot: &Snapshot, now: Timestamp) -> Option<Scheduled> {
        let Some(hosted) = snapshot.find(row.host.as_str()) else { return calendar::gone(row, now) };
        let settings =
            calendar::settings_of(hosted.tenant.as_str(), hosted.policy.id().as_str(), &self.settings);
        let directories: Vec<&str> = self.workshop.authorities.iter().map(|a| a.directory()).collect();
        calendar::desired(row, hosted.tenant.as_str(), &settings, &directories, now)
    }
}

async fn keep(workshop: &Workshop, changes: &mut Vec<Scheduled>) -> Result<usize, StorageError> {
    if !changes.is_empty() {
        workshop.storage.save_schedule(changes, &[]).await?;
    }
    let count = changes.len();
    changes.clear();
    Ok(count)
}
