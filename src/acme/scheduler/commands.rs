//! What an operator may ask of the schedule and tell the scheduler.

use super::{Scheduler, rest::Rest};
use crate::{
    acme::{budget, calendar, forecast::Forecast},
    config::Allowance,
    name::PolicyHost,
    storage::{Next, ScheduleStorage, Scheduled, StorageError},
};
use jiff::Timestamp;
use std::{fmt, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

/// Commands that may wait; an operator types slowly.
const WAITING: usize = 16;

/// Asks the schedule and tells the scheduler; cheap to clone.
#[derive(Clone)]
pub struct SchedulerHandle {
    pub(super) commands: mpsc::Sender<Command>,
    storage: Arc<dyn ScheduleStorage>,
    account: Allowance,
}

/// Rows read in one go.
const PAGE: usize = 1_000;

pub(super) enum Command {
    /// What to do for which host, and whom to tell whether it was done.
    Host(What, PolicyHost, oneshot::Sender<bool>),
    /// Begin nothing more, and tell when nothing is under way.
    Rest(oneshot::Sender<()>),
    /// Go on.
    Wake,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    RenewNow,
    Unpark,
}

impl SchedulerHandle {
    pub(super) fn new(
        storage: Arc<dyn ScheduleStorage>,
        account: Allowance,
    ) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(WAITING);
        (Self { commands, storage, account }, receiver)
    }

    /// Makes the certificate of `host` due at once, whatever was planned or went wrong; budgets and
    /// pauses still hold. `false` when there is no such host, or a job is under way for it.
    pub async fn renew_now(&self, host: &PolicyHost) -> bool {
        self.tell(What::RenewNow, host).await
    }

    /// Takes up a host that is parked until its configuration changes. `false` when it is not parked.
    pub async fn unpark(&self, host: &PolicyHost) -> bool {
        self.tell(What::Unpark, host).await
    }

    async fn tell(&self, what: What, host: &PolicyHost) -> bool {
        let (done, answer) = oneshot::channel();
        let told = self.commands.send(Command::Host(what, host.clone(), done)).await;
        told.is_ok() && answer.await.unwrap_or(false)
    }

    /// The row of `host`: what is next and when, what went wrong, what the authority suggests.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when the store cannot say.
    pub async fn row(&self, host: &PolicyHost) -> Result<Option<Scheduled>, StorageError> {
        self.storage.scheduled(host).await
    }

    /// Up to `limit` rows in the order of hosts, beginning after `after`. Whoever lists a fleet asks for
    /// page after page and keeps what fits its filter.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when the store cannot say.
    pub async fn page(
        &self,
        after: Option<&PolicyHost>,
        limit: usize,
    ) -> Result<Vec<Scheduled>, StorageError> {
        self.storage.schedule_after(after, limit).await
    }

    /// How many more orders our account at `directory` can place at `now` without waiting; first
    /// certificates leave the last fifth of them to renewals.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when the store cannot say.
    pub async fn orders_left(&self, directory: &str, now: Timestamp) -> Result<u32, StorageError> {
        let kept = self.storage.budgets(&[budget::account(directory)]).await?;
        Ok(budget::left(self.account, kept.first().map(|budget| budget.full_at), now))
    }

    /// What will be done in the day after `now`, and how long the queue takes at the present budgets.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when the store cannot say.
    pub async fn forecast(&self, now: Timestamp) -> Result<Forecast, StorageError> {
        let mut forecast = Forecast::new(self.account, now);
        let mut after = None;
        loop {
            let page = self.page(after.as_ref(), PAGE).await?;
            page.iter().for_each(|row| forecast.count(row));
            match page.last() {
                Some(last) => after = Some(last.host.clone()),
                None => return Ok(forecast),
            }
        }
    }
}

impl fmt::Debug for SchedulerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerHandle").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Scheduler {
    pub(super) async fn obey(&mut self, command: Command) {
        let (what, host, done) = match command {
            Command::Host(what, host, done) => (what, host, done),
            Command::Rest(reached) => return self.set_rest(Rest::Asked(reached)),
            Command::Wake => return self.set_rest(Rest::Awake),
        };
        let now = self.workshop.clock.now();
        // At rest the schedule is about to be another daemon's.
        let row = match self.is_busy(&host) || !matches!(self.rest, Rest::Awake) {
            true => None,
            false => self.workshop.storage.scheduled(&host).await.ok().flatten(),
        };
        let wanted = row.filter(|row| match what {
            What::RenewNow => row.next != Next::Gone,
            What::Unpark => row.next == Next::Parked,
        });
        // Whoever asked may have gone; it is done all the same.
        let _ = done.send(wanted.is_some());
        let Some(mut row) = wanted else { return };
        match what {
            What::RenewNow => calendar::hurry(&mut row, now),
            What::Unpark => calendar::release(&mut row, now),
        }
        info!(%host, ?what, "told by the operator");
        self.lanes().into_iter().for_each(super::Lane::empty);
        self.put(row, now);
    }
}
