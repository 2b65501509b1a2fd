//! One look at a mail host serves everybody for a while (S-17): ten thousand domains behind one MX host
//! cause one probe. And whatever names lead to an address, one look at a time goes there, and as far
//! apart as [`Pace::apart`] says.
//!
//! What is kept is lean, and bounded in octets, not in looks: strangers choose how long their names are.
//! When it is full, what served one domain only goes first; to look once more at that costs least.

use crate::{
    dns::DnsName,
    starttls::{Outcome, Probe, Prober},
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex as Turn, OnceCell},
    time::{Instant, sleep_until},
};

/// The most octets of looks that are kept: a lean look takes about one KiB, so some 60,000 of them; more
/// mail hosts than a fleet of 100,000 domains is known to have.
const KEPT_OCTETS_MAX: usize = 64 << 20;
/// The least time between two searches for what is too old.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// As many wait for their turn at one address; who comes after them does without. A provider with one
/// address and a name of its own for each customer must not hold up the rest of the fleet.
const WAITING_MAX: usize = 2;

/// How long looks serve, and how far apart they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a look serves that found nothing to object to.
    pub good: Duration,
    /// How long any other serves, when the one before it was good.
    pub doubtful: Duration,
    /// How long it serves when the one before it was doubtful, too.
    pub doubtful_again: Duration,
    /// The least time between two looks at one address, under whatever names (threat 29).
    pub apart: Duration,
}

impl Pace {
    /// For one run over some domains: ten minutes, whatever was seen.
    pub const ONE_RUN: Self = {
        let ten = Duration::from_secs(600);
        Self { good: ten, doubtful: ten, doubtful_again: ten, apart: Duration::ZERO }
    };

    /// For domains that are audited once in `every`, and again `recheck` after a doubtful look. A good
    /// look serves a little less than the period, so that each period has one of its own; a doubtful one
    /// ten minutes at first, so that the second audit looks anew, and then an hour.
    pub fn continuous(every: Duration, recheck: Duration) -> Self {
        let doubtful = recheck.mul_f64(2.0 / 3.0);
        let apart = Duration::from_secs(60).min(doubtful);
        Self { good: every.mul_f64(0.85), doubtful, doubtful_again: recheck * 4, apart }
    }
}

/// What whoever asks can use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The chain as sent, to hold TLSA records against it.
    pub chain: bool,
    /// Nothing seen before this.
    pub since: Option<Timestamp>,
}

/// A look that was taken, and how long it serves.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    pub probe: Arc<Probe>,
    pub until: Timestamp,
    /// Whether there is something to object to, or nothing was proven.
    pub doubtful: bool,
}

/// A prober that remembers.
pub(super) struct Looks {
    prober: Prober,
    pace: Pace,
    kept: Mutex<Kept>,
    /// Where looks wait for one another. Whoever waits or looks holds the line; one that nobody holds is
    /// forgotten when its next look need not wait, so there are few of them.
    lines: Mutex<HashMap<IpAddr, Arc<Line>>>,
}

type Key = (DnsName, IpAddr);
type Cell = Arc<OnceCell<Glance>>;

#[derive(Default)]
struct Kept {
    looks: HashMap<Key, Entry>,
    /// Every key of `looks` that has its weight, each once, in the order of coming.
    order: VecDeque<Key>,
    octets: usize,
    swept: Option<Timestamp>,
}

struct Entry {
    look: Cell,
    /// What it counts for in `octets`; zero while the look is under way.
    octets: usize,
    /// Whether it served somebody else since it was last spared.
    shared: bool,
}

/// The looks at one address, one after the other.
#[derive(Default)]
struct Line {
    /// When the last look began or ended.
    turn: Turn<Option<Instant>>,
    waiting: AtomicUsize,
}

/// Somebody in a line; leaves it however this ends.
struct InLine(Arc<Line>);

impl Drop for InLine {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Too many wait for the address.
struct NoTurn;

impl Looks {
    pub fn new(prober: Prober, pace: Pace) -> Self {
        Self { prober, pace, kept: Mutex::default(), lines: Mutex::default() }
    }

