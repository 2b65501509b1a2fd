//! Carries the schedule out: pulls what is due, places orders within limits, takes their ends in.
//!
//! The loop is dull on purpose. It wakes by its period, by notice of a new snapshot, when a job ends or
//! when something becomes due. It is never told *what* changed in a snapshot: it compares what should be
//! with the schedule, so a lost notice costs one period and a restart needs no special path.
//!
//! A host with nothing due costs no task, no timer and no connection; it is a row in the store.
//! Nothing here can hurt serving: the request path reads the table of certificates and never waits
//! for an order, and one host that hangs, panics or is refused delays no other.

mod commands;
mod health;
mod lane;
mod outcome;
mod placing;
mod rest;

pub use commands::SchedulerHandle;

use super::{
    authority::Authority,
    books::Pause,
    jitter::Jitter,
    ledger::Ledger,
    order::{Ended, Readiness, Reading, Workshop},
    reconcile, retry,
    status::AcmeStatus,
};
use crate::{
    certificate::{CertificateTable, ChallengeTable},
    clock::Clock,
    config,
    name::PolicyHost,
    snapshot::SharedSnapshot,
    storage::{Next, ScheduleStorage, Scheduled, StorageError},
};
use commands::Command;
use jiff::Timestamp;
use lane::Lane;
use rest::Rest;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// The longest the scheduler goes without looking; give or take a tenth.
const PERIOD: Duration = Duration::from_secs(60);

/// How long orders may still come to an end after the stop; shorter than the daemon's drain.
const GRACE: Duration = Duration::from_secs(5);

/// The wait before the store is read again at start; doubles up to the period.
const LOAD_WAIT: Duration = Duration::from_secs(1);

/// Questions about renewals at once, beside the orders.
const ASKS_AT_ONCE: usize = 4;

/// Hosts that left and are forgotten in one go.
const FORGOTTEN_AT_ONCE: usize = 100;

/// What a [`Scheduler`] works with.
pub struct SchedulerParts {
    /// What is desired.
    pub snapshot: SharedSnapshot,
    /// Where new certificates are served from.
    pub certificates: CertificateTable,
    /// Where challenge answers are put up.
    pub challenges: ChallengeTable,
    /// Where certificates and the schedule outlive us.
    pub storage: Arc<dyn ScheduleStorage>,
    /// Who signs, the one that is asked first in front.
    pub authorities: Vec<Arc<dyn Authority>>,
    /// Who looks whether a host is ready before it costs an order; `None`: every host is.
    pub readiness: Option<Arc<dyn Readiness>>,
    /// How delivered chains are read.
    pub reading: Reading,
    /// What time it is.
    pub clock: Clock,
    /// Orders at once, the deadline of each, and the budgets.
    pub settings: config::Acme,
}

/// Sees to it that every host of the snapshot has a certificate; see [`Scheduler::run`].
pub struct Scheduler {
    snapshot: SharedSnapshot,
    notice: watch::Receiver<u64>,
    pub(super) workshop: Workshop,
    /// Fingerprint of the settings of certificates.
    pub(super) settings: String,
    orders_at_once: usize,
    jobs: JoinSet<Ended>,
    running: HashMap<Id, Job>,
    renewals: Lane,
    newcomers: Lane,
    asks: Lane,
    leavers: Lane,
    /// Authorities, by number, that did not answer the last order that got as far as asking them.
    silent: HashSet<usize>,
    fitted_to: Option<u64>,
    /// What the clock showed when it was last looked at.
    looked_at: Timestamp,
    /// When the store was last asked whether it can be written.
    probed_at: Option<Instant>,
    /// When budgets were last cleared away.
    cleared_at: Option<Instant>,
    look_again: Option<Timestamp>,
    /// Rows that the store did not take yet, and which count instead of what it has.
    unsaved: HashMap<PolicyHost, Scheduled>,
    rest: Rest,
    commands: mpsc::Receiver<Command>,
    handle: SchedulerHandle,
}

/// A job under way.
struct Job {
    row: Scheduled,
    /// The authority's number; none for a question.
    number: Option<usize>,
}

