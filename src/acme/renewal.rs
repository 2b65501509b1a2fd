//! When a certificate should be replaced.
//!
//! Pure. Everything is a share of the certificate's own lifetime and no number of days stands
//! anywhere, so 90, 64 and 45 days, 160 hours and 6 hours all work, and a change in between does too.
//! Renewal information (RFC 9773) will give a window here; without it, these shares are the rule.

use super::jitter::Jitter;
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
