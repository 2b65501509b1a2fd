//! Which certificates to order and to drop, and when to look again.
//!
//! Pure: the scheduler hands in what is desired, what it knows and what time it is, and carries out
//! the plan that comes back. Nothing here waits, logs or reads a clock, so a year fits into a test.
//! One pass over hosts and certificates; only what is planned is copied, so 100,000 hosts are cheap.
//!
//! The order of the queue: first what is about to fail a tenant who is served today, then hosts that
//! have no certificate (never tried before tried), then ordinary renewals, soonest to expire first.
//! Budgets, fairness between tenants and a preflight will narrow it here.

use super::{books::Books, renewal::urgent_at};
use crate::{name::PolicyHost, snapshot::Snapshot};
use jiff::Timestamp;
use std::collections::BinaryHeap;

/// The difference between what should be and what is, as work.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Hosts to order for, most pressing first.
    pub orders: Vec<PolicyHost>,
    /// Whether more is due than there was room for: look again when there is.
    pub cut: bool,
    /// Hosts that are no longer configured and have nothing worth keeping: forget what is stored.
    pub drops: Vec<PolicyHost>,
    /// Configured hosts whose certificate has expired since the last look.
    pub expired: Vec<PolicyHost>,
    /// When something will be due that is not due now; `None` when nothing is in sight.
    pub next_wake: Option<Timestamp>,
}

/// Compares `desired` with the `books` at `now`, for at most `room` orders.
///
/// Nothing is ordered while the account is paused; when a pause has passed but not been shown to be
/// over, one order goes alone. A host with an order in flight is left alone. The certificate of a host
/// that left the configuration is kept until it expires, for a mistaken edit must not cost an order;
/// its failures until its retry time, for leaving and coming back is no way around the wait.
pub fn plan(desired: &Snapshot, books: &Books, now: Timestamp, room: usize) -> Plan {
    let mut plan = Plan::default();
    let mut queue = Queue { most_pressing: BinaryHeap::new(), room, offered: 0 };
    let mut wake = Earliest(None);
    if let Some(pause) = &books.pause {
        let alone = pause.until <= now && books.in_flight.is_empty();
        queue.room = if alone { room.min(1) } else { 0 };
        wake.after(now, pause.until);
    }
    let (mut held_here, mut failing_here) = (0, 0);
    for (host, _) in desired.iter() {
        let held = books.held.get(host);
        held_here += usize::from(held.is_some());
        if let Some(held) = held {
            if held.not_after > now {
                wake.after(now, held.not_after);
            } else if !held.expiry_told {
                plan.expired.push(host.clone());
            }
        }
        let failures = books.failures.get(host);
        failing_here += usize::from(failures.is_some());
        let renew_at = held.map_or(Timestamp::MIN, |held| held.renew_at);
        let due_at = failures.map_or(renew_at, |failures| failures.retry_at.max(renew_at));
        if due_at > now {
            wake.after(now, due_at);
            continue;
        }
        if books.in_flight.contains(host) {
            continue;
        }
        let (rank, since) = match held {
            Some(held) if urgent_at(held.renew_at, held.not_after) <= now => (Rank::Urgent, held.not_after),
            Some(held) => (Rank::Renewal, held.not_after),
            None => (Rank::First, failures.map_or(Timestamp::MIN, |failures| failures.last_at)),
        };
        queue.offer(Due { rank, since, host });
    }
    // Where everything known is desired, which is nearly always, nobody has left.
    if held_here < books.held.len() || failing_here < books.failures.len() {
        plan.drops = drops(desired, books, now, &mut wake);
    }
    plan.cut = queue.offered > queue.room;
    plan.orders = queue.in_order();
    plan.next_wake = wake.0;
    plan
}

