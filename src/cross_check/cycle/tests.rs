//! The loop under a simulated clock, with DNS and store in memory.

use super::*;
use crate::{
    audit::FindingCode,
    config::{Publish, Tenant, TenantId},
    cross_check::DomainStatus,
    dns::{Addresses, Answer, CaaAnswer, DnsName, TlsaAnswer, TxtAnswer, memory::MemoryLookup},
    logging::caught::Caught,
    policy::{MaxAge, Mode, MxPattern, Policy},
    storage::MemoryStorage,
};
use jiff::Timestamp;
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{task::JoinHandle, time::sleep};

const HOUR: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_millis(10);

fn domain(text: &str) -> DomainName {
    DomainName::from_ascii(text).unwrap()
}

/// A snapshot in which every domain has an enforce policy for `mx`.
fn snapshot(generation: u64, domains: &[DomainName], mx: &str) -> Snapshot {
    let policy = Policy::new(Mode::Enforce, vec![MxPattern::from_user(mx).unwrap()], MaxAge::WEEK).unwrap();
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("meadow").unwrap(),
        hosts: domains.iter().map(|domain| PolicyHost::of(domain).unwrap()).collect(),
        policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
        file: Path::new("meadow.toml").into(),
    });
    Snapshot::build(generation, [&tenant], Publish::default())
}

/// A running loop with everything around it.
struct World {
    snapshot: SharedSnapshot,
    lookup: Arc<MemoryLookup>,
    store: Arc<MemoryStorage>,
    clock: Clock,
}

impl World {
    fn of(domains: &[DomainName]) -> Self {
        let start: Timestamp = "2026-11-21T12:34:56Z".parse().unwrap();
        Self {
            snapshot: SharedSnapshot::new(snapshot(1, domains, "mx.example.com")),
            lookup: Arc::default(),
            store: Arc::default(),
            clock: Clock::simulated(start),
        }
    }

    /// What the findings in the store are about.
    async fn subjects(&self) -> Vec<String> {
        let findings = self.store.findings().await.unwrap();
        let mut subjects: Vec<_> = findings.into_iter().map(|row| row.subject).collect();
        subjects.sort_unstable();
        subjects
    }

    fn start(&self) -> (CrossCheckStatus, CancellationToken, JoinHandle<()>) {
        self.start_with(Arc::clone(&self.lookup) as Arc<dyn Lookup>, 8)
    }

    fn start_with(
        &self,
        lookup: Arc<dyn Lookup>,
        lookups_at_once: usize,
    ) -> (CrossCheckStatus, CancellationToken, JoinHandle<()>) {
        let settings = config::CrossCheck { enabled: true, period: HOUR };
        let dns = config::Dns { lookups_at_once, ..config::Dns::default() };
        let store = Arc::clone(&self.store) as Arc<dyn Storage>;
        let check = CrossCheck::new(self.snapshot.clone(), lookup, store, self.clock, settings, &dns);
        let (status, stop) = (check.status(), CancellationToken::new());
        (status, stop.clone(), tokio::spawn(check.run(stop)))
    }
}

fn subjects(status: &DomainStatus, code: FindingCode) -> Vec<&str> {
    let of_code = status.findings.iter().filter(|known| known.finding.code == code);
    of_code.map(|known| &*known.finding.subject).collect()
}

#[tokio::test(start_paused = true)]
async fn many_domains_are_spread_over_the_period_and_none_is_late() {
    let domains: Vec<_> = (0..2_000).map(|n| domain(&format!("d{n}.example"))).collect();
    let world = World::of(&domains);
    let (_status, ..) = world.start();
    let asked = |at_least: u64| domains.iter().filter(|d| world.lookup.mx_questions(d) >= at_least).count();
    for tenth in 1..=10 {
        sleep(HOUR / 10).await;
        let expected = tenth * 200;
        assert!((expected - 80..=expected + 80).contains(&asked(1)), "{tenth}: {}", asked(1));
    }
    assert_eq!(asked(1), 2_000);
    sleep(HOUR * 9 + MOMENT).await;
    assert_eq!(asked(10), 2_000);
    assert_eq!(asked(13), 0);
}

#[tokio::test(start_paused = true)]
async fn new_and_changed_domains_are_looked_at_at_once() {
    let (one, two) = (domain("one.example"), domain("two.example"));
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["mx.example.com"]);
    world.lookup.set_hosts(&two, &["mx.example.com"]);
    let (status, ..) = world.start();
    sleep(MOMENT).await;
    assert!(status.of(&one).unwrap().answered_at.is_some());
    assert_eq!(status.of(&two), None);

    let both = [one.clone(), two.clone()];
    world.snapshot.replace(snapshot(2, &both, "mx.example.com"));
    sleep(MOMENT).await;
    assert!(status.of(&two).unwrap().answered_at.is_some());
    assert_eq!(world.lookup.mx_questions(&one), 1, "nothing changed for it");

    world.snapshot.replace(snapshot(3, &both, "other.example.com"));
    sleep(MOMENT).await;
    for domain in &both {
        let known = status.of(domain).unwrap();
        assert_eq!(subjects(&known, FindingCode::MxNotInPolicy), ["mx.example.com"]);
    }
}

