//! Goes round all domains, gently: each as often as its TTL says, spread evenly, new and changed ones first.
//!
//! The loop asks; what the answer means is decided by [`compare`], and what is new about it by the
//! status. A lost notice of a new snapshot costs nothing but time: the next one is compared whole.

use super::{
    CrossCheckHandle, CrossCheckStatus, KnownFinding,
    place::place_of,
    record::compare_record,
    status::{Change, Judged},
};
use crate::{
    audit::{Finding, Seen, Severity, compare, worst},
    clock::Clock,
    config,
    dns::{Agreed, Answer, DnsName, Lookup, MxAnswer, TxtAnswer, Unanswered},
    logging::chain,
    name::{DomainName, PolicyHost},
    policy::RenderedPolicy,
    snapshot::{SharedSnapshot, Snapshot},
    storage::Storage,
};
use jiff::{SignedDuration, Timestamp};
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
/// How long the history keeps what is over: a year, and a month to look at it.
const HISTORY: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The time between two looks for what is too old.
const FORGET_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// As much is forgotten in one transaction; others may write in between.
const FORGOTTEN_AT_ONCE: usize = 10_000;
/// No period is shorter, whatever the settings say: a place in it must exist.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// Questions without an answer in a row that say that DNS is the trouble, not a domain.
const SILENT_IN_A_ROW: u32 = 3;
/// The most octets of findings in one log line.
const LOGGED_MAX: usize = 256;

