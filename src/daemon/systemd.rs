//! What systemd is told: ready, reloading, stopping, and one line of status (sd_notify(3)).
//!
//! Without a notify socket every call does nothing, so the same binary runs anywhere.

use crate::snapshot::Snapshot;
use sd_notify::{NotifyState, notify};
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

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        debug!(%error, "systemd not told");
    }
}
