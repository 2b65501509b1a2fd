//! The loop's own promises, under paused time; what a year brings is in `tests/simulation`.

use super::*;
use crate::{
    acme::memory::{Conduct, MemoryAuthority},
    acme::{authority::IssueError, retry},
    certificate::CertificateSource,
    config::{Publish, Tenant, TenantId},
    policy::{MaxAge, Mode, Policy, RenderedPolicy},
    snapshot::Snapshot,
    storage::MemoryStorage,
    storage::Storage,
};
use std::{path::Path, sync::Mutex};
use tokio::{task::JoinHandle, time::sleep};

mod rest;
mod trouble;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const DEADLINE: Duration = Duration::from_secs(300);

fn host(name: &str) -> PolicyHost {
    PolicyHost::from_full_name(&format!("mta-sts.{name}.example")).unwrap()
}

fn desired(generation: u64, names: &[&str]) -> Snapshot {
    let policy = Policy::new(Mode::None, Vec::new(), MaxAge::WEEK).unwrap();
    let tenant = Tenant {
        id: TenantId::parse("meadow").unwrap(),
        hosts: names.iter().map(|name| host(name)).collect(),
        policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
        file: Arc::from(Path::new("meadow.toml")),
    };
    Snapshot::build(generation, [&Arc::new(tenant)], Publish::default())
}

fn good() -> Conduct {
    Conduct::Issue { lifetime: 90 * DAY, takes: Duration::from_secs(5) }
}

/// What outlives a scheduler, and a record of the orders it placed.
struct World {
    clock: Clock,
    snapshot: SharedSnapshot,
    storage: Arc<MemoryStorage>,
    certificates: CertificateTable,
    authority: Arc<MemoryAuthority>,
    ordered: Arc<Mutex<Vec<PolicyHost>>>,
}

impl World {
    fn new(names: &[&str], conduct: impl Fn(&PolicyHost) -> Conduct + Send + Sync + 'static) -> Self {
        let clock = Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap());
        let storage = Arc::new(MemoryStorage::new());
        let ordered = Arc::<Mutex<Vec<PolicyHost>>>::default();
        let record = Arc::clone(&ordered);
        let authority = MemoryAuthority::new(clock, move |host| {
            record.lock().unwrap().push(host.clone());
            conduct(host)
        });
        Self {
            clock,
            snapshot: SharedSnapshot::new(desired(1, names)),
            certificates: CertificateTable::new(storage.clone(), 100),
            storage,
            authority: Arc::new(authority),
            ordered,
        }
    }

    fn scheduler(&self, orders_at_once: usize) -> Scheduler {
        Scheduler::new(SchedulerParts {
            snapshot: self.snapshot.clone(),
            certificates: self.certificates.clone(),
            challenges: ChallengeTable::default(),
            storage: self.storage.clone(),
            authorities: vec![self.authority.clone()],
            readiness: None,
            reading: Reading::default(),
            clock: self.clock,
            settings: settings(orders_at_once),
        })
    }

    fn start(&self) -> Running {
        Running::of(self.scheduler(4))
    }

    /// How many orders were placed for each of these hosts so far.
    fn orders<const N: usize>(&self, names: [&str; N]) -> [usize; N] {
        let ordered = self.ordered.lock().unwrap();
        names.map(|name| ordered.iter().filter(|ordered| **ordered == host(name)).count())
    }

    async fn serves(&self, name: &str) -> bool {
        self.certificates.get(&host(name)).await.unwrap().is_some()
    }

    async fn stores(&self, name: &str) -> bool {
        self.storage.held().await.unwrap().iter().any(|held| held.host == host(name))
    }
}

fn settings(orders_at_once: usize) -> config::Acme {
    config::Acme {
        authorities: vec![config::AuthoritySettings::internal()],
        tls_alpn_01: true,
        http_01: true,
        preflight: config::Preflight::default(),
        orders_at_once,
        order_deadline: DEADLINE,
        request_timeout: MINUTE,
        requests_per_second: 1_000,
        internal_lifetime: 90 * DAY,
        budgets: config::Budgets::default(),
    }
}

