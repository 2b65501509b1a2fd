//! Two years of 20,000 names at two authorities that count for themselves what they allow.
//!
//! Nothing is signed here: a certificate is a line of numbers, so that the fleet fits into a test. The
//! schedule, the budgets, the table and the clock are the real ones.

use crate::weather::{Calendar, Chance, Dns, Trouble, after, before, hours};
use jiff::{SignedDuration, Timestamp};
use mta_stsd::{
    acme::{
        Readiness, Reading, Scheduler, SchedulerHandle, SchedulerParts,
        authority::{
            Authority, CaaIdentity, IssueError, Issued, LimitScope, OrderRequest, RenewalInfo, Window,
        },
    },
    certificate::{
        Certificate, CertificateId, CertificateTable, ChallengeTable, PrivateKey, RejectedChain, Validity,
    },
    clock::Clock,
    config::{Publish, Tenant, TenantId},
    name::PolicyHost,
    policy::{MaxAge, Mode, Policy, RenderedPolicy},
    snapshot::{SharedSnapshot, Snapshot},
    storage::MemoryStorage,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const NAMES: usize = 20_000;
/// The last of them move in together in the middle.
const LATE: usize = 2_000;
const MOVE_IN: u64 = 400;
const DAYS: u64 = 730;
/// The first ones belong to one tenant.
const BULK: usize = 12_000;
/// So many hosts under each shared registered domain, among the last of the bulk.
const SHARING: usize = 60;
/// One in so many has renewal information.
const SUGGESTED: usize = 200;
/// Their windows move into the past on this day.
const REVOKED: u64 = 300;

/// What the largest public authority allows; ours is below it.
const ACCOUNT: f64 = 300.0;
const ACCOUNT_PERIOD: f64 = 3.0 * 3600.0;
const DOMAIN_A_WEEK: f64 = 50.0;
const SAME_A_WEEK: f64 = 5.0;
const WEEK: f64 = 7.0 * 86_400.0;
const FAILED_AN_HOUR: usize = 5;

/// A leaver that comes back waits up to a week and a tenth, then for its turn.
const ALLOWED: SignedDuration = SignedDuration::from_hours(9 * 24);

struct Member {
    number: usize,
    dns: Dns,
}

/// What both authorities and the watcher know.
struct World {
    clock: Clock,
    start: Timestamp,
    fleet: HashMap<PolicyHost, Member>,
    /// Hosts with renewal information, by the first half of their certificates' identifiers.
    suggested: HashMap<String, PolicyHost>,
    key: Vec<u8>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    violations: Vec<String>,
    events: BTreeMap<&'static str, usize>,
    held: HashMap<PolicyHost, Held>,
    failed: HashMap<PolicyHost, VecDeque<Timestamp>>,
    bad_luck: HashMap<PolicyHost, Timestamp>,
    renewals: BTreeMap<i64, usize>,
    serial: u32,
}

#[derive(Clone, Copy)]
struct Held {
    serial: u32,
    validity: Validity,
    revoked_at: Option<Timestamp>,
}

struct Counting {
    directory: &'static str,
    world: Arc<World>,
    calendar: Calendar,
    counts: Mutex<Counts>,
}

/// Counted in another way than ours: what is left, and when that was known.
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    fn take(&mut self, most: f64, period: f64, now: Timestamp) -> bool {
        let elapsed = now.duration_since(self.at).as_secs_f64();
        self.left = (self.left + elapsed * most / period).min(most) - 1.0;
        self.at = now;
        self.left >= 0.0
    }
}

struct Counts {
    chance: Chance,
    account: Bucket,
    issued: HashMap<String, Bucket>,
}

impl World {
    fn day(&self) -> u64 {
        u64::try_from(self.clock.now().duration_since(self.start).as_hours() / 24)
            .expect("not before it began")
    }

    /// 90 days, then 64, then 45.
    fn lifetime(&self) -> Duration {
        hours(
            24 * match self.day() {
                0..250 => 90,
                250..500 => 64,
                _ => 45,
            },
        )
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic under this lock")
    }
}

impl Seen {
    fn happened(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }
}

