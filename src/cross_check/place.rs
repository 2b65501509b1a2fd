//! Where in a period each thing has its turn.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A number from 0 up to 1 that is always the same for `seed` within one build: spreads many things
/// over a period, each at its own place.
pub(super) fn place_of(seed: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    (hasher.finish() >> 32) as f64 / (1_u64 << 32) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_evenly_and_stay() {
        let in_first_tenth = (0..10_000).filter(|n| place_of(format!("d{n}.example")) < 0.1).count();
        assert!((800..1_200).contains(&in_first_tenth), "{in_first_tenth}");
        assert!((0.0..1.0).contains(&place_of("example.com")));
        assert_eq!(place_of("example.com").to_bits(), place_of("example.com").to_bits());
    }
}
