//! Carries the plan out: places orders within limits, takes their ends in, and keeps the books.
//!
//! The loop is dull on purpose. It wakes by its period, by notice of a new snapshot, when an order
//! ends or when the plan said so; it then compares what should be with what is. It is never told
//! *what* changed, so a lost notice costs one period and a restart needs no special path.
//!
//! Nothing here can hurt serving: the request path reads the table of certificates and never waits
//! for an order, and one host that hangs, panics or is refused delays no other.

use super::{
    authority::{Authority, IssueError},
    books::Books,
    jitter::Jitter,
    order::{Readiness, Workshop},
    plan::{Plan, plan},
    retry,
    status::AcmeStatus,
};
use crate::{
    certificate::{CertificateTable, ChallengeTable},
    clock::Clock,
    config,
    logging::chain,
    name::PolicyHost,
    snapshot::SharedSnapshot,
    storage::{OrderFailures, Storage, StorageError},
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

/// The longest the scheduler goes without looking; give or take a tenth.
const PERIOD: Duration = Duration::from_secs(60);

/// How long orders may still come to an end after the stop; shorter than the daemon's drain.
const GRACE: Duration = Duration::from_secs(5);

/// The wait before the store is read again at start; doubles up to the period.
const LOAD_WAIT: Duration = Duration::from_secs(1);

/// Orders planned ahead for each of those at once, so that a bulk import is not planned anew at
/// every order's end.
const PLANNED_AHEAD: usize = 16;

/// Failures of one kind in a row that are logged as warnings; more of the same go to debug and stay
/// readable in the status.
const FAILURES_TOLD: u32 = 3;

/// Expired certificates that one look names one by one in the log; the rest is counted.
const EXPIRED_NAMED: usize = 20;

/// What a [`Scheduler`] works with.
pub struct SchedulerParts {
    /// What is desired.
    pub snapshot: SharedSnapshot,
    /// Where new certificates are served from.
    pub certificates: CertificateTable,
    /// Where challenge answers are put up.
    pub challenges: ChallengeTable,
    /// Where certificates and failures outlive us.
    pub storage: Arc<dyn Storage>,
    /// Who signs.
    pub authority: Arc<dyn Authority>,
    /// Looks before each order; none orders blindly.
    pub readiness: Option<Arc<dyn Readiness>>,
    /// What time it is.
    pub clock: Clock,
    /// Orders at once, and the deadline of each.
    pub settings: config::Acme,
}

/// Sees to it that every host of the snapshot has a certificate; see [`Scheduler::run`].
pub struct Scheduler {
    snapshot: SharedSnapshot,
    notice: watch::Receiver<u64>,
    workshop: Workshop,
    orders_at_once: usize,
    orders: JoinSet<Result<(), IssueError>>,
    hosts: HashMap<Id, PolicyHost>,
    queue: VecDeque<PolicyHost>,
    queue_was_cut: bool,
    planned_for: Option<u64>,
    look_again: Option<Timestamp>,
    unsaved_failures: HashSet<PolicyHost>,
}

impl Scheduler {
    /// A scheduler that has not begun; [`Self::run`] it once.
    pub fn new(parts: SchedulerParts) -> Self {
        let notice = parts.snapshot.subscribe();
        let workshop = Workshop {
            certificates: parts.certificates,
            challenges: parts.challenges,
            storage: parts.storage,
            authority: parts.authority,
            readiness: parts.readiness,
            clock: parts.clock,
            deadline: parts.settings.order_deadline,
            status: AcmeStatus::default(),
        };
        Self {
            snapshot: parts.snapshot,
            notice,
            workshop,
            orders_at_once: parts.settings.orders_at_once.max(1),
            orders: JoinSet::new(),
            hosts: HashMap::new(),
            queue: VecDeque::new(),
            queue_was_cut: false,
            planned_for: None,
            look_again: None,
            unsaved_failures: HashSet::new(),
        }
    }

    /// What is known of certificates, from now on and after the end.
    pub fn status(&self) -> AcmeStatus {
        self.workshop.status.clone()
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
                Some(ended) = self.orders.join_next_with_id() => self.take_in(ended).await,
                Ok(()) = self.notice.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.finish().await;
    }

    async fn load(&mut self) {
        let workshop = &self.workshop;
        let mut wait = LOAD_WAIT;
        let books = loop {
            let read = async { Ok((workshop.storage.held().await?, workshop.storage.failures().await?)) };
            match read.await {
                Ok((held, failures)) => {
                    let directory = workshop.authority.directory();
                    break Books::open(held, failures, directory, &self.snapshot.load());
                }
                Err(error) => self.store_failed(&error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(PERIOD);
        };
        if let Some(pause) = books.pause.as_ref().filter(|pause| pause.until > workshop.clock.now()) {
            info!(until = %pause.until, kind = pause.kind, "orders still paused");
        }
        info!(held = books.held.len(), failing = books.failures.len(), "certificates read from the store");
        *workshop.status.write() = books;
    }

    /// Plans where something may have changed, and places what is planned where there is room.
    async fn look(&mut self) {
        let now = self.workshop.clock.now();
        let generation = self.snapshot.load().generation();
        if self.planned_for != Some(generation) || self.look_again.is_some_and(|at| at <= now) {
            let room = self.orders_at_once * PLANNED_AHEAD;
            let plan = plan(&self.snapshot.load(), &self.workshop.status.read(), now, room);
            self.planned_for = Some(generation);
            self.adopt(plan, now).await;
        }
        let waiting = !self.queue.is_empty() || !self.unsaved_failures.is_empty();
        let troubled = self.workshop.status.read().storage_trouble.is_some();
        if (waiting || troubled) && self.orders.len() < self.orders_at_once {
            if self.store_takes_writes().await {
                self.store_failures_again().await;
                self.place_orders();
            } else {
                self.queue.clear();
                self.look_again_at(after(now, PERIOD));
            }
        }
    }

    async fn adopt(&mut self, plan: Plan, now: Timestamp) {
        self.look_again = plan.next_wake;
        self.queue = plan.orders.into();
        self.queue_was_cut = plan.cut;
        self.tell_expired(&plan.expired);
        if plan.drops.is_empty() {
            return;
        }
        match self.workshop.storage.remove_certificates(&plan.drops).await {
            Ok(()) => {
                let mut books = self.workshop.status.write();
                for host in &plan.drops {
                    books.held.remove(host);
                    books.failures.remove(host);
                    self.unsaved_failures.remove(host);
                    self.workshop.certificates.forget(host);
                    debug!(%host, "certificate dropped");
                }
            }
            Err(error) => {
                self.store_failed(&error);
                self.look_again_at(after(now, PERIOD));
            }
        }
    }

    fn place_orders(&mut self) {
        while self.orders.len() < self.orders_at_once {
            let Some(host) = self.queue.pop_front() else { return };
            let attempt = {
                let mut books = self.workshop.status.write();
                if !books.in_flight.insert(host.clone()) {
                    continue;
                }
                books.failures.get(&host).map_or(0, |failures| failures.attempts).saturating_add(1)
            };
            let span = info_span!("order", %host, attempt);
            let order = self.workshop.clone().order(host.clone(), attempt).instrument(span);
            self.hosts.insert(self.orders.spawn(order).id(), host);
        }
    }

    /// Takes the end of one order into the books.
    async fn take_in(&mut self, ended: Result<(Id, Result<(), IssueError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(panicked(error))),
        };
        let Some(host) = self.hosts.remove(&id) else { return };
        let now = self.workshop.clock.now();
        let next = match result {
            Ok(()) => self.succeeded(&host, now),
            Err(error) => self.failed(&host, &error, now).await,
        };
        self.look_again_at(if self.queue.is_empty() && self.queue_was_cut { now } else { next });
    }

    /// Returns when the host is due again.
    fn succeeded(&mut self, host: &PolicyHost, now: Timestamp) -> Timestamp {
        let mut books = self.workshop.status.write();
        books.in_flight.remove(host);
        books.failures.remove(host);
        self.unsaved_failures.remove(host);
        if books.pause.take_if(|pause| pause.until <= now).is_some() {
            info!("orders resumed");
        }
        books.held.get(host).map_or(now, |held| held.renew_at)
    }

    /// Returns when the host may be tried again.
    async fn failed(&mut self, host: &PolicyHost, error: &IssueError, now: Timestamp) -> Timestamp {
        let failures = {
            let mut books = self.workshop.status.write();
            books.in_flight.remove(host);
            let previous = books.failures.get(host);
            let failures = retry::next(host, previous, error, now, Jitter::of(host, now));
            let same = previous.is_some_and(|previous| previous.kind == failures.kind);
            if retry::pauses_until(&failures).is_some() {
                self.queue_was_cut |= !self.queue.is_empty();
                self.queue.clear();
                tell_pause(&books, &failures);
                books.pause_for(&failures);
            } else {
                tell_failure(&failures, same);
                books.pause.take_if(|pause| pause.until <= now);
            }
            books.failures.insert(host.clone(), failures.clone());
            failures
        };
        if let Err(error) = self.workshop.storage.save_failures(&failures).await {
            self.unsaved_failures.insert(host.clone());
            self.store_failed(&error);
        }
        failures.retry_at
    }

    async fn store_failures_again(&mut self) {
        for host in std::mem::take(&mut self.unsaved_failures) {
            let Some(failures) = self.workshop.status.read().failures.get(&host).cloned() else { continue };
            if let Err(error) = self.workshop.storage.save_failures(&failures).await {
                self.unsaved_failures.insert(host);
                self.store_failed(&error);
            }
        }
    }

    /// Asks before orders are placed: a certificate that cannot be stored is better not ordered.
    async fn store_takes_writes(&self) -> bool {
        match self.workshop.storage.check_writable().await {
            Ok(()) => {
                if self.workshop.status.write().storage_trouble.take().is_some() {
                    info!("store can be used again, orders resumed");
                }
                true
            }
            Err(error) => {
                self.store_failed(&error);
                false
            }
        }
    }

    /// Told once; the status says it until the store is well.
    fn store_failed(&self, error: &StorageError) {
        let error = chain(error).to_string();
        if self.workshop.status.write().storage_trouble.replace(error.clone()).is_none() {
            error!(error, "store cannot be used, no orders are placed");
        }
    }

    fn tell_expired(&self, expired: &[PolicyHost]) {
        let mut books = self.workshop.status.write();
        for (index, host) in expired.iter().enumerate() {
            let Some(held) = books.held.get_mut(host) else { continue };
            held.expiry_told = true;
            if index < EXPIRED_NAMED {
                error!(%host, not_after = %held.not_after, "certificate expired");
            }
        }
        if expired.len() > EXPIRED_NAMED {
            error!(hosts = expired.len() - EXPIRED_NAMED, "more certificates expired");
        }
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
                ended = self.orders.join_next_with_id() => match ended {
                    Some(ended) => self.take_in(ended).await,
                    None => return,
                },
                () = &mut grace => break,
            }
        }
        self.orders.shutdown().await;
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

fn tell_failure(failures: &OrderFailures, same: bool) {
    let OrderFailures { host, attempts: attempt, retry_at, kind, detail, .. } = failures;
    if same && *attempt > FAILURES_TOLD {
        debug!(%host, attempt, %retry_at, kind, detail, "certificate not issued");
    } else {
        warn!(%host, attempt, %retry_at, kind, detail, "certificate not issued");
    }
}

fn tell_pause(books: &Books, failures: &OrderFailures) {
    let OrderFailures { host, retry_at, kind, detail, .. } = failures;
    let known = books.pause.as_ref().is_some_and(|pause| pause.kind == *kind);
    match kind.as_str() {
        _ if known => debug!(%host, %retry_at, kind, detail, "orders paused further"),
        retry::ACCOUNT => error!(%host, %retry_at, detail, "account not accepted, orders paused"),
        _ => warn!(%host, %retry_at, detail, "authority limits us, orders paused"),
    }
}

/// Our own mistake, kept to the one host that met it.
fn panicked(error: JoinError) -> IssueError {
    let said = match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().map(|text| text.to_string()).unwrap_or_default(),
        },
        Err(cancelled) => cancelled.to_string(),
    };
    IssueError::Unusable { detail: format!("the order ended in a panic of our own: {said}") }
}

fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
