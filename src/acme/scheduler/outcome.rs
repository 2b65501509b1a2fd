//! What the end of a job means for its host, and for everybody.

use super::{Job, Scheduler};
use crate::{
    acme::{
        authority::IssueError,
        books::{Books, Pause},
        calendar::{self, is_exempt},
        metrics::{ISSUED, PANICKED, outcome_of},
        order::Ended,
        retry,
    },
    storage::{Budget, Next, OrderFailures, Scheduled},
};
use jiff::Timestamp;
use tokio::task::{Id, JoinError};
use tracing::{debug, error, info, warn};

/// Failures of one kind in a row that are logged as warnings; more of the same go to debug and stay
/// readable in the status.
const FAILURES_TOLD: u32 = 3;

impl Scheduler {
    /// Takes the end of one job into the books.
    pub(super) async fn take_in(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(Job { row, number }) = self.running.remove(&id) else { return };
        self.workshop.status.write().in_flight.remove(&row.host);
        let now = self.workshop.clock.now();
        match ended {
            Ok((_, Ended::Issued(row))) => {
                self.count(number, ISSUED);
                self.issued(row, number, now);
            }
            Ok((_, Ended::Failed(row, number, error))) => {
                self.count(Some(number), outcome_of(&error));
                self.failed(row, number, &error, now).await;
            }
            Ok((_, Ended::Short(mut row, until))) => {
                row.next_at = until;
                self.keep(row, now).await;
            }
            Ok((_, Ended::Unstored(row, error))) => {
                self.expect(&row, now);
                self.store_refuses(&error, now);
            }
            Ok((_, Ended::Asked(mut row, answer))) => {
                self.tell_answer(&row, &answer);
                calendar::asked(&mut row, answer, now);
                self.keep(row, now).await;
            }
            Err(error) => match number {
                Some(number) => {
                    self.count(Some(number), PANICKED);
                    self.failed(row, number, &panicked(error), now).await;
                }
                None => {
                    let mut row = row;
                    calendar::asked(&mut row, Err(panicked(error)), now);
                    self.keep(row, now).await;
                }
            },
        }
    }

    fn count(&self, number: Option<usize>, outcome: &str) {
        if let Some(authority) = number.and_then(|number| self.workshop.authorities.get(number)) {
            self.workshop.status.orders.count(authority.directory(), outcome);
        }
    }

    fn issued(&mut self, row: Scheduled, number: Option<usize>, now: Timestamp) {
        self.heard_of(number);
        let ended = number.and_then(|number| {
            self.workshop.status.write().pauses.remove(&number).filter(|pause| pause.until <= now)
        });
        if ended.is_some() {
            info!("orders resumed");
        }
        match self.fitted(&row, &self.snapshot.load(), now) {
            Some(changed) => self.put(changed, now),
            None => self.expect(&row, now),
        }
    }

    async fn failed(&mut self, mut row: Scheduled, number: usize, error: &IssueError, now: Timestamp) {
        let Some(authority) = self.workshop.authorities.get(number).cloned() else { return };
        let exempt = is_exempt(&row, authority.directory());
        let previous = row.failures.clone();
        let count = u32::try_from(self.workshop.authorities.len()).unwrap_or(u32::MAX);
        let settings = self.settings_for(&row);
        calendar::failed(&mut row, error, count, &settings, now);
        let Some(failures) = row.failures.clone() else { return };
        let same = previous.as_ref().is_some_and(|previous| previous.kind == failures.kind);
        if let Some(pause) = self.pause_for(number, &failures, now) {
            let key = format!("pause {} {}", pause.kind, authority.directory());
            let kept = Budget { key, full_at: pause.until };
            if let Err(error) = self.workshop.storage.save_schedule(&[], &[kept]).await {
                self.store_refuses(&error, now);
            }
        } else {
            let is_known = self.is_known_silence(number, authority.directory(), error, &failures);
            tell_failure(&row, &failures, is_known || (same && failures.attempts > FAILURES_TOLD));
        }
        tell_expiry(&row, previous.as_ref(), now);
        if let Some(gone) = self.fitted(&row, &self.snapshot.load(), now) {
            row = gone;
        }
        self.workshop.status.write().enter(&row);
        self.expect(&row, now);
        if let Err(refusal) =
            self.workshop.ledger.settle(&row, authority.directory(), exempt, error, now).await
        {
            self.unsaved.insert(row.host.clone(), row);
            self.store_refuses(&refusal, now);
        }
    }

