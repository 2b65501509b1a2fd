//! Three days of 100,000 domains under a simulated clock: each is audited once a day, few at once, and the
//! third day needs no more memory than the first.
//!
//! The loop, the judgements, the status and the DNS part of the auditor are the real ones. DNS answers are
//! computed, the store is in memory, and what a mail host shows is made up here, because nothing can be dialled
//! while time is simulated. This is a program of its own, so that nothing else is in its memory.

use jiff::Timestamp;
use mta_stsd::{
    audit::{Auditor, Expected, Look, Observations, Scope},
    clock::Clock,
    config::{self, Publish, Tenant, TenantId},
    cross_check::{CrossCheck, Expectations},
    dialing::Reach,
    dns::{
        Addresses, Answer, CaaAnswer, DnsName, Lookup, MxAnswer, MxRecord, TlsaAnswer, TxtAnswer, Unanswered,
        caa::{CaaIdentity, Method},
    },
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    policy_fetch::{self, Fetcher},
    snapshot::{SharedSnapshot, Snapshot},
    starttls::{Outcome, Probe, Why},
    storage::{MemoryStorage, Storage},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const DOMAINS: u32 = 100_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Every so manieth domain is broken, each day another one.
const BROKEN_EVERY: u32 = 33;
/// Every so manieth mail host takes a session's longest time.
const SLOW_EVERY: u32 = 100;
/// The store is in memory here: two events for each broken domain a day, and its allocator's play.
const GROWTH_MAX_KIB: u64 = 8 << 10;

fn domain(n: u32) -> DomainName {
    DomainName::from_ascii(&format!("d{n}.example")).unwrap()
}

/// The number in the name of a domain or its mail host.
fn number(name: &str) -> u32 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split('.').next().unwrap().parse().unwrap()
}

/// Each domain has a mail host of its own, which is the most that a fleet can have to keep.
struct Computed {
    id: String,
}

#[async_trait::async_trait]
impl Lookup for Computed {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let host = DnsName::new(&format!("mx{}.mail.example", number(domain.as_str())));
        Ok(Answer::new(MxAnswer::Records(vec![MxRecord { preference: 10, host }]), Some(DAY)))
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        let [_, b, c, d] = number(name.as_str()).to_be_bytes();
        Ok(Addresses { a: vec![Ipv4Addr::new(20, b, c, d)], exists: true, ..Addresses::default() })
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        if !name.as_str().starts_with("_mta-sts.") {
            return Ok(Answer::new(TxtAnswer::default(), Some(DAY)));
        }
        let records = vec![vec![format!("v=STSv1; id={};", self.id).into_bytes()]];
        Ok(Answer::new(TxtAnswer { records, exists: true, ..TxtAnswer::default() }, Some(DAY)))
    }

    async fn tlsa(&self, _: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        Ok(Answer::default())
    }

    async fn caa(&self, _: &DnsName) -> Result<CaaAnswer, Unanswered> {
        Ok(CaaAnswer::default())
    }
}

/// When a domain was audited, small, so that it is not what is measured.
#[derive(Clone, Copy, Default)]
struct Seen {
    audits: u16,
    /// Seconds since the beginning.
    last: u32,
    longest_gap: u32,
    shortest_gap: u32,
}

struct Counts {
    of: Vec<Seen>,
    under_way: usize,
    most: usize,
}

/// The auditor's DNS, and mail hosts that are good but for a few.
struct Eye {
    auditor: Auditor,
    began: Instant,
    counts: Mutex<Counts>,
}

impl Eye {
    fn arrives(&self, n: u32) {
        let now = u32::try_from(self.began.elapsed().as_secs()).unwrap();
        let mut counts = self.counts.lock().unwrap();
        counts.under_way += 1;
        counts.most = counts.most.max(counts.under_way);
        let seen = &mut counts.of[usize::try_from(n).unwrap()];
        let gap = now - seen.last;
        seen.longest_gap = seen.longest_gap.max(gap);
        seen.shortest_gap = if seen.audits < 2 { gap } else { seen.shortest_gap.min(gap) };
        (seen.audits, seen.last) = (seen.audits + 1, now);
    }

