//! The authority of the simulation, and the eyes on every order that reaches it.

use crate::weather::{Calendar, Chance, Dns, Trouble, after, before};
use jiff::{SignedDuration, Timestamp};
use mta_stsd::{
    acme::{
        authority::{Authority, IssueError, Issued, LimitScope, OrderRequest},
        memory::{Conduct, MemoryAuthority},
    },
    certificate::{CertificateSource, ChallengeTable, Validity},
    clock::Clock,
    name::PolicyHost,
    storage::{MemoryStorage, Storage},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

pub const ORDERS_AT_ONCE: usize = 8;
pub const ORDER_DEADLINE: Duration = Duration::from_secs(300);

/// Authorities count failed validations of a name in an hour; five is what the largest allows.
const NOT_VALIDATED_AN_HOUR: usize = 5;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: Duration = Duration::from_secs(86_400);

/// One host of the fleet, in or out of the configuration.
#[derive(Debug)]
pub struct Member {
    pub dns: Dns,
    pub lifetime: Duration,
}

/// What the orders of a run left behind.
#[derive(Debug, Default)]
pub struct Seen {
    /// Broken invariants, in words.
    pub violations: Vec<String>,
    /// Good certificates by their leaf: until when.
    pub leaves: HashMap<Vec<u8>, Timestamp>,
    /// Renewals by hour since 1970.
    pub renewals: BTreeMap<i64, usize>,
    /// How often each kind of thing happened.
    pub events: BTreeMap<&'static str, usize>,
    /// When an order of the host last came to nothing. In good weather and with good DNS that is chance.
    pub bad_luck: HashMap<PolicyHost, Timestamp>,
    /// Since when the store refuses writes.
    pub disk_full_since: Option<Timestamp>,
    in_flight: HashSet<PolicyHost>,
    lifetimes: HashMap<PolicyHost, Duration>,
    /// The last good certificate issued to this process (forgotten at restart).
    issued: HashMap<PolicyHost, Validity>,
    not_validated: HashMap<PolicyHost, Vec<Timestamp>>,
    paused: Option<(Timestamp, Timestamp)>,
}

impl Seen {
    pub fn happened(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    /// The process ended: what it only had in memory is gone.
    pub fn restarted(&mut self) {
        self.happened("restart");
        self.issued.clear();
    }
}

/// An authority that holds every order against the invariants.
pub struct Watched {
    clock: Clock,
    storage: Arc<MemoryStorage>,
    inner: MemoryAuthority,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    pub fn new(
        clock: Clock,
        calendar: Arc<Calendar>,
        fleet: Arc<HashMap<PolicyHost, Member>>,
        storage: Arc<MemoryStorage>,
        chance: Chance,
        seen: Arc<Mutex<Seen>>,
    ) -> Self {
        let chance = Mutex::new(chance);
        let notes = Arc::clone(&seen);
        let inner = MemoryAuthority::new(clock, move |host| {
            let mut chance = chance.lock().expect("no panic under this lock");
            let conduct = conduct(&calendar, &fleet[host], clock.now(), &mut chance);
            notes.lock().expect("no panic under this lock").note(host, &conduct, clock.now());
            conduct
        });
        Self { clock, storage, inner, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic under this lock")
    }

    async fn check_before(&self, host: &PolicyHost) {
        let now = self.clock.now();
        let stored = self.storage.certificate(host).await.ok().flatten().map(|held| held.validity);
        let failures = self.storage.failures().await.unwrap_or_default();
        let mut seen = self.seen();
        let mut faults = Vec::new();
        if failures.iter().any(|failures| failures.host == *host && now < failures.retry_at) {
            faults.push("an order before the stored retry time");
        }
        if seen.in_flight.len() >= ORDERS_AT_ONCE {
            faults.push("more orders at once than allowed");
        }
        if !seen.in_flight.insert(host.clone()) {
            faults.push("two orders in flight for one host");
        }
        if seen.paused.is_some_and(|(from, until)| from < now && now < until) {
            faults.push("an order while the account is paused");
        }
        // Orders of the very instant are under way already, above and here.
        if seen.disk_full_since.is_some_and(|since| since < now) {
            faults.push("an order that could not be stored");
        }
        if stored.is_some_and(|validity| now < earliest_renewal(validity)) {
            faults.push("a stored and good certificate is ordered again");
        }
        if seen.issued.get(host).is_some_and(|validity| now < earliest_renewal(*validity)) {
            faults.push("a certificate in memory is ordered again");
        }
        for fault in faults {
            seen.violations.push(format!("{now} {host}: {fault}"));
        }
        if stored.is_some() {
            *seen.renewals.entry(now.as_second() / 3600).or_default() += 1;
        }
    }
}

#[async_trait::async_trait]
impl Authority for Watched {
    fn directory(&self) -> &str {
        self.inner.directory()
    }

    async fn order(&self, request: OrderRequest<'_>, answers: &ChallengeTable) -> Result<Issued, IssueError> {
        let host = request.host;
        self.check_before(host).await;
        let _under_way = UnderWay { host, seen: &self.seen };
        let issued = self.inner.order(request, answers).await?;
        let now = self.clock.now();
        let mut seen = self.seen();
        if let Some(lifetime) = seen.lifetimes.remove(host) {
            let leaf = CertificateDer::from_pem_slice(issued.chain_pem.as_bytes()).expect("our own PEM");
            let validity = Validity { not_before: now, not_after: after(now, lifetime) };
            seen.leaves.insert(leaf.to_vec(), validity.not_after);
            seen.issued.insert(host.clone(), validity);
        }
        Ok(issued)
    }
}

/// An order is under way for as long as somebody waits for it.
struct UnderWay<'a> {
    host: &'a PolicyHost,
    seen: &'a Mutex<Seen>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.seen.lock().expect("no panic under this lock").in_flight.remove(self.host);
    }
}

impl Seen {
    /// Writes down what an order is about to get.
    fn note(&mut self, host: &PolicyHost, conduct: &Conduct, now: Timestamp) {
        self.lifetimes.remove(host);
        if !matches!(conduct, Conduct::Issue { .. }) {
            self.bad_luck.insert(host.clone(), now);
        }
        let event = match conduct {
            Conduct::Issue { lifetime, takes } => {
                self.lifetimes.insert(host.clone(), *lifetime);
                if *takes > Duration::from_secs(60) { "slow" } else { "issued" }
            }
            Conduct::OtherKey => "other key",
            Conduct::OtherName => "other name",
            Conduct::OtherIssuer => "other issuer",
            Conduct::Hang => "hang",
            Conduct::Panic => "panic",
            Conduct::Fail(IssueError::RateLimited { retry_after, .. }) => {
                self.pause(now, retry_after.expect("the simulated authority always says").min(DAY));
                "rate limited"
            }
            Conduct::Fail(IssueError::Account { .. }) => {
                self.pause(now, Duration::from_secs(3600));
                "account"
            }
            Conduct::Fail(IssueError::NotValidated { .. }) => {
                let times = self.not_validated.entry(host.clone()).or_default();
                times.retain(|time| now.duration_since(*time) < HOUR);
                times.push(now);
                if times.len() > NOT_VALIDATED_AN_HOUR {
                    self.violations.push(format!("{now} {host}: failed validations in an hour: {times:?}"));
                }
                "not validated"
            }
            Conduct::Fail(_) => "unreachable",
        };
        self.happened(event);
    }

    fn pause(&mut self, now: Timestamp, length: Duration) {
        let until = after(now, length);
        self.paused = Some(match self.paused {
            Some((from, known)) if known > now => (from, known.max(until)),
            _ => (now, until),
        });
    }
}

/// What becomes of an order that begins now.
fn conduct(calendar: &Calendar, member: &Member, now: Timestamp, chance: &mut Chance) -> Conduct {
    let detail = String::from("simulated");
    match calendar.at(now).map(|spell| spell.trouble) {
        Some(Trouble::Outage) => return Conduct::Fail(IssueError::Unreachable { detail }),
        Some(Trouble::Silence) => return Conduct::Hang,
        Some(Trouble::Account) => return Conduct::Fail(IssueError::Account { detail }),
        Some(Trouble::Limits) => {
            let retry_after = Some(Duration::from_secs(chance.between(60, 12 * 3600)));
            return Conduct::Fail(IssueError::RateLimited {
                retry_after,
                scope: LimitScope::Account,
                detail,
            });
        }
        Some(Trouble::DiskFull) | None => {}
    }
    if member.dns.is_broken(now) {
        return Conduct::Fail(IssueError::NotValidated { detail });
    }
    match chance.between(0, 200) {
        0..4 => Conduct::Hang,
        4..6 => Conduct::OtherKey,
        6..8 => Conduct::OtherName,
        8..10 => Conduct::OtherIssuer,
        10..14 => Conduct::Fail(IssueError::NotValidated { detail }),
        14..20 => Conduct::Issue { lifetime: member.lifetime, takes: Duration::from_secs(200) },
        _ => {
            let takes = Duration::from_secs(chance.between(1, 20));
            Conduct::Issue { lifetime: member.lifetime, takes }
        }
    }
}

/// The first moment at which a renewal is no waste: a third left (a half of short ones), a tenth for
/// spreading, and a little for the seconds that `not_before` lies back.
fn earliest_renewal(validity: Validity) -> Timestamp {
    let lifetime = validity.lifetime();
    let left = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime / 3 };
    let margin = left + lifetime / 10 + Duration::from_secs(60);
    before(validity.not_after, SignedDuration::try_from(margin).expect("some days"))
}
