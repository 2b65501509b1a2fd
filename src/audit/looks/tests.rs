use super::{kept::OCTETS_MAX, *};
use crate::{dialing::Reach, starttls};
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

fn looks(port: u16) -> Looks {
    paced(port, Pace::ONE_RUN)
}

fn paced(port: u16, pace: Pace) -> Looks {
    let settings = starttls::Settings { port, ..starttls::Settings::new("test.example", vec![]) };
    Looks::new(Prober::new(settings, Reach { allow_private: true, own: vec![] }), pace)
}

fn noon() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn one_look_at_a_time_goes_to_an_address_whatever_names_lead_there() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let looks = looks(listener.local_addr().unwrap().port());
    let (now_open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, noted) = (Arc::clone(&now_open), Arc::clone(&most));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            noted.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                // Whoever else wants to come gets every chance to.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                open.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.write_all(b"554 not you\r\n").await;
            });
        }
    });
    let plain = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let hosts = ["a.example", "b.example", "c.example"].map(DnsName::new);
    let [a, b, c] = &hosts;
    let any = Wanted::default();
    tokio::join!(
        looks.look(a, plain, any, noon()),
        looks.look(b, mapped, any, noon()),
        looks.look(c, plain, any, noon())
    );
    assert_eq!(most.load(Ordering::SeqCst), 1);
    looks.lines.pass(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    assert_eq!(looks.lines.len(), 1, "lines where nobody waits are forgotten");
}

#[tokio::test]
async fn many_domains_behind_one_host_cause_one_look() {
    let (port, visits) = listener().await;
    let looks = looks(port);
    let (host, address) = (DnsName::new("mx.example"), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (any, now) = (Wanted::default(), noon());
    let (one, other) =
        tokio::join!(looks.look(&host, address, any, now), looks.look(&host, address, any, now));
    assert_eq!(one.unwrap().probe.outcome, other.unwrap().probe.outcome);
    assert_eq!(visits.load(Ordering::Relaxed), 1);
    let later = now + Pace::ONE_RUN.good + Duration::from_secs(1);
    looks.look(&host, address, any, later).await;
    assert_eq!(visits.load(Ordering::Relaxed), 2, "after ten minutes it is another look");
}

/// A listener that hangs up, and how often somebody came.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(b"554 not you\r\n").await;
        }
    });
    (port, visits)
}

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn daily() -> Looks {
    paced(1, Pace::continuous(DAY, 15 * MINUTE, 16))
}

/// Nothing is dialled for an address as a name: what it shows is doubtful at once.
fn doubtful(n: usize) -> DnsName {
    DnsName::new(&format!("198.20.{}.{}", n / 250, n % 250))
}

const THERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test(start_paused = true)]
async fn a_doubtful_look_serves_ten_minutes_and_the_next_ones_an_hour() {
    let looks = daily();
    let any = Wanted::default();
    let first = looks.look(&doubtful(0), THERE, any, noon()).await.unwrap();
    assert_eq!((first.probe.at, first.until), (noon(), noon() + 10 * MINUTE));
    let kept = looks.look(&doubtful(0), THERE, any, noon() + 9 * MINUTE).await.unwrap();
    assert_eq!(kept.probe.at, noon());
    // However long it takes until somebody comes again.
    for after in [15 * MINUTE, 90 * MINUTE] {
        let at = noon() + after;
        tokio::time::advance(HOUR).await;
        let next = looks.look(&doubtful(0), THERE, any, at).await.unwrap();
        assert_eq!((next.probe.at, next.until), (at, at + HOUR));
    }
    let since = Some(noon() + 95 * MINUTE);
    tokio::time::advance(HOUR).await;
    let fresh = looks.look(&doubtful(0), THERE, Wanted { since, ..any }, noon() + 95 * MINUTE).await;
    assert_eq!(fresh.unwrap().probe.at, noon() + 95 * MINUTE, "whoever wants no older one");
}

const HOUR: Duration = Duration::from_secs(3_600);

// Threat 29.
#[tokio::test(start_paused = true)]
async fn looks_at_one_address_are_a_minute_apart_and_few_wait() {
    let (looks, began) = (daily(), Instant::now());
    let hosts: Vec<DnsName> = (0..5).map(doubtful).collect();
    let look = |n: usize| looks.look(&hosts[n], THERE, Wanted::default(), noon());
    let (a, b, c, d, e) = tokio::join!(look(0), look(1), look(2), look(3), look(4));
    // The first was gone when the others came: one had its turn next, and two waited.
    assert_eq!(began.elapsed(), 3 * MINUTE);
    let at = |one: Option<Glance>| one.unwrap().probe.at.duration_since(noon()).as_secs();
    assert_eq!([a, b, c, d].map(at), [0, 60, 120, 180]);
    assert!(e.is_none(), "who comes after those who wait does without");
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let other = looks.look(&hosts[3], elsewhere, Wanted::default(), noon()).await;
    assert!(other.is_some() && began.elapsed() == 3 * MINUTE, "another address has a line of its own");
    tokio::time::advance(2 * MINUTE).await;
    looks.lines.pass(elsewhere);
    assert_eq!(looks.lines.len(), 1, "where nobody waits is forgotten");
}

