//! The slow round: every domain is audited once in `audit_every`, at a moment of its own, a bounded number
//! at once. What is to be looked at again comes sooner, but no domain twice within ten minutes.

use super::{Expectations, place::place_of, vantage::Vantage};
use crate::{
    audit::{Expected, Look, Observations, Scope},
    clock::Clock,
    config,
    name::PolicyHost,
    policy::RenderedPolicy,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// No audit takes longer: five hosts side by side have three minutes each, and DNS and the policy go beside.
const DEADLINE: Duration = Duration::from_secs(300);
/// A new domain's first certificate is given this time before it is audited.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// So often a domain without a certificate is put off before it is audited without its policy.
const PUT_OFF_MAX: u32 = 3;
/// Domains with serious findings are audited so many times in a period, so that mending is noticed.
const SERIOUS_TIMES: u32 = 6;

/// What an audit of `host` brought home.
pub(super) struct Audited {
    pub host: PolicyHost,
    /// By which policy it was looked at.
    pub policy: Arc<RenderedPolicy>,
    pub came_to: CameTo,
}

pub(super) enum CameTo {
    Observations(Box<Observations>, Scope),
    /// There is no certificate yet, so there is no policy to fetch.
    NoCertificate,
    /// It took too long.
    TooLong,
}

/// What decides when a domain's next audit is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Something would alarm and is not certain yet.
    pub suspected: bool,
    /// Until when a second audit would be served the same looks.
    pub doubted_until: Option<Timestamp>,
    /// Something was not seen.
    pub unseen: bool,
    /// There are findings of severity error or critical.
    pub serious: bool,
}

pub(super) struct Audits {
    eye: Arc<dyn Look>,
    expectations: Arc<dyn Expectations>,
    clock: Clock,
    settings: config::CrossCheck,
    turns: HashMap<PolicyHost, Turn>,
    /// Whose turn is when; the first is the next.
    queue: BTreeSet<(Instant, PolicyHost)>,
    pub port_25: Vantage<IpAddr>,
    pub policy_hosts: Vantage<PolicyHost>,
}

/// A domain's turn.
struct Turn {
    due: Instant,
    /// When it was last audited.
    last: Option<Timestamp>,
    round: u32,
    /// How often it was put off for want of a certificate.
    put_off: u32,
    /// Whether this turn is a second look at what was not seen; there is no third before the next period.
    second: bool,
}

impl Audits {
    pub fn new(
        eye: Arc<dyn Look>,
        expectations: Arc<dyn Expectations>,
        clock: Clock,
        settings: config::CrossCheck,
    ) -> Self {
        let (port_25, policy_hosts) = (Vantage::default(), Vantage::default());
        let (turns, queue) = (HashMap::new(), BTreeSet::new());
        Self { eye, expectations, clock, settings, turns, queue, port_25, policy_hosts }
    }

    /// The least time between two audits of one domain, and between two sights of what would alarm.
    pub fn apart(&self) -> Duration {
        self.settings.audit_recheck.mul_f64(2.0 / 3.0)
    }

    /// When the next audit is due; `None` when nothing waits or enough are under way.
    pub fn next(&self, under_way: usize) -> Option<Instant> {
        let (due, _) = self.queue.first()?;
        (under_way < self.settings.audits_at_once).then_some(*due)
    }

    /// Gives a host that is new, or has another policy, its turn: soon with `ahead`, else at its own
    /// place. `last` is when it was audited by a process before this one; `open` says that what was then
    /// found waits to be looked at again.
    pub fn take_in(&mut self, host: &PolicyHost, last: Option<Timestamp>, ahead: bool, open: bool) {
        let now = Instant::now();
        let is_new = !self.turns.contains_key(host);
        let last = self.turns.get(host).map_or(last, |turn| turn.last);
        let due = match last {
            Some(last) if is_new => {
                let wait = if open { self.settings.audit_recheck } else { self.settings.audit_every };
                let left = wait.saturating_sub(self.since(last));
                // Who is late has its own place, so that many who are late do not come together.
                now + if left.is_zero() { self.place_within(host) } else { left }
            }
            _ if ahead => now + SETTLED_AFTER.min(self.apart()).max(self.too_soon(last)),
            _ => now + self.place_within(host).max(self.too_soon(last)),
        };
        self.turns.entry(host.clone()).or_insert(Turn { due, last, round: 0, put_off: 0, second: false });
        self.set_due(host, due);
    }

    /// Forgets `host`.
    pub fn forget(&mut self, host: &PolicyHost) {
        if let Some(turn) = self.turns.remove(host) {
            self.queue.remove(&(turn.due, host.clone()));
        }
    }

    /// Lets `host` be audited as soon as its last audit is old enough.
    pub fn soon(&mut self, host: &PolicyHost) {
        if let Some(turn) = self.turns.get(host) {
            let due = Instant::now() + self.too_soon(turn.last);
            if due < turn.due {
                self.set_due(host, due);
            }
        }
    }