/// Forgets what is older than `window` and says how many there are with this one.
fn counted(times: &mut VecDeque<Timestamp>, now: Timestamp, window: SignedDuration) -> usize {
    while times.front().is_some_and(|time| now.duration_since(*time) >= window) {
        times.pop_front();
    }
    times.push_back(now);
    times.len()
}

impl Counting {
    fn fail(&self, host: &PolicyHost, event: &'static str, error: IssueError) -> Result<Issued, IssueError> {
        let mut seen = self.world.seen();
        seen.happened(event);
        seen.bad_luck.insert(host.clone(), self.world.clock.now());
        Err(error)
    }

    fn count_order(&self, host: &PolicyHost, now: Timestamp) {
        let mut counts = self.counts.lock().expect("no panic under this lock");
        if !counts.account.take(ACCOUNT, ACCOUNT_PERIOD, now) {
            self.world
                .seen()
                .violations
                .push(format!("{now} {host}: more orders than the account may place"));
        }
    }

    fn count_certificate(&self, host: &PolicyHost, now: Timestamp) {
        let mut counts = self.counts.lock().expect("no panic under this lock");
        let full = |most| Bucket { left: most, at: now };
        let domain = counts.issued.entry(host.registered_domain().to_owned());
        if !domain.or_insert_with(|| full(DOMAIN_A_WEEK)).take(DOMAIN_A_WEEK, WEEK, now) {
            self.world.seen().violations.push(format!("{now} {host}: too many under its registered domain"));
        }
        let same = counts.issued.entry(format!("={host}"));
        if !same.or_insert_with(|| full(SAME_A_WEEK)).take(SAME_A_WEEK, WEEK, now) {
            self.world.seen().violations.push(format!("{now} {host}: too many for this very host"));
        }
    }

    fn issue(&self, host: &PolicyHost, now: Timestamp, good: bool) -> Issued {
        let member = &self.world.fleet[host];
        let validity = Validity { not_before: now, not_after: after(now, self.world.lifetime()) };
        let mut seen = self.world.seen();
        seen.serial += 1;
        let serial = seen.serial;
        if good {
            seen.happened(if self.directory == "first" { "issued" } else { "issued by the second" });
            let held = Held { serial, validity, revoked_at: None };
            if let Some(old) = seen.held.insert(host.clone(), held) {
                self.check_renewal(&mut seen, host, member, old, now);
            }
        }
        let (from, until) = (validity.not_before.as_second(), validity.not_after.as_second());
        let chain_pem = format!("{} {serial} {from} {until} {}", member.number, u8::from(good));
        Issued { chain_pem, key: PrivateKey::from_pkcs8(self.world.key.clone()), profile: None }
    }

    /// No good name is ever without a valid certificate, and nothing is renewed long before its time.
    fn check_renewal(&self, seen: &mut Seen, host: &PolicyHost, member: &Member, old: Held, now: Timestamp) {
        *seen.renewals.entry(now.as_second() / 3600).or_default() += 1;
        let was_well = !member.dns.touches(before(old.validity.not_after, ALLOWED), now);
        if old.validity.not_after < now && (member.dns.is_always_good() || was_well) {
            seen.violations.push(format!("{now} {host}: its certificate ended {}", old.validity.not_after));
        }
        // Half of what was left when it became due is enough for every spell of weather.
        let urgent = before(old.validity.not_after, third(old.validity) / 3);
        if member.dns.is_always_good() && urgent < now {
            seen.violations
                .push(format!("{now} {host}: its renewal starved, it ends {}", old.validity.not_after));
        }
        let lucky = seen.bad_luck.get(host).is_none_or(|last| now.duration_since(*last).as_hours() > 48);
        if let Some(revoked_at) = old.revoked_at {
            seen.happened("revoked and replaced");
            if now.duration_since(revoked_at).as_hours() >= 14 && lucky && member.dns.is_always_good() {
                seen.violations.push(format!("{now} {host}: replaced late, it was revoked {revoked_at}"));
            }
        } else if now < before(old.validity.not_after, third(old.validity)) {
            seen.violations.push(format!("{now} {host}: renewed too early"));
        }
    }
}

/// A third of the lifetime, and a tenth for spreading.
fn third(validity: Validity) -> SignedDuration {
    SignedDuration::try_from(validity.lifetime() / 3 + validity.lifetime() / 9).expect("some days")
}

