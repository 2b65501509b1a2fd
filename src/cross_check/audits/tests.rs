//! The slow round under a simulated clock, with eyes that see what they are told.

use crate::{
    audit::{Expected, HostSeen, Look, Observations, Scope},
    clock::Clock,
    config::{self, Publish, Tenant, TenantId},
    cross_check::{CrossCheck, CrossCheckHandle, CrossCheckStatus, Expectations},
    dialing::Reach,
    dns::{
        Addresses, Answer, DnsName, MxAnswer, MxRecord,
        caa::{CaaIdentity, Method},
        memory::MemoryLookup,
    },
    logging::caught::Caught,
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    snapshot::{SharedSnapshot, Snapshot},
    starttls::{self, Probe, Prober, Why},
    storage::{HistoryStorage, MemoryStorage, Storage},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MX: &str = "mx.example.net";

fn domain(n: usize) -> DomainName {
    DomainName::from_ascii(&format!("d{n}.example")).unwrap()
}

fn snapshot(generation: u64, domains: &[DomainName]) -> Snapshot {
    let policy = Policy::new(Mode::Enforce, vec![MxPattern::from_user(MX).unwrap()], MaxAge::WEEK).unwrap();
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("meadow").unwrap(),
        hosts: domains.iter().map(|domain| PolicyHost::of(domain).unwrap()).collect(),
        policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
        file: Path::new("meadow.toml").into(),
    });
    Snapshot::build(generation, [&tenant], Publish::default())
}

