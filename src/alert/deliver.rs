//! The loops that tell: one for each alert of the configuration, so that one receiver that is away
//! holds up no other.
//!
//! A loop takes no input. It reads what changed since the last change it has delivered, waits a little
//! for more, groups it, delivers it, and keeps the new position. After a failure it begins again from
//! the same position, later and later, for as long as it takes.

use super::{
    Alert, command,
    document::{as_json, as_slack},
    group,
    metrics::Deliveries,
    webhook::{Call, Webhooks},
};
use crate::{
    clock::Clock,
    config::{self, AlertFormat, AlertSeverity, AlertTarget},
    logging::chain,
    storage::{FindingEvent, HistoryStorage, StorageError},
};
use jiff::Timestamp;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Changes read from the store at once.
const PAGE: usize = 1_000;
/// Changes told together; with more than these the rest follows by itself.
const CHANGES_MAX: usize = 50_000;

/// How the loops keep time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// A look at the store without a notice.
    poll: Duration,
    /// The wait after a first failure; doubled after each further one.
    first_retry: Duration,
    /// No wait is longer.
    longest_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            first_retry: Duration::from_secs(5),
            longest_retry: Duration::from_secs(3_600),
        }
    }
}

impl Pace {
    /// The wait after so many failures in a row, at least one; `share` from 0 to 1 shortens it by up to half.
    fn retry(&self, failures: u32, share: f64) -> Duration {
        let doubled = self.first_retry.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.longest_retry).mul_f64(1.0 - share / 2.0)
    }
}

/// Tells of every change in the history, to every alert.
pub struct Alerting {
    tellers: Vec<Teller>,
    status: AlertStatus,
}

impl Alerting {
    /// Puts the loops together. `changed` wakes them; without it they look once a minute.
    pub fn new(
        alerts: &[config::Alert],
        storage: &Arc<dyn HistoryStorage>,
        changed: &watch::Receiver<()>,
        clock: Clock,
    ) -> Self {
        let (webhooks, status) = (Webhooks::new(clock), AlertStatus::default());
        alerts.iter().for_each(|alert| status.deliveries.expect(&alert.name));
        let teller = |settings: &config::Alert| Teller {
            settings: settings.clone(),
            storage: Arc::clone(storage),
            changed: changed.clone(),
            clock,
            webhooks: webhooks.clone(),
            pace: Pace::default(),
            status: status.clone(),
            delivered: HashSet::new(),
            failures: 0,
        };
        Self { tellers: alerts.iter().map(teller).collect(), status }
    }

    /// How the deliveries go, readable from anywhere.
    pub fn status(&self) -> AlertStatus {
        self.status.clone()
    }

    /// Tells until `stop`; a delivery under way is then dropped and done again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let mut tellers = JoinSet::new();
        for teller in self.tellers {
            tellers.spawn(teller.run());
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = tellers.join_next() => {
                error!(panicked = ended.is_err(), "an alert's loop ended");
            }
        }
    }
}

/// How deliveries go; cheap to clone, all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct AlertStatus {
    targets: Arc<Mutex<Vec<TargetStatus>>>,
    pub(super) deliveries: Deliveries,
}

/// How the deliveries of one alert go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// The alert's name.
    pub alert: String,
    /// When something was last delivered by this process.
    pub delivered_at: Option<Timestamp>,
    /// Why nothing is delivered, and since when; `None` while all is well.
    pub trouble: Option<(String, Timestamp)>,
}

impl AlertStatus {
    /// Every alert that has delivered something or failed to, since the start.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing troubles `alert` any more, whether or not there was anything to deliver.
    fn untroubled(&self, alert: &str) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.iter_mut().filter(|target| target.alert == alert).for_each(|target| target.trouble = None);
    }

    fn note(&self, alert: &str, outcome: Result<(), String>, now: Timestamp) {
        self.deliveries.count(alert, outcome.is_ok());
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if !targets.iter().any(|target| target.alert == alert) {
            targets.push(TargetStatus { alert: alert.to_owned(), delivered_at: None, trouble: None });
        }
        let Some(target) = targets.iter_mut().find(|target| target.alert == alert) else { return };
        match outcome {
            Ok(()) => (target.delivered_at, target.trouble) = (Some(now), None),
            Err(why) => {
                let since = target.trouble.as_ref().map_or(now, |(_, since)| *since);
                target.trouble = Some((why, since));
            }
        }
    }
}

/// Why not everything was told.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    NotTaken(String),
    #[error("the store did not do its part")]
    Store(#[from] StorageError),
}