#[async_trait::async_trait]
impl Authority for Counting {
    fn directory(&self) -> &str {
        self.directory
    }

    async fn order(&self, request: OrderRequest<'_>, _: &ChallengeTable) -> Result<Issued, IssueError> {
        let (host, now) = (request.host, self.world.clock.now());
        let member = &self.world.fleet[host];
        let held = self.world.seen().held.get(host).copied();
        let replaces = held.filter(|_| member.number.is_multiple_of(SUGGESTED));
        let exempt =
            replaces.is_some_and(|held| request.replaces == id_of(member.number, held.serial).as_ref());
        if exempt {
            self.world.seen().happened("exempt");
        } else {
            self.count_order(host, now);
        }
        let detail = String::from("simulated");
        let trouble = self.calendar.at(now).map(|spell| spell.trouble);
        let luck = self.counts.lock().expect("no panic").chance.between(0, 400);
        match (trouble, luck) {
            (Some(Trouble::Outage), _) | (_, 0..4) => {
                return self.fail(host, "unreachable", IssueError::Unreachable { detail });
            }
            (Some(Trouble::Silence), _) | (_, 4) => {
                self.fail(host, "hang", IssueError::Unreachable { detail }).ok();
                return std::future::pending().await;
            }
            (Some(Trouble::Limits), luck) => {
                let retry_after = Some(Duration::from_secs(60 + luck * 60));
                let error = IssueError::RateLimited { retry_after, scope: LimitScope::Account, detail };
                return self.fail(host, "rate limited", error);
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(3 + luck % 5)).await;
        let now = self.world.clock.now();
        if member.dns.is_broken(now) {
            let mut seen = self.world.seen();
            let failed =
                counted(seen.failed.entry(host.clone()).or_default(), now, SignedDuration::from_hours(1));
            if failed > FAILED_AN_HOUR {
                seen.violations.push(format!("{now} {host}: too many failed validations"));
            }
            drop(seen);
            return self.fail(host, "not validated", IssueError::NotValidated { detail });
        }
        if luck == 5 {
            self.fail(host, "wrong chain", IssueError::Unreachable { detail }).ok();
            return Ok(self.issue(host, now, false));
        }
        if !exempt {
            self.count_certificate(host, now);
        }
        Ok(self.issue(host, now, true))
    }

    async fn renewal_info(&self, id: &CertificateId) -> Result<Option<RenewalInfo>, IssueError> {
        let now = self.world.clock.now();
        let mut seen = self.world.seen();
        let Some((host, held)) = by_id(&self.world, &seen, id) else { return Ok(None) };
        seen.happened("asked");
        let lifetime = held.validity.lifetime();
        let (start, end) = match held.revoked_at {
            Some(at) => {
                (before(at, SignedDuration::from_hours(48)), before(at, SignedDuration::from_hours(24)))
            }
            None => (
                after(held.validity.not_before, lifetime * 60 / 100),
                after(held.validity.not_before, lifetime * 66 / 100),
            ),
        };
        if let Some(held) = seen.held.get(&host).filter(|held| held.validity.not_after <= now) {
            let until = held.validity.not_after;
            seen.violations.push(format!("{now} {host}: asked about a certificate that ended {until}"));
        }
        let retry_after = Duration::from_secs(86_400);
        Ok(Some(RenewalInfo { window: Window { start, end }, explanation_url: None, retry_after }))
    }
}

fn by_id(world: &World, seen: &Seen, id: &CertificateId) -> Option<(PolicyHost, Held)> {
    let host = world.suggested.get(id.parts().0)?;
    Some((host.clone(), *seen.held.get(host)?))
}

fn id_of(number: usize, serial: u32) -> Option<CertificateId> {
    CertificateId::new(&u32::try_from(number).ok()?.to_be_bytes(), &serial.to_be_bytes())
}

/// Reads the line of numbers that stands for a chain.
fn verify(
    host: &PolicyHost,
    chain: &str,
    key: PrivateKey,
    authority: &str,
    _: Timestamp,
) -> Result<Certificate, RejectedChain> {
    let numbers: Vec<i64> = chain.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [number, serial, from, until, 1] = numbers[..] else { return Err(RejectedChain::NotPem) };
    let part = |number: i64| u32::try_from(number).expect("a small number").to_be_bytes();
    let at = |second| Timestamp::from_second(second).expect("within the calendar");
    Ok(Certificate {
        host: host.clone(),
        chain: vec![[part(number), part(serial)].concat().into()],
        key,
        validity: Validity { not_before: at(from), not_after: at(until) },
        authority: authority.to_owned(),
    })
}

fn id(certificate: &Certificate) -> Option<CertificateId> {
    let (number, serial) = certificate.chain.first()?.split_at_checked(4)?;
    let number_of = u32::from_be_bytes(number.try_into().ok()?) as usize;
    if number_of.is_multiple_of(SUGGESTED) { CertificateId::new(number, serial) } else { None }
}

/// Sees two thirds of what is wrong in DNS; the rest only the authority sees.
struct Looking(Arc<World>);

#[async_trait::async_trait]
impl Readiness for Looking {
    async fn examine(&self, host: &PolicyHost, _: Option<&CaaIdentity>) -> Result<(), IssueError> {
        let member = &self.0.fleet[host];
        if member.number.is_multiple_of(3) || !member.dns.is_broken(self.0.clock.now()) {
            return Ok(());
        }
        self.0.seen().happened("not ready");
        Err(IssueError::NotReady { detail: "simulated".to_owned() })
    }
}

fn host(number: usize) -> PolicyHost {
    let shared = (BULK - 100 * SHARING..BULK).contains(&number);
    let name = match shared {
        true => format!("mta-sts.d{number}.shared-{}.example", number / SHARING),
        false => format!("mta-sts.d{number}.example"),
    };
    PolicyHost::from_full_name(&name).expect("a policy host")
}

fn snapshot(generation: u64, names: usize) -> Snapshot {
    let policy = Policy::new(Mode::None, Vec::new(), MaxAge::WEEK).expect("a policy");
    let policy = Arc::new(RenderedPolicy::of(policy).expect("a faithful rendering"));
    let mut tenants = BTreeMap::<String, Vec<PolicyHost>>::new();
    for number in 0..names {
        let tenant = match number {
            0..BULK => "bulk".to_owned(),
            // From one host to forty.
            _ => format!("t{}", number / 40 * 40 + number % 40 % (1 + number / 40 % 40)),
        };
        tenants.entry(tenant).or_default().push(host(number));
    }
    let tenants: Vec<_> = tenants
        .into_iter()
        .map(|(id, hosts)| {
            let id = TenantId::parse(&id).expect("a name");
            Arc::new(Tenant { id, hosts, policy: Arc::clone(&policy), file: Arc::from(Path::new("f.toml")) })
        })
        .collect();
    Snapshot::build(generation, &tenants, Publish::default())
}

#[tokio::test(start_paused = true)]
async fn two_years_of_twenty_thousand_names() {
    let start: Timestamp = "2026-11-21T00:00:00Z".parse().expect("a date");
    let clock = Clock::simulated(start);
    let mut chance = Chance::new(7);
    let fleet = (0..NAMES).map(|number| {
        let dns = match chance.between(0, 100) {
            0..30 => Dns::draw_broken(&mut chance, start, DAYS - 100),
            30 => Dns::broken_from(after(start, hours(24 * chance.between(100, DAYS - 100)))),
            _ => Dns::default(),
        };
        (host(number), Member { number, dns })
    });
    let suggested = (0..NAMES)
        .step_by(SUGGESTED)
        .filter_map(|number| Some((id_of(number, 1)?.parts().0.to_owned(), host(number))));
    let key = rcgen::KeyPair::generate().expect("a key").serialize_der();
    let world = Arc::new(World {
        clock,
        start,
        fleet: fleet.collect(),
        suggested: suggested.collect(),
        key,
        seen: Mutex::default(),
    });
    let authority = |directory, seed| {
        let mut chance = Chance::new(seed);
        let calendar = Calendar::draw(&mut chance, start, DAYS);
        let counts = Counts { chance, account: Bucket { left: ACCOUNT, at: start }, issued: HashMap::new() };
        Arc::new(Counting { directory, world: Arc::clone(&world), calendar, counts: Mutex::new(counts) })
    };
    let (first, second) = (authority("first", 11), authority("second", 12));
    let storage = Arc::new(MemoryStorage::new());
    let shared = SharedSnapshot::new(snapshot(1, NAMES - LATE));
    let scheduler = Scheduler::new(SchedulerParts {
        snapshot: shared.clone(),
        certificates: CertificateTable::new(storage.clone(), 1_000),
        challenges: ChallengeTable::default(),
        storage,
        authorities: vec![first.clone(), second],
        readiness: Some(Arc::new(Looking(Arc::clone(&world)))),
        reading: Reading { verify, id },
        clock,
        settings: crate::settings(),
    });
    let handle = scheduler.handle();
    let stop = CancellationToken::new();
    let task = tokio::spawn(scheduler.run(stop.clone()));
    for day in 1..=DAYS {
        tokio::time::sleep(hours(24)).await;
        if day == MOVE_IN {
            shared.replace(snapshot(2, NAMES));
        }
        if day == REVOKED {
            let now = clock.now();
            let mut seen = world.seen();
            for number in (0..NAMES).step_by(SUGGESTED) {
                if let Some(held) = seen.held.get_mut(&host(number)) {
                    held.revoked_at = Some(now);
                }
            }
        }
        if day == 30 {
            check_moved_in(&world, 0..NAMES - LATE);
        }
        if day == MOVE_IN + 20 {
            check_moved_in(&world, NAMES - LATE..NAMES);
        }
        let violations = std::mem::take(&mut world.seen().violations);
        assert!(violations.is_empty(), "day {day}: {:#?}", &violations[..violations.len().min(20)]);
        assert!(!task.is_finished(), "the scheduler ended by itself");
    }
    check_spread(&world, &first.calendar);
    check_all(&world, &handle).await;
    println!("{:?}", world.seen().events);
    stop.cancel();
    task.await.expect("the scheduler stops in good order");
}

/// Everybody whose DNS was good has a certificate by now, small tenants and large ones.
fn check_moved_in(world: &World, numbers: std::ops::Range<usize>) {
    let seen = world.seen();
    let waiting = numbers.map(host).filter(|host| world.fleet[host].dns.is_always_good());
    let waiting: Vec<_> = waiting.filter(|host| !seen.held.contains_key(host)).take(10).collect();
    assert!(waiting.is_empty(), "still waiting: {waiting:?}");
}

/// No more than a twentieth of the fleet is renewed within an hour while all is well.
fn check_spread(world: &World, calendar: &Calendar) {
    for (hour, renewals) in &world.seen().renewals {
        let begin = Timestamp::from_second(hour * 3600).expect("within the years");
        let calm = !calendar.touches(before(begin, SignedDuration::from_hours(48)), begin);
        assert!(!calm || *renewals <= NAMES / 20, "{renewals} renewals at {begin}");
    }
}

async fn check_all(world: &World, handle: &SchedulerHandle) {
    let now = world.clock.now();
    for (host, member) in &world.fleet {
        let held = world.seen().held.get(host).copied();
        let row = handle.row(host).await.expect("reads never fail here").expect("every host has a row");
        let was_well = !member.dns.touches(before(now, ALLOWED), now);
        let valid = held.is_some_and(|held| now < held.validity.not_after);
        assert!(valid || !was_well, "{host} is well but not served: {row:?}");
        let revoked = held.and_then(|held| held.revoked_at);
        assert!(revoked.is_none() || !member.dns.is_always_good(), "{host} is still revoked");
        // Half of a lifetime is enough to notice who left.
        let left = member.dns.touches(before(now, SignedDuration::from_hours(60 * 24)), now)
            && member.dns.is_broken(now);
        if left && member.dns.is_broken(before(now, SignedDuration::from_hours(60 * 24))) {
            assert!(row.astray_since.is_some(), "{host} left unnoticed: {row:?}");
            assert!(
                row.next_at.duration_since(now).as_hours() < 9 * 24,
                "{host} is not looked at again: {row:?}"
            );
        }
    }
    let kinds = ["issued", "issued by the second", "exempt", "asked", "revoked and replaced", "not ready"];
    let more = ["not validated", "unreachable", "hang", "rate limited", "wrong chain"];
    for kind in kinds.into_iter().chain(more) {
        assert!(world.seen().events.contains_key(kind), "no {kind:?} in two years: it proves nothing");
    }
}
