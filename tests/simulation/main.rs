//! A year of certificates in seconds: 500 tenants under bad weather, with the real scheduler, table
//! and clock, and an authority and a store in memory.
//!
//! By seed: outages, silence, rate limits, account troubles and full disks of up to a day and a half;
//! hosts whose DNS is broken for weeks; wrong chains, hangs and slow orders in between; tenants who
//! come and go; stops and kills of the scheduler. A failure prints its seed and the invariant.

mod alerts;
mod fleet;
mod watched;
mod weather;

use jiff::{SignedDuration, Timestamp};
use mta_stsd::{
    acme::{Reading, Scheduler, SchedulerParts},
    certificate::{CertificateTable, ChallengeTable},
    clock::Clock,
    config::{self, Publish, Tenant, TenantId},
    name::PolicyHost,
    policy::{MaxAge, Mode, Policy, RenderedPolicy},
    snapshot::{SharedSnapshot, Snapshot},
    storage::MemoryStorage,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watched::{Member, ORDER_DEADLINE, ORDERS_AT_ONCE, Seen, Watched};
use weather::{Calendar, Chance, Dns, Trouble, before, hours};

const DAYS: u64 = 365;
/// Tenants at the beginning, and about as many at the end.
const TENANTS: usize = 500;
/// Tenants there are to choose from.
const CANDIDATES: usize = 600;

/// What the retry table allows: its last rung is a day, a tenth longer by chance; then an order that
/// runs into its deadline and the first rungs once more.
const ALLOWED: SignedDuration = SignedDuration::from_hours(29);

/// More of the fleet than this is not renewed within one hour, in percent, while all is well.
const RENEWED_AN_HOUR: usize = 5;

#[tokio::test(start_paused = true)]
async fn a_year_under_bad_weather_seed_1() {
    Year::new(1).pass().await;
}

#[tokio::test(start_paused = true)]
async fn a_year_under_bad_weather_seed_2() {
    Year::new(2).pass().await;
}

#[tokio::test(start_paused = true)]
async fn a_year_under_bad_weather_seed_3() {
    Year::new(3).pass().await;
}

struct Year {
    seed: u64,
    start: Timestamp,
    clock: Clock,
    chance: Chance,
    calendar: Arc<Calendar>,
    fleet: Arc<HashMap<PolicyHost, Member>>,
    /// Configured hosts, with the moment each came in and whether it was served since.
    desired: BTreeMap<PolicyHost, Desired>,
    policy: Arc<RenderedPolicy>,
    generation: u64,
    snapshot: SharedSnapshot,
    storage: Arc<MemoryStorage>,
    authority: Arc<Watched>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Clone, Copy)]
struct Desired {
    since: Timestamp,
    was_served: bool,
}

