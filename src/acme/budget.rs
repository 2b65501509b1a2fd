//! Budgets under the authorities' limits, as buckets that fill up by themselves (threat 2).
//!
//! Pure. A bucket is one moment, the one at which it is full again, so that a budget is one number in
//! the store, needs no timer, and goes on filling while we are stopped.

use crate::{config::Allowance, name::PolicyHost};
use jiff::Timestamp;
use std::time::Duration;

/// No authority counts in a longer period, so no operator has reason to.
const PERIOD_LONGEST: Duration = Duration::from_secs(8 * 86_400);

/// Takes one out of a bucket that is full at `full_at` (`None`: now). Returns when it is full then.
///
/// No bucket is more than its period from being full. One that says so was kept for a longer period and
/// counts as just emptied; past the longest period that authorities count in, a clock that was far ahead
/// wrote it, and it counts as full.
///
/// # Errors
///
/// When the next one will be there.
pub fn take(
    allowance: Allowance,
    full_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Timestamp, Timestamp> {
    let taken = after(now, missing(allowance, full_at, now) + interval(allowance));
    let there = before(taken, allowance.period);
    if there <= now { Ok(taken) } else { Err(there) }
}

/// Puts one back that came to nothing.
pub fn give_back(allowance: Allowance, full_at: Timestamp) -> Timestamp {
    before(full_at, interval(allowance))
}

/// How many are left at `now`.
pub fn left(allowance: Allowance, full_at: Option<Timestamp>, now: Timestamp) -> u32 {
    let there = allowance.period.as_secs_f64() - missing(allowance, full_at, now).as_secs_f64();
    // A share of a millisecond makes no difference.
    (there / interval(allowance).as_secs_f64() + 1e-4).max(0.0) as u32
}

/// How long the bucket takes to be full.
fn missing(allowance: Allowance, full_at: Option<Timestamp>, now: Timestamp) -> Duration {
    let missing = full_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok()).unwrap_or_default();
    match missing > allowance.period.max(PERIOD_LONGEST) {
        true => Duration::ZERO,
        false => missing.min(allowance.period),
    }
}

fn interval(allowance: Allowance) -> Duration {
    allowance.period / allowance.amount.max(1)
}

/// What an order is paid from at one authority; each is the key of a budget in the store.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// The authority's directory.
    pub directory: &'a str,
    /// Who is ordered for.
    pub host: &'a PolicyHost,
}

impl Keys<'_> {
    /// Orders of the account.
    pub fn account(self) -> String {
        account(self.directory)
    }

    /// Certificates under the registered domain, all of its hosts together.
    pub fn domain(self) -> String {
        format!("domain {} {}", self.host.registered_domain(), self.directory)
    }

    /// Certificates for exactly this host.
    pub fn same_name(self) -> String {
        format!("same {} {}", self.host, self.directory)
    }

    /// Failed validations of this host.
    pub fn failures(self) -> String {
        format!("failures {} {}", self.host, self.directory)
    }

    /// Until when the authority told everything under the registered domain to wait.
    pub fn domain_pause(self) -> String {
        format!("wait {} {}", self.host.registered_domain(), self.directory)
    }
}

/// Orders of our account at `directory`.
pub fn account(directory: &str) -> String {
    format!("account {directory}")
}

/// Ordinary renewals of the whole fleet.
pub const RENEWALS: &str = "renewals";

/// How many ordinary renewals may begin in an hour without more than `percent` of `held` in any hour:
/// a bucket gives away what is in it and what comes in meanwhile. Small fleets may do eight.
pub fn renewals(held: usize, percent: u32) -> Allowance {
    let half = held.saturating_mul(percent as usize) / 200;
    Allowance { amount: u32::try_from(half.max(8)).unwrap_or(u32::MAX), period: Duration::from_secs(3600) }
}

fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

fn before(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_sub(length).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_HOURS: Allowance = Allowance { amount: 250, period: Duration::from_secs(3 * 3600) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// How many can be taken in one go at `second`; the bucket is left as it is then.
    fn drain(full_at: &mut Option<Timestamp>, second: i64) -> u32 {
        let before = left(THREE_HOURS, *full_at, at(second));
        let mut taken = 0;
        while let Ok(then) = take(THREE_HOURS, *full_at, at(second)) {
            *full_at = Some(then);
            taken += 1;
        }
        assert_eq!(before, taken, "what is said to be left is there");
        taken
    }

    #[test]
    fn a_bucket_gives_what_is_in_it_and_fills_up_evenly() {
        let mut bucket = None;
        assert_eq!(drain(&mut bucket, 0), 250);
        assert_eq!(take(THREE_HOURS, bucket, at(0)), Err(at(0) + Duration::from_millis(43_200)));
        assert_eq!(drain(&mut bucket, 43), 0);
        assert_eq!(drain(&mut bucket, 44), 1);
        assert_eq!(drain(&mut bucket, 3600), 82);
        assert_eq!(drain(&mut bucket, 100 * 3600), 250, "never more than full");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut bucket = None;
        drain(&mut bucket, 0);
        bucket = bucket.map(|full_at| give_back(THREE_HOURS, full_at));
        assert_eq!(drain(&mut bucket, 0), 1);
    }

    #[test]
    fn a_lowered_allowance_is_heeded_at_once() {
        let mut bucket = None;
        drain(&mut bucket, 0);
        let lowered = Allowance { amount: 10, period: Duration::from_secs(3600) };
        assert!(take(lowered, bucket, at(60)).is_err());
    }

    // Threat 12.
    #[test]
    fn a_bucket_emptied_while_the_clock_was_ahead_holds_nobody_back() {
        let ahead = Some(at(10 * 365 * 86_400));
        assert_eq!(left(THREE_HOURS, ahead, at(0)), 250);
        assert!(take(THREE_HOURS, ahead, at(0)).is_ok());
        // By less than a week: as one that was just emptied.
        let there = take(THREE_HOURS, Some(at(5 * 86_400)), at(0)).unwrap_err();
        assert_eq!(there, at(0) + Duration::from_millis(43_200));
    }

    #[test]
    fn the_fleet_is_renewed_a_twentieth_an_hour_at_most() {
        for (held, amount) in [(0, 8), (100, 8), (20_000, 500), (100_000, 2_500)] {
            assert_eq!(renewals(held, 5).amount, amount);
        }
    }

    #[test]
    fn hosts_of_one_registered_domain_share_its_budget() {
        let host = |name: &str| PolicyHost::from_full_name(name).unwrap();
        let key = |name: &str| Keys { directory: "ca", host: &host(name) }.domain();
        assert_eq!(key("mta-sts.a.example.co.uk"), key("mta-sts.example.co.uk"));
        assert_ne!(key("mta-sts.a.co.uk"), key("mta-sts.b.co.uk"));
    }
}
