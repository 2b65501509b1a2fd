//! What a policy is: mode, MX host patterns and lifetime (RFC 8461 §3.2).
//!
//! A [`Policy`] is always servable: it can only be built from checked parts, its patterns are sorted
//! and without repetition, so equal settings give equal octets and an equal [`PolicyId`].

mod body;
mod field;
mod id;
pub mod interop;
pub mod misprint;
mod mx_pattern;
mod record;
mod rendered;
pub mod report_record;
mod txt_fields;
mod verdict;

pub use body::{parse_body, render_body};
pub use id::PolicyId;
pub use mx_pattern::{MxPattern, PatternError, text_allows};
pub use record::{
    IndicatorRecord, RecordDefect, RecordJudgement, RecordOutcome, RecordRemark, TxtSeen, judge_records,
    render_record,
};
pub use rendered::{RenderedPolicy, Unfaithful};
pub use verdict::{Audit, Defect, DefectCode, ParsedPolicy, Remark, RemarkCode};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod vectors;

use std::{fmt, time::Duration};

/// What senders do with a policy (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Mail goes only to MX hosts that match and authenticate.
    Enforce,
    /// Mail goes as before; failures are reported (RFC 8460).
    Testing,
    /// There is no policy any more: the way out (§8.3).
    None,
}

impl Mode {
    /// The keyword in the policy body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }

    /// Reads the keyword; case counts (P-05).
    pub fn from_keyword(text: &str) -> Option<Self> {
        [Self::Enforce, Self::Testing, Self::None].into_iter().find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long senders may keep a policy, in whole seconds (RFC 8461 §3.2, `max_age`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MaxAge(u32);

impl MaxAge {
    /// The longest lifetime the RFC allows: 31 557 600 s, one Julian year.
    pub const LONGEST: Self = Self(31_557_600);
    /// The shortest a tenant may set, one day: Google treats anything shorter as an error (P-07).
    pub const SHORTEST_TO_SET: Self = Self(86_400);
    /// One week.
    pub const WEEK: Self = Self(604_800);
    /// Two weeks.
    pub const TWO_WEEKS: Self = Self(2 * 604_800);

    /// The lifetime of a policy that does not say one: a week, and two in mode enforce, where a
    /// policy that senders forget between two mails protects nobody (P-07).
    pub fn default_of(mode: Mode) -> Self {
        if mode == Mode::Enforce { Self::TWO_WEEKS } else { Self::WEEK }
    }

    /// Accepts `seconds` as a policy lifetime. Zero is legal on the wire; what a tenant may *set*
    /// is narrower and checked by the configuration.
    ///
    /// # Errors
    ///
    /// [`MaxAgeTooLong`] above [`MaxAge::LONGEST`]. Nothing is clamped: a tenant who wrote two years
    /// should hear about it, not be served one.
    pub fn from_seconds(seconds: u64) -> Result<Self, MaxAgeTooLong> {
        match u32::try_from(seconds) {
            Ok(s) if s <= Self::LONGEST.0 => Ok(Self(s)),
            _ => Err(MaxAgeTooLong { seconds }),
        }
    }

    /// The lifetime in seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The lifetime as a length of time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl fmt::Display for MaxAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lifetime above one year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{seconds} s is longer than {} s, the most RFC 8461 allows", MaxAge::LONGEST)]
pub struct MaxAgeTooLong {
    /// What was asked for.
    pub seconds: u64,
}

/// A policy that can be served: checked, sorted, without repetition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    mode: Mode,
    mx: Vec<MxPattern>,
    max_age: MaxAge,
}

impl Policy {
    /// The most patterns a policy may have, so that its body stays below 8 KiB (P-17).
    pub const MX_MAX: usize = 64;
    /// The largest body in octets: one deployed sender reads no more than 10 KiB (P-17).
    pub const BODY_MAX: usize = 8 * 1024;

    /// Puts a policy together. Patterns are sorted and repetitions dropped (P-15); a policy of mode
    /// none keeps its patterns, because two deployed senders refuse one without (P-10).
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when a pattern is missing, or there are too many of them to be read by all.
    pub fn new(mode: Mode, mx: Vec<MxPattern>, max_age: MaxAge) -> Result<Self, PolicyError> {
        let mut mx = mx;
        mx.sort();
        mx.dedup();
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoMx);
        }
        if mx.len() > Self::MX_MAX {
            return Err(PolicyError::TooManyMx { count: mx.len() });
        }
        let policy = Self { mode, mx, max_age };
        let octets = render_body(&policy).len();
        if octets > Self::BODY_MAX {
            return Err(PolicyError::BodyTooLarge { octets });
        }
        Ok(policy)
    }

    /// What senders do with it.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The MX host patterns, sorted.
    pub fn mx(&self) -> &[MxPattern] {
        &self.mx
    }

    /// How long senders may keep it.
    pub fn max_age(&self) -> MaxAge {
        self.max_age
    }

    /// The first pattern that allows the MX host `host` (as DNS gave it), if any (RFC 8461 §4.1).
    pub fn allowing(&self, host: &str) -> Option<&MxPattern> {
        self.mx.iter().find(|pattern| pattern.allows(host))
    }
}

/// Why parts do not make a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Mode enforce or testing without a pattern (P-09).
    #[error("a policy of mode enforce or testing needs at least one mx pattern")]
    NoMx,
    /// More patterns than every sender reads (P-17).
    #[error("{count} mx patterns are too many; 64 is the most that every sender reads")]
    TooManyMx {
        /// How many there are.
        count: usize,
    },
    /// A body above 8 KiB (P-17).
    #[error("the policy text would have {octets} octets; 8192 is the most that every sender reads")]
    BodyTooLarge {
        /// Octets of the body.
        octets: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize, name: &str) -> Vec<MxPattern> {
        (0..count).map(|n| MxPattern::from_ascii(&format!("mx{n}.{name}")).unwrap()).collect()
    }

    // P-09, P-10.
    #[test]
    fn only_a_none_policy_may_lack_patterns_and_it_keeps_those_it_has() {
        for mode in [Mode::Enforce, Mode::Testing] {
            assert_eq!(Policy::new(mode, vec![], MaxAge::WEEK), Err(PolicyError::NoMx));
        }
        assert!(Policy::new(Mode::None, vec![], MaxAge::WEEK).is_ok());
        let policy = Policy::new(Mode::None, named(2, "example.com"), MaxAge::WEEK).unwrap();
        assert_eq!(policy.mx().len(), 2);
    }

    // P-17: what every sender reads.
    #[test]
    fn a_policy_has_at_most_64_patterns_and_8_kib() {
        assert!(Policy::new(Mode::Enforce, named(64, "example.com"), MaxAge::WEEK).is_ok());
        let error = Policy::new(Mode::Enforce, named(65, "example.com"), MaxAge::WEEK);
        assert_eq!(error, Err(PolicyError::TooManyMx { count: 65 }));
        let long = ["a".repeat(60), "b".repeat(60), "example".into()].join(".");
        let error = Policy::new(Mode::Enforce, named(64, &long), MaxAge::WEEK);
        assert!(matches!(error, Err(PolicyError::BodyTooLarge { octets }) if octets > Policy::BODY_MAX));
    }

    // P-06.
    #[test]
    fn max_age_above_one_year_is_refused_not_clamped() {
        assert_eq!(MaxAge::from_seconds(31_557_600), Ok(MaxAge::LONGEST));
        for seconds in [31_557_601, u64::MAX] {
            assert_eq!(MaxAge::from_seconds(seconds), Err(MaxAgeTooLong { seconds }));
        }
    }
}
