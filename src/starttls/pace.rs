//! How often an MX host may be looked at: once in ten minutes, whoever asks (S-17).
//!
//! Ten thousand tenants behind one MX host cause one probe, and a tenant who names a stranger's address
//! as an MX host cannot make us a nuisance there: an address has a limit of its own. Pure: a ledger of
//! who was looked at when; what was seen is kept elsewhere.

use crate::dns::DnsName;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// The least time between two looks at one host at one address.
pub const HOST_EVERY: Duration = Duration::from_secs(600);

/// The least time between two looks at one address, under whatever names: less than [`HOST_EVERY`],
/// because the hosts of many customers may share an address.
pub const ADDRESS_EVERY: Duration = Duration::from_secs(60);

/// The most looks that are remembered, about 100 octets each. When it is full, hosts wait.
pub const ENTRIES_MAX: usize = 100_000;

/// What the ledger says to who wants to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Look now; it is written down as done.
    Go,
    /// This host was looked at here this long ago, perhaps still is: use what was seen then.
    Seen(Duration),
    /// The address was looked at under another name, or the ledger is full: come back after this time.
    Later(Duration),
}

/// Who was looked at when, in the last ten minutes.
#[derive(Debug)]
pub struct Ledger {
    hosts: HashMap<(DnsName, IpAddr), Timestamp>,
    addresses: HashMap<IpAddr, Timestamp>,
    /// The looks in the order in which they were allowed.
    order: VecDeque<(Timestamp, DnsName, IpAddr)>,
    entries_max: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(ENTRIES_MAX)
    }
}

impl Ledger {
    /// An empty ledger that remembers at most so many looks.
    pub fn new(entries_max: usize) -> Self {
        Self { hosts: HashMap::new(), addresses: HashMap::new(), order: VecDeque::new(), entries_max }
    }

    /// Asks for a look at `host` at `address`. Mapped addresses count as the IPv4 address inside.
    pub fn turn(&mut self, host: &DnsName, address: IpAddr, now: Timestamp) -> Turn {
        let address = address.to_canonical();
        self.forget(now);
        let key = (host.clone(), address);
        if let Some(age) = self.hosts.get(&key).and_then(|at| age(*at, now)).filter(|age| *age < HOST_EVERY) {
            return Turn::Seen(age);
        }
        let last = self.addresses.get(&address).and_then(|at| age(*at, now));
        if let Some(wait) = last.and_then(|age| ADDRESS_EVERY.checked_sub(age)).filter(|wait| !wait.is_zero())
        {
            return Turn::Later(wait);
        }
        if self.order.len() >= self.entries_max {
            let oldest = self.order.front().and_then(|(at, ..)| age(*at, now)).unwrap_or_default();
            return Turn::Later(HOST_EVERY.saturating_sub(oldest).max(Duration::from_secs(1)));
        }
        self.order.push_back((now, key.0.clone(), address));
        self.hosts.insert(key, now);
        self.addresses.insert(address, now);
        Turn::Go
    }

    /// How many looks are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Drops what is older than ten minutes, or comes from before the clock was set back.
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, ..)) = self.order.front() {
            if age(*at, now).is_some_and(|age| age < HOST_EVERY) {
                return;
            }
            let Some((at, host, address)) = self.order.pop_front() else { return };
            let key = (host, address);
            if self.hosts.get(&key) == Some(&at) {
                self.hosts.remove(&key);
            }
            if self.addresses.get(&address) == Some(&at) {
                self.addresses.remove(&address);
            }
        }
    }
}

/// How long ago `at` was; `None` when it has yet to come.
fn age(at: Timestamp, now: Timestamp) -> Option<Duration> {
    let age: SignedDuration = now.duration_since(at);
    age.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn address(last: u16) -> IpAddr {
        IpAddr::from([0x2a00, 0, 0, 0, 0, 0, 0, last])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_thousand_tenants_on_one_host_cause_one_look() {
        let (mut ledger, host) = (Ledger::default(), DnsName::new("mx.example.net"));
        let turns: Vec<_> = (0..10_000).map(|_| ledger.turn(&host, address(1), at(0))).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == Turn::Go).count(), 1);
        assert_eq!(ledger.turn(&host, address(1), at(599)), Turn::Seen(seconds(599)));
        assert_eq!(ledger.turn(&host, address(1), at(600)), Turn::Go);
        assert_eq!(ledger.turn(&host, address(2), at(600)), Turn::Go, "another address is another look");
    }

    #[test]
    fn a_thousand_names_for_one_address_cause_one_look_a_minute() {
        let mut ledger = Ledger::default();
        let mut turn =
            |name: u32, now| ledger.turn(&DnsName::new(&format!("mx{name}.example")), address(1), now);
        assert_eq!(turn(0, at(0)), Turn::Go);
        assert_eq!((1..1000).filter(|name| turn(*name, at(20)) == Turn::Later(seconds(40))).count(), 999);
        assert_eq!(turn(5, at(60)), Turn::Go);
        assert_eq!(turn(0, at(60)), Turn::Seen(seconds(60)));
    }

    #[test]
    fn a_mapped_address_is_no_second_address() {
        let (mut ledger, host) = (Ledger::default(), DnsName::new("mx.example.net"));
        assert_eq!(ledger.turn(&host, "198.20.0.1".parse().unwrap(), at(0)), Turn::Go);
        assert_eq!(ledger.turn(&host, "::ffff:198.20.0.1".parse().unwrap(), at(1)), Turn::Seen(seconds(1)));
    }

    #[test]
    fn the_ledger_stays_within_its_bound_and_forgets() {
        let mut ledger = Ledger::new(100);
        let mut go = 0;
        for number in 0..1000 {
            let turn = ledger.turn(&DnsName::new("mx.example"), address(number), at(0));
            go += usize::from(turn == Turn::Go);
            assert!(turn == Turn::Go || turn == Turn::Later(HOST_EVERY));
        }
        assert_eq!((go, ledger.len()), (100, 100));
        assert_eq!(ledger.turn(&DnsName::new("mx.example"), address(2000), at(600)), Turn::Go);
        assert_eq!((ledger.len(), ledger.hosts.len(), ledger.addresses.len()), (1, 1, 1));
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_nobody() {
        let (mut ledger, host) = (Ledger::default(), DnsName::new("mx.example.net"));
        assert_eq!(ledger.turn(&host, address(1), at(86_400)), Turn::Go);
        assert_eq!(ledger.turn(&host, address(1), at(0)), Turn::Go);
        assert_eq!(ledger.turn(&host, address(1), at(10)), Turn::Seen(seconds(10)));
    }
}
