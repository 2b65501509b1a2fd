//! Goes round all domains, gently: each as often as its TTL says, spread evenly, new and changed ones first;
//! and round them once more, slowly, for whole audits (see [`super::audits`]).
//!
//! The loop asks; what the answer means is decided by [`compare`], [`judge_record`] and
//! [`super::verdict`], and what is new about it by the status. A lost notice of a new snapshot costs
//! nothing but time: the next one is compared whole.

mod keeping;
mod slow;

use self::keeping::{FORGET_EVERY, Kept, is_open};
use super::{
    CrossCheckHandle, CrossCheckStatus, Expectations,
    audits::Audits,
    confirm::Sighting,
    look::{QuickLook, look, weaker},
    place::place_of,
    source::Source,
};
use crate::{
    audit::{Finding, Look, Seen, compare, judge_record},
    clock::Clock,
    config,
    dns::{Agreed, Lookup, UnansweredKind},
    logging::chain,
    name::{DomainName, PolicyHost},
    policy::RenderedPolicy,
    snapshot::{SharedSnapshot, Snapshot},
    storage::Storage,
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// As many new or changed domains as one snapshot may push to the front; when there are more, such
/// as at the start of a large fleet, they wait for their own place in the period.
const AHEAD_OF_OTHERS_MAX: usize = 1_000;
/// No domain is looked at more often on account of its TTL (M-18).
const PACE_MIN: Duration = Duration::from_secs(15 * 60);
/// No period is shorter, whatever the settings say: a place in it must exist.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// Questions without an answer in a row that say that DNS is the trouble, not a domain.
const SILENT_IN_A_ROW: u32 = 3;

/// The loop that holds all policies against the world.
pub struct CrossCheck {
    snapshot: SharedSnapshot,
    lookup: Arc<dyn Lookup>,
    storage: Arc<dyn Storage>,
    clock: Clock,
    settings: config::CrossCheck,
    lookups_at_once: usize,
    /// Who is asked, for the log; empty for the system's.
    resolvers: Vec<SocketAddr>,
    status: CrossCheckStatus,
    domains: HashMap<PolicyHost, Checked>,
    /// What is looked at when; the first is the next.
    queue: BTreeSet<(Instant, PolicyHost)>,
    started: Instant,
    /// Domains whose findings the store does not have yet.
    unkept: HashSet<DomainName>,
    silent_in_a_row: u32,
    /// Gives notice when the history may have changed.
    changes: watch::Sender<()>,
    /// `None`: no audits.
    audits: Option<Audits>,
    /// Whether audits fetch policies: not under an authority whom nobody trusts.
    fetches: bool,
    handle: CrossCheckHandle,
    /// Who is to be checked now.
    asked_for: mpsc::Receiver<PolicyHost>,
    forget_at: Instant,
}

/// A domain that is gone round.
struct Checked {
    policy: Arc<RenderedPolicy>,
    due: Instant,
    /// Whether it is new and came before others.
    ahead: bool,
    round: u32,
}

impl CrossCheck {
    /// Puts the loop together; asks nothing before [`run`](Self::run).
    pub fn new(
        snapshot: SharedSnapshot,
        lookup: Arc<dyn Lookup>,
        storage: Arc<dyn Storage>,
        clock: Clock,
        mut settings: config::CrossCheck,
        dns: &config::Dns,
    ) -> Self {
        settings.period = settings.period.max(PERIOD_MIN);
        let (handle, asked_for) = CrossCheckHandle::new();
        Self {
            snapshot,
            lookup,
            storage,
            clock,
            settings,
            lookups_at_once: dns.lookups_at_once.max(1),
            resolvers: dns.servers.clone(),
            status: CrossCheckStatus::default(),
            domains: HashMap::new(),
            queue: BTreeSet::new(),
            started: Instant::now(),
            unkept: HashSet::new(),
            silent_in_a_row: 0,
            changes: watch::Sender::new(()),
            audits: None,
            fetches: false,
            handle,
            asked_for,
            forget_at: Instant::now() + FORGET_EVERY,
        }
    }

    /// Audits as well, by `eye`, as often as the settings say. Policies are fetched where `fetches` says
    /// that senders would trust their certificates.
    #[must_use]
    pub fn auditing(self, eye: Arc<dyn Look>, ours: Arc<dyn Expectations>, fetches: bool) -> Self {
        let audits = Audits::new(eye, ours, self.clock, self.settings.clone());
        Self { audits: Some(audits).filter(|_| self.settings.audit), fetches, ..self }
    }

    /// What is found, readable from anywhere.
    pub fn status(&self) -> CrossCheckStatus {
        self.status.clone()
    }

    /// Notices that the history of findings may have changed; who misses one finds it in the store.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Asks for a domain's turn; says [`NotNow::Off`](super::NotNow::Off) once the loop has gone.
    pub fn handle(&self) -> CrossCheckHandle {
        self.handle.clone()
    }

    /// Goes round until `stop`; questions under way are then dropped. Does nothing when switched off.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.settings.enabled {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.go_round() => {}
            }
        } else {
            stop.cancelled().await;
        }
    }

    async fn go_round(&mut self) {
        let mut notice = self.snapshot.subscribe();
        let mut kept = self.load().await;
        self.follow_snapshot(&mut kept).await;
        let (mut asked, mut auditing) = (JoinSet::new(), JoinSet::new());
        loop {
            self.ask_due(&mut asked);
            self.audit_due(&mut auditing);
            let next = self.queue.first().map(|(due, _)| *due);
            let may_ask = asked.len() < self.lookups_at_once;
            let next_audit = self.audits.as_ref().and_then(|audits| audits.next(auditing.len()));
            tokio::select! {
                Ok(()) = notice.changed() => self.follow_snapshot(&mut kept).await,
                Some(host) = self.asked_for.recv() => self.check_now(&host),
                Some(answer) = asked.join_next() => match answer {
                    Ok((host, look)) => self.take(&host, look).await,
                    Err(error) => error!(%error, "mx lookup panicked"),
                },
                Some(done) = auditing.join_next() => match done {
                    Ok(audited) => self.take_audit(audited).await,
                    Err(error) => error!(%error, "audit panicked"),
                },
                () = sleep_until(next.unwrap_or(self.started)), if may_ask && next.is_some() => {}
                () = sleep_until(next_audit.unwrap_or(self.started)), if next_audit.is_some() => {}
                () = sleep_until(self.forget_at) => self.forget_history().await,
                else => std::future::pending().await,
            }
        }
    }

    /// Takes in what the snapshot has and we have not, and drops what it has no more.
    async fn follow_snapshot(&mut self, kept: &mut Kept) {
        let snapshot = self.snapshot.load_full();
        if snapshot.generation() == 0 {
            return; // Nothing was served yet, so nothing has left either.
        }
        self.take_in(&snapshot, kept);
        let mut left = self.drop_left(&snapshot);
        // Kept of domains that left while no process ran.
        let Kept { findings, audits } = std::mem::take(kept);
        left.findings.extend(findings.into_keys());
        left.audited.extend(audits.into_keys());
        for domain in left.findings {
            self.keep(&domain).await;
        }
        if !left.audited.is_empty()
            && let Err(error) = self.storage.forget_audits(&left.audited).await
        {
            debug!(error = %chain(&error), "times of audits not forgotten");
        }
    }

    /// Queues every host that is new or has another policy than before.
    fn take_in(&mut self, snapshot: &Snapshot, kept: &mut Kept) {
        let is_news = |host: &PolicyHost, policy: &RenderedPolicy| {
            self.domains.get(host).is_none_or(|checked| checked.policy.id() != policy.id())
        };
        let news: Vec<(PolicyHost, Arc<RenderedPolicy>)> = snapshot
            .iter()
            .filter(|(host, hosted)| is_news(host, &hosted.policy))
            .map(|(host, hosted)| (host.clone(), Arc::clone(&hosted.policy)))
            .collect();
        let ahead = news.len() <= AHEAD_OF_OTHERS_MAX;
        for (host, policy) in news {
            let (mut audited_at, mut open) = (None, false);
            // An instant that has passed stands before everything that is merely due.
            let due =
                if ahead { self.started } else { Instant::now() + self.place_within(&host, self.pace(None)) };
            if let Some(before) = self.domains.insert(host.clone(), Checked { policy, due, ahead, round: 0 })
            {
                self.queue.remove(&(before.due, host.clone()));
            } else {
                let domain = host.domain();
                let findings = kept.findings.remove(&domain).unwrap_or_default();
                audited_at = kept.audits.remove(&domain);
                open = findings.iter().any(is_open);
                self.status.take_in(domain, findings, audited_at);
            }
            if let Some(audits) = &mut self.audits {
                audits.take_in(&host, audited_at, ahead, open);
            }
            self.queue.insert((due, host));
        }
    }

    /// Forgets every host that is served no more; returns the domains of which the store has something.
    fn drop_left(&mut self, snapshot: &Snapshot) -> Left {
        let mut left = Left::default();
        for (host, checked) in self.domains.extract_if(|host, _| snapshot.find(host.as_str()).is_none()) {
            let domain = host.domain();
            if let Some(audits) = &mut self.audits {
                audits.forget(&host);
            }
            self.queue.remove(&(checked.due, host));
            let Some(status) = self.status.forget(&domain) else { continue };
            if status.audited_at.is_some() {
                left.audited.push(domain.clone());
            }
            if !status.findings.is_empty() {
                left.findings.push(domain);
            }
        }
        left
    }

    /// How long what DNS said lasts: its TTL, but not less than 15 minutes nor more than the period.
    fn pace(&self, ttl: Option<Duration>) -> Duration {
        let period = self.settings.period;
        ttl.unwrap_or_default().clamp(PACE_MIN.min(period), period)
    }

    /// How long until the place in `period` that is this host's own, in every process.
    fn place_within(&self, host: &PolicyHost, period: Duration) -> Duration {
        let period = period.as_secs_f64();
        let now = self.clock.now().as_duration().as_secs_f64();
        Duration::from_secs_f64((place_of(host) * period - now).rem_euclid(period))
    }

    /// Asks for the hosts that are due, as many as may be asked at once.
    fn ask_due(&mut self, asked: &mut JoinSet<(PolicyHost, QuickLook)>) {
        let now = Instant::now();
        while asked.len() < self.lookups_at_once {
            let Some((due, host)) = self.queue.pop_first() else { return };
            if due > now {
                self.queue.insert((due, host));
                return;
            }
            // Should the answer never come in; it says when its time is.
            let next = now + self.settings.period;
            let Some(checked) = self.domains.get_mut(&host) else { continue };
            checked.due = next;
            checked.round = checked.round.wrapping_add(1);
            self.queue.insert((next, host.clone()));
            let (lookup, records) = (Arc::clone(&self.lookup), self.settings.records);
            asked.spawn(async move {
                let look = look(&*lookup, &host.domain(), records).await;
                (host, look)
            });
        }
    }

    /// Puts a host that was looked at in its next place. Who came ahead of the others takes its own place
    /// now; after that each wait is up to ten per cent shorter than the pace, so domains drift apart and
    /// none is late. What is suspected does not wait.
    fn place(&mut self, host: &PolicyHost, pace: Duration, suspected: bool) {
        let wait = match self.domains.get(host).map(|checked| (checked.round, checked.ahead)) {
            // It has another policy since it was asked for, and is due for that.
            None | Some((0, _)) => return,
            _ if suspected => self.settings.recheck.min(pace),
            Some((1, true)) => self.place_within(host, pace),
            Some((round, _)) => pace.mul_f64(1.0 - place_of((host, round)) / 10.0),
        };
        let Some(checked) = self.domains.get_mut(host) else { return };
        self.queue.remove(&(checked.due, host.clone()));
        checked.due = Instant::now() + wait;
        self.queue.insert((checked.due, host.clone()));
    }

    /// Puts a host that somebody asked for before all others.
    fn check_now(&mut self, host: &PolicyHost) {
        let Some(checked) = self.domains.get_mut(host) else { return };
        self.queue.remove(&(checked.due, host.clone()));
        checked.due = self.started;
        self.queue.insert((checked.due, host.clone()));
        if let Some(audits) = &mut self.audits {
            audits.soon(host);
        }
    }

    /// Takes an answer in, judged by the policy that is served by now.
    async fn take(&mut self, host: &PolicyHost, look: QuickLook) {
        self.note_silence(&look.seen);
        let Some(checked) = self.domains.get(host) else { return }; // It left meanwhile.
        let (domain, now, pace) = (host.domain(), self.clock.now(), self.pace(look.ttl));
        if look.seen == Seen::Unanswered {
            self.status.unanswered(&domain, now);
            self.place(host, pace, false);
            return;
        }
        let (policy, recheck) = (checked.policy.policy(), self.settings.recheck);
        let mut findings = compare(policy, &domain, &look.seen);
        let mut agreed = look.agreed;
        // A circle of aliases leads nowhere, whoever asks; any other silence proves nothing.
        let record = look.record.filter(|record| match record {
            Ok(_) => true,
            Err(unanswered) => unanswered.kind == UnansweredKind::TooManyCnames,
        });
        let record_answered = record.is_some() || !self.settings.records;
        if let Some(record) = record {
            agreed = weaker(agreed, record.as_ref().map_or(Agreed::One, |answer| answer.agreed));
            findings.extend(judge_record(&domain, record, look.elsewhere, &checked.policy, now));
            findings.sort_unstable();
        }
        let covers = |known: &Finding| match Source::of(known.code) {
            Source::Mx => true,
            Source::Record => record_answered,
            // Not for those of a round that does not run.
            Source::Audit => self.audits.is_none(),
        };
        let seen = findings.into_iter().map(|finding| Sighting { finding, at: now, agreed, recheck });
        let change = self.status.answered(&domain, seen.collect(), policy.mode(), covers, now);
        self.place(host, pace, change.suspected);
        self.tell(&domain, &change).await;
    }

    /// Says once when DNS stops answering at all, and once when it is back.
    fn note_silence(&mut self, seen: &Seen) {
        if *seen == Seen::Unanswered {
            self.silent_in_a_row = self.silent_in_a_row.saturating_add(1);
            if self.silent_in_a_row == SILENT_IN_A_ROW {
                let resolvers: Vec<_> = self.resolvers.iter().map(ToString::to_string).collect();
                let resolvers =
                    if resolvers.is_empty() { "the system's".into() } else { resolvers.join(" ") };
                let remedy = "check that they answer, or name others in dns.servers";
                warn!(resolvers, remedy, "dns stopped answering mx lookups");
            }
            return;
        }
        if self.silent_in_a_row >= SILENT_IN_A_ROW {
            info!("dns answered mx lookups again");
        }
        self.silent_in_a_row = 0;
    }
}

/// Domains that are served no more.
#[derive(Default)]
struct Left {
    findings: Vec<DomainName>,
    audited: Vec<DomainName>,
}

#[cfg(test)]
mod tests;