    fn shows(&self, n: u32, address: IpAddr, at: Timestamp) -> Probe {
        let day = u32::try_from(self.began.elapsed().as_secs() / DAY.as_secs()).unwrap();
        let broken = (n + 11 * day).is_multiple_of(BROKEN_EVERY);
        Probe {
            address,
            at,
            outcome: if broken { Why::NoStarttls.outcome() } else { Outcome::Secured },
            evidence: broken.then(|| format!("250 mx{n}.mail.example offers SIZE and nothing else")),
            banner: None,
            ehlo: vec![],
            elapsed: Duration::ZERO,
            tls: None,
            without_sni: None,
            unknown_sni: None,
            old_tls_accepted: None,
            ehlo_after_tls: None,
        }
    }
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
        let n = number(domain.as_str());
        self.arrives(n);
        let slow = n.is_multiple_of(SLOW_EVERY);
        sleep(if slow { Duration::from_secs(90) } else { Duration::from_secs(u64::from(2 + n % 9)) }).await;
        let mut seen = self.auditor.look(domain, scope, expected, now).await;
        seen.smtp = true;
        for host in &mut seen.hosts {
            let addresses: Vec<IpAddr> = host.addresses.as_ref().unwrap().iter().collect();
            host.probes = addresses.into_iter().map(|at| Arc::new(self.shows(n, at, now))).collect();
        }
        self.counts.lock().unwrap().under_way -= 1;
        seen
    }
}

/// Everything is served.
struct Served;

#[async_trait::async_trait]
impl Expectations for Served {
    async fn addresses(&self) -> Vec<IpAddr> {
        vec![]
    }
    async fn issuer(&self) -> Option<(CaaIdentity, Vec<Method>)> {
        None
    }
    async fn is_served(&self, _: &PolicyHost) -> bool {
        true
    }
}

/// What of this program is in memory.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_domains_are_audited_daily_in_steady_memory() {
    let policy =
        Policy::new(Mode::Enforce, vec![MxPattern::from_ascii("*.mail.example").unwrap()], MaxAge::WEEK);
    let policy = Arc::new(RenderedPolicy::of(policy.unwrap()).unwrap());
    let lookup: Arc<dyn Lookup> = Arc::new(Computed { id: policy.id().as_str().to_owned() });
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("meadow").unwrap(),
        hosts: (0..DOMAINS).map(|n| PolicyHost::of(&domain(n)).unwrap()).collect(),
        policy,
        file: Path::new("meadow.toml").into(),
    });
    let snapshot = SharedSnapshot::new(Snapshot::build(1, [&tenant], Publish::default()));
    drop(tenant);
    let fetcher = Fetcher::new(policy_fetch::Settings::default(), Reach::default());
    let of = vec![Seen::default(); usize::try_from(DOMAINS).unwrap()];
    let eye = Arc::new(Eye {
        auditor: Auditor::new(Arc::clone(&lookup), None, fetcher, Reach::default()),
        began: Instant::now(),
        counts: Mutex::new(Counts { of, under_way: 0, most: 0 }),
    });
    // The quick round has a test of its own; here it only shares the status.
    let settings = config::CrossCheck { period: DAY, ..config::CrossCheck::default() };
    let at_once = settings.audits_at_once;
    let store = Arc::<MemoryStorage>::default() as Arc<dyn Storage>;
    let clock = Clock::simulated("2026-11-21T12:34:56Z".parse().unwrap());
    let check = CrossCheck::new(snapshot, lookup, store, clock, settings, &config::Dns::default());
    // Policies cannot be fetched while time is simulated.
    let check = check.auditing(Arc::clone(&eye) as _, Arc::new(Served), false);
    let (status, stop) = (check.status(), CancellationToken::new());
    let running = tokio::spawn(check.run(stop.clone()));

    let mut resident = vec![];
    for day in 1..=3 {
        sleep(DAY).await;
        resident.push(resident_kib());
        let audits: u64 = eye.counts.lock().unwrap().of.iter().map(|seen| u64::from(seen.audits)).sum();
        println!("after day {day}: {} MiB, {audits} audits", resident[day - 1] >> 10);
    }
    stop.cancel();
    running.await.unwrap();

    let counts = eye.counts.lock().unwrap();
    assert!(counts.most <= at_once, "{} at once", counts.most);
    let hour = 3_600;
    for (n, seen) in counts.of.iter().enumerate() {
        let (n, last) = (u32::try_from(n).unwrap(), 3 * 24 * hour - seen.last);
        assert!((3..=18).contains(&seen.audits), "{n}: {} audits", seen.audits);
        assert!(seen.longest_gap.max(last) <= 24 * hour + 600, "{n}: {} s without", seen.longest_gap);
        assert!(seen.shortest_gap >= 600, "{n}: again after {} s", seen.shortest_gap);
    }
    let audit = status.of(&domain(7)).unwrap().last_audit.unwrap();
    assert_eq!(audit.hosts[0].host.as_str(), "mx7.mail.example", "they were real audits");
    assert!(resident[2] <= resident[0] + GROWTH_MAX_KIB, "{resident:?} KiB after each day");
}