impl Scheduler {
    /// A scheduler that has not begun; [`Self::run`] it once.
    pub fn new(parts: SchedulerParts) -> Self {
        let notice = parts.snapshot.subscribe();
        let (handle, commands) =
            SchedulerHandle::new(Arc::clone(&parts.storage), parts.settings.budgets.account);
        let status = AcmeStatus::default();
        parts.authorities.iter().for_each(|authority| status.orders.expect(authority.directory()));
        let purses = status.purses.clone();
        let workshop = Workshop {
            certificates: parts.certificates,
            challenges: parts.challenges,
            ledger: Arc::new(Ledger::new(Arc::clone(&parts.storage), parts.settings.budgets, purses)),
            storage: parts.storage,
            authorities: parts.authorities.into(),
            readiness: parts.readiness,
            reading: parts.reading,
            clock: parts.clock,
            deadline: parts.settings.order_deadline,
            status,
        };
        Self {
            snapshot: parts.snapshot,
            notice,
            workshop,
            settings: reconcile::fingerprint_of(&parts.settings),
            orders_at_once: parts.settings.orders_at_once.max(1),
            jobs: JoinSet::new(),
            running: HashMap::new(),
            renewals: Lane::new(Next::Renew),
            newcomers: Lane::new(Next::First),
            asks: Lane::new(Next::Ask),
            leavers: Lane::new(Next::Gone),
            silent: HashSet::new(),
            fitted_to: None,
            looked_at: Timestamp::MIN,
            probed_at: None,
            cleared_at: None,
            look_again: None,
            unsaved: HashMap::new(),
            rest: Rest::default(),
            commands,
            handle,
        }
    }

    /// What is known of certificates, from now on and after the end.
    pub fn status(&self) -> AcmeStatus {
        self.workshop.status.clone()
    }

    /// For asking the schedule questions and telling the scheduler what to do.
    pub fn handle(&self) -> SchedulerHandle {
        self.handle.clone()
    }

