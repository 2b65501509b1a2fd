//! How many handshakes one address may ask of us in a while: a bucket of tokens for each.
//!
//! A bucket is kept as one instant, the one at which it will be full again. So a full bucket is no
//! entry at all, what has filled up is forgotten by looking at the earliest instants, and the entry
//! that says least is the first of them. Pure: `now` is an argument.

use crate::listening::address_of;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Addresses remembered at once, some 100 octets each. Whoever commands more of them is not held by
/// a limit for each address anyway.
const ADDRESSES: usize = 65_536;

/// Buckets of tokens by address (IPv4 /32, IPv6 /64); one token lets one handshake through.
#[derive(Debug)]
pub(super) struct Rate {
    /// The time in which one token comes back.
    interval: Duration,
    /// The time in which an empty bucket fills up.
    whole: Duration,
    most: usize,
    spent: Mutex<Spent>,
}

/// The buckets that are not full: when they will be, by address and in order.
#[derive(Debug, Default)]
struct Spent {
    full_at: HashMap<IpAddr, Instant>,
    order: BTreeSet<(Instant, IpAddr)>,
}

impl Rate {
    /// `per_second` tokens come back to an address, up to `burst`; both at least one.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self::remembering(ADDRESSES, per_second, burst)
    }

    fn remembering(most: usize, per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, whole: interval * burst.max(1), most, spent: Mutex::default() }
    }

    /// Takes a token of `peer`'s; `false` when there is none, and then nothing changes: an address
    /// that keeps asking still gets its rate.
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> bool {
        let address = address_of(peer);
        // Nothing in here can panic half-way.
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.forget_full(now);
        let before = spent.full_at.get(&address).copied();
        let full_at = before.unwrap_or(now) + self.interval;
        if full_at > now + self.whole {
            return false;
        }
        if before.is_none() && spent.full_at.len() >= self.most {
            spent.forget_fullest();
        }
        spent.note(address, before, full_at);
        true
    }
}

impl Spent {
    /// Forgets buckets that are full by `now`. Each was noted once, so this costs little on average.
    fn forget_full(&mut self, now: Instant) {
        while self.order.first().is_some_and(|(full_at, _)| *full_at <= now) {
            self.forget_fullest();
        }
    }

    /// Forgets the bucket that lacks least, which gives away the fewest tokens.
    fn forget_fullest(&mut self) {
        if let Some((_, address)) = self.order.pop_first() {
            self.full_at.remove(&address);
        }
    }

    fn note(&mut self, address: IpAddr, before: Option<Instant>, full_at: Instant) {
        if let Some(before) = before {
            self.order.remove(&(before, address));
        }
        self.order.insert((full_at, address));
        self.full_at.insert(address, full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "192.0.2.1";

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `asked` handshakes pass at `now`.
    fn passed(rate: &Rate, from: &str, now: Instant, asked: usize) -> usize {
        (0..asked).filter(|_| rate.take(peer(from), now)).count()
    }

    fn remembered(rate: &Rate) -> usize {
        let spent = rate.spent.lock().unwrap();
        assert_eq!(spent.full_at.len(), spent.order.len());
        spent.order.len()
    }

    // Standards H-13, with the default limits: a fleet of senders behind one address.
    #[test]
    fn fifty_a_second_from_one_address_all_pass_for_an_hour() {
        let (rate, start) = (Rate::new(50, 100), Instant::now());
        for second in 0..3_600 {
            let now = start + Duration::from_secs(second);
            // All in one moment is the worst case of fifty a second.
            assert_eq!(passed(&rate, ONE, now, 50), 50, "second {second}");
        }
    }

    #[test]
    fn a_flood_gets_the_burst_and_then_the_rate() {
        let (rate, start) = (Rate::new(50, 100), Instant::now());
        assert_eq!(passed(&rate, ONE, start, 10_000), 100);
        assert_eq!(passed(&rate, ONE, start + Duration::from_millis(19), 10_000), 0);
        assert_eq!(passed(&rate, ONE, start + Duration::from_millis(20), 10_000), 1);
        assert_eq!(passed(&rate, ONE, start + Duration::from_millis(1_020), 10_000), 50);
        assert_eq!(passed(&rate, ONE, start + Duration::from_secs(60), 10_000), 100, "never above the burst");
    }

    #[test]
    fn one_address_spends_nobody_elses_tokens() {
        let (rate, now) = (Rate::new(1, 2), Instant::now());
        assert_eq!(passed(&rate, ONE, now, 9), 2);
        assert_eq!(passed(&rate, "::ffff:192.0.2.1", now, 9), 0, "the same host");
        assert_eq!(passed(&rate, "192.0.2.2", now, 9), 2);
        assert_eq!(passed(&rate, "2001:db8:0:1::1", now, 9), 2);
        assert_eq!(passed(&rate, "2001:db8:0:1:ffff::2", now, 9), 0, "the same /64");
        assert_eq!(passed(&rate, "2001:db8:0:2::1", now, 9), 2);
    }

    #[test]
    fn addresses_whose_buckets_are_full_again_are_forgotten() {
        let (rate, start) = (Rate::new(10, 100), Instant::now());
        for host in 0..200 {
            assert!(rate.take(IpAddr::from([192, 0, 2, host]), start));
        }
        assert_eq!(remembered(&rate), 200);
        assert!(rate.take(peer("198.51.100.1"), start + Duration::from_millis(100)));
        assert_eq!(remembered(&rate), 1);
    }

    #[test]
    fn memory_is_bounded_and_the_flooder_is_the_last_to_be_forgotten() {
        let (rate, now) = (Rate::remembering(100, 50, 100), Instant::now());
        assert_eq!(passed(&rate, ONE, now, 200), 100);
        for host in 0..10_000_u32 {
            assert!(rate.take(IpAddr::from((0x0a00_0000 + host).to_be_bytes()), now));
            assert!(remembered(&rate) <= 100);
        }
        assert_eq!(passed(&rate, ONE, now, 200), 0);
    }

    #[test]
    fn the_widest_and_the_narrowest_limits_do_not_overflow() {
        let now = Instant::now();
        assert_eq!(passed(&Rate::new(1, 1_000_000), ONE, now, 10), 10);
        assert_eq!(passed(&Rate::new(1_000_000, 1), ONE, now, 10), 1);
        assert_eq!(passed(&Rate::new(1_000_000, 1_000_000), ONE, now, 10), 10);
    }
}
