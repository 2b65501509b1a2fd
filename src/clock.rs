//! What time it is, for loops; deciders take `now` as an argument.
//!
//! A [`Clock`] is either the system's or simulated: a start plus the time that tokio's clock has
//! moved since. Under a paused runtime one `sleep` then moves timers and certificate lifetimes
//! together, so that a year fits into a test.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A source of wall time; small and `Copy`.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The operating system's wall clock.
    System,
    /// `start` at `epoch`, moving with tokio's clock.
    Simulated {
        /// Wall time at `epoch`.
        start: Timestamp,
        /// The instant of tokio's clock that stands for `start`.
        epoch: Instant,
    },
}

impl Clock {
    /// A clock that shows `start` now and follows tokio's clock from here.
    pub fn simulated(start: Timestamp) -> Self {
        Self::Simulated { start, epoch: Instant::now() }
    }

    /// The wall time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated { start, epoch } => {
                let elapsed = SignedDuration::try_from(epoch.elapsed()).unwrap_or(SignedDuration::MAX);
                start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// How long to wait from now until `at`; zero when it has passed.
    pub fn until(&self, at: Timestamp) -> std::time::Duration {
        at.duration_since(self.now()).try_into().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn sixty_days_pass_in_one_step() {
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let clock = Clock::simulated(start);
        tokio::time::sleep(Duration::from_secs(60 * 86_400)).await;
        assert_eq!(clock.now().duration_since(start).as_hours(), 60 * 24);
        assert_eq!(clock.until(start), Duration::ZERO);
    }
}