    /// Orders, renews and drops until `stop`; then lets orders end for five seconds and stores what
    /// came of them. A store that cannot be read at start is asked until it can.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.load()).await.is_none() {
            return;
        }
        while !stop.is_cancelled() {
            self.look().await;
            let wait = self.until_next_look();
            tokio::select! {
                biased; // the stop comes first, and a simulation repeats
                () = stop.cancelled() => {}
                Some(ended) = self.jobs.join_next_with_id() => self.take_in(ended).await,
                Ok(()) = self.notice.changed() => {}
                Some(command) = self.commands.recv() => self.obey(command).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.finish().await;
    }

    async fn load(&mut self) {
        let mut wait = LOAD_WAIT;
        loop {
            let snapshot = self.snapshot.load_full();
            let now = self.workshop.clock.now();
            let read = async {
                self.load_pauses(now).await?;
                self.reconcile(&snapshot, now).await?;
                self.show_budgets().await
            };
            match read.await {
                Ok(()) => {
                    self.fitted_to = Some(snapshot.generation());
                    break;
                }
                // What can be read is enough to begin with: the rest waits for a store that can be written.
                Err(StorageError::NotWritable(why)) => {
                    self.store_failed(&StorageError::NotWritable(why));
                    break;
                }
                Err(error) => self.store_failed(&error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(PERIOD);
        }
        let books = self.workshop.status.read();
        info!(held = books.held.len(), failing = books.failures.len(), "certificates read from the store");
    }

    async fn show_budgets(&self) -> Result<(), StorageError> {
        let directories: Vec<_> =
            self.workshop.authorities.iter().map(|authority| authority.directory()).collect();
        let held = self.workshop.status.read().held.len();
        self.workshop.ledger.show(&directories, held).await
    }

    async fn load_pauses(&self, now: Timestamp) -> Result<(), StorageError> {
        let kept = self.workshop.storage.budgets_with("pause ", now).await?;
        for (number, authority) in self.workshop.authorities.iter().enumerate() {
            for budget in &kept {
                let Some((kind, directory)) =
                    budget.key.strip_prefix("pause ").and_then(|rest| rest.split_once(' '))
                else {
                    continue;
                };
                let is_meant = budget.full_at.duration_since(now) <= retry::LONGEST_PAUSE;
                if directory == authority.directory() && is_meant {
                    info!(until = %budget.full_at, kind, "orders still paused");
                    let detail = "as it said before the restart".to_owned();
                    let pause = Pause { until: budget.full_at, kind: kind.to_owned(), detail };
                    self.workshop.status.write().pauses.insert(number, pause);
                }
            }
        }
        Ok(())
    }

    /// Fits the schedule to a new snapshot, and places what is due where there is room.
    async fn look(&mut self) {
        let now = self.workshop.clock.now();
        self.look_again.take_if(|at| *at <= now);
        if !matches!(self.rest, Rest::Awake) {
            return self.look_at_rest(now).await;
        }
        if !self.clock_can_be_right(now) {
            return;
        }
        let snapshot = self.snapshot.load_full();
        if self.fitted_to != Some(snapshot.generation()) {
            match self.reconcile(&snapshot, now).await {
                Ok(()) => {
                    self.fitted_to = Some(snapshot.generation());
                    self.lanes().into_iter().for_each(Lane::empty);
                }
                Err(error) => self.store_refuses(&error, now),
            }
        }
        if let Err(error) = self.fill(now).await {
            self.store_refuses(&error, now);
        }
        let due_since = self.lanes().map(|lane| (lane.next, lane.due_since()));
        self.workshop.status.write().due_since = due_since.into();
    }

    fn lanes(&mut self) -> [&mut Lane; 4] {
        [&mut self.renewals, &mut self.newcomers, &mut self.asks, &mut self.leavers]
    }

    async fn fill(&mut self, now: Timestamp) -> Result<(), StorageError> {
        self.replace_unusable(now).await?;
        if !self.unsaved.is_empty() && self.store_takes_writes(now).await {
            self.save_again().await?;
        }
        let storage = Arc::clone(&self.workshop.storage);
        let orders = self.orders_under_way();
        let room = |busy: usize, at_once: usize| if busy < at_once { at_once } else { 0 };
        let (most, asks) = (self.orders_at_once, self.running.len() - orders);
        let busy = &self.running;
        self.renewals.refill(&*storage, now, room(orders, most), busy).await?;
        self.newcomers.refill(&*storage, now, room(orders, most), busy).await?;
        self.asks.refill(&*storage, now, room(asks, ASKS_AT_ONCE), busy).await?;
        self.leavers.refill(&*storage, now, FORGOTTEN_AT_ONCE, busy).await?;
        let wakes: Vec<_> = self.lanes().into_iter().filter_map(|lane| lane.due_again).collect();
        wakes.into_iter().for_each(|at| self.look_again_at(at));

        let waiting = self.lanes().into_iter().any(|lane| !lane.queue.is_empty());
        if !(waiting || self.is_time_to_probe()) || !self.store_takes_writes(now).await {
            return Ok(());
        }
        self.clear_budgets(now).await?;
        self.forget_leavers().await?;
        self.place_asks(now);
        self.place_orders(now).await
    }

    fn orders_under_way(&self) -> usize {
        self.running.values().filter(|job| job.number.is_some()).count()
    }

    /// Whether a job is under way for `host`, or its row has yet to be stored.
    pub(super) fn is_busy(&self, host: &PolicyHost) -> bool {
        self.running.values().any(|job| job.row.host == *host) || self.unsaved.contains_key(host)
    }

    /// Shows `row` from now on, and keeps it at the next opportunity.
    fn put(&mut self, row: Scheduled, now: Timestamp) {
        self.workshop.status.write().enter(&row);
        self.expect(&row, now);
        self.unsaved.insert(row.host.clone(), row);
    }

    /// Sees to it that `row` is pulled when it is due.
    fn expect(&mut self, row: &Scheduled, now: Timestamp) {
        let next = row.next;
        if let Some(lane) = self.lanes().into_iter().find(|lane| lane.next == next) {
            lane.expect(row.next_at, now);
        }
        self.look_again_at(row.next_at);
    }

    /// Keeps the rows that the store has yet to take.
    async fn save_again(&mut self) -> Result<(), StorageError> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self.unsaved.values().cloned().collect();
        self.workshop.storage.save_schedule(&rows, &[]).await?;
        self.unsaved.clear();
        Ok(())
    }

    async fn forget_leavers(&mut self) -> Result<(), StorageError> {
        let gone: Vec<_> = self.leavers.queue.drain(..).map(|row| row.host).collect();
        let gone: Vec<_> = gone.into_iter().filter(|host| !self.is_busy(host)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.workshop.storage.remove_certificates(&gone).await?;
        let mut books = self.workshop.status.write();
        for host in &gone {
            books.forget(host);
            self.workshop.certificates.forget(host);
            debug!(%host, "certificate dropped");
        }
        Ok(())
    }

    fn look_again_at(&mut self, at: Timestamp) {
        self.look_again = Some(self.look_again.map_or(at, |planned| planned.min(at)));
    }

    fn until_next_look(&self) -> Duration {
        let clock = self.workshop.clock;
        let period = Jitter::at(clock.now()).around(PERIOD);
        self.look_again.map_or(period, |at| clock.until(at).min(period))
    }

    async fn finish(mut self) {
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                ended = self.jobs.join_next_with_id() => match ended {
                    Some(ended) => self.take_in(ended).await,
                    None => break,
                },
                () = &mut grace => break,
            }
        }
        if let Err(error) = self.save_again().await {
            self.store_failed(&error);
        }
        self.jobs.shutdown().await;
        let books = self.workshop.status.read();
        for host in &books.in_flight {
            if books.unsaved.contains(host) {
                error!(%host, "certificate lost, the store did not take it");
            } else {
                info!(%host, "order dropped");
            }
        }
    }
}

fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
