//! Chance that can be repeated: drawn from a host and a moment by hash, not from a generator.
//!
//! A fleet spreads out as if by chance, yet the same certificate gets the same share after every
//! restart, on every node and in every version, and nothing has to be stored for it.

use crate::name::PolicyHost;
use jiff::Timestamp;
use std::time::Duration;

/// A share between zero and one that a host keeps for as long as the moment it was drawn for counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No deviation at all.
    #[cfg(test)]
    pub const NONE: Self = Self(0.0);
    /// The smallest share: what nothing is earlier than.
    pub const EARLIEST: Self = Self(0.0);

    /// The share of `host` for `moment` (to the second): the end of its certificate, or the failure at hand.
    pub fn of(host: &PolicyHost, moment: Timestamp) -> Self {
        Self::from_octets(host.as_str().bytes().chain(moment.as_second().to_be_bytes()))
    }

    /// The share of `moment` alone, for what belongs to no host.
    pub fn at(moment: Timestamp) -> Self {
        Self::from_octets(moment.as_second().to_be_bytes())
    }

    fn from_octets(octets: impl IntoIterator<Item = u8>) -> Self {
        let hash = fingerprint(octets);
        // 32 bits are exact in a double and fine enough: one second in 136 years.
        Self((hash >> 32) as f64 / f64::from(u32::MAX))
    }

    /// This share of `whole`.
    pub fn of_length(self, whole: Duration) -> Duration {
        whole.mul_f64(self.0)
    }

    /// `length` made up to a tenth shorter or longer.
    pub fn around(self, length: Duration) -> Duration {
        length.mul_f64(0.9 + 0.2 * self.0)
    }
}

/// FNV-1a, stirred once more because its high bits are lazy. Written out here because the standard
/// library's hasher may change with any release, and what is drawn from it must not.
pub fn fingerprint(octets: impl IntoIterator<Item = u8>) -> u64 {
    let mut hash = octets.into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> PolicyHost {
        PolicyHost::from_full_name(&format!("mta-sts.tenant-{number}.example")).unwrap()
    }

    #[test]
    fn the_same_host_and_moment_always_have_the_same_share() {
        let moment: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        // The numbers are part of the promise: another version must spread the fleet the same way.
        let share = Jitter::of(&host(1), moment).of_length(Duration::from_secs(1_000_000)).as_secs();
        assert_eq!(share, 174_766);
        assert_ne!(Jitter::of(&host(1), moment), Jitter::of(&host(2), moment));
    }

    #[test]
    fn a_fleet_is_spread_evenly() {
        let moment: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut tenths = [0_u32; 10];
        for number in 0..10_000 {
            let tenth = Jitter::of(&host(number), moment).of_length(Duration::from_secs(10)).as_secs();
            tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn around_stays_within_a_tenth() {
        let moment: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for number in 0..1000 {
            let length = Jitter::of(&host(number), moment).around(Duration::from_secs(1000)).as_secs();
            assert!((900..=1100).contains(&length), "{length}");
        }
    }
}
