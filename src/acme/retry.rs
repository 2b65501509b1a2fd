//! When a host whose order failed may be tried again.
//!
//! Pure. Waits grow from the wait before, not from the number of failures: an outage of the authority
//! that made a host fail thirty times does not cost it a day once the authority is back, and a host
//! that fails for changing reasons still climbs. Every wait is moved by up to a tenth, so that hosts
//! that failed together do not come back together.

use super::{
    authority::{IssueError, LimitScope},
    jitter::Jitter,
};
use crate::{name::PolicyHost, storage::OrderFailures};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Waits after a failure that the tenant has to mend: soon in case DNS is just being set up, then
/// within what authorities allow (five failures of a name in an hour), then daily for good.
const LADDER: [Duration; 4] = [MINUTE, Duration::from_secs(600), Duration::from_secs(6000), DAY];

/// The longest wait for an authority that does not answer.
const UNREACHABLE_LONGEST: Duration = Duration::from_secs(30 * 60);

/// The wait when the authority limits us without saying for how long, and between questions while it
/// does not accept our account.
const ACCOUNT_WAIT: Duration = HOUR;

/// The longest Retry-After that is believed: the longest window any public authority counts in is a week.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(8 * 86_400);

/// No wait that any answer leads to is longer, jitter and rounding included: a moment that lies further
/// ahead was written by a clock that stood wrong.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(9 * 24);

/// The same for the pause of a whole account.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(25);

/// The longest that one answer pauses the whole account. A limit of several days is a limit of that
/// host's name, and no tenant may cost the others their renewals. The host itself waits to the end.
const PAUSE_LONGEST: Duration = DAY;

/// The longest `detail` that is kept, in characters.
const DETAIL_LONGEST: usize = 500;

/// What the history says of `host` after its order ended in `error` at `now`.
///
/// - Not validated, not ready, or unusable: 1 min, 10 min, 100 min, then daily.
/// - Refused: daily, and the schedule parks such a host until the configuration changes.
/// - Unreachable, or DNS silent: minutes, doubling up to thirty.
/// - Rate limited: as long as the authority says (an hour when it does not), and see [`pauses_until`].
/// - Account: hourly, and see [`pauses_until`]. Neither of the last two is the host's fault, so its
///   count of attempts stays.
pub fn next(
    host: &PolicyHost,
    previous: Option<&OrderFailures>,
    error: &IssueError,
    now: Timestamp,
    jitter: Jitter,
) -> OrderFailures {
    let (kind, detail) = describe(error);
    let attempts = previous.map_or(0, |failures| failures.attempts);
    let (attempts, wait) = match error {
        IssueError::NotValidated { .. } | IssueError::Unusable { .. } | IssueError::NotReady { .. } => {
            (attempts.saturating_add(1), jitter.around(climb(previous)))
        }
        IssueError::Refused { .. } => (attempts.saturating_add(1), jitter.around(DAY)),
        IssueError::Unreachable { .. } | IssueError::DnsSilent { .. } => {
            let doubled = last_wait(previous).saturating_mul(2);
            (attempts.saturating_add(1), jitter.around(doubled.clamp(MINUTE, UNREACHABLE_LONGEST)))
        }
        // Later than asked, never sooner.
        IssueError::RateLimited { retry_after, .. } => {
            let asked = retry_after.unwrap_or(ACCOUNT_WAIT).clamp(MINUTE, RETRY_AFTER_LONGEST);
            (attempts, asked + jitter.of_length(MINUTE))
        }
        IssueError::Account { .. } => (attempts, ACCOUNT_WAIT + jitter.of_length(MINUTE)),
    };
    OrderFailures {
        host: host.clone(),
        attempts,
        last_at: now,
        retry_at: whole_second(after(now, wait)),
        kind: kind.to_owned(),
        detail: bounded(detail),
    }
}

/// Until when these failures hold back every host of the account, or `None` when they are the host's
/// own. Read from the kept history, so a pause outlives a restart.
pub fn pauses_until(failures: &OrderFailures) -> Option<Timestamp> {
    let account_wide = [RATE_LIMITED, ACCOUNT].contains(&failures.kind.as_str());
    account_wide.then(|| failures.retry_at.min(after(failures.last_at, PAUSE_LONGEST)))
}

/// Kind of a pause that the authority asked for.
pub const RATE_LIMITED: &str = "rate_limited";
/// Kind of a pause that the operator has to end.
pub const ACCOUNT: &str = "account";

/// Every word for a sort of failure.
pub const KINDS: [&str; 10] = [
    RATE_LIMITED,
    "domain_rate_limited",
    "name_rate_limited",
    "not_ready",
    "not_validated",
    "refused",
    ACCOUNT,
    "unusable",
    "unreachable",
    "dns_silent",
];