    /// What `host` shows at `address`, seen lately or now; who comes while somebody looks waits for the
    /// same answer, and who looks at the address under another name waits first. `None`: too many wait.
    pub async fn look(
        &self,
        host: &DnsName,
        address: IpAddr,
        wanted: Wanted,
        now: Timestamp,
    ) -> Option<Glance> {
        let key = (host.clone(), address.to_canonical());
        let began = Instant::now();
        let look = self.look_once(&key, wanted, (now, began)).await?;
        // Whom it was made for may have had no use for the chain.
        match !wanted.chain || look.probe.has_chain() {
            true => Some(look),
            false => self.look_once(&key, wanted, (now, began)).await,
        }
    }

    /// What was seen after this is as good as seen now.
    pub fn lately(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.pace.doubtful).unwrap_or(now)
    }

    async fn look_once(&self, key: &Key, wanted: Wanted, began: (Timestamp, Instant)) -> Option<Glance> {
        let (cell, doubtful_before) = self.place(key, wanted, began.0);
        let go = || self.go(key, wanted.chain, began, doubtful_before);
        let look = cell.get_or_try_init(go).await.ok()?.clone();
        self.weigh(key, &cell, look.probe.octets());
        Some(look)
    }

    async fn go(
        &self,
        (host, address): &Key,
        with_chain: bool,
        (now, began): (Timestamp, Instant),
        doubtful_before: bool,
    ) -> Result<Glance, NoTurn> {
        let line = self.line(*address)?;
        let mut last = line.0.turn.lock().await;
        if let Some(last) = *last {
            sleep_until(last + self.pace.apart).await;
        }
        *last = Some(Instant::now());
        let at = now.saturating_add(began.elapsed()).unwrap_or(now);
        let probe = self.prober.probe(host, *address, at).await.lean(with_chain);
        *last = Some(Instant::now());
        let doubtful = !is_good(&probe);
        let serves = match (doubtful, doubtful_before) {
            (false, _) => self.pace.good,
            (true, false) => self.pace.doubtful,
            (true, true) => self.pace.doubtful_again,
        };
        let until = at.saturating_add(serves).unwrap_or(at);
        Ok(Glance { probe: Arc::new(probe), until, doubtful })
    }

    fn line(&self, address: IpAddr) -> Result<InLine, NoTurn> {
        // A panic while the lock was held leaves a whole map behind.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        lines.retain(|_, line| {
            // Who cannot take the turn now holds it, or has just let it go.
            let free = |last: Option<Instant>| last.is_none_or(|last| now >= last + self.pace.apart);
            Arc::strong_count(line) > 1 || line.turn.try_lock().is_ok_and(|last| !free(*last))
        });
        let line = Arc::clone(lines.entry(address.to_canonical()).or_default());
        let before = line.waiting.fetch_add(1, Ordering::Relaxed);
        let in_line = InLine(line);
        // In one run everybody waits; the deadline of the host is what bounds it.
        if before > WAITING_MAX && !self.pace.apart.is_zero() { Err(NoTurn) } else { Ok(in_line) }
    }

    /// Where the look is or will be, and whether the one before it was doubtful.
    fn place(&self, key: &Key, wanted: Wanted, now: Timestamp) -> (Cell, bool) {
        let mut kept = self.kept();
        self.sweep(&mut kept, now);
        let mut doubtful_before = false;
        if let Some(entry) = kept.looks.get_mut(key) {
            let Some(look) = entry.look.get() else {
                entry.shared = true;
                return (Arc::clone(&entry.look), false);
            };
            let of_use = look.until > now
                && wanted.since.is_none_or(|since| look.probe.at >= since)
                && (!wanted.chain || look.probe.has_chain());
            if of_use {
                entry.shared = true;
                return (Arc::clone(&entry.look), false);
            }
            doubtful_before = look.doubtful;
        }
        let look = Cell::default();
        let entry = Entry { look: Arc::clone(&look), octets: 0, shared: false };
        if let Some(old) = kept.looks.insert(key.clone(), entry) {
            kept.octets -= old.octets;
            if old.octets > 0 {
                kept.order.retain(|other| other != key);
            }
        }
        (look, doubtful_before)
    }

    /// Counts a look that came home, and makes room where it takes too much.
    fn weigh(&self, key: &Key, cell: &Cell, octets: usize) {
        let mut kept = self.kept();
        let Some(entry) = kept.looks.get_mut(key) else { return };
        if entry.octets > 0 || !Arc::ptr_eq(&entry.look, cell) {
            return;
        }
        // The key stands here twice, with its text, and the entry has its overhead.
        entry.octets = octets + 2 * size_of::<Key>() + size_of::<Entry>() + key.0.as_str().len();
        kept.octets += entry.octets;
        kept.order.push_back(key.clone());
        while kept.octets > KEPT_OCTETS_MAX {
            let Some(first) = kept.order.pop_front() else { return };
            let Some(entry) = kept.looks.get_mut(&first) else { continue };
            if std::mem::take(&mut entry.shared) {
                kept.order.push_back(first);
            } else if let Some(gone) = kept.looks.remove(&first) {
                kept.octets -= gone.octets;
            }
        }
    }

    /// Forgets what serves nobody any more. Doubtful looks are remembered a little longer, so that the
    /// next one is known not to be the first.
    fn sweep(&self, kept: &mut Kept, now: Timestamp) {
        let lately = |swept: Timestamp| now.duration_since(swept).unsigned_abs() < SWEEP_EVERY;
        if kept.swept.is_some_and(lately) {
            return;
        }
        kept.swept = Some(now);
        let remembered = |look: &Glance| {
            let after = if look.doubtful { self.pace.doubtful_again } else { Duration::ZERO };
            look.until.saturating_add(after).is_ok_and(|until| until > now)
        };
        kept.looks.retain(|_, entry| match entry.look.get() {
            Some(look) => remembered(look),
            None => Arc::strong_count(&entry.look) > 1,
        });
        kept.octets = kept.looks.values().map(|entry| entry.octets).sum();
        let Kept { looks, order, .. } = kept;
        order.retain(|key| looks.contains_key(key));
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A panic while the lock was held leaves a whole map behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// Whether TLSA records can be held against it, or there is nothing to hold them against.
    fn has_chain(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.certificates.is_empty())
    }
}

