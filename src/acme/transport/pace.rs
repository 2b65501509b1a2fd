//! Requests in a second, so that no authority has to tell us that we are too many.

use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Gives out turns: as many at once as fit a second, then one at a time, first come, first served.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    /// How far turns may come before their time, after a rest.
    burst: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub fn new(per_second: u32) -> Self {
        let apart = Duration::from_secs(1) / per_second.max(1);
        Self { apart, burst: Duration::from_secs(1).saturating_sub(apart), next: Mutex::new(None) }
    }

    /// Returns when the request may be sent. A turn that is given up is lost.
    pub async fn turn(&self) {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock().expect("no panic under this lock");
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.apart);
            turn
        };
        tokio::time::sleep_until(turn.checked_sub(self.burst).unwrap_or(now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_its_turns_and_no_more() {
        let pace = Pace::new(10);
        let start = Instant::now();
        let mut at = Vec::new();
        for _ in 0..30 {
            pace.turn().await;
            at.push(start.elapsed().as_millis());
        }
        assert_eq!(at[9], 0, "what fits a second goes at once");
        assert!((99..=101).contains(&at[10]), "{at:?}");
        assert!((1_999..=2_002).contains(&at[29]), "{at:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let rested = Instant::now();
        for _ in 0..11 {
            pace.turn().await;
        }
        assert!((99..=101).contains(&rested.elapsed().as_millis()), "a rest saves up one second, not sixty");
    }

    #[tokio::test(start_paused = true)]
    async fn one_in_a_second_is_a_second_apart() {
        let pace = Pace::new(1);
        let start = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert!((2_000..=2_002).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}