/// Those that the owner of the domain has to mend: the host does not point here.
pub const OWNERS: [&str; 2] = ["not_ready", "not_validated"];

/// The word for the sort of failure.
pub fn kind(error: &IssueError) -> &'static str {
    describe(error).0
}

/// The word for the sort of failure, out of a closed set, and what was said.
fn describe(error: &IssueError) -> (&'static str, &str) {
    match error {
        IssueError::RateLimited { scope: LimitScope::Account, detail, .. } => (RATE_LIMITED, detail),
        IssueError::RateLimited { scope: LimitScope::RegisteredDomain, detail, .. } => {
            ("domain_rate_limited", detail)
        }
        IssueError::RateLimited { scope: LimitScope::Name, detail, .. } => ("name_rate_limited", detail),
        IssueError::NotReady { detail } => ("not_ready", detail),
        IssueError::NotValidated { detail } => ("not_validated", detail),
        IssueError::Refused { detail } => ("refused", detail),
        IssueError::Account { detail } => (ACCOUNT, detail),
        IssueError::Unusable { detail } => ("unusable", detail),
        IssueError::Unreachable { detail } => ("unreachable", detail),
        IssueError::DnsSilent { detail } => ("dns_silent", detail),
    }
}

/// The first rung clearly above the last wait.
fn climb(previous: Option<&OrderFailures>) -> Duration {
    let last = last_wait(previous);
    let [.., longest] = LADDER;
    LADDER.into_iter().find(|rung| last * 2 < *rung).unwrap_or(longest)
}

/// How long the host waited before this attempt; nothing when the wait was not for a fault of its own.
fn last_wait(previous: Option<&OrderFailures>) -> Duration {
    match previous {
        Some(failures) if pauses_until(failures).is_none() => {
            failures.retry_at.duration_since(failures.last_at).try_into().unwrap_or_default()
        }
        // An account-wide wait says nothing of the host; its attempts still do.
        Some(failures) => match failures.attempts {
            0 => Duration::ZERO,
            n => LADDER.get(n as usize - 1).copied().unwrap_or(DAY),
        },
        None => Duration::ZERO,
    }
}

/// Rounded up, as the store keeps it: what is shown is what is kept.
pub fn whole_second(moment: Timestamp) -> Timestamp {
    let begun = i64::from(moment.subsec_nanosecond() > 0);
    Timestamp::from_second(moment.as_second() + begun).unwrap_or(Timestamp::MAX)
}

fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

/// A stranger's text without control characters and not longer than is worth keeping.
fn bounded(detail: &str) -> String {
    let shown = |c: char| if is_harmless(c) { vec![c] } else { c.escape_unicode().collect() };
    detail.chars().flat_map(shown).take(DETAIL_LONGEST).collect()
}

