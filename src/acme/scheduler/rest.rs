//! Rest: no job begins and none is under way, so that another daemon can take the schedule over.
//!
//! Two daemons that order would answer each other's challenges wrongly and order twice. So the one that
//! goes lets its orders come to their ends first; the rows of the store are then the whole truth.

use super::{Scheduler, commands::Command};
use crate::acme::SchedulerHandle;
use jiff::Timestamp;
use std::time::Duration;
use tokio::{sync::oneshot, time::timeout};
use tracing::info;

/// Whether the scheduler rests.
#[derive(Debug, Default)]
pub(super) enum Rest {
    /// It works.
    #[default]
    Awake,
    /// It begins nothing; who asked is told as soon as nothing is under way.
    Asked(oneshot::Sender<()>),
    /// It begins nothing, and nothing is under way.
    Reached,
}

impl SchedulerHandle {
    /// Lets no order and no question begin until [`Self::wake`], and waits `longest` for those under
    /// way. Whether all ended and what came of them is stored.
    pub async fn rest(&self, longest: Duration) -> bool {
        let (reached, rested) = oneshot::channel();
        let asked = async {
            self.commands.send(Command::Rest(reached)).await.ok()?;
            rested.await.ok()
        };
        timeout(longest, asked).await.is_ok_and(|rested| rested.is_some())
    }

    /// Goes on as before [`Self::rest`], whatever came of it.
    pub async fn wake(&self) {
        // A scheduler that is gone needs no waking.
        let _ = self.commands.send(Command::Wake).await;
    }
}

impl Scheduler {
    pub(super) fn set_rest(&mut self, rest: Rest) {
        match (&self.rest, &rest) {
            (Rest::Awake, Rest::Asked(_)) => {
                info!(under_way = self.running.len(), "no orders begin, another daemon wants to take over");
            }
            (Rest::Asked(_) | Rest::Reached, Rest::Awake) => info!("orders resumed, nobody took over"),
            _ => {}
        }
        self.rest = rest;
    }

    /// Stores what is left to be stored, and says so when nothing is under way.
    pub(super) async fn look_at_rest(&mut self, now: Timestamp) {
        if !self.unsaved.is_empty()
            && self.store_takes_writes(now).await
            && let Err(error) = self.save_again().await
        {
            self.store_refuses(&error, now);
        }
        if !self.running.is_empty() || !self.unsaved.is_empty() {
            return;
        }
        if let Rest::Asked(reached) = std::mem::replace(&mut self.rest, Rest::Reached) {
            // Whoever asked and has gone wakes us again.
            let _ = reached.send(());
        }
    }
}
