//! How many connections may be open: in all, and from one address.
//!
//! The map of addresses holds only those that are connected now, so the total bounds it as well.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The connections that may be open at once; cheap to clone, all clones count together.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection got no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many connections in all.
    Total,
    /// Too many connections from this address.
    Address,
    /// Nobody from this address may connect here.
    Network,
}

impl Permits {
    /// At most `total_max` connections at once, and at most `per_address_max` from one address: an
    /// IPv4 address, or the /64 that one IPv6 host has to itself.
    pub fn new(total_max: usize, per_address_max: usize) -> Self {
        Self(Arc::new(Shared { total_max, per_address_max, open: Mutex::default() }))
    }

    /// Takes a permit for a connection from `peer`; it is given back when dropped.
    ///
    /// # Errors
    ///
    /// [`Refusal::Total`] or [`Refusal::Address`]: which of the two counts is used up.
    pub fn take(&self, peer: IpAddr) -> Result<Permit, Refusal> {
        let mut permit = self.take_unnamed()?;
        permit.name(peer)?;
        Ok(permit)
    }

    /// Takes a permit for a connection of which nobody knows yet on whose behalf it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::Total`].
    pub fn take_unnamed(&self) -> Result<Permit, Refusal> {
        let mut open = self.lock();
        if open.total >= self.0.total_max {
            return Err(Refusal::Total);
        }
        open.total += 1;
        Ok(Permit { permits: self.clone(), address: None })
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Counting cannot panic half-way, so a poisoned count is still right.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address a peer is counted under: IPv4 as it is (also when mapped into IPv6), IPv6 by its /64.
pub fn address_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

/// The right to one open connection.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    address: Option<IpAddr>,
}

impl Permit {
    /// Counts the connection as one from `peer` as well; done once for each permit.
    ///
    /// # Errors
    ///
    /// [`Refusal::Address`]; the permit is then still without a name.
    pub fn name(&mut self, peer: IpAddr) -> Result<(), Refusal> {
        debug_assert!(self.address.is_none(), "a connection has one peer");
        let address = address_of(peer);
        let mut open = self.permits.lock();
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.permits.0.per_address_max {
            return Err(Refusal::Address);
        }
        open.by_address.insert(address, from_address + 1);
        drop(open);
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.permits.lock();
        open.total = open.total.saturating_sub(1);
        let Some(address) = self.address else { return };
        match open.by_address.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.by_address.remove(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_the_place_of_another() {
        let permits = Permits::new(10, 2);
        let held: Vec<_> = (0..2).map(|_| permits.take(peer("192.0.2.1")).unwrap()).collect();
        assert_eq!(permits.take(peer("192.0.2.1")).unwrap_err(), Refusal::Address);
        assert_eq!(permits.take(peer("::ffff:192.0.2.1")).unwrap_err(), Refusal::Address);
        assert!(permits.take(peer("192.0.2.2")).is_ok());
        drop(held);
        assert!(permits.take(peer("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv6_host_is_counted_by_its_64() {
        let permits = Permits::new(10, 1);
        let _held = permits.take(peer("2001:db8:0:1::1")).unwrap();
        assert_eq!(permits.take(peer("2001:db8:0:1:ffff::2")).unwrap_err(), Refusal::Address);
        assert!(permits.take(peer("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn who_is_behind_a_proxy_is_counted_when_he_is_known() {
        let permits = Permits::new(3, 1);
        let mut held: Vec<_> = (0..3).map(|_| permits.take_unnamed().unwrap()).collect();
        assert_eq!(permits.take_unnamed().unwrap_err(), Refusal::Total);
        assert_eq!(held[0].name(peer("192.0.2.1")), Ok(()));
        assert_eq!(held[1].name(peer("192.0.2.1")), Err(Refusal::Address));
        assert_eq!(held[1].name(peer("192.0.2.2")), Ok(()));
        drop(held);
        assert_eq!(permits.open(), 0);
        assert!(permits.lock().by_address.is_empty());
    }

    #[test]
    fn the_total_holds_and_nothing_is_remembered_of_those_who_left() {
        let permits = Permits::new(3, 2);
        let held: Vec<_> = (1..=3).map(|n| permits.take(peer(&format!("192.0.2.{n}"))).unwrap()).collect();
        assert_eq!(permits.take(peer("192.0.2.9")).unwrap_err(), Refusal::Total);
        assert_eq!(permits.open(), 3);
        drop(held);
        assert_eq!(permits.open(), 0);
        assert!(permits.lock().by_address.is_empty());
    }
}