/// Hosts that left and have nothing worth keeping.
fn drops(desired: &Snapshot, books: &Books, now: Timestamp, wake: &mut Earliest) -> Vec<PolicyHost> {
    let gone = |host: &PolicyHost| desired.find(host.as_str()).is_none() && !books.in_flight.contains(host);
    let held = books.held.iter().map(|(host, held)| (host, held.not_after));
    let failing = books.failures.iter().filter(|(host, _)| !books.held.contains_key(*host));
    let failing = failing.map(|(host, failures)| (host, failures.retry_at));
    let mut drops = Vec::new();
    for (host, kept_until) in held.chain(failing).filter(|(host, _)| gone(host)) {
        if kept_until <= now {
            drops.push(host.clone());
        } else {
            wake.after(now, kept_until);
        }
    }
    drops
}

/// Why a host is due, most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Half of the time that renewal leaves is gone, or all of it: a served tenant is about to be lost.
    Urgent,
    /// Nothing is held: a tenant waits.
    First,
    /// Everything is as it should be.
    Renewal,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due<'a> {
    rank: Rank,
    since: Timestamp,
    host: &'a PolicyHost,
}

/// The `room` most pressing of everything offered, without sorting the rest.
struct Queue<'a> {
    /// The least pressing on top.
    most_pressing: BinaryHeap<Due<'a>>,
    room: usize,
    offered: usize,
}

impl<'a> Queue<'a> {
    fn offer(&mut self, due: Due<'a>) {
        self.offered += 1;
        if self.most_pressing.len() < self.room {
            self.most_pressing.push(due);
        } else if let Some(mut least) = self.most_pressing.peek_mut().filter(|least| due < **least) {
            *least = due;
        }
    }

    fn in_order(self) -> Vec<PolicyHost> {
        self.most_pressing.into_sorted_vec().into_iter().map(|due| due.host.clone()).collect()
    }
}

struct Earliest(Option<Timestamp>);

