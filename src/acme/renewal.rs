//! When a certificate should be replaced.
//!
//! Pure. Everything is a share of the certificate's own lifetime and no number of days stands
//! anywhere, so 90, 64 and 45 days, 160 hours and 6 hours all work, and a change in between does too.
//! Where the authority suggests a window (RFC 9773), a moment in it is the rule; the shares are the rule
//! without one.

use super::{authority::Window, jitter::Jitter};
use crate::certificate::Validity;
use jiff::Timestamp;
use std::time::Duration;

/// Lifetimes below this are short: there is less room for a bad week, so renewal begins earlier.
const SHORT_LIFETIME: Duration = Duration::from_secs(10 * 86_400);

/// Certificates of one day should not all be renewed on one day: each goes earlier by up to this
/// part of its lifetime. A tenth spreads even six-day certificates over sixteen hours.
const SPREAD: u32 = 10;

/// When the certificate of `validity` should be replaced: with a third of its lifetime left, or a
/// half when the lifetime is below ten days, and earlier than that by up to a tenth of the lifetime.
pub fn renew_at(validity: Validity, jitter: Jitter) -> Timestamp {
    let lifetime = validity.lifetime();
    let left = if lifetime < SHORT_LIFETIME { lifetime / 2 } else { lifetime / 3 };
    before(validity.not_after, left + jitter.of_length(lifetime / SPREAD))
}

/// [`renew_at`] for a certificate that has just come, at `now`.
///
/// A third of what is left of it passes first, whatever its dates say: an authority that backdates
/// or delivers an old certificate again must not be asked again and again.
pub fn renew_at_after_issue(validity: Validity, jitter: Jitter, now: Timestamp) -> Timestamp {
    let left = Duration::try_from(validity.not_after.duration_since(now)).unwrap_or_default();
    renew_at(validity, jitter).max(before(validity.not_after, left * 2 / 3))
}

/// The moment in the authority's `window`: always the same for the same certificate and window, spread
/// evenly over a fleet (RFC 9773 §4.2), and never so late that nothing may go wrong.
pub fn moment_in(window: Window, validity: Validity, jitter: Jitter) -> Timestamp {
    let length = Duration::try_from(window.end.duration_since(window.start)).unwrap_or_default();
    let moment = window.start.saturating_add(jitter.of_length(length)).unwrap_or(Timestamp::MAX);
    moment.min(urgent_at(renew_at(validity, Jitter::EARLIEST), validity.not_after))
}

/// How long until the authority is asked again after it answered: as long as it said, up to a tenth
/// longer so that a fleet stays spread, but at least twice a day.
pub fn ask_after_answer(retry_after: Duration, jitter: Jitter) -> Duration {
    (retry_after + jitter.of_length(retry_after / 10)).min(HALF_A_DAY)
}

/// How long until it is asked again after `failed` questions without an answer: a minute, doubled each
/// time, up to the six hours of RFC 9773 §4.3.3.
pub fn ask_after_failure(failed: u32, jitter: Jitter) -> Duration {
    let doubled = Duration::from_secs(60).saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    jitter.around(doubled.min(ASK_LONGEST * 10 / 11))
}

/// How long until it is asked again when it does not know the certificate.
pub const ASK_LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Nothing moves a window without our noticing within this time, and a fleet of which nothing is known
/// is asked about over this time.
pub const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);

/// From when on a replacement that has not come is urgent: half of what was left at `renew_at`.
pub fn urgent_at(renew_at: Timestamp, not_after: Timestamp) -> Timestamp {
    let left = Duration::try_from(not_after.duration_since(renew_at)).unwrap_or_default();
    before(not_after, left / 2)
}

