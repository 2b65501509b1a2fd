//! What the loop keeps in the store: findings, their history, and when each domain was audited.

use super::{CrossCheck, PERIOD_MIN};
use crate::{
    audit::Severity,
    cross_check::{KnownFinding, source::Source, status::Change, told::log_change},
    logging::chain,
    name::DomainName,
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use tracing::{info, warn};

/// How long the history keeps what is over: a year, and a month to look at it.
const HISTORY: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The time between two looks for what is too old.
pub(super) const FORGET_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// As much is forgotten in one transaction; others may write in between.
const FORGOTTEN_AT_ONCE: usize = 10_000;

/// What was kept of the process before.
#[derive(Default)]
pub(super) struct Kept {
    pub findings: HashMap<DomainName, Vec<KnownFinding>>,
    pub audits: HashMap<DomainName, Timestamp>,
}

impl CrossCheck {
    /// The findings of the last process, so that their `since` goes on, and when it audited whom.
    pub(super) async fn load(&self) -> Kept {
        let rows = self.storage.findings().await.unwrap_or_else(|error| {
            warn!(error = %chain(&error), "findings not loaded");
            vec![]
        });
        let mut kept = Kept::default();
        for row in rows {
            if let Some(known) = KnownFinding::from_row(&row) {
                kept.findings.entry(row.domain).or_default().push(known);
            }
        }
        match self.storage.audits().await {
            Ok(audits) => kept.audits = audits.into_iter().collect(),
            Err(error) => warn!(error = %chain(&error), "times of audits not loaded"),
        }
        kept
    }

    /// Logs and keeps what is new of a domain.
    pub(super) async fn tell(&mut self, domain: &DomainName, change: &Change) {
        if !change.is_empty() {
            log_change(domain, change);
        }
        if change.raised || !change.is_empty() {
            self.keep(domain).await;
        } else if let Some(unkept) = self.unkept.iter().next().cloned() {
            self.keep(&unkept).await;
        }
    }

    /// Forgets a piece of what is too old; the next one soon after, while there is more.
    pub(super) async fn forget_history(&mut self) {
        let before = self.clock.now().saturating_sub(HISTORY).unwrap_or(Timestamp::MIN);
        let forgotten = self.storage.forget_events(before, FORGOTTEN_AT_ONCE).await;
        let more = forgotten.is_ok_and(|count| count == FORGOTTEN_AT_ONCE);
        self.forget_at = Instant::now() + if more { PERIOD_MIN } else { FORGET_EVERY };
    }

    /// Brings the store up to the status of `domain`. When it refuses, that is said once, and tried
    /// again as answers come in.
    pub(super) async fn keep(&mut self, domain: &DomainName) {
        let findings = self.status.of(domain).map(|status| status.findings).unwrap_or_default();
        let rows: Vec<_> = findings.iter().map(|known| known.to_row(domain)).collect();
        let healthy = self.unkept.is_empty();
        match self.storage.replace_findings(domain, &rows, self.clock.now()).await {
            Ok(()) => {
                self.changes.send_replace(());
                self.unkept.remove(domain);
                if !healthy && self.unkept.is_empty() {
                    info!("findings kept again");
                }
            }
            Err(error) => {
                if healthy {
                    warn!(%domain, error = %chain(&error), "findings not kept");
                }
                self.unkept.insert(domain.clone());
            }
        }
    }
}

/// Whether an audit of a process before this one left it to be looked at again.
pub(super) fn is_open(known: &KnownFinding) -> bool {
    Source::of(known.finding.code) == Source::Audit
        && known.finding.severity >= Severity::Error
        && !known.raised
}
