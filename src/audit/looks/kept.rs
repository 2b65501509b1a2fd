//! What is kept of looks: bounded in octets, not in looks, because strangers choose how long their names
//! are. When it is full, what served one domain only goes first; to look once more at that costs least.

use super::{Glance, Pace, Wanted};
use crate::dns::DnsName;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::sync::OnceCell;

/// The most octets of looks that are kept: a lean look takes about one KiB, so some 60,000 of them; more
/// mail hosts than a fleet of 100,000 domains is known to have.
pub(super) const OCTETS_MAX: usize = 64 << 20;
/// The least time between two searches for what is too old.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

pub(super) type Key = (DnsName, IpAddr);
pub(super) type Cell = Arc<OnceCell<Glance>>;

#[derive(Default)]
pub(super) struct Kept {
    looks: HashMap<Key, Entry>,
    /// Every key of `looks` that has its weight, each once, by its number: in the order of coming.
    order: BTreeMap<u64, Key>,
    next: u64,
    octets: usize,
    swept: Option<Timestamp>,
}

struct Entry {
    look: Cell,
    /// What it counts for in `octets`; zero while the look is under way.
    octets: usize,
    /// Its number in `order`, once it has its weight.
    number: u64,
    /// Whether it served somebody else since it was last spared.
    shared: bool,
}

impl Kept {
    /// Where the look is or will be, and whether the one before it was doubtful.
    pub fn place(&mut self, key: &Key, wanted: Wanted, now: Timestamp, pace: Pace) -> (Cell, bool) {
        self.sweep(now, pace);
        let mut doubtful_before = false;
        if let Some(entry) = self.looks.get_mut(key) {
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
        let entry = Entry { look: Arc::clone(&look), octets: 0, number: 0, shared: false };
        if let Some(old) = self.looks.insert(key.clone(), entry)
            && old.octets > 0
        {
            self.octets -= old.octets;
            self.order.remove(&old.number);
        }
        (look, doubtful_before)
    }

    /// Counts a look that came home, and makes room where it takes too much.
    pub fn weigh(&mut self, key: &Key, cell: &Cell, octets: usize) {
        let number = self.number();
        let Some(entry) = self.looks.get_mut(key) else { return };
        if entry.octets > 0 || !Arc::ptr_eq(&entry.look, cell) {
            return;
        }
        // The key stands here twice, with its text, and the entry has its overhead.
        entry.octets = octets + 2 * size_of::<Key>() + size_of::<Entry>() + key.0.as_str().len();
        entry.number = number;
        self.octets += entry.octets;
        self.order.insert(number, key.clone());
        while self.octets > OCTETS_MAX {
            let number = self.number();
            let Some((_, first)) = self.order.pop_first() else { return };
            let Some(entry) = self.looks.get_mut(&first) else { continue };
            if std::mem::take(&mut entry.shared) {
                entry.number = number;
                self.order.insert(number, first);
            } else if let Some(gone) = self.looks.remove(&first) {
                self.octets -= gone.octets;
            }
        }
    }

    /// Forgets what serves nobody any more. Doubtful looks are remembered a little longer, so that the
    /// next one is known not to be the first.
    fn sweep(&mut self, now: Timestamp, pace: Pace) {
        let lately = |swept: Timestamp| now.duration_since(swept).unsigned_abs() < SWEEP_EVERY;
        if self.swept.is_some_and(lately) {
            return;
        }
        self.swept = Some(now);
        let remembered = |look: &Glance| {
            let after = if look.doubtful { pace.doubtful_again } else { Duration::ZERO };
            look.until.saturating_add(after).is_ok_and(|until| until > now)
        };
        let Self { looks, order, octets, .. } = self;
        looks.retain(|_, entry| {
            let stays = match entry.look.get() {
                Some(look) => remembered(look),
                None => Arc::strong_count(&entry.look) > 1,
            };
            if !stays && entry.octets > 0 {
                *octets -= entry.octets;
                order.remove(&entry.number);
            }
            stays
        });
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How many looks, and how many octets of them; they agree with one another.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        assert_eq!(self.order.len(), self.looks.values().filter(|entry| entry.octets > 0).count());
        assert_eq!(self.octets, self.looks.values().map(|entry| entry.octets).sum::<usize>());
        (self.looks.len(), self.octets)
    }

    #[cfg(test)]
    pub fn has(&self, key: &Key) -> bool {
        self.looks.contains_key(key)
    }
}