impl Earliest {
    fn after(&mut self, now: Timestamp, at: Timestamp) {
        if at > now && self.0.is_none_or(|earliest| at < earliest) {
            self.0 = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::books::{HeldCertificate, Pause},
        *,
    };
    use crate::{
        config::{Publish, Tenant, TenantId},
        policy::{MaxAge, Mode, Policy, RenderedPolicy},
        storage::OrderFailures,
    };
    use std::{path::Path, sync::Arc};

    /// Now, in seconds; every moment of these tests is told in seconds from it.
    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    fn host(name: &str) -> PolicyHost {
        PolicyHost::from_full_name(&format!("mta-sts.{name}.example")).unwrap()
    }

    fn desired(names: &[&str]) -> Snapshot {
        let policy = Policy::new(Mode::None, Vec::new(), MaxAge::WEEK).unwrap();
        let tenant = Tenant {
            id: TenantId::parse("meadow").unwrap(),
            hosts: names.iter().map(|name| host(name)).collect(),
            policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
            file: Arc::from(Path::new("meadow.toml")),
        };
        Snapshot::build(1, [&Arc::new(tenant)], Publish::default())
    }

    impl Books {
        fn holds(mut self, name: &str, renew_at: i64, not_after: i64) -> Self {
            let held =
                HeldCertificate { not_after: at(not_after), renew_at: at(renew_at), expiry_told: false };
            self.held.insert(host(name), held);
            self
        }

        fn failed(mut self, name: &str, last_at: i64, retry_at: i64) -> Self {
            let failures = OrderFailures {
                host: host(name),
                attempts: 1,
                last_at: at(last_at),
                retry_at: at(retry_at),
                kind: "not_validated".into(),
                detail: String::new(),
            };
            self.failures.insert(host(name), failures);
            self
        }

        fn orders(mut self, name: &str) -> Self {
            self.in_flight.insert(host(name));
            self
        }

        fn paused(mut self, until: i64) -> Self {
            self.pause = Some(Pause { until: at(until), kind: "account".into(), detail: String::new() });
            self
        }
    }

    #[track_caller]
    fn check(configured: &[&str], books: &Books, orders: &[&str], drops: &[&str], next_wake: Option<i64>) {
        let plan = plan(&desired(configured), books, at(0), 100);
        let hosts = |names: &[&str]| names.iter().map(|name| host(name)).collect::<Vec<_>>();
        assert_eq!(plan.orders, hosts(orders));
        assert_eq!(plan.drops, hosts(drops));
        assert_eq!(plan.next_wake, next_wake.map(at));
    }

    #[test]
    fn every_desired_host_without_a_certificate_is_ordered() {
        check(&["a", "b"], &Books::default(), &["a", "b"], &[], None);
        check(&[], &Books::default(), &[], &[], None);
    }

    #[test]
    fn what_is_held_and_good_is_not_ordered() {
        check(&["a"], &Books::default().holds("a", 60, 90), &[], &[], Some(60));
        check(&["a"], &Books::default().holds("a", 0, 30), &["a"], &[], Some(30));
    }

    #[test]
    fn the_most_pressing_goes_first() {
        let books = Books::default()
            .holds("urgent", -40, 10)
            .holds("expired", -90, -10)
            .holds("soon", -10, 50)
            .holds("later", -10, 60)
            .failed("tried", -20, -5);
        let expected = ["expired", "urgent", "new", "tried", "soon", "later"];
        check(&["later", "new", "soon", "tried", "urgent", "expired"], &books, &expected, &[], Some(10));
    }

    #[test]
    fn a_host_that_failed_is_left_alone_until_its_retry_time() {
        check(&["a"], &Books::default().failed("a", -5, 55), &[], &[], Some(55));
        check(&["a"], &Books::default().failed("a", -60, 0), &["a"], &[], None);
        check(&["a"], &Books::default().holds("a", -20, 80).failed("a", -5, 55), &[], &[], Some(55));
    }

    #[test]
    fn never_two_orders_for_one_host() {
        check(&["a", "b"], &Books::default().orders("a"), &["b"], &[], None);
    }

    #[test]
    fn nothing_is_ordered_while_the_account_is_paused_then_one_goes_alone() {
        check(&["a", "b"], &Books::default().paused(30), &[], &[], Some(30));
        check(&["a", "b"], &Books::default().paused(-1), &["a"], &[], None);
        check(&["a", "b", "c"], &Books::default().paused(-1).orders("a"), &[], &[], None);
    }

    #[test]
    fn a_mistaken_edit_costs_no_order() {
        let books = Books::default().holds("gone", -20, 30).failed("gone", -5, -1);
        check(&[], &books, &[], &[], Some(30));
        check(&["gone"], &books, &["gone"], &[], Some(30));
        check(&[], &Books::default().holds("gone", -90, 0), &[], &["gone"], None);
        check(&[], &Books::default().holds("gone", -90, 0).orders("gone"), &[], &[], None);
    }

    #[test]
    fn leaving_and_coming_back_is_no_way_around_the_wait() {
        check(&[], &Books::default().failed("gone", -5, 55), &[], &[], Some(55));
        check(&[], &Books::default().failed("gone", -60, 0), &[], &["gone"], None);
    }

    #[test]
    fn an_expiry_is_told_once() {
        let mut books = Books::default().holds("a", -20, -1).failed("a", -5, 55);
        assert_eq!(plan(&desired(&["a"]), &books, at(0), 10).expired, [host("a")]);
        books.held.get_mut(&host("a")).unwrap().expiry_told = true;
        assert!(plan(&desired(&["a"]), &books, at(0), 10).expired.is_empty());
        assert!(plan(&desired(&[]), &books, at(0), 10).expired.is_empty());
    }

    #[test]
    fn room_cuts_the_least_pressing() {
        let names: Vec<String> = (0..200).map(|number| format!("t{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut books = Books::default();
        for (index, name) in names.iter().enumerate() {
            books = books.holds(name, -1, 1000 - index as i64);
        }
        let plan = plan(&desired(&names), &books, at(0), 3);
        assert_eq!(plan.orders, [host("t199"), host("t198"), host("t197")]);
        assert!(plan.cut);
    }
}