/// Puts a look there as if it had come home.
fn keep(looks: &Looks, host: &str, at: Timestamp, evidence: usize) {
    let key = (DnsName::new(host), THERE);
    let (cell, _) = looks.kept().place(&key, Wanted::default(), at, looks.pace);
    let probe = Probe { evidence: Some("x".repeat(evidence)), ..looks.prober.unseen(THERE, at) };
    let octets = probe.octets();
    let glance = Glance { probe: Arc::new(probe), until: at + looks.pace.good, doubtful: false };
    if cell.set(glance).is_ok() {
        looks.kept().weigh(&key, &cell, octets);
    }
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_what_is_shared_stays() {
    let looks = daily();
    keep(&looks, "shared.example", noon(), 0);
    for n in 0..200 {
        keep(&looks, &format!("mx{n}.example"), noon(), 1 << 20);
        keep(&looks, "shared.example", noon(), 0);
        assert!(looks.kept().size().1 <= OCTETS_MAX);
    }
    let kept = looks.kept();
    assert!((60..=65).contains(&kept.size().0), "{}", kept.size().0);
    assert!(kept.has(&(DnsName::new("shared.example"), THERE)));
    assert!(!kept.has(&(DnsName::new("mx0.example"), THERE)));
}

#[tokio::test]
async fn what_is_too_old_is_not_kept() {
    let looks = daily();
    keep(&looks, "old.example", noon(), 1_000);
    keep(&looks, "new.example", noon() + DAY, 1_000);
    let (looks, octets) = looks.kept().size();
    assert_eq!(looks, 1);
    assert!((1_000..4_000).contains(&octets), "{octets}");
}

/// Three days of a fleet whose every domain has a mail host of its own, one look a day at each.
#[tokio::test]
async fn a_hundred_thousand_mail_hosts_of_their_own_stay_within_the_bound_day_after_day() {
    let looks = daily();
    let mut sizes = vec![];
    for day in 0..3 {
        for n in 0..100_000 {
            // Some come together, so that not every minute is swept.
            let at = noon() + day * DAY + n * 96 / 100_000 * 15 * MINUTE;
            keep(&looks, &format!("mx{n}.example"), at, 500);
        }
        sizes.push(looks.kept().size());
    }
    let [(first, octets), _, (third, third_octets)] = sizes[..] else { panic!("three days") };
    assert!(octets <= OCTETS_MAX && third_octets <= OCTETS_MAX, "{sizes:?}");
    assert!((60_000..90_000).contains(&first) && third <= first + 100, "{sizes:?}");
}

/// How many audits an hour 16 at once make of a fleet at a provider with fifty addresses, where each
/// customer's mail host has a name of its own: more looks than the minute between two allows.
async fn audits_an_hour(waiting_max: usize) -> usize {
    let looks = Arc::new(paced(1, Pace { waiting_max, ..Pace::continuous(DAY, 15 * MINUTE, 16) }));
    let (done, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let address = |n: usize| IpAddr::V4(Ipv4Addr::new(127, 0, 0, u8::try_from(n % 50 + 1).unwrap()));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (looks, done) = (Arc::clone(&looks), Arc::clone(&done));
        workers.spawn(async move {
            while began.elapsed() < HOUR {
                let n = done.fetch_add(1, Ordering::Relaxed);
                // What else belongs to an audit.
                tokio::time::sleep(Duration::from_secs(5)).await;
                let now = noon() + began.elapsed();
                looks.look(&doubtful(n), address(n), Wanted::default(), now).await;
            }
        });
    }
    workers.join_all().await;
    done.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn lines_at_a_few_addresses_do_not_hold_up_the_rest_of_the_fleet() {
    let (bounded, unbounded) =
        (audits_an_hour(daily().pace.waiting_max).await, audits_an_hour(usize::MAX).await);
    // 100,000 a day are 4,167 an hour.
    assert!(bounded > 4_167 && unbounded < 4_167, "{bounded} against {unbounded} audits an hour");
}