    /// Starts what is due, as much as may be under way at once.
    pub fn start_due(
        &mut self,
        under_way: &mut JoinSet<Audited>,
        policy_of: impl Fn(&PolicyHost) -> Option<Arc<RenderedPolicy>>,
        policies: bool,
    ) {
        let now = Instant::now();
        while under_way.len() < self.settings.audits_at_once {
            let Some((due, host)) = self.queue.pop_first() else { return };
            if due > now {
                self.queue.insert((due, host));
                return;
            }
            // Should nothing ever come of it; the outcome says when its time is.
            let next = now + self.settings.audit_every;
            let Some(turn) = self.turns.get_mut(&host) else { continue };
            turn.due = next;
            self.queue.insert((next, host.clone()));
            let Some(policy) = policy_of(&host) else { continue };
            let put_off = policies && turn.put_off < PUT_OFF_MAX;
            let (eye, ours) = (Arc::clone(&self.eye), Arc::clone(&self.expectations));
            let clock = self.clock;
            under_way.spawn(async move {
                let audit = audit(&*eye, &*ours, clock, (&host, &policy), policies, put_off);
                let came_to = timeout(DEADLINE, audit).await.unwrap_or(CameTo::TooLong);
                Audited { host, policy, came_to }
            });
        }
    }

    /// Puts off a host without a certificate, longer each time.
    pub fn put_off(&mut self, host: &PolicyHost) {
        let Some(turn) = self.turns.get_mut(host) else { return };
        turn.put_off = turn.put_off.saturating_add(1);
        let wait = self.settings.audit_recheck.saturating_mul(1 << turn.put_off.min(4));
        self.set_due(host, Instant::now() + wait.min(self.settings.audit_every));
    }

    /// Puts a host that was audited in its next place.
    pub fn place(&mut self, host: &PolicyHost, outcome: Outcome) {
        let (now, every) = (self.clock.now(), self.settings.audit_every);
        let own_place = self.place_within(host);
        let recheck = self.settings.audit_recheck;
        let Some(turn) = self.turns.get_mut(host) else { return };
        let first = turn.last.is_none();
        (turn.last, turn.round, turn.put_off) = (Some(now), turn.round.wrapping_add(1), 0);
        let jitter = place_of((host, turn.round)) / 10.0;
        let again = || {
            let until = outcome.doubted_until.map(|until| until.duration_since(now));
            let until = until.and_then(|until| until.try_into().ok()).unwrap_or_default();
            recheck.max(until).mul_f64(1.0 + jitter).min(every)
        };
        let look_again = outcome.suspected || (outcome.unseen && !turn.second);
        turn.second = outcome.unseen && !turn.second;
        let wait = match look_again {
            true => again(),
            false if outcome.serious => (every / SERIOUS_TIMES).max(again()).min(every),
            // Whoever came ahead of the others takes its own place now.
            false if first => own_place.max(every / 2),
            false => every.mul_f64(1.0 - jitter),
        };
        self.set_due(host, Instant::now() + wait);
    }

    fn set_due(&mut self, host: &PolicyHost, due: Instant) {
        let Some(turn) = self.turns.get_mut(host) else { return };
        self.queue.remove(&(turn.due, host.clone()));
        turn.due = due;
        self.queue.insert((due, host.clone()));
    }

    fn since(&self, last: Timestamp) -> Duration {
        self.clock.now().duration_since(last).try_into().unwrap_or_default()
    }

    /// How long until a domain that was audited at `last` may be audited again.
    fn too_soon(&self, last: Option<Timestamp>) -> Duration {
        last.map_or(Duration::ZERO, |last| self.apart().saturating_sub(self.since(last)))
    }

    /// How long until the place in the period that is this host's own, in every process.
    fn place_within(&self, host: &PolicyHost) -> Duration {
        let period = self.settings.audit_every.as_secs_f64();
        let now = self.clock.now().as_duration().as_secs_f64();
        Duration::from_secs_f64((place_of(host) * period - now).rem_euclid(period))
    }
}

async fn audit(
    eye: &dyn Look,
    ours: &dyn Expectations,
    clock: Clock,
    (host, policy): (&PolicyHost, &Arc<RenderedPolicy>),
    policies: bool,
    put_off: bool,
) -> CameTo {
    let served = policies && ours.is_served(host).await;
    if policies && !served && put_off {
        return CameTo::NoCertificate;
    }
    let expected = Expected {
        policy: Arc::clone(policy),
        addresses: if served { ours.addresses().await } else { vec![] },
        issuer: ours.issuer().await,
    };
    let scope = Scope { policy: served };
    let seen = eye.look(&host.domain(), scope, Some(expected), clock.now()).await;
    CameTo::Observations(Box::new(seen), scope)
}

#[cfg(test)]
mod tests;
