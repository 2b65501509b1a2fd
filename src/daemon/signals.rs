//! TERM and INT stop the daemon, a second one ends it at once, HUP reloads the configuration.

use std::{io, sync::Arc};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tracing::{info, warn};

/// The signals the daemon listens to; installed before anything else so that none is missed.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Told at every HUP.
    reload: Arc<Notify>,
}

impl Signals {
    /// Installs the handlers; `reload` is told at every HUP.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a handler.
    pub fn install(reload: Arc<Notify>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reload,
        })
    }

    /// Waits for TERM or INT, passing every HUP on.
    pub async fn stop_requested(&mut self) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "TERM",
                _ = self.interrupt.recv() => "INT",
                _ = self.hang_up.recv() => {
                    info!(signal = "HUP", "reload requested");
                    self.reload.notify_one();
                    continue;
                }
            };
            info!(signal = name, "stop requested; a second signal ends at once");
            return;
        }
    }

    /// Waits for a second TERM or INT while the daemon drains.
    pub async fn impatience(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        warn!("second signal; ending without draining");
    }
}
