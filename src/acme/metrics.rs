//! Certificates, orders and budgets, in figures: one walk over the snapshot when somebody asks.

use super::{AcmeStatus, authority::IssueError, books::Books, budget, retry};
use crate::{
    clock::Clock,
    config::Allowance,
    metrics::{Counter, Family, Page, Registry, WORST, read_by},
    name::PolicyHost,
    snapshot::{SharedSnapshot, Snapshot},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The outcome of an order that brought a certificate.
pub(super) const ISSUED: &str = "issued";
/// The outcome of an order that ended in a panic of ours.
pub(super) const PANICKED: &str = "panicked";

/// Orders by authority and outcome; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(Family<[(&'static str, String); 2], Counter>);

impl Orders {
    /// Has the figures of the authority at `directory` stand at 0 before its first order.
    pub fn expect(&self, directory: &str) {
        let outcomes = retry::KINDS.into_iter().chain([ISSUED, PANICKED]);
        outcomes.for_each(|outcome| drop(self.counter(directory, outcome)));
    }

    pub fn count(&self, directory: &str, outcome: &str) {
        self.counter(directory, outcome).inc();
    }

    fn counter(&self, directory: &str, outcome: &str) -> Counter {
        self.0.get_or_create_owned(&[("authority", short(directory)), ("outcome", outcome.to_owned())])
    }
}

/// The outcome of an order that ended in `error`.
pub(super) fn outcome_of(error: &IssueError) -> &'static str {
    retry::kind(error)
}