/// Whether a strict sender has nothing to object to.
fn is_good(probe: &Probe) -> bool {
    probe.outcome == Outcome::Secured && probe.tls.as_ref().is_some_and(|tls| tls.chain.is_accepted())
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let elsewhere = looks.line(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(looks.lines.lock().unwrap().len(), 1, "lines where nobody waits are forgotten");
        drop(elsewhere);
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
        paced(1, Pace::continuous(DAY, 15 * MINUTE))
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
        drop(looks.line(elsewhere).ok());
        assert_eq!(looks.lines.lock().unwrap().len(), 1, "where nobody waits is forgotten");
    }

    /// Puts a look there as if it had come home.
    fn keep(looks: &Looks, host: &str, at: Timestamp, evidence: usize) {
        let key = (DnsName::new(host), THERE);
        let (cell, _) = looks.place(&key, Wanted::default(), at);
        let probe = Probe { evidence: Some("x".repeat(evidence)), ..looks.prober.unseen(THERE, at) };
        let octets = probe.octets();
        let glance = Glance { probe: Arc::new(probe), until: at + looks.pace.good, doubtful: false };
        if cell.set(glance).is_ok() {
            looks.weigh(&key, &cell, octets);
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_what_is_shared_stays() {
        let looks = daily();
        keep(&looks, "shared.example", noon(), 0);
        for n in 0..200 {
            keep(&looks, &format!("mx{n}.example"), noon(), 1 << 20);
            keep(&looks, "shared.example", noon(), 0);
            let kept = looks.kept();
            assert!(kept.octets <= KEPT_OCTETS_MAX && kept.order.len() == kept.looks.len());
        }
        let kept = looks.kept();
        assert!((60..=65).contains(&kept.looks.len()), "{}", kept.looks.len());
        assert!(kept.looks.contains_key(&(DnsName::new("shared.example"), THERE)));
        assert!(!kept.looks.contains_key(&(DnsName::new("mx0.example"), THERE)));
    }

    #[tokio::test]
    async fn what_is_too_old_is_not_kept() {
        let looks = daily();
        keep(&looks, "old.example", noon(), 1_000);
        keep(&looks, "new.example", noon() + DAY, 1_000);
        let kept = looks.kept();
        assert_eq!((kept.looks.len(), kept.order.len()), (1, 1));
        assert!((1_000..4_000).contains(&kept.octets), "{}", kept.octets);
    }
}