struct Process {
    certificates: CertificateTable,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Year {
    fn new(seed: u64) -> Self {
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().expect("a date");
        let clock = Clock::simulated(start);
        let mut chance = Chance::new(seed);
        let calendar = Arc::new(Calendar::draw(&mut chance, start, DAYS));
        let fleet: HashMap<_, _> = (0..CANDIDATES).map(|number| member(number, start, &mut chance)).collect();
        let fleet = Arc::new(fleet);
        let storage = Arc::new(MemoryStorage::new());
        let seen = Arc::<Mutex<Seen>>::default();
        let authority = Arc::new(Watched::new(
            clock,
            Arc::clone(&calendar),
            Arc::clone(&fleet),
            Arc::clone(&storage),
            Chance::new(seed.wrapping_add(1000)),
            Arc::clone(&seen),
        ));
        let policy = Policy::new(Mode::None, Vec::new(), MaxAge::WEEK).expect("a policy");
        let policy = Arc::new(RenderedPolicy::of(policy).expect("a faithful rendering"));
        let mut year = Self {
            seed,
            start,
            clock,
            chance,
            calendar,
            fleet,
            desired: BTreeMap::new(),
            policy,
            generation: 0,
            snapshot: SharedSnapshot::default(),
            storage,
            authority,
            seen,
        };
        year.desired = (0..TENANTS).map(|number| (host(number), year.newcomer())).collect();
        year.configure();
        year
    }

    async fn pass(mut self) {
        let mut process = self.run();
        for hour in 1..=DAYS * 24 {
            self.set_disk();
            tokio::time::sleep(hours(1)).await;
            if self.chance.one_in(4 * 24) {
                self.edit();
            }
            if self.is_time_to_restart() {
                process = self.restart(process).await;
            }
            if hour % 12 == 0 {
                self.check_served(&process).await;
            }
            assert!(!process.task.is_finished(), "seed {}: the scheduler ended by itself", self.seed);
            let violations = std::mem::take(&mut self.seen.lock().expect("no panic").violations);
            assert!(violations.is_empty(), "seed {}: {violations:#?}", self.seed);
        }
        self.check_spread();
        self.check_weather_came();
    }

    fn run(&self) -> Process {
        // Smaller than the fleet over the year, so that the table also forgets.
        let certificates = CertificateTable::new(self.storage.clone(), TENANTS);
        let stop = CancellationToken::new();
        let scheduler = Scheduler::new(SchedulerParts {
            snapshot: self.snapshot.clone(),
            certificates: certificates.clone(),
            challenges: ChallengeTable::default(),
            storage: self.storage.clone(),
            authorities: vec![self.authority.clone()],
            readiness: None,
            reading: Reading::default(),
            clock: self.clock,
            settings: settings(),
        });
        Process { certificates, task: tokio::spawn(scheduler.run(stop.clone())), stop }
    }

    /// Every other week, and more often while the account is paused: what is remembered shows then.
    fn is_time_to_restart(&mut self) -> bool {
        let trouble = self.calendar.at(self.clock.now()).map(|spell| spell.trouble);
        let paused = matches!(trouble, Some(Trouble::Limits | Trouble::Account));
        self.chance.one_in(if paused { 6 } else { 14 * 24 })
    }

    /// Stops the process, or kills it, and starts the next one over the same store.
    async fn restart(&mut self, process: Process) -> Process {
        if self.chance.one_in(2) {
            process.stop.cancel();
            process.task.await.expect("the scheduler stops in good order");
        } else {
            process.task.abort();
            assert!(process.task.await.is_err_and(|ended| ended.is_cancelled()));
        }
        self.seen.lock().expect("no panic").restarted();
        self.run()
    }

    /// The store refuses writes in its spells.
    fn set_disk(&self) {
        let now = self.clock.now();
        let full = self.calendar.at(now).is_some_and(|spell| spell.trouble == Trouble::DiskFull);
        self.storage.refuse_writes(full);
        let mut seen = self.seen.lock().expect("no panic");
        seen.disk_full_since = full.then(|| seen.disk_full_since.unwrap_or(now));
    }

    /// Some tenants leave, others (or the same ones, some day) come.
    fn edit(&mut self) {
        for _ in 0..self.chance.between(1, 10) {
            let leaver = self.candidate();
            self.desired.remove(&host(leaver));
        }
        while self.desired.len() < TENANTS {
            let newcomer = self.newcomer();
            let host = host(self.candidate());
            self.desired.entry(host).or_insert(newcomer);
        }
        self.configure();
        self.seen.lock().expect("no panic").happened("edit");
    }

    fn candidate(&mut self) -> usize {
        usize::try_from(self.chance.between(0, CANDIDATES as u64)).expect("a small number")
    }

    fn newcomer(&self) -> Desired {
        Desired { since: self.clock.now(), was_served: false }
    }

    fn configure(&mut self) {
        self.generation += 1;
        let tenant = Tenant {
            id: TenantId::parse("fleet").expect("a name"),
            hosts: self.desired.keys().cloned().collect(),
            policy: Arc::clone(&self.policy),
            file: Arc::from(Path::new("fleet.toml")),
        };
        self.snapshot.replace(Snapshot::build(self.generation, [&Arc::new(tenant)], Publish::default()));
    }

    /// No desired host that points at us is without a valid certificate for longer than the retry
    /// table allows; and one that always pointed at us never loses the one it has.
    async fn check_served(&mut self, process: &Process) {
        let now = self.clock.now();
        let allowed_from = before(now, ALLOWED);
        let weather_was_good = !self.calendar.touches(allowed_from, now);
        for (host, desired) in &mut self.desired {
            let served = process.certificates.get(host).await.expect("reads never fail here");
            let leaf = served.as_ref().and_then(|key| key.cert.first()).map(|leaf| leaf.to_vec());
            let seen = self.seen.lock().expect("no panic");
            let until = leaf.and_then(|leaf| seen.leaves.get(&leaf).copied());
            let was_lucky = seen.bad_luck.get(host).is_none_or(|last| *last < allowed_from);
            drop(seen);
            let valid = until.is_some_and(|until| now < until);
            let dns = &self.fleet[host].dns;
            let pointed_here = !dns.touches(allowed_from, now) && desired.since < allowed_from;
            let was_well = weather_was_good && pointed_here && was_lucky;
            assert!(
                valid || !was_well,
                "seed {}: {now} {host} is well but not served ({until:?})",
                self.seed
            );
            let safe = dns.is_always_good() && desired.was_served;
            assert!(valid || !safe, "seed {}: {now} {host} lost its certificate ({until:?})", self.seed);
            desired.was_served |= valid;
        }
    }

    /// A fleet that began on one day is renewed spread out.
    fn check_spread(&self) {
        let seen = self.seen.lock().expect("no panic");
        for (hour, renewals) in &seen.renewals {
            let begin = Timestamp::from_second(hour * 3600).expect("within the year");
            // What a trouble dammed up flows off afterwards; edits bring back who left.
            let calm = !self.calendar.touches(before(begin, SignedDuration::from_hours(24)), begin);
            let most = TENANTS * RENEWED_AN_HOUR / 100;
            assert!(!calm || *renewals <= most, "seed {}: {renewals} renewals at {begin}", self.seed);
        }
    }

    /// A year in which nothing happens proves nothing.
    fn check_weather_came(&self) {
        let seen = self.seen.lock().expect("no panic");
        let kinds = [
            "issued",
            "slow",
            "hang",
            "other key",
            "other name",
            "other issuer",
            "unreachable",
            "rate limited",
            "account",
            "not validated",
            "restart",
            "edit",
        ];
        for kind in kinds {
            let count = seen.events.get(kind).copied().unwrap_or_default();
            assert!(count > 0, "seed {}: no {kind:?} in the whole year", self.seed);
        }
        println!("seed {}, from {}: {:?}", self.seed, self.start, seen.events);
    }
}

fn host(number: usize) -> PolicyHost {
    PolicyHost::from_full_name(&format!("mta-sts.tenant-{number}.example")).expect("a policy host")
}

/// One in ten has certificates of 160 hours, one in ten of 45 days, the others of 90; one in five has
/// broken DNS for some weeks.
fn member(number: usize, start: Timestamp, chance: &mut Chance) -> (PolicyHost, Member) {
    let lifetime = match number % 10 {
        0 => hours(160),
        1 => hours(45 * 24),
        _ => hours(90 * 24),
    };
    let dns = if chance.one_in(5) { Dns::draw_broken(chance, start, DAYS) } else { Dns::default() };
    (host(number), Member { dns, lifetime })
}

fn settings() -> config::Acme {
    config::Acme {
        authorities: vec![config::AuthoritySettings::internal()],
        tls_alpn_01: true,
        http_01: true,
        preflight: config::Preflight::default(),
        orders_at_once: ORDERS_AT_ONCE,
        order_deadline: ORDER_DEADLINE,
        request_timeout: Duration::from_secs(60),
        requests_per_second: 1_000,
        internal_lifetime: hours(90 * 24),
        budgets: config::Budgets::default(),
    }
}