fn before(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_sub(length).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::PolicyHost;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn validity(seconds: i64) -> Validity {
        let at = |second| Timestamp::from_second(second).unwrap();
        Validity { not_before: at(1_800_000_000), not_after: at(1_800_000_000 + seconds) }
    }

    /// With `lifetime`, renewal falls between `earliest` and `latest` after the beginning (seconds).
    #[track_caller]
    fn check(lifetime: i64, earliest: i64, latest: i64) {
        let validity = validity(lifetime);
        let age = |at: Timestamp| at.as_second() - validity.not_before.as_second();
        assert_eq!(age(renew_at(validity, Jitter::NONE)), latest);
        for number in 0..500 {
            let host = PolicyHost::from_full_name(&format!("mta-sts.tenant-{number}.example")).unwrap();
            let renewed = age(renew_at(validity, Jitter::of(&host, validity.not_after)));
            assert!((earliest..=latest).contains(&renewed), "{renewed}");
        }
    }

    // A-38; no number of days is special.
    #[test]
    fn a_third_is_left_or_a_half_when_the_lifetime_is_short() {
        check(90 * DAY, 51 * DAY, 60 * DAY);
        check(64 * DAY, 64 * DAY * 17 / 30 - 1, 64 * DAY * 2 / 3);
        check(45 * DAY, 45 * DAY * 17 / 30 - 1, 30 * DAY);
        check(160 * HOUR, 64 * HOUR, 80 * HOUR);
        check(6 * HOUR, 6 * HOUR * 4 / 10, 3 * HOUR);
    }

    #[test]
    fn one_day_of_certificates_is_not_renewed_on_one_day() {
        let validity = validity(90 * DAY);
        let mut days = std::collections::BTreeMap::new();
        for number in 0..900 {
            let host = PolicyHost::from_full_name(&format!("mta-sts.tenant-{number}.example")).unwrap();
            let at = renew_at(validity, Jitter::of(&host, validity.not_after));
            *days.entry(at.as_second() / DAY).or_insert(0) += 1;
        }
        assert!(days.len() >= 9 && days.values().all(|count| *count < 150), "{days:?}");
    }

    #[test]
    fn a_backdated_certificate_is_not_ordered_again_at_once() {
        let validity = validity(90 * DAY);
        let now = Timestamp::from_second(validity.not_after.as_second() - 9 * DAY).unwrap();
        assert!(renew_at(validity, Jitter::NONE) < now);
        let again = renew_at_after_issue(validity, Jitter::NONE, now);
        assert_eq!(again.as_second() - now.as_second(), 3 * DAY);
        // A fresh one is not delayed by this.
        let fresh = validity.not_before;
        assert_eq!(renew_at_after_issue(validity, Jitter::NONE, fresh), renew_at(validity, Jitter::NONE));
    }

    #[test]
    fn an_empty_validity_is_due_and_does_not_overflow() {
        let never = Validity { not_before: Timestamp::MAX, not_after: Timestamp::MIN };
        assert_eq!(renew_at(never, Jitter::NONE), Timestamp::MIN);
        let ever = Validity { not_before: Timestamp::MIN, not_after: Timestamp::MAX };
        assert!(renew_at(ever, Jitter::NONE) < Timestamp::MAX);
    }

    fn window(start: i64, end: i64) -> Window {
        let at = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
        Window { start: at(start), end: at(end) }
    }

    // evenly over the window, the same after every restart.
    #[test]
    fn the_moment_in_a_window_is_stable_and_a_fleet_is_spread_over_it() {
        for lifetime in [90 * DAY, 64 * DAY, 45 * DAY, 160 * HOUR] {
            let validity = validity(lifetime);
            let window = window(lifetime * 6 / 10, lifetime * 65 / 100);
            let length = window.end.as_second() - window.start.as_second();
            let mut tenths = [0_u32; 10];
            for number in 0..2000 {
                let host = PolicyHost::from_full_name(&format!("mta-sts.tenant-{number}.example")).unwrap();
                let jitter = Jitter::of(&host, validity.not_after);
                let moment = moment_in(window, validity, jitter);
                assert_eq!(moment, moment_in(window, validity, jitter));
                let tenth = (moment.as_second() - window.start.as_second()) * 10 / length;
                tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
            }
            assert!(tenths.iter().all(|count| (140..260).contains(count)), "{lifetime}: {tenths:?}");
        }
    }

    #[test]
    fn a_window_at_the_very_end_leaves_time_for_a_bad_week() {
        let validity = validity(90 * DAY);
        let moment = moment_in(window(89 * DAY, 90 * DAY), validity, Jitter::NONE);
        assert!(moment.as_second() - validity.not_before.as_second() <= 75 * DAY);
    }

    //
    #[test]
    fn a_window_in_the_past_means_now() {
        assert!(moment_in(window(-2 * DAY, -DAY), validity(90 * DAY), Jitter::NONE) < validity(1).not_before);
    }

    //
    #[test]
    fn the_authority_is_asked_as_it_says_and_twice_a_day_at_least() {
        let minutes = |wait: Duration| wait.as_secs() / 60;
        assert_eq!(minutes(ask_after_answer(Duration::from_secs(6 * 3600), Jitter::NONE)), 360);
        assert_eq!(ask_after_answer(Duration::from_secs(86_400), Jitter::NONE), HALF_A_DAY);
        let waits: Vec<_> = (1..=12).map(|n| ask_after_failure(n, Jitter::NONE).as_secs()).collect();
        assert_eq!(waits[..4], [54, 108, 216, 432]);
        assert!(waits.iter().all(|wait| *wait <= ASK_LONGEST.as_secs()) && waits[11] > 4 * 3600, "{waits:?}");
        assert!(ask_after_failure(u32::MAX, Jitter::NONE) <= ASK_LONGEST);
    }

    #[test]
    fn half_of_the_margin_makes_it_urgent() {
        let validity = validity(90 * DAY);
        let renew_at = renew_at(validity, Jitter::NONE);
        assert_eq!(
            validity.not_after.as_second() - urgent_at(renew_at, validity.not_after).as_second(),
            15 * DAY
        );
    }
}