/// The name of an authority as a label: the host of its directory.
fn short(directory: &str) -> String {
    let rest = directory.split_once("://").map_or(directory, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// Hosts counted before the books are let go of for a moment.
const COUNTED_AT_ONCE: usize = 512;

/// What was last seen of the budgets that all hosts pay from; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Purses(Arc<Mutex<BTreeMap<String, Purse>>>);

/// A budget, and when it is full.
type Purse = (Allowance, Option<Timestamp>);

impl Purses {
    /// The budget `key` is full at `full_at` (`None`: now).
    pub fn note(&self, key: &str, allowance: Allowance, full_at: Option<Timestamp>) {
        let mut purses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        purses.insert(key.to_owned(), (allowance, full_at));
    }

    /// Of each budget its key, how many orders are left in it at `now`, and how many it holds.
    fn left(&self, now: Timestamp) -> Vec<(String, u32, u32)> {
        let purses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |(key, (allowance, full_at)): (&String, &Purse)| {
            (key.clone(), budget::left(*allowance, *full_at, now), allowance.amount)
        };
        purses.iter().map(left).collect()
    }
}

/// All hosts of a snapshot, counted by their certificates.
#[derive(Debug, Default)]
struct Tally {
    valid: usize,
    expiring: usize,
    expired: usize,
    missing: usize,
    /// Expiring or expired, and not because of what the owner of the domain has to mend.
    endangered: usize,
    failing: HashMap<String, usize>,
    /// Those that end first, the last of them on top.
    nearest: BinaryHeap<(u32, PolicyHost)>,
}

impl Tally {
    fn of(snapshot: &Snapshot, status: &AcmeStatus, now: Timestamp) -> Self {
        let now = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
        let mut tally = Self::default();
        let mut hosts = snapshot.iter().map(|(host, _)| host).peekable();
        while hosts.peek().is_some() {
            // Let go of now and then: the scheduler must not wait for as long as a walk over a fleet takes.
            let books = status.read();
            hosts.by_ref().take(COUNTED_AT_ONCE).for_each(|host| tally.count(host, &books, now));
        }
        tally
    }

    fn count(&mut self, host: &PolicyHost, books: &Books, now: u32) {
        let failure = books.failures.get(host);
        if let Some(failure) = failure {
            match self.failing.get_mut(&failure.kind) {
                Some(count) => *count += 1,
                None => drop(self.failing.insert(failure.kind.clone(), 1)),
            }
        }
        let Some(held) = books.held.get(host) else {
            self.missing += 1;
            return;
        };
        let (renew_at, not_after) = held.in_seconds();
        let late = renew_at.saturating_add(not_after.saturating_sub(renew_at) / 2);
        if now < late {
            self.valid += 1;
        } else {
            self.expiring += usize::from(now < not_after);
            self.expired += usize::from(now >= not_after);
            let owners = failure.is_some_and(|failure| retry::OWNERS.contains(&failure.kind.as_str()));
            self.endangered += usize::from(!owners);
        }
        if self.nearest.len() < WORST || self.nearest.peek().is_some_and(|(last, _)| not_after < *last) {
            self.nearest.push((not_after, host.clone()));
            if self.nearest.len() > WORST {
                self.nearest.pop();
            }
        }
    }
}

/// Shows in `registry` how certificates of the hosts in `snapshot`, orders and budgets stand.
pub fn register(registry: &mut Registry, status: AcmeStatus, snapshot: SharedSnapshot, clock: Clock) {
    registry.register(
        "orders",
        "Orders that ended, by authority and outcome; not_ready and not_validated: the owner's DNS is not \
         as it must be, and not_ready cost nothing",
        status.orders.0.clone(),
    );
    read_by(registry, move |page| {
        let (snapshot, now) = (snapshot.load_full(), clock.now());
        let mut others = Others::of(&status.read(), now);
        write_certificates(page, Tally::of(&snapshot, &status, now))?;
        let budgets = status.purses.left(now).into_iter().map(|(key, left, amount)| {
            let (budget, directory) = key.split_once(' ').unwrap_or((&key, "all"));
            ((short(directory), budget.to_owned()), left, amount)
        });
        let budgets: Vec<_> = budgets.collect();
        let labels = |(authority, budget): &(String, String)| {
            [("authority", authority.clone()), ("budget", budget.clone())]
        };
        page.gauges(
            "budget_left",
            "Orders that can still be placed now; account: at this authority; renewals: ordinary renewals of \
             the whole fleet",
            budgets.iter().map(|(of, left, _)| (labels(of), f64::from(*left))),
        )?;
        page.gauges(
            "budget_size",
            "Orders that can be placed when the budget is full",
            budgets.iter().map(|(of, _, amount)| (labels(of), f64::from(*amount))),
        )?;
        page.gauges(
            "due_lag_seconds",
            "For how long the row of the schedule is due that waits longest, by what is due; budgets and \
             pauses make newcomers wait",
            others.lags.drain(..).map(|(lane, lag)| ([("lane", lane)], lag)),
        )?;
        page.gauge("orders_in_flight", "Orders under way", others.in_flight as f64)?;
        page.gauge(
            "certificates_unsaved",
            "Certificates that are served and not stored yet, and would be lost with the process",
            others.unsaved as f64,
        )?;
        page.gauge("paused_authorities", "Authorities at which all orders wait", others.paused as f64)?;
        page.gauge(
            "store_trouble",
            "1 while no orders are placed because the store cannot be used",
            f64::from(u8::from(others.store_trouble)),
        )?;
        page.gauge(
            "clock_trouble",
            "1 while nothing is ordered because the clock is certainly wrong",
            f64::from(u8::from(others.clock_trouble)),
        )
    });
}

fn write_certificates(page: &mut Page<'_>, mut tally: Tally) -> fmt::Result {
    let states = [
        ("valid", tally.valid),
        ("expiring", tally.expiring),
        ("expired", tally.expired),
        ("missing", tally.missing),
    ];
    page.gauges(
        "certificates",
        "Policy hosts by the state of their certificate; expiring: half of the time between its renewal and \
         its end is over",
        states.map(|(state, count)| ([("state", state)], count as f64)),
    )?;
    page.gauge(
        "certificates_endangered",
        "Certificates expiring or expired for reasons that do not lie with the owner of the domain",
        tally.endangered as f64,
    )?;
    let failing =
        retry::KINDS.map(|kind| ([("kind", kind)], tally.failing.remove(kind).unwrap_or_default() as f64));
    page.gauges("failing", "Policy hosts whose last order failed, by what went wrong", failing)?;
    let nearest = tally.nearest.into_sorted_vec().into_iter();
    page.gauges(
        "certificate_not_after_timestamp_seconds",
        "The 20 certificates that end first: when",
        nearest.map(|(not_after, host)| ([("host", host.to_string())], f64::from(not_after))),
    )
}

/// What costs no walk.
struct Others {
    in_flight: usize,
    unsaved: usize,
    paused: usize,
    store_trouble: bool,
    clock_trouble: bool,
    lags: Vec<(&'static str, f64)>,
}

impl Others {
    fn of(books: &Books, now: Timestamp) -> Self {
        let lag = |since: Option<Timestamp>| {
            since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
        };
        Self {
            in_flight: books.in_flight.len(),
            unsaved: books.unsaved.len(),
            paused: books.pauses.values().filter(|pause| pause.until > now).count(),
            store_trouble: books.storage_trouble.is_some(),
            clock_trouble: books.clock_behind.is_some(),
            lags: books.due_since.iter().map(|(next, since)| (next.word(), lag(*since))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::Validity,
        storage::{OrderFailures, Scheduled},
    };
    use std::time::Duration;

    const DAY: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }

    fn host(name: &str) -> PolicyHost {
        PolicyHost::from_full_name(&format!("mta-sts.{name}.example")).unwrap()
    }

    /// A certificate of 90 days that is to be replaced after 60.
    fn row(name: &str, failure: Option<&str>) -> Scheduled {
        let mut row = Scheduled::newcomer(host(name), "t", at(0));
        row.held = Some(Validity { not_before: at(0), not_after: at(90) });
        row.renewal.at = Some(at(60));
        row.failures = failure.map(|kind| OrderFailures {
            host: host(name),
            attempts: 1,
            last_at: at(61),
            retry_at: at(62),
            kind: kind.to_owned(),
            detail: String::new(),
        });
        row
    }

    #[test]
    fn a_certificate_is_in_danger_when_half_of_its_renewal_time_is_over_and_it_is_ours_to_mend() {
        let snapshot = crate::snapshot::tests::hosts(&["a.example", "b.example", "c.example", "d.example"]);
        let status = AcmeStatus::default();
        for (name, failure) in [("a", None), ("b", Some("unreachable")), ("c", Some("not_ready"))] {
            status.write().enter(&row(name, failure));
        }
        status.write().enter(&row("left", Some("refused")));
        let seen = |day| {
            let tally = Tally::of(&snapshot, &status, at(day));
            (tally.valid, tally.expiring, tally.expired, tally.missing, tally.endangered)
        };
        assert_eq!(seen(10), (3, 0, 0, 1, 0));
        assert_eq!(seen(74), (3, 0, 0, 1, 0));
        assert_eq!(seen(76), (0, 3, 0, 1, 2));
        assert_eq!(seen(91), (0, 0, 3, 1, 2));
        let tally = Tally::of(&snapshot, &status, at(10));
        assert_eq!(tally.failing.get("unreachable"), Some(&1));
        assert_eq!((tally.failing.len(), tally.nearest.len()), (2, 3), "those that left are not counted");
    }

    #[test]
    fn a_budget_fills_up_while_nobody_looks() {
        let purses = Purses::default();
        let allowance = Allowance { amount: 10, period: Duration::from_secs(10 * 3_600) };
        purses.note(
            "account https://ca.example/directory",
            allowance,
            Some(at(0) + Duration::from_secs(36_000)),
        );
        let left = |hours: u64| purses.left(at(0) + Duration::from_secs(hours * 3_600))[0].1;
        assert_eq!((left(0), left(3), left(20)), (0, 3, 10));
    }

    #[test]
    fn an_authority_is_named_by_its_host() {
        assert_eq!(short("https://acme-v02.api.letsencrypt.org/directory"), "acme-v02.api.letsencrypt.org");
        assert_eq!(short("internal"), "internal");
    }
}