/// Sees one MX host at one address, which does what it is told.
struct Eye {
    why: Mutex<Option<Why>>,
    /// When each domain was looked at.
    looks: Mutex<HashMap<DomainName, Vec<Instant>>>,
    with_policy: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl Look for Eye {
    async fn look(
        &self,
        domain: &DomainName,
        scope: Scope,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations {
        self.looks.lock().unwrap().entry(domain.clone()).or_default().push(Instant::now());
        self.with_policy.fetch_add(usize::from(scope.policy), Ordering::Relaxed);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        sleep(Duration::from_secs(2)).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        let address: IpAddr = "198.20.0.25".parse().unwrap();
        let why = *self.why.lock().unwrap();
        let prober = Prober::new(starttls::Settings::new("test.example", vec![]), Reach::default());
        let unseen = prober.unseen(address, now);
        let probe = Probe { outcome: why.map_or(unseen.outcome, Why::outcome), ..unseen };
        let host = HostSeen {
            host: DnsName::new(MX),
            preference: 10,
            addresses: Ok(Addresses {
                a: vec!["198.20.0.25".parse().unwrap()],
                exists: true,
                ..Addresses::default()
            }),
            refused: vec![],
            probes: vec![Arc::new(probe)],
            doubted_until: why.map(|_| now + 10 * MINUTE),
            tlsa: Some(Ok(Answer::default())),
            has_report_record: None,
        };
        let record = MxRecord { preference: 10, host: DnsName::new(MX) };
        Observations {
            mx: Ok(Answer::new(MxAnswer::Records(vec![record]), None)),
            hosts: vec![host],
            smtp: true,
            report_record: Ok(Answer::default()),
            expected,
            ..Observations::of_nothing(domain.clone(), now)
        }
    }
}

/// Everything is served but what is not.
#[derive(Default)]
struct Served {
    nothing: AtomicBool,
}

#[async_trait::async_trait]
impl Expectations for Served {
    async fn addresses(&self) -> Vec<IpAddr> {
        vec![]
    }
    async fn issuer(&self) -> Option<(CaaIdentity, Vec<Method>)> {
        None
    }
    async fn is_served(&self, _: &PolicyHost) -> bool {
        !self.nothing.load(Ordering::Relaxed)
    }
}

struct World {
    snapshot: SharedSnapshot,
    store: Arc<MemoryStorage>,
    clock: Clock,
    eye: Arc<Eye>,
    served: Arc<Served>,
    lookup: Arc<MemoryLookup>,
    /// Whether policies are fetched.
    fetches: bool,
}

struct Running {
    status: CrossCheckStatus,
    handle: CrossCheckHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// The findings of the audit, with a mark on those that are raised.
    fn found(&self, domain: &DomainName) -> Vec<String> {
        let known = self.status.of(domain).unwrap().findings;
        let audit = known.iter().filter(|known| known.finding.code.as_str().starts_with("MX_"));
        audit.map(|known| format!("{}{}", if known.raised { "!" } else { "" }, known.finding.code)).collect()
    }
}

impl World {
    fn of(domains: usize) -> Self {
        let start: Timestamp = "2026-11-21T12:34:56Z".parse().unwrap();
        let domains: Vec<DomainName> = (0..domains).map(domain).collect();
        let lookup = Arc::new(MemoryLookup::default());
        domains.iter().for_each(|domain| lookup.set_hosts(domain, &[MX]));
        let eye = Eye {
            why: Mutex::default(),
            looks: Mutex::default(),
            with_policy: AtomicUsize::default(),
            now: AtomicUsize::default(),
            most: AtomicUsize::default(),
        };
        Self {
            snapshot: SharedSnapshot::new(snapshot(1, &domains)),
            store: Arc::default(),
            clock: Clock::simulated(start),
            eye: Arc::new(eye),
            served: Arc::default(),
            lookup,
            fetches: false,
        }
    }

    fn start(&self) -> Running {
        let settings =
            config::CrossCheck { period: 7 * DAY, records: false, ..config::CrossCheck::default() };
        let store = Arc::clone(&self.store) as Arc<dyn Storage>;
        let lookup = Arc::clone(&self.lookup) as _;
        let dns = config::Dns::default();
        let check = CrossCheck::new(self.snapshot.clone(), lookup, store, self.clock, settings, &dns);
        let check = check.auditing(Arc::clone(&self.eye) as _, Arc::clone(&self.served) as _, self.fetches);
        let (status, handle, stop) = (check.status(), check.handle(), CancellationToken::new());
        Running { status, handle, stop: stop.clone(), task: tokio::spawn(check.run(stop)) }
    }

    fn shows(&self, why: Option<Why>) {
        *self.eye.why.lock().unwrap() = why;
    }

    fn looks(&self, n: usize) -> usize {
        self.eye.looks.lock().unwrap().get(&domain(n)).map_or(0, Vec::len)
    }

    async fn events(&self) -> usize {
        self.store
            .events_after(0, 1_000)
            .await
            .unwrap()
            .iter()
            .filter(|event| event.code.starts_with("MX_"))
            .count()
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_many_domains_is_audited_once_a_day_and_never_too_many_at_once() {
    let world = World::of(500);
    let running = world.start();
    sleep(3 * DAY).await;
    let looks = world.eye.looks.lock().unwrap().clone();
    assert_eq!(looks.len(), 500);
    for times in looks.values() {
        assert!((3..=4).contains(&times.len()), "{}", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= DAY * 4 / 10), "{times:?}");
    }
    assert!(world.eye.most.load(Ordering::Relaxed) <= 16);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_would_alarm_is_raised_in_the_second_look_and_goes_when_it_is_mended() {
    let world = World::of(1);
    let running = world.start();
    sleep(5 * MINUTE).await;
    assert_eq!((world.looks(0), running.found(&domain(0))), (1, vec![]));
    world.shows(Some(Why::NoStarttls));
    sleep(DAY).await;
    assert_eq!(running.found(&domain(0)), ["!MX_NO_STARTTLS"]);
    assert_eq!(world.events().await, 1);
    let audit = running.status.of(&domain(0)).unwrap().last_audit.unwrap();
    assert_eq!(audit.hosts[0].addresses[0].transport.as_str(), "no_starttls");
    assert!(audit.hosts[0].allowed);

    // Silence raises nothing, and ends nothing.
    world.shows(Some(Why::ReplyTimeout));
    sleep(DAY).await;
    assert!(running.found(&domain(0)).contains(&"!MX_NO_STARTTLS".to_owned()));
    assert!(running.found(&domain(0)).contains(&"MX_TIMEOUT".to_owned()));
    world.shows(None);
    sleep(DAY / 2).await;
    assert_eq!(running.found(&domain(0)), [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_look_alarms_nobody() {
    let world = World::of(1);
    world.shows(Some(Why::NoStarttls));
    let running = world.start();
    sleep(5 * MINUTE).await;
    assert_eq!(running.found(&domain(0)), ["MX_NO_STARTTLS"]);
    world.shows(None);
    sleep(20 * MINUTE).await;
    assert_eq!((running.found(&domain(0)), world.looks(0), world.events().await), (vec![], 2, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_was_found_and_looks_at_nobody_anew() {
    let world = World::of(3);
    world.shows(Some(Why::NoStarttls));
    let running = world.start();
    sleep(HOUR).await;
    running.stop().await;
    let before = [0, 1, 2].map(|n| world.looks(n));
    let running = world.start();
    sleep(10 * MINUTE).await;
    assert_eq!([0, 1, 2].map(|n| world.looks(n)), before);
    assert_eq!(running.found(&domain(1)), ["!MX_NO_STARTTLS"]);
    assert!(running.status.of(&domain(1)).unwrap().audited_at.is_some());
    world.snapshot.replace(snapshot(2, &[domain(0)]));
    sleep(MINUTE).await;
    let kept = world.store.audits().await.unwrap();
    assert_eq!(kept.iter().map(|(domain, _)| domain.clone()).collect::<Vec<_>>(), [domain(0)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_25_is_said_once_and_blamed_on_nobody() {
    let log = Caught::from_here();
    let world = World::of(50);
    world.shows(Some(Why::ConnectTimeout));
    let running = world.start();
    sleep(DAY).await;
    for n in 0..50 {
        assert_eq!(running.found(&domain(n)), [""; 0]);
    }
    assert_eq!(running.status.troubles().len(), 1);
    world.shows(None);
    sleep(DAY).await;
    assert_eq!(running.status.troubles(), [""; 0]);
    let lines: Vec<String> = log.lines().into_iter().filter(|line| line.contains("port 25")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_fetched_once_there_is_a_certificate() {
    let world = World { fetches: true, ..World::of(1) };
    world.served.nothing.store(true, Ordering::Relaxed);
    let running = world.start();
    sleep(20 * MINUTE).await;
    assert_eq!(world.looks(0), 0, "it is put off");
    sleep(5 * HOUR).await;
    assert_eq!((world.looks(0), world.eye.with_policy.load(Ordering::Relaxed)), (1, 0));
    world.served.nothing.store(false, Ordering::Relaxed);
    sleep(DAY).await;
    assert!(world.eye.with_policy.load(Ordering::Relaxed) >= 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_audit_gets_one_when_the_last_is_ten_minutes_old() {
    let world = World::of(1);
    let running = world.start();
    sleep(2 * MINUTE).await;
    assert_eq!(world.looks(0), 1);
    running.handle.check_now(&PolicyHost::of(&domain(0)).unwrap()).unwrap();
    sleep(5 * MINUTE).await;
    assert_eq!(world.looks(0), 1);
    sleep(5 * MINUTE).await;
    assert_eq!(world.looks(0), 2);
    running.stop().await;
}
