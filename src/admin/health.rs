//! Whether the process turns, and whether it should be sent connections.
//!
//! `/livez` answers 200 for as long as anything answers at all. `/readyz` answers 200 while sockets are
//! bound, a snapshot is loaded and no stop is under way, else 503 with the reason. A tenant without a
//! certificate, a refused edit or a silent resolver makes nobody unready: the others are served as before,
//! and taking us out of service would only hurt them.

use super::server::Sources;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::sync::Arc;
use tokio::sync::watch;

/// What `/readyz` says; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Health(Arc<watch::Sender<Phase>>);

/// How far the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Draining,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Health {
    /// Everything is bound and built.
    pub fn ready(&self) {
        self.0.send_replace(Phase::Ready);
    }

    /// No new connections are taken any more.
    pub fn draining(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Whether everything is set up and no stop is under way.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow() == Phase::Ready
    }

    /// Why no connections should be sent here; `generation` is that of the snapshot.
    fn why_unready(&self, generation: u64) -> Option<&'static str> {
        match *self.0.borrow() {
            Phase::Starting => Some("starting: not everything is set up yet"),
            Phase::Draining => Some("draining: a stop was asked for"),
            Phase::Ready if generation == 0 => Some("no snapshot is loaded"),
            Phase::Ready => None,
        }
    }
}

pub(super) fn routes() -> Router<Sources> {
    Router::new().route("/livez", get(async || "live\n")).route("/readyz", get(readyz))
}

async fn readyz(State(sources): State<Sources>) -> (StatusCode, String) {
    match sources.health.why_unready(sources.snapshot.load().generation()) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_what_is_set_up_has_a_snapshot_and_does_not_drain() {
        let health = Health::default();
        assert!(health.why_unready(1).unwrap().starts_with("starting"));
        health.ready();
        assert_eq!(health.why_unready(1), None);
        assert_eq!(health.why_unready(0), Some("no snapshot is loaded"));
        health.draining();
        assert!(health.why_unready(1).unwrap().starts_with("draining"));
    }
}