/// The loop of one alert.
struct Teller {
    settings: config::Alert,
    storage: Arc<dyn HistoryStorage>,
    changed: watch::Receiver<()>,
    clock: Clock,
    webhooks: Webhooks,
    pace: Pace,
    status: AlertStatus,
    /// Ids of what was delivered since the position was last kept.
    delivered: HashSet<String>,
    failures: u32,
}

impl Teller {
    async fn run(mut self) {
        loop {
            self.changed.mark_unchanged();
            match self.tell().await {
                Ok(true) => {}
                Ok(false) => self.wait_for_changes().await,
                Err(trouble) => self.wait_after(&trouble).await,
            }
        }
    }

    /// Tells everything that changed since the position kept, and keeps the new one; `false` when there
    /// was nothing.
    async fn tell(&mut self) -> Result<bool, Trouble> {
        let name = &self.settings.name;
        let kept = self.storage.alert_position(name).await?;
        let position = kept.unwrap_or(0);
        if self.storage.events_after(position, 1).await?.is_empty() {
            self.recover();
            return Ok(false);
        }
        if self.failures == 0 {
            sleep(self.settings.group_wait).await;
        }
        let events = self.changes_after(position).await?;
        let Some(last) = events.last().map(|event| event.number) else {
            self.recover();
            return Ok(false);
        };
        // An alert that is new is told what stands, not what was.
        let wanted: Vec<FindingEvent> = events
            .into_iter()
            .filter(|event| event.until.is_none() || (self.settings.resolved && kept.is_some()))
            .filter(|event| {
                AlertSeverity::from_keyword(&event.severity)
                    .is_some_and(|severity| severity >= self.settings.min_severity)
            })
            .collect();
        for alert in group(&wanted) {
            if !self.delivered.contains(&alert.id) {
                self.deliver(&alert).await.map_err(Trouble::NotTaken)?;
                self.delivered.insert(alert.id);
            }
        }
        self.storage.save_alert_position(&self.settings.name, last).await?;
        self.delivered.clear();
        self.recover();
        Ok(true)
    }

    /// Forgets the failures before: all there was to tell is told, which may be nothing.
    fn recover(&mut self) {
        if self.failures > 0 {
            info!(alert = self.settings.name, "alerts can be delivered again");
            self.failures = 0;
            self.status.untroubled(&self.settings.name);
        }
    }

    async fn changes_after(&self, mut position: i64) -> Result<Vec<FindingEvent>, StorageError> {
        let mut events = Vec::new();
        while events.len() < CHANGES_MAX {
            let mut page = self.storage.events_after(position, PAGE).await?;
            let Some(last) = page.last() else { break };
            position = last.number;
            events.append(&mut page);
        }
        Ok(events)
    }

    async fn deliver(&self, alert: &Alert) -> Result<(), String> {
        let name = &self.settings.name;
        match &self.settings.target {
            AlertTarget::Webhook { url, secret_file, root_file, format, timeout } => {
                let document = match format {
                    AlertFormat::Json => as_json(alert, name),
                    AlertFormat::Slack => as_slack(alert),
                };
                let (secret_file, root_file) = (secret_file.as_deref(), root_file.as_deref());
                let call = Call { url, secret_file, root_file, timeout: *timeout };
                self.webhooks.post(call, document.to_string().into_bytes()).await?;
            }
            AlertTarget::Command { argv, timeout } => {
                let document = format!("{}\n", as_json(alert, name));
                command::run(argv, *timeout, document.as_bytes()).await?;
            }
        }
        self.status.note(name, Ok(()), self.clock.now());
        let (severity, resolved) = (alert.severity.as_str(), alert.resolved);
        info!(alert = name, id = alert.id, severity, resolved, domains = alert.count, "alert delivered");
        Ok(())
    }

    async fn wait_for_changes(&mut self) {
        tokio::select! {
            // Without a sender nobody gives notice any more, and looking now and then must do.
            Ok(()) = self.changed.changed() => {}
            () = sleep(self.pace.poll) => {}
        }
    }

    async fn wait_after(&mut self, trouble: &Trouble) {
        self.failures = self.failures.saturating_add(1);
        let (alert, now) = (&self.settings.name, self.clock.now());
        let wait = self.pace.retry(self.failures, share((alert, self.failures, now.as_second())));
        let error = chain(trouble).to_string();
        if self.failures == 1 {
            warn!(alert, %error, "alert not delivered, it is tried again until it is taken");
        }
        self.status.note(alert, Err(error), now);
        sleep(wait).await;
    }
}

/// A share from 0 to 1, drawn by hash.
fn share(seed: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    (hasher.finish() >> 32) as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