    /// Whether the failure is that of an authority which does not answer, and which is told once for all
    /// hosts and not again until it answers.
    fn is_known_silence(
        &mut self,
        number: usize,
        directory: &str,
        error: &IssueError,
        failures: &OrderFailures,
    ) -> bool {
        match error {
            IssueError::Unreachable { detail } => {
                if self.silent.insert(number) {
                    let (host, retry_at) = (&failures.host, failures.retry_at);
                    warn!(
                        directory, %host, %retry_at, detail,
                        "certificate not issued, its authority does not answer; asked again by itself, other hosts \
                         that wait for it are told at debug: see whether the directory can be reached from here"
                    );
                }
                true
            }
            // Never got as far as the authority.
            IssueError::NotReady { .. } | IssueError::DnsSilent { .. } => false,
            _ => {
                self.heard_of(Some(number));
                false
            }
        }
    }

    fn heard_of(&mut self, number: Option<usize>) {
        if let Some(number) = number.filter(|number| self.silent.remove(number))
            && let Some(authority) = self.workshop.authorities.get(number)
        {
            info!(directory = authority.directory(), "authority answers again");
        }
    }

    /// Holds back everybody else at this authority when that is what the failure means.
    fn pause_for(&mut self, number: usize, failures: &OrderFailures, now: Timestamp) -> Option<Pause> {
        let mut books = self.workshop.status.write();
        if retry::pauses_until(failures).is_none() {
            if books.pauses.get(&number).is_some_and(|pause| pause.until <= now) {
                books.pauses.remove(&number);
            }
            return None;
        }
        tell_pause(&books, number, failures);
        books.pause_for(number, failures).cloned()
    }

    fn settings_for(&self, row: &Scheduled) -> String {
        let snapshot = self.snapshot.load();
        let hosted = snapshot.find(row.host.as_str());
        let policy = hosted.map_or("", |hosted| hosted.policy.id().as_str());
        calendar::settings_of(&row.tenant, policy, &self.settings)
    }

    /// Shows and keeps a row.
    async fn keep(&mut self, row: Scheduled, now: Timestamp) {
        let row = self.fitted(&row, &self.snapshot.load(), now).unwrap_or(row);
        self.workshop.status.write().enter(&row);
        self.expect(&row, now);
        if let Err(error) = self.workshop.storage.save_schedule(std::slice::from_ref(&row), &[]).await {
            self.unsaved.insert(row.host.clone(), row);
            self.store_refuses(&error, now);
        }
    }

    fn tell_answer(
        &self,
        row: &Scheduled,
        answer: &Result<Option<crate::acme::authority::RenewalInfo>, IssueError>,
    ) {
        let host = &row.host;
        match answer {
            Ok(Some(info)) if info.explanation_url != row.renewal.explanation_url => {
                let url = info.explanation_url.as_deref().unwrap_or("none");
                let (start, end) = (info.window.start, info.window.end);
                warn!(%host, %start, %end, url, "authority explains when it wants a certificate renewed");
            }
            Ok(_) => debug!(%host, "renewal information asked"),
            Err(error) => debug!(%host, %error, "no renewal information"),
        }
    }
}

fn tell_failure(row: &Scheduled, failures: &OrderFailures, is_known: bool) {
    let OrderFailures { host, attempts: attempt, retry_at, kind, detail, .. } = failures;
    if row.next == Next::Parked {
        error!(%host, attempt, kind, detail, "certificate not issued, waiting for a change of its configuration");
    } else if is_known {
        debug!(%host, attempt, %retry_at, kind, detail, "certificate not issued");
    } else {
        warn!(%host, attempt, %retry_at, kind, detail, "certificate not issued");
    }
}

/// Said with the first failure after the end.
fn tell_expiry(row: &Scheduled, previous: Option<&OrderFailures>, now: Timestamp) {
    let Some(held) = row.held.filter(|held| held.not_after <= now) else { return };
    if previous.is_none_or(|previous| previous.last_at < held.not_after) {
        error!(host = %row.host, not_after = %held.not_after, "certificate expired");
    }
}

fn tell_pause(books: &Books, number: usize, failures: &OrderFailures) {
    let OrderFailures { host, retry_at, kind, detail, .. } = failures;
    let known = books.pauses.get(&number).is_some_and(|pause| pause.kind == *kind);
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