#[tokio::test(start_paused = true)]
async fn findings_keep_their_age_across_a_restart_and_go_when_mended() {
    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["mx.example.com", "backup.example.net"]);
    let start = world.clock.now();
    let (_, stop, running) = world.start();
    sleep(HOUR).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.subjects().await, ["backup.example.net"]);
    assert_eq!(world.store.writes(), 1, "only changes are written");

    world.lookup.silence(&one);
    let (status, ..) = world.start();
    sleep(HOUR).await;
    let known = status.of(&one).unwrap();
    assert_eq!(subjects(&known, FindingCode::MxNotInPolicy), ["backup.example.net"]);
    assert!(known.findings[0].since.duration_since(start).as_secs() < 1);
    assert!(known.unanswered_since.is_some() && known.answered_at.is_none());

    world.lookup.set_hosts(&one, &["mx.example.com"]);
    sleep(HOUR).await;
    assert_eq!(status.of(&one).unwrap().findings, []);
    assert_eq!(world.subjects().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_left_is_forgotten_and_not_asked_any_more() {
    let (one, two, before) = (domain("one.example"), domain("two.example"), domain("before.example"));
    let world = World::of(&[one.clone(), two.clone()]);
    let finding = Finding::about(FindingCode::MxNotInPolicy, "old.example", Mode::Enforce);
    let kept = KnownFinding { finding, since: world.clock.now() };
    world.store.replace_findings(&before, &[kept.to_row(&before)]).await.unwrap();
    world.lookup.set_hosts(&one, &["a.example.net"]);
    world.lookup.set_hosts(&two, &["b.example.net"]);
    let (status, ..) = world.start();
    sleep(MOMENT).await;
    assert_eq!(world.subjects().await, ["", "", "a.example.net", "b.example.net"]);

    world.snapshot.replace(snapshot(2, std::slice::from_ref(&two), "mx.example.com"));
    sleep(MOMENT).await;
    assert_eq!(status.of(&one), None);
    assert_eq!(world.subjects().await, ["", "b.example.net"]);
    let asked = world.lookup.mx_questions(&one);
    sleep(HOUR * 3).await;
    assert_eq!(world.lookup.mx_questions(&one), asked);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_stops_nothing_and_catches_up() {
    let domains = [domain("one.example"), domain("two.example")];
    let world = World::of(&domains);
    for domain in &domains {
        world.lookup.set_hosts(domain, &[&format!("mx.{domain}")]);
    }
    world.store.refuse_writes(true);
    let (status, ..) = world.start();
    sleep(HOUR * 3).await;
    for domain in &domains {
        let findings = status.of(domain).unwrap().findings;
        assert_eq!(findings.iter().filter(|f| f.finding.severity == Severity::Error).count(), 1, "{domain}");
    }
    assert_eq!(world.subjects().await, [""; 0]);
    world.store.refuse_writes(false);
    sleep(HOUR * 2).await;
    assert_eq!(world.subjects().await, ["", "", "mx.one.example", "mx.two.example"]);
}

/// Answers after a second, and counts how many wait.
#[derive(Default)]
struct SlowLookup {
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
}

#[async_trait::async_trait]
impl Lookup for SlowLookup {
    async fn mx(&self, _: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting_max.fetch_max(waiting, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(Answer::default())
    }
    async fn txt(&self, _: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        Ok(Answer::default())
    }
    async fn tlsa(&self, _: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        Ok(Answer::default())
    }
    async fn addresses(&self, _: &DnsName) -> Result<Addresses, Unanswered> {
        Ok(Addresses::default())
    }
    async fn caa(&self, _: &DnsName) -> Result<CaaAnswer, Unanswered> {
        Ok(CaaAnswer::default())
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_asked_at_once_than_allowed() {
    let domains: Vec<_> = (0..100).map(|n| domain(&format!("d{n}.example"))).collect();
    let world = World::of(&domains);
    let slow = Arc::new(SlowLookup::default());
    let (status, ..) = world.start_with(Arc::clone(&slow) as Arc<dyn Lookup>, 4);
    sleep(Duration::from_secs(26)).await;
    assert_eq!(slow.waiting_max.load(Ordering::Relaxed), 4);
    for domain in &domains {
        assert!(status.of(domain).unwrap().answered_at.is_some(), "{domain}");
    }
}

#[tokio::test(start_paused = true)]
async fn findings_are_logged_when_they_come_and_go_and_not_in_between() {
    let log = Caught::from_here();

    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["mx.example.com", "backup.example.net"]);
    let (_status, ..) = world.start();
    sleep(HOUR * 5).await;
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("MX_NOT_IN_POLICY backup.example.net"),
        "{lines:?}"
    );

    world.lookup.silence(&one);
    sleep(HOUR * 5).await;
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("dns stopped answering") && lines[1].contains("dns.servers"), "{lines:?}");

    world.lookup.set_hosts(&one, &["mx.example.com"]);
    sleep(HOUR * 2).await;
    let lines = log.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[3].contains("INFO") && lines[3].contains("gone=\"MX_NOT_IN_POLICY"), "{lines:?}");
    assert!(!lines[3].contains("appeared"), "nothing appeared: {lines:?}");
}