/// The loop that compares all policies with DNS.
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
            handle,
            asked_for,
            forget_at: Instant::now() + FORGET_EVERY,
        }
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
        let mut asked = JoinSet::new();
        loop {
            self.ask_due(&mut asked);
            let next = self.queue.first().map(|(due, _)| *due);
            let may_ask = asked.len() < self.lookups_at_once;
            tokio::select! {
                Ok(()) = notice.changed() => self.follow_snapshot(&mut kept).await,
                Some(host) = self.asked_for.recv() => self.check_now(&host),
                Some(answer) = asked.join_next() => match answer {
                    Ok((host, look)) => self.take(&host, look).await,
                    Err(error) => error!(%error, "mx lookup panicked"),
                },
                () = sleep_until(next.unwrap_or(self.started)), if may_ask && next.is_some() => {}
                () = sleep_until(self.forget_at) => self.forget_history().await,
                else => std::future::pending().await,
            }
        }
    }

    /// The findings of the last process, so that their `since` goes on.
    async fn load(&self) -> HashMap<DomainName, Vec<KnownFinding>> {
        let rows = self.storage.findings().await.unwrap_or_else(|error| {
            warn!(error = %chain(&error), "findings not loaded");
            vec![]
        });
        let mut kept: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows {
            if let Some(known) = KnownFinding::from_row(&row) {
                kept.entry(row.domain).or_default().push(known);
            }
        }
        kept
    }

    /// Takes in what the snapshot has and we have not, and drops what it has no more.
    async fn follow_snapshot(&mut self, kept: &mut HashMap<DomainName, Vec<KnownFinding>>) {
        let snapshot = self.snapshot.load_full();
        if snapshot.generation() == 0 {
            return; // Nothing was served yet, so nothing has left either.
        }
        self.take_in(&snapshot, kept);
        let mut outdated = self.drop_left(&snapshot);
        // Kept of domains that left while no process ran.
        outdated.extend(std::mem::take(kept).into_keys());
        for domain in outdated {
            self.keep(&domain).await;
        }
    }

    /// Queues every host that is new or has another policy than before.
    fn take_in(&mut self, snapshot: &Snapshot, kept: &mut HashMap<DomainName, Vec<KnownFinding>>) {
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
            // An instant that has passed stands before everything that is merely due.
            let due =
                if ahead { self.started } else { Instant::now() + self.place_within(&host, self.pace(None)) };
            if let Some(before) = self.domains.insert(host.clone(), Checked { policy, due, ahead, round: 0 })
            {
                self.queue.remove(&(before.due, host.clone()));
            } else {
                let domain = host.domain();
                let findings = kept.remove(&domain).unwrap_or_default();
                self.status.take_in(domain, findings);
            }
            self.queue.insert((due, host));
        }
    }

    /// Forgets every host that is served no more; returns the domains that had findings.
    fn drop_left(&mut self, snapshot: &Snapshot) -> Vec<DomainName> {
        let status = &self.status;
        self.domains
            .extract_if(|host, _| snapshot.find(host.as_str()).is_none())
            .filter_map(|(host, checked)| {
                let domain = host.domain();
                self.queue.remove(&(checked.due, host));
                status.forget(&domain).then_some(domain)
            })
            .collect()
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
    fn ask_due(&mut self, asked: &mut JoinSet<(PolicyHost, Look)>) {
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
    }

    /// Takes an answer in, judged by the policy that is served by now.
    async fn take(&mut self, host: &PolicyHost, look: Look) {
        self.note_silence(&look.seen);
        let Some(checked) = self.domains.get(host) else { return }; // It left meanwhile.
        let (domain, now, pace) = (host.domain(), self.clock.now(), self.pace(look.ttl));
        if look.seen == Seen::Unanswered {
            self.status.unanswered(&domain, now);
            self.place(host, pace, false);
            return;
        }
        let policy = checked.policy.policy();
        let (mode, recheck) = (policy.mode(), self.settings.recheck);
        let mut findings = compare(policy, &domain, &look.seen);
        let mut agreed = look.agreed;
        if let Some(Ok(record)) = &look.record {
            findings.extend(compare_record(&checked.policy, &record.data));
            findings.sort_unstable();
            agreed = weaker(agreed, record.agreed);
        }
        let record_answered = !matches!(look.record, Some(Err(_)));
        let change =
            self.status.answered(&domain, Judged { findings, record_answered, mode, agreed, recheck }, now);
        self.place(host, pace, change.suspected);
        if !change.is_empty() {
            log_change(&domain, &change);
        }
        if change.raised || !change.is_empty() {
            self.keep(&domain).await;
        } else if let Some(unkept) = self.unkept.iter().next().cloned() {
            self.keep(&unkept).await;
        }
    }

    /// Forgets a piece of what is too old; the next one soon after, while there is more.
    async fn forget_history(&mut self) {
        let before = self.clock.now().saturating_sub(HISTORY).unwrap_or(Timestamp::MIN);
        let forgotten = self.storage.forget_events(before, FORGOTTEN_AT_ONCE).await;
        let more = forgotten.is_ok_and(|count| count == FORGOTTEN_AT_ONCE);
        self.forget_at = Instant::now() + if more { PERIOD_MIN } else { FORGET_EVERY };
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

    /// Brings the store up to the status of `domain`. When it refuses, that is said once, and tried
    /// again as answers come in.
    async fn keep(&mut self, domain: &DomainName) {
        let findings = self.status.of(domain).map(|status| status.findings).unwrap_or_default();
        let rows: Vec<_> = findings.iter().map(|known| known.to_row(domain)).collect();
        let healthy = self.unkept.is_empty();
        match self.storage.replace_findings(domain, &rows, self.clock.now()).await {
            Ok(()) => {
                self.changes.send_replace(());
                self.unkept.remove(domain);
                if !healthy && self.unkept.is_empty() {
                    info!("findings kept again");
                }
            }
            Err(error) => {
                if healthy {
                    warn!(%domain, error = %chain(&error), "findings not kept");
                }
                self.unkept.insert(domain.clone());
            }
        }
    }
}

/// What one look at a domain showed.
struct Look {
    seen: Seen,
    agreed: Agreed,
    /// How long it lasts.
    ttl: Option<Duration>,
    /// The TXT records at `_mta-sts`; `None` when they were not asked for.
    record: Option<Result<Answer<TxtAnswer>, Unanswered>>,
}

/// Looks at a domain's mail hosts, and at its STS record where `records` says so.
async fn look(lookup: &dyn Lookup, domain: &DomainName, records: bool) -> Look {
    match ask(lookup, domain).await {
        Ok(look) if records => {
            let record = lookup.txt(&DnsName::new(&format!("_mta-sts.{domain}"))).await;
            Look { record: Some(record), ..look }
        }
        Ok(look) => look,
        Err(Unanswered { reason, .. }) => {
            debug!(%domain, reason, "mx lookup unanswered");
            Look { seen: Seen::Unanswered, agreed: Agreed::One, ttl: None, record: None }
        }
    }
}

/// What stands behind two answers together.
fn weaker(one: Agreed, other: Agreed) -> Agreed {
    match (one, other) {
        (Agreed::Both, Agreed::Both) => Agreed::Both,
        (Agreed::Contested, _) | (_, Agreed::Contested) => Agreed::Contested,
        _ => Agreed::One,
    }
}

async fn ask(lookup: &dyn Lookup, domain: &DomainName) -> Result<Look, Unanswered> {
    let answer = lookup.mx(domain).await?;
    let seen = match answer.data {
        MxAnswer::Records(records) if !records.is_empty() => Seen::Records(records),
        MxAnswer::NoSuchDomain => Seen::NoSuchDomain,
        _ if lookup.has_address(domain).await? => Seen::Implicit,
        _ => Seen::Nothing,
    };
    Ok(Look { seen, agreed: answer.agreed, ttl: answer.ttl, record: None })
}

fn log_change(domain: &DomainName, change: &Change) {
    let there = || change.appeared.iter().chain(&change.reassessed);
    let remedy = there().max_by_key(|finding| finding.severity);
    let remedy = remedy.map(|finding| finding.remedy(domain));
    // What has nothing in it is left out of the line.
    let some = |findings| Some(listed(findings)).filter(|text| !text.is_empty());
    let appeared = some(&change.appeared);
    let reassessed = some(&change.reassessed);
    let gone = some(&change.gone);
    let severity = worst(there()).map(Severity::as_str);
    if worst(there()) >= Some(Severity::Error) {
        warn!(%domain, severity, appeared, reassessed, gone, remedy, "findings changed");
    } else {
        info!(%domain, severity, appeared, reassessed, gone, remedy, "findings changed");
    }
}

/// Codes with their subjects, cut: a domain's owner may publish many long names.
fn listed(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        if text.len() > LOGGED_MAX {
            text.push_str(" …");
            break;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{separator}{} {}", finding.code, finding.subject));
        text.truncate(text.trim_end().len());
    }
    text
}

#[cfg(test)]
mod tests;
