//! Pure: when a finding is certain enough to tell somebody, and when it has grown old.
//!
//! A false alarm costs more than two minutes: what would alarm is told when two resolvers say the same,
//! or when it is still seen in a second look. What alarms nobody is noted at once. That DNS does not
//! answer is no finding at all (M-14, T-17).

use super::KnownFinding;
use crate::{
    audit::{Finding, FindingCode, Severity},
    dns::Agreed,
    policy::Mode,
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long a pattern may allow no host before that is more than a note (M-10).
const UNUSED_LONG: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a record may be missing or have another id: the body is changed before the record (§8.1), and
/// caches keep the record a while.
const RECORD_FOLLOWS: Duration = Duration::from_secs(3_600);

/// A finding that was seen.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    /// What was found.
    pub finding: Finding,
    /// When it was seen: a look at a mail host may be older than the audit that it serves.
    pub at: Timestamp,
    /// Who says so.
    pub agreed: Agreed,
    /// How long what would alarm has to be seen before it is certain.
    pub recheck: Duration,
}

/// Whether a finding that was seen is raised. `before` is what was known of it.
pub(super) fn is_raised(sighting: &Sighting, before: Option<&KnownFinding>) -> bool {
    let Sighting { finding, at, agreed, recheck } = sighting;
    let (agreed, recheck) = (*agreed, *recheck);
    if finding.severity < Severity::Error || (agreed == Agreed::Both && !may_take_a_while(finding)) {
        return finding.severity != Severity::Unknown;
    }
    let recheck = if may_take_a_while(finding) { RECORD_FOLLOWS.max(recheck) } else { recheck };
    before.is_some_and(|known| {
        let seen_for: Duration = at.duration_since(known.since).try_into().unwrap_or_default();
        known.raised || seen_for >= recheck
    })
}

/// Whether it belongs to every change of a policy, and mends itself when the change is done.
pub(super) fn may_take_a_while(finding: &Finding) -> bool {
    use FindingCode::{BodyDiffers, IdDiffers, StsRecordMissing};
    matches!(finding.code, IdDiffers | StsRecordMissing | BodyDiffers)
}

/// What a finding seen since `since` is by now: an unused pattern is more than a note after 30 days.
pub(super) fn aged(finding: Finding, since: Timestamp, mode: Mode, now: Timestamp) -> Finding {
    let long = finding.code == FindingCode::MxPatternUnused && now.duration_since(since) >= UNUSED_LONG;
    if long { Finding::about(FindingCode::MxPatternUnusedLong, &finding.subject, mode) } else { finding }
}

/// Whether two findings speak of the same thing, however bad and however old it is by now.
pub(super) fn same_matter(one: &Finding, other: &Finding) -> bool {
    let matter = |finding: &Finding| match finding.code {
        FindingCode::MxPatternUnusedLong => FindingCode::MxPatternUnused,
        code => code,
    };
    matter(one) == matter(other) && one.subject == other.subject
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECHECK: Duration = Duration::from_secs(120);

    fn is_raised(finding: &Finding, before: Option<&KnownFinding>, agreed: Agreed, at: Timestamp) -> bool {
        super::is_raised(&Sighting { finding: finding.clone(), at, agreed, recheck: RECHECK }, before)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn uncovered() -> Finding {
        Finding::about(FindingCode::MxNotInPolicy, "mx.example.net", Mode::Enforce)
    }

    fn known(since: i64, raised: bool) -> KnownFinding {
        KnownFinding { finding: uncovered(), since: at(since), raised }
    }

    #[test]
    fn two_resolvers_that_agree_are_believed_at_once() {
        assert!(is_raised(&uncovered(), None, Agreed::Both, at(0)));
    }

    #[test]
    fn one_resolver_or_two_that_differ_are_believed_the_second_time() {
        for agreed in [Agreed::One, Agreed::Contested] {
            assert!(!is_raised(&uncovered(), None, agreed, at(0)));
            assert!(!is_raised(&uncovered(), Some(&known(0, false)), agreed, at(119)));
            assert!(is_raised(&uncovered(), Some(&known(0, false)), agreed, at(120)));
            assert!(is_raised(&uncovered(), Some(&known(0, true)), agreed, at(1)), "it stays raised");
        }
    }

    #[test]
    fn what_alarms_nobody_is_noted_at_once_and_what_is_unknown_never() {
        let note = Finding::about(FindingCode::MxPatternUnused, "mx.example.net", Mode::Enforce);
        assert!(is_raised(&note, None, Agreed::Contested, at(0)));
        let unknown = Finding::about_domain(FindingCode::MxLookupFailed, Mode::Enforce);
        for agreed in [Agreed::Both, Agreed::One, Agreed::Contested] {
            assert!(!is_raised(&unknown, None, agreed, at(0)));
        }
    }

    // RFC 8461 §8.1.
    #[test]
    fn a_record_that_follows_the_body_within_an_hour_alarms_nobody() {
        let finding = Finding::about(FindingCode::IdDiffers, "1", Mode::Enforce);
        let known = KnownFinding { finding: finding.clone(), since: at(0), raised: false };
        assert!(!is_raised(&finding, None, Agreed::Both, at(0)));
        assert!(!is_raised(&finding, Some(&known), Agreed::Both, at(3_599)));
        assert!(is_raised(&finding, Some(&known), Agreed::One, at(3_600)));
    }

    // M-10.
    #[test]
    fn an_unused_pattern_is_more_than_a_note_after_thirty_days() {
        let note = || Finding::about(FindingCode::MxPatternUnused, "mx.example.net", Mode::Enforce);
        let days = |days: i64| at(days * 86_400);
        assert_eq!(aged(note(), at(0), Mode::Enforce, days(29)).code, FindingCode::MxPatternUnused);
        let long = aged(note(), at(0), Mode::Enforce, days(30));
        assert_eq!((long.code, long.severity), (FindingCode::MxPatternUnusedLong, Severity::Warn));
        assert!(same_matter(&note(), &long));
        assert_eq!(aged(uncovered(), at(0), Mode::Enforce, days(90)), uncovered());
    }
}