struct Running {
    status: AcmeStatus,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn of(scheduler: Scheduler) -> Self {
        let (status, stop) = (scheduler.status(), CancellationToken::new());
        Self { status, task: tokio::spawn(scheduler.run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn fails(error: fn(String) -> IssueError) -> Conduct {
    Conduct::Fail(error("for the test".into()))
}

fn not_validated(detail: String) -> IssueError {
    IssueError::NotValidated { detail }
}

#[tokio::test(start_paused = true)]
async fn every_desired_host_is_served_and_stored() {
    let world = World::new(&["a", "b"], |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    assert!(world.serves("a").await && world.stores("a").await);
    assert!(world.serves("b").await && world.stores("b").await);
    let status = running.status.of(&host("a"));
    assert!(status.not_after.is_some() && status.last_failure.is_none() && !status.in_flight);
    assert_eq!(running.status.overview().held, 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_host_is_ordered_by_notice_without_waiting_for_the_period() {
    let world = World::new(&["a"], |_| good());
    let _running = world.start();
    sleep(MINUTE).await;
    world.snapshot.replace(desired(2, &["a", "b"]));
    sleep(Duration::from_secs(6)).await;
    assert!(world.serves("b").await);
    assert_eq!(world.orders(["a", "b"]), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_notice_heals_within_one_period() {
    let world = World::new(&["a"], |_| good());
    let mut scheduler = world.scheduler(4);
    let silent = watch::Sender::new(0);
    scheduler.notice = silent.subscribe();
    let _running = Running::of(scheduler);
    sleep(MINUTE).await;
    world.snapshot.replace(desired(2, &["a", "b"]));
    sleep(PERIOD * 11 / 10 + Duration::from_secs(6)).await;
    assert!(world.serves("b").await);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_hang_panic_or_fail_delay_no_other() {
    let world = World::new(&["good", "hangs", "panics", "fails"], |host| match host.as_str() {
        "mta-sts.hangs.example" => Conduct::Hang,
        "mta-sts.panics.example" => Conduct::Panic,
        "mta-sts.fails.example" => fails(not_validated),
        _ => good(),
    });
    let running = world.start();
    sleep(Duration::from_secs(10)).await;
    assert!(world.serves("good").await);
    sleep(DEADLINE).await;
    let failure = |name| running.status.of(&host(name)).last_failure.unwrap();
    assert_eq!(failure("hangs").kind, "unreachable");
    assert_eq!(failure("hangs").detail, "the order took longer than 300s");
    assert_eq!(failure("panics").kind, "unusable");
    assert!(failure("panics").detail.ends_with("told to panic"));
    assert_eq!(failure("fails").kind, "not_validated");
    assert!(!running.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_verified_before_it_is_used() {
    let world = World::new(&["key", "name", "issuer"], |host| match host.as_str() {
        "mta-sts.key.example" => Conduct::OtherKey,
        "mta-sts.name.example" => Conduct::OtherName,
        _ => Conduct::OtherIssuer,
    });
    let running = world.start();
    sleep(Duration::from_secs(10)).await;
    for name in ["key", "name", "issuer"] {
        assert!(!world.serves(name).await && !world.stores(name).await, "{name}");
        assert_eq!(running.status.of(&host(name)).last_failure.unwrap().kind, "unusable", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_orders_at_once_than_allowed() {
    let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(&names, |_| Conduct::Hang);
    let running = Running::of(world.scheduler(3));
    sleep(MINUTE).await;
    assert_eq!(running.status.overview().in_flight, 3);
    assert_eq!(world.ordered.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn failures_and_their_retry_times_outlive_a_restart() {
    let world = World::new(&["a"], |_| fails(not_validated));
    let running = world.start();
    sleep(20 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [2], "two failures an hour, whatever the ladder says");
    sleep(20 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [3]);
    running.stop().await;
    let running = world.start();
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a"]), [3], "the third wait is 100 minutes");
    assert_eq!(running.status.of(&host("a")).last_failure.unwrap().attempts, 3);
    sleep(120 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_and_good_is_not_ordered_again_after_a_restart() {
    let world = World::new(&["a"], |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    running.stop().await;
    let _running = world.start();
    sleep(50 * DAY).await;
    assert_eq!(world.orders(["a"]), [1]);
    sleep(11 * DAY).await;
    assert_eq!(world.orders(["a"]), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_pauses_every_host_even_after_a_restart() {
    let limit = |detail| IssueError::RateLimited {
        retry_after: Some(2 * 60 * MINUTE),
        scope: crate::acme::authority::LimitScope::Account,
        detail,
    };
    let limited = Arc::new(Mutex::new(true));
    let weather = Arc::clone(&limited);
    let world = World::new(&["a"], move |_| if *weather.lock().unwrap() { fails(limit) } else { good() });
    let running = world.start();
    sleep(MINUTE).await;
    world.snapshot.replace(desired(2, &["a", "b", "c"]));
    sleep(MINUTE).await;
    assert_eq!(running.status.overview().pause.unwrap().kind, retry::RATE_LIMITED);
    running.stop().await;
    let running = world.start();
    sleep(110 * MINUTE).await;
    assert_eq!(world.orders(["a", "b", "c"]), [1, 0, 0]);
    // The first order afterwards goes alone; as it is limited too, the others never start.
    sleep(20 * MINUTE).await;
    assert_eq!(world.ordered.lock().unwrap().len(), 2);
    *limited.lock().unwrap() = false;
    sleep(130 * MINUTE).await;
    assert!(world.serves("a").await && world.serves("b").await && world.serves("c").await);
    assert_eq!(running.status.overview().pause, None);
}

#[tokio::test(start_paused = true)]
async fn orders_stop_before_they_are_placed_when_the_store_cannot_write() {
    let world = World::new(&["a"], |_| good());
    world.storage.refuse_writes(true);
    let running = world.start();
    sleep(10 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [0]);
    let trouble = running.status.overview().storage_trouble.unwrap();
    assert_eq!(trouble, "the store cannot be written: told to refuse writes");
    world.storage.refuse_writes(false);
    sleep(2 * MINUTE).await;
    assert!(world.serves("a").await);
    assert_eq!(running.status.overview().storage_trouble, None);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_stored_is_served_and_never_ordered_twice() {
    let world = World::new(&["a"], |_| good());
    let running = world.start();
    sleep(Duration::from_secs(2)).await;
    world.storage.refuse_writes(true);
    sleep(3 * DAY).await;
    assert!(world.serves("a").await && !world.stores("a").await);
    assert!(running.status.of(&host("a")).unsaved);
    // Forgotten by the bounded table, it comes back from the order that still holds it.
    world.certificates.forget(&host("a"));
    assert!(!world.serves("a").await);
    sleep(2 * MINUTE).await;
    assert!(world.serves("a").await);
    world.storage.refuse_writes(false);
    sleep(2 * MINUTE).await;
    assert!(world.stores("a").await && !running.status.of(&host("a")).unsaved);
    assert_eq!(world.orders(["a"]), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_at_start_is_asked_until_it_can() {
    let world = World::new(&["a"], |_| good());
    world.storage.refuse_reads(true);
    let running = world.start();
    sleep(10 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [0]);
    assert!(running.status.overview().storage_trouble.is_some());
    world.storage.refuse_reads(false);
    sleep(2 * MINUTE).await;
    assert!(world.stores("a").await);
    assert_eq!(running.status.overview().storage_trouble, None);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_left_keeps_its_certificate_until_it_expires() {
    let world = World::new(&["a"], |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    world.snapshot.replace(desired(2, &[]));
    sleep(89 * DAY).await;
    assert!(world.stores("a").await);
    assert_eq!(world.orders(["a"]), [1]);
    sleep(2 * DAY).await;
    assert!(!world.stores("a").await && !world.serves("a").await);
    assert_eq!(running.status.overview().held, 0);
}

#[tokio::test(start_paused = true)]
async fn another_authority_replaces_what_the_first_one_issued() {
    let world = World::new(&["a"], |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    running.stop().await;
    let mut row = world.storage.scheduled(&host("a")).await.unwrap().unwrap();
    row.authority = Some("internal".into());
    world.storage.save_schedule(&[row], &[]).await.unwrap();
    let _running = world.start();
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a"]), [2]);
    assert_eq!(world.storage.certificate(&host("a")).await.unwrap().unwrap().authority, "memory");
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_is_stored_on_stop_and_a_hanging_one_is_dropped() {
    let world = World::new(&["a", "hangs"], |host| match host.as_str() {
        "mta-sts.hangs.example" => Conduct::Hang,
        _ => Conduct::Issue { lifetime: 90 * DAY, takes: Duration::from_secs(3) },
    });
    let running = world.start();
    sleep(Duration::from_secs(1)).await;
    let stopping = world.clock.now();
    running.stop().await;
    assert!(world.stores("a").await);
    assert_eq!(world.clock.now().duration_since(stopping).as_secs(), 5);
    let row = world.storage.scheduled(&host("hangs")).await.unwrap().unwrap();
    assert_eq!(row.failures, None, "being stopped is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_host_is_renewed_at_once_when_the_operator_says_so() {
    let world = World::new(&["a"], |_| good());
    let scheduler = world.scheduler(4);
    let handle = scheduler.handle();
    let _running = Running::of(scheduler);
    sleep(MINUTE).await;
    assert!(handle.renew_now(&host("a")).await);
    assert!(!handle.renew_now(&host("stranger")).await && !handle.unpark(&host("a")).await);
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a"]), [2]);
    let forecast = handle.forecast(world.clock.now()).await.unwrap();
    assert_eq!((forecast.first_waiting, forecast.renewals), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_host_is_left_alone_until_its_policy_changes_or_the_operator_says_so() {
    let refused = |detail| IssueError::Refused { detail };
    let world = World::new(&["a"], move |_| fails(refused));
    let scheduler = world.scheduler(4);
    let handle = scheduler.handle();
    let _running = Running::of(scheduler);
    sleep(30 * DAY).await;
    assert_eq!(world.orders(["a"]), [1]);
    world.snapshot.replace(desired(2, &["a", "b"]));
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a"]), [1], "another host's edit is not its own");
    assert!(handle.unpark(&host("a")).await);
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a"]), [2]);
}

/// Says no until told otherwise.
struct Says(Mutex<bool>);

#[async_trait::async_trait]
impl Readiness for Says {
    async fn examine(
        &self,
        _: &PolicyHost,
        _: Option<&crate::acme::authority::CaaIdentity>,
    ) -> Result<(), IssueError> {
        match *self.0.lock().unwrap() {
            true => Ok(()),
            false => Err(IssueError::NotReady { detail: "AAAA 2001:db8::7 is not ours".to_owned() }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_ready_costs_no_order_and_resumes_by_itself() {
    let world = World::new(&["a"], |_| good());
    let says = Arc::new(Says(Mutex::new(false)));
    let mut scheduler = world.scheduler(4);
    scheduler.workshop.readiness = Some(says.clone());
    let running = Running::of(scheduler);
    sleep(10 * DAY).await;
    assert_eq!(world.orders(["a"]), [0]);
    let failure = running.status.of(&host("a")).last_failure.unwrap();
    assert_eq!(
        (failure.kind.as_str(), failure.detail.as_str()),
        ("not_ready", "AAAA 2001:db8::7 is not ours")
    );
    *says.0.lock().unwrap() = true;
    sleep(2 * DAY).await;
    assert!(world.serves("a").await);
    assert_eq!(world.orders(["a"]), [1]);
}
