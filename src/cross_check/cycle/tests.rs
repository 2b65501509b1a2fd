//! The loop under a simulated clock, with DNS and store in memory.

use super::*;
use crate::{
    audit::{FindingCode, Severity},
    config::{Publish, Tenant, TenantId},
    cross_check::{DomainStatus, KnownFinding},
    dns::{
        Addresses, Answer, CaaAnswer, DnsName, MxAnswer, TlsaAnswer, TxtAnswer, Unanswered,
        memory::MemoryLookup,
    },
    logging::caught::Caught,
    policy::{MaxAge, Mode, MxPattern, Policy},
    storage::{HistoryStorage, MemoryStorage},
};
use jiff::Timestamp;
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{task::JoinHandle, time::sleep};

const MINUTE: Duration = Duration::from_secs(60);
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
    /// Whether STS records are looked at.
    records: bool,
}

impl World {
    fn of(domains: &[DomainName]) -> Self {
        let start: Timestamp = "2026-11-21T12:34:56Z".parse().unwrap();
        Self {
            snapshot: SharedSnapshot::new(snapshot(1, domains, "mx.example.com")),
            lookup: Arc::default(),
            store: Arc::default(),
            clock: Clock::simulated(start),
            records: false,
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
        let settings =
            config::CrossCheck { period: HOUR, records: self.records, ..config::CrossCheck::default() };
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
async fn many_domains_are_spread_over_their_pace_and_none_is_late() {
    let domains: Vec<_> = (0..2_000).map(|n| domain(&format!("d{n}.example"))).collect();
    let world = World::of(&domains);
    domains.iter().for_each(|domain| world.lookup.set_hosts(domain, &["mx.example.com"]));
    let (_status, ..) = world.start();
    let asked = |at_least: u64| domains.iter().filter(|d| world.lookup.mx_questions(d) >= at_least).count();
    for tenth in 1..=10 {
        sleep(PACE_MIN / 10).await;
        let expected = tenth * 200;
        assert!((expected - 80..=expected + 80).contains(&asked(1)), "{tenth}: {}", asked(1));
    }
    assert_eq!(asked(1), 2_000);
    sleep(PACE_MIN * 9 + MOMENT).await;
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
    assert_eq!(world.store.writes(), 2, "only changes are written: it came, and it is certain");

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
    let kept = KnownFinding { finding, since: world.clock.now(), raised: true };
    world.store.replace_findings(&before, &[kept.to_row(&before)], world.clock.now()).await.unwrap();
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

/// The same answers, with another number of resolvers behind them.
struct Voices {
    inner: Arc<MemoryLookup>,
    agreed: Mutex<Agreed>,
}

#[async_trait::async_trait]
impl Lookup for Voices {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let answer = self.inner.mx(domain).await?;
        Ok(Answer { agreed: *self.agreed.lock().unwrap(), ..answer })
    }
    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        self.inner.addresses(name).await
    }
    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        self.inner.txt(name).await
    }
    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        self.inner.tlsa(name).await
    }
    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered> {
        self.inner.caa(name).await
    }
}

impl World {
    /// The events in the store as `CODE subject`, with a minus in front of those that ended.
    async fn events(&self) -> Vec<String> {
        let events = self.store.events_after(0, 100).await.unwrap();
        let shown = |event: &crate::storage::FindingEvent| {
            let ended = if event.until.is_some() { "-" } else { "" };
            format!("{ended}{} {}", event.code, event.subject)
        };
        events.iter().map(shown).collect()
    }
}

// M-18.
#[tokio::test(start_paused = true)]
async fn a_moved_mx_raises_an_event_within_twenty_minutes() {
    let domains: Vec<_> = (0..50).map(|n| domain(&format!("d{n}.example"))).collect();
    let world = World::of(&domains);
    domains.iter().for_each(|domain| world.lookup.set_hosts(domain, &["mx.example.com"]));
    let (_status, ..) = world.start();
    sleep(HOUR * 3).await;
    assert_eq!(world.events().await, [""; 0]);
    for domain in &domains {
        world.lookup.set_hosts(domain, &["mx.example.com", "new.example.net"]);
    }
    sleep(MINUTE * 20).await;
    assert_eq!(world.events().await, ["MX_NOT_IN_POLICY new.example.net"; 50]);
    for domain in &domains {
        world.lookup.set_hosts(domain, &["mx.example.com"]);
    }
    sleep(MINUTE * 20).await;
    assert_eq!(world.events().await, ["-MX_NOT_IN_POLICY new.example.net"; 50]);
}

#[tokio::test(start_paused = true)]
async fn a_long_ttl_is_waited_for_an_hour_at_most() {
    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["mx.example.com"]);
    world.lookup.set_ttl("one.example", HOUR * 24);
    let (_status, ..) = world.start();
    sleep(HOUR * 10).await;
    let asked = world.lookup.mx_questions(&one);
    assert!((10..=13).contains(&asked), "{asked}");
}

// M-14.
#[tokio::test(start_paused = true)]
async fn silence_raises_nothing_and_ends_nothing() {
    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.silence(&one);
    let (_status, stop, running) = world.start();
    sleep(HOUR * 24).await;
    assert_eq!(world.events().await, [""; 0]);
    world.lookup.set_hosts(&one, &["mx.example.com", "new.example.net"]);
    sleep(MINUTE * 20).await;
    world.lookup.silence(&one);
    stop.cancel();
    running.await.unwrap();
    let (_status, ..) = world.start();
    sleep(HOUR * 24).await;
    assert_eq!(world.events().await, ["MX_NOT_IN_POLICY new.example.net"], "over a restart, too");
}

