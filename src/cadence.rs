//! When a loop wakes: once a period, a little unevenly, or sooner when something changed.
//!
//! A notice carries no news; the loop that it wakes looks at the whole state. So a notice that is
//! lost costs one period at most.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Wakes a loop at once, then by period, or by notice.
#[derive(Debug)]
pub struct Cadence {
    period: Duration,
    /// When the loop wakes without a notice.
    due: Instant,
    jitter: RandomState,
    wakes: u64,
}

impl Cadence {
    /// Wakes at once for the first time, then after 90 to 100 % of `period`: processes that were
    /// started together drift apart, and none is late.
    pub fn new(period: Duration) -> Self {
        Self { period, due: Instant::now(), jitter: RandomState::new(), wakes: 0 }
    }

    /// Waits for the next wake and says why it came. Dropping the future loses nothing.
    ///
    /// When whoever gives notice is gone, only the period is left.
    pub async fn next(&mut self, notice: &mut watch::Receiver<u64>) -> Wake {
        let changed = async {
            if notice.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let wake = tokio::select! {
            biased;
            () = changed => Wake::Notice,
            () = sleep_until(self.due) => Wake::Period,
        };
        self.wakes += 1;
        let shorter = fraction_of(self.jitter.hash_one(self.wakes)) / 10.0;
        self.due = Instant::now() + self.period.mul_f64(1.0 - shorter);
        wake
    }
}

/// Why a loop woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Its time had come.
    Period,
    /// Something changed.
    Notice,
}

/// A number from 0 up to 1 that is always the same for `seed`: spreads many things over a period,
/// each at its own place.
pub fn place_of(seed: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    fraction_of(hasher.finish())
}

fn fraction_of(hash: u64) -> f64 {
    (hash >> 32) as f64 / (1_u64 << 32) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_loop_wakes_at_once_then_within_each_period() {
        let (_sender, mut notice) = watch::channel(0);
        let mut cadence = Cadence::new(MINUTE);
        let start = Instant::now();
        assert_eq!(cadence.next(&mut notice).await, Wake::Period);
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..100 {
            let before = Instant::now();
            assert_eq!(cadence.next(&mut notice).await, Wake::Period);
            // Timers are exact to a millisecond.
            let range = MINUTE.mul_f64(0.9)..=MINUTE + Duration::from_millis(1);
            assert!(range.contains(&before.elapsed()), "{:?}", before.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_wakes_sooner_and_its_end_does_not_spin() {
        let (sender, mut notice) = watch::channel(0);
        let mut cadence = Cadence::new(MINUTE);
        cadence.next(&mut notice).await;
        let start = Instant::now();
        sender.send_replace(1);
        assert_eq!(cadence.next(&mut notice).await, Wake::Notice);
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(sender);
        assert_eq!(cadence.next(&mut notice).await, Wake::Period);
        assert!(start.elapsed() >= MINUTE.mul_f64(0.9));
    }

    #[test]
    fn places_are_spread_evenly_and_stay() {
        let in_first_tenth = (0..10_000).filter(|n| place_of(format!("d{n}.example")) < 0.1).count();
        assert!((800..1_200).contains(&in_first_tenth), "{in_first_tenth}");
        assert!((0.0..1.0).contains(&place_of("example.com")));
        assert_eq!(place_of("example.com").to_bits(), place_of("example.com").to_bits());
    }
}
