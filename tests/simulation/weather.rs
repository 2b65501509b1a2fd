//! What happens to us in a year, decided in advance by the seed.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Chance that repeats (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to and without `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// A time during which something is wrong for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The authority does not answer.
    Outage,
    /// The authority answers nothing, ever: every order runs into its deadline.
    Silence,
    /// The authority limits the account.
    Limits,
    /// The authority does not accept the account.
    Account,
    /// The store refuses writes.
    DiskFull,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Outage, Trouble::Silence, Trouble::Limits, Trouble::Account, Trouble::DiskFull];

#[derive(Clone, Copy, Debug)]
pub struct Spell {
    pub from: Timestamp,
    pub until: Timestamp,
    pub trouble: Trouble,
}

/// Everybody's troubles in order of time; between two of them are at least three good days.
#[derive(Debug)]
pub struct Calendar(Vec<Spell>);

impl Calendar {
    pub fn draw(chance: &mut Chance, start: Timestamp, days: u64) -> Self {
        let mut spells = Vec::new();
        let mut hour = chance.between(1, 20 * 24);
        // Every kind comes before any comes again.
        for turn in 0.. {
            if hour >= days * 24 {
                break;
            }
            let length = chance.between(1, 36);
            spells.push(Spell {
                from: after(start, hours(hour)),
                until: after(start, hours(hour + length)),
                trouble: TROUBLES[turn % TROUBLES.len()],
            });
            hour += length + chance.between(3 * 24, 20 * 24);
        }
        Self(spells)
    }

    /// The spell that `now` lies in.
    pub fn at(&self, now: Timestamp) -> Option<Spell> {
        self.0.iter().copied().find(|spell| spell.from <= now && now < spell.until)
    }

    /// Whether any spell touches the time between `from` and `until`.
    pub fn touches(&self, from: Timestamp, until: Timestamp) -> bool {
        self.0.iter().any(|spell| spell.from < until && from < spell.until)
    }
}

/// When the DNS of one host does not point at us.
#[derive(Clone, Debug, Default)]
pub struct Dns(Vec<(Timestamp, Timestamp)>);

impl Dns {
    /// Broken for one to eight weeks at some time of the year, for some from the beginning on.
    pub fn draw_broken(chance: &mut Chance, start: Timestamp, days: u64) -> Self {
        let from = if chance.one_in(3) { 0 } else { chance.between(0, days) };
        let until = from + chance.between(7, 56);
        Self(vec![(after(start, hours(from * 24)), after(start, hours(until * 24)))])
    }

    /// Broken from `moment` on, for good.
    pub fn broken_from(moment: Timestamp) -> Self {
        Self(vec![(moment, Timestamp::MAX)])
    }

    pub fn is_broken(&self, now: Timestamp) -> bool {
        self.0.iter().any(|(from, until)| *from <= now && now < *until)
    }

    pub fn is_always_good(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it was broken at any time between `from` and `until`.
    pub fn touches(&self, from: Timestamp, until: Timestamp) -> bool {
        self.0.iter().any(|(begin, end)| *begin < until && from < *end)
    }
}

pub fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).expect("within the calendar")
}

pub fn before(moment: Timestamp, length: SignedDuration) -> Timestamp {
    moment.checked_sub(length).expect("within the calendar")
}