/// Neither a control, nor a line separator, nor something that turns the reading direction.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> PolicyHost {
        PolicyHost::from_full_name("mta-sts.example.com").unwrap()
    }

    fn start() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn not_validated() -> IssueError {
        IssueError::NotValidated { detail: "connection refused".into() }
    }

    fn unreachable() -> IssueError {
        IssueError::Unreachable { detail: "timed out".into() }
    }

    fn unusable() -> IssueError {
        IssueError::Unusable { detail: "another key".into() }
    }

    fn refused() -> IssueError {
        IssueError::Refused { detail: "blocked".into() }
    }

    fn limited(seconds: Option<u64>) -> IssueError {
        IssueError::RateLimited {
            retry_after: seconds.map(Duration::from_secs),
            scope: LimitScope::Account,
            detail: "too many".into(),
        }
    }

    fn account() -> IssueError {
        IssueError::Account { detail: "agree to the terms".into() }
    }

    /// Failing with `errors` one after the other, each as soon as allowed, waits these minutes
    /// (give or take the tenth of jitter, of two of them where a wait grows from the one before).
    #[track_caller]
    fn check(errors: &[IssueError], minutes: &[u64]) {
        let mut now = start();
        let mut previous = None;
        for (error, expected) in errors.iter().zip(minutes) {
            let failures = next(&host(), previous.as_ref(), error, now, Jitter::of(&host(), now));
            let waited = Duration::try_from(failures.retry_at.duration_since(now)).unwrap();
            let expected = MINUTE * u32::try_from(*expected).unwrap();
            assert!(
                waited >= expected * 4 / 5 && waited <= expected * 6 / 5 + MINUTE,
                "{waited:?} {expected:?}"
            );
            now = failures.retry_at;
            previous = Some(failures);
        }
        assert_eq!(errors.len(), minutes.len());
    }

    //
    #[test]
    fn a_host_that_cannot_be_validated_waits_one_ten_hundred_minutes_then_a_day() {
        check(&vec![not_validated(); 6], &[1, 10, 100, 1440, 1440, 1440]);
        check(&vec![unusable(); 5], &[1, 10, 100, 1440, 1440]);
        let not_ready = IssueError::NotReady { detail: "A 192.0.2.7 is not ours".into() };
        check(&vec![not_ready; 5], &[1, 10, 100, 1440, 1440]);
    }

    #[test]
    fn an_authority_that_does_not_answer_is_asked_again_within_half_an_hour() {
        check(&vec![unreachable(); 8], &[1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn dns_that_says_nothing_is_asked_again_within_half_an_hour() {
        let silent = IssueError::DnsSilent { detail: "timed out".into() };
        check(&vec![silent; 8], &[1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_long_outage_does_not_cost_a_host_a_day() {
        let mut errors = vec![unreachable(); 30];
        errors.push(not_validated());
        let mut minutes = vec![1, 2, 4, 8, 16];
        minutes.extend([30; 25]);
        minutes.push(100);
        check(&errors, &minutes);
    }

    #[test]
    fn changing_reasons_do_not_begin_the_ladder_again() {
        let errors = [not_validated(), unreachable(), not_validated(), unreachable(), not_validated()];
        check(&errors, &[1, 2, 10, 20, 100]);
    }

    #[test]
    fn a_refused_name_is_asked_for_once_a_day() {
        check(&vec![refused(); 3], &[1440, 1440, 1440]);
    }

    #[test]
    fn retry_after_is_honoured_and_an_hour_stands_in_for_it() {
        check(&[limited(Some(7200)), limited(None), limited(Some(0))], &[120, 60, 1]);
        check(&[limited(Some(u64::MAX))], &[8 * 1440]);
        check(&[account(), account()], &[60, 60]);
    }

    #[test]
    fn a_pause_of_the_account_is_not_the_hosts_failure() {
        check(
            &[not_validated(), not_validated(), limited(Some(86_400)), not_validated()],
            &[1, 10, 1440, 100],
        );
        let failures = next(&host(), None, &limited(None), start(), Jitter::NONE);
        assert_eq!(failures.attempts, 0);
    }

    #[test]
    fn retry_times_are_whole_seconds() {
        let now = after(start(), Duration::from_millis(250));
        for error in [not_validated(), unreachable(), refused(), limited(Some(7200)), account()] {
            let failures = next(&host(), None, &error, now, Jitter::of(&host(), now));
            assert_eq!(failures.retry_at.subsec_nanosecond(), 0, "{error}");
            assert!(failures.retry_at > now);
        }
        assert_eq!(whole_second(now), after(start(), Duration::from_secs(1)), "never sooner");
    }

    #[test]
    fn only_limits_and_account_troubles_hold_back_the_others() {
        let of = |error: &IssueError| pauses_until(&next(&host(), None, error, start(), Jitter::NONE));
        assert_eq!(of(&limited(Some(7200))), Some(after(start(), 2 * HOUR)));
        assert_eq!(of(&account()), Some(after(start(), HOUR)));
        assert_eq!(of(&limited(Some(5 * 86_400))), Some(after(start(), DAY)), "days are one name's limit");
        for error in [not_validated(), unreachable(), unusable(), refused()] {
            assert_eq!(of(&error), None, "{error}");
        }
    }

    #[test]
    fn attempts_count_failures_in_a_row() {
        let first = next(&host(), None, &not_validated(), start(), Jitter::NONE);
        let second = next(&host(), Some(&first), &unreachable(), first.retry_at, Jitter::NONE);
        assert_eq!((first.attempts, second.attempts), (1, 2));
        assert_eq!((first.kind.as_str(), second.kind.as_str()), ("not_validated", "unreachable"));
        assert_eq!(second.last_at, first.retry_at);
    }

    #[test]
    fn what_a_stranger_says_is_bounded_and_harmless() {
        let said = |detail: &str| {
            let error = IssueError::NotValidated { detail: detail.into() };
            next(&host(), None, &error, start(), Jitter::NONE).detail
        };
        assert_eq!(said("line\nbreak \u{1b}[31m\u{202e}"), "line\\u{a}break \\u{1b}[31m\\u{202e}");
        assert_eq!(said(&"é".repeat(2000)).chars().count(), DETAIL_LONGEST);
        assert_eq!(said(&"\n".repeat(2000)).chars().count(), DETAIL_LONGEST);
    }
}
