//! Named parts that run until they are told to stop; the first to end on its own stops the rest.
//!
//! A half-dead process that still answers is worse than one that ends loudly and is started again,
//! so a part that ends or panics takes the daemon down with exit code 70. Single connections and
//! single orders are not parts: their panics are caught and counted where they run.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    time::Duration,
};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// The parts of the running daemon.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    parts: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    last_stop: CancellationToken,
    last: HashSet<Id>,
}

impl Supervisor {
    /// What every part watches: cancelled when the daemon stops.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `part` under `name`.
    pub fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let handle = self.parts.spawn(part);
        self.names.insert(handle.id(), name);
    }

    /// What the parts of [`Self::start_last`] watch: cancelled when no other part is left.
    pub fn last_token(&self) -> CancellationToken {
        self.last_stop.clone()
    }

    /// Runs `part` under `name` until all others have ended: who asks how the end goes is answered.
    pub fn start_last(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let handle = self.parts.spawn(part);
        self.names.insert(handle.id(), name);
        self.last.insert(handle.id());
    }

    /// Waits until some part ends by itself and names it; for ever while all are well.
    pub async fn failed(&mut self) -> &'static str {
        match self.parts.join_next_with_id().await {
            Some(ended) => self.name_of(ended, "ended"),
            None => std::future::pending().await,
        }
    }

    /// Tells every part to stop and waits for them, `deadline` at the longest; names those that
    /// did not end in time. They are then dropped.
    pub async fn stop(mut self, deadline: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let all_ended = async {
            loop {
                if self.names.keys().all(|id| self.last.contains(id)) {
                    self.last_stop.cancel();
                }
                let Some(ended) = self.parts.join_next_with_id().await else { break };
                self.name_of(ended, "stopped");
            }
        };
        if tokio::time::timeout(deadline, all_ended).await.is_ok() {
            return Vec::new();
        }
        let was_told = |id: &Id| self.last_stop.is_cancelled() || !self.last.contains(id);
        let left = self.names.iter().filter(|(id, _)| was_told(id)).map(|(_, name)| *name);
        let mut left: Vec<_> = left.collect();
        left.sort_unstable();
        warn!(parts = left.join(", "), "parts did not stop in time");
        left
    }

    fn name_of(&mut self, ended: Result<(Id, ()), JoinError>, how: &str) -> &'static str {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(e) => (e.id(), e.is_panic()),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        if panicked {
            error!(part = name, "part panicked");
        } else if how == "ended" {
            error!(part = name, "part ended by itself");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_part_to_end_is_named_and_the_rest_are_stopped() {
        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop_token();
        supervisor.start("steady", async move { stop.cancelled().await });
        supervisor.start("hasty", async {});
        assert_eq!(supervisor.failed().await, "hasty");
        assert!(supervisor.stop(Duration::from_secs(60)).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_part_ends_after_the_others() {
        let mut supervisor = Supervisor::default();
        let (stop, last) = (supervisor.stop_token(), supervisor.last_token());
        let (told, heard) = tokio::sync::oneshot::channel();
        let too_early = last.clone();
        supervisor.start("slow", async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            told.send(too_early.is_cancelled()).unwrap();
        });
        supervisor.start_last("answers", async move { last.cancelled().await });
        assert!(supervisor.stop(Duration::from_secs(60)).await.is_empty());
        assert_eq!(heard.await, Ok(false));
    }

    #[tokio::test]
    async fn a_panic_is_an_end() {
        let mut supervisor = Supervisor::default();
        supervisor.start("doomed", async { panic!("planted") });
        assert_eq!(supervisor.failed().await, "doomed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_stop_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.start("deaf", std::future::pending());
        assert_eq!(supervisor.stop(Duration::from_secs(15)).await, ["deaf"]);
    }
}