#[tokio::test(start_paused = true)]
async fn a_contested_answer_raises_nothing_until_it_is_repeated() {
    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["mx.example.com", "new.example.net"]);
    let voices = Arc::new(Voices { inner: Arc::clone(&world.lookup), agreed: Mutex::new(Agreed::Contested) });
    let (status, ..) = world.start_with(voices, 8);
    sleep(MINUTE).await;
    assert_eq!(world.events().await, [""; 0]);
    assert_eq!(status.of(&one).unwrap().findings.len(), 1, "it is shown, and not told");
    world.lookup.set_hosts(&one, &["mx.example.com"]);
    sleep(HOUR).await;
    assert_eq!(world.events().await, [""; 0], "gone in the second look");
    world.lookup.set_hosts(&one, &["mx.example.com", "new.example.net"]);
    sleep(MINUTE * 20).await;
    assert_eq!(world.events().await, ["MX_NOT_IN_POLICY new.example.net"]);
}

#[tokio::test(start_paused = true)]
async fn what_two_resolvers_agree_on_is_raised_at_once() {
    let one = domain("one.example");
    let world = World::of(std::slice::from_ref(&one));
    world.lookup.set_hosts(&one, &["new.example.net"]);
    let voices = Arc::new(Voices { inner: Arc::clone(&world.lookup), agreed: Mutex::new(Agreed::Both) });
    let (_status, ..) = world.start_with(voices, 8);
    sleep(MOMENT).await;
    assert_eq!(world.events().await, ["NO_MX_COVERED ", "MX_NOT_IN_POLICY new.example.net"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_when_a_domain_leaves_and_forgotten_after_four_hundred_days() {
    let (one, two) = (domain("one.example"), domain("two.example"));
    let world = World::of(&[one.clone(), two.clone()]);
    world.lookup.set_hosts(&one, &["mx.example.com", "new.example.net"]);
    world.lookup.set_hosts(&two, &["mx.example.com"]);
    let (_status, ..) = world.start();
    sleep(MINUTE * 5).await;
    world.snapshot.replace(snapshot(2, std::slice::from_ref(&two), "mx.example.com"));
    sleep(MOMENT).await;
    assert_eq!(world.events().await, ["-MX_NOT_IN_POLICY new.example.net"]);
    sleep(HOUR * 24 * 399).await;
    assert_eq!(world.events().await.len(), 1);
    sleep(HOUR * 24 * 2).await;
    assert_eq!(world.events().await, [""; 0]);
}

// RFC 8461 §8.1; T-17.
#[tokio::test(start_paused = true)]
async fn an_id_that_does_not_follow_the_body_is_raised_after_an_hour_and_silence_ends_nothing() {
    let one = domain("one.example");
    let world = World { records: true, ..World::of(std::slice::from_ref(&one)) };
    world.lookup.set_hosts(&one, &["mx.example.com"]);
    let id = |snapshot: &Snapshot| snapshot.find("mta-sts.one.example").unwrap().policy.id().clone();
    let publish = |id: &str| world.lookup.set_txt("_mta-sts.one.example", &[&format!("v=STSv1; id={id};")]);
    let (first, second) = (id(&world.snapshot.load_full()), "mx2.example.com");
    publish(first.as_str());
    let (status, ..) = world.start();
    sleep(HOUR).await;
    assert_eq!(status.of(&one).unwrap().findings, []);

    world.lookup.set_hosts(&one, &[second]);
    world.snapshot.replace(snapshot(2, std::slice::from_ref(&one), second));
    let new = id(&world.snapshot.load_full());
    sleep(MINUTE * 45).await;
    assert_eq!(world.events().await, [""; 0]);
    sleep(MINUTE * 45).await;
    assert_eq!(world.events().await, [format!("ID_DIFFERS {new}")]);

    let silent = Some(Unanswered::failed("no answer in time"));
    world.lookup.set_trouble("_mta-sts.one.example", silent);
    sleep(HOUR * 5).await;
    assert_eq!(world.events().await, [format!("ID_DIFFERS {new}")]);
    world.lookup.set_trouble("_mta-sts.one.example", None);
    publish(new.as_str());
    sleep(MINUTE * 20).await;
    assert_eq!(world.events().await, [format!("-ID_DIFFERS {new}")]);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_for_is_looked_at_without_waiting_for_its_turn() {
    let (one, two) = (domain("one.example"), domain("two.example"));
    let world = World::of(&[one.clone(), two.clone()]);
    for domain in [&one, &two] {
        world.lookup.set_hosts(domain, &["mx.example.com"]);
    }
    let lookup = Arc::clone(&world.lookup) as Arc<dyn Lookup>;
    let settings = config::CrossCheck { period: HOUR, records: false, ..config::CrossCheck::default() };
    let (snapshot, store) = (world.snapshot.clone(), Arc::clone(&world.store) as Arc<dyn Storage>);
    let check = CrossCheck::new(snapshot, lookup, store, world.clock, settings, &config::Dns::default());
    let handle = check.handle();
    tokio::spawn(check.run(CancellationToken::new()));
    sleep(MINUTE).await;
    let asked = [&one, &two].map(|domain| world.lookup.mx_questions(domain));
    handle.check_now(&PolicyHost::of(&one).unwrap()).unwrap();
    handle.check_now(&PolicyHost::of(&domain("stranger.example")).unwrap()).unwrap();
    sleep(MOMENT).await;
    assert_eq!([&one, &two].map(|domain| world.lookup.mx_questions(domain)), [asked[0] + 1, asked[1]]);
}
