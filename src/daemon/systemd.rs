//! What systemd is told: ready, reloading, stopping, another process, and one line of status (sd_notify(3)).
//!
//! Without a notify socket every call does nothing, so the same binary runs anywhere.

use crate::snapshot::Snapshot;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

/// Start-up or a reload is finished.
pub fn ready(snapshot: &Snapshot) {
    tell(&[NotifyState::Ready, NotifyState::Status(&in_one_line(snapshot))]);
}

/// What is served has changed.
pub fn status(snapshot: &Snapshot) {
    tell(&[NotifyState::Status(&in_one_line(snapshot))]);
}

fn in_one_line(snapshot: &Snapshot) -> String {
    format!("generation {}, {} policy hosts", snapshot.generation(), snapshot.len())
}

/// The configuration is being read again; `Type=notify-reload` wants the moment with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "systemd not told of the reload"),
    }
}

/// The daemon drains and will end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service from now on.
pub fn replaced_by(process: u32) {
    tell(&[NotifyState::MainPid(process)]);
}

/// No service needs to be heard of more often.
const SHORTEST: Duration = Duration::from_millis(100);

/// Shows systemd that the daemon's loop still turns (`WatchdogSec=` of the unit); silent where nobody asks.
///
/// It is asked for in the loop that takes signals and watches all parts. When every thread of the runtime
/// is stuck it falls silent, and systemd starts the service anew.
pub struct Watchdog(Option<Interval>);

impl Watchdog {
    /// As often as the environment asks for, twice over.
    pub fn from_environment() -> Self {
        Self(watchdog_enabled().filter(|period| !period.is_zero()).map(|period| {
            let mut ticks = interval((period / 2).max(SHORTEST));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }))
    }

    /// Waits until systemd should hear of us; for ever when it does not want to.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Tells systemd that we are well.
    pub fn answer(&self) {
        if self.0.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        debug!(%error, "systemd not told");
    }
}
