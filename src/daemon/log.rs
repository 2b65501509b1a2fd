//! Looks after the log: counts that are due to be told, and levels that had their time.

use super::supervisor::Supervisor;
use crate::{clock::Clock, logging};
use std::time::Duration;

/// How late a count or the end of a level may come.
const PERIOD: Duration = Duration::from_secs(1);

/// Starts the part, where this process has a log of its own.
pub(super) fn start(supervisor: &mut Supervisor, clock: Clock) {
    let Some(log) = logging::current() else { return };
    let stop = supervisor.last_token();
    supervisor.start_last("log", async move {
        while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
            log.tick(clock.now());
        }
    });
}
