//! What is logged: a level, or levels by module, for now and as a rule.

use jiff::Timestamp;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, filter::ParseError};

/// More directives than anybody writes, in octets.
const LEVEL_MAX: usize = 1024;

/// Why a level makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("log level {0:?} is neither error, warn, info, debug or trace, nor a list of target=level")]
pub struct LevelError(String, #[source] Option<ParseError>);

/// Whether `level` is a level (`info`) or a list of directives (`info,mta_stsd::acme=debug`).
///
/// # Errors
///
/// [`LevelError`] when it is neither.
pub fn check(level: &str) -> Result<(), LevelError> {
    filter(level).map(drop)
}

/// What lets through as `level` says.
pub(super) fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    // A bare word that is no level would pass for a target, and nothing else would be logged.
    let is_target = |part: &str| !part.contains(['=', '[']) && part.trim().parse::<LevelFilter>().is_err();
    if level.len() > LEVEL_MAX || level.split(',').any(is_target) {
        return Err(LevelError(level.chars().take(LEVEL_MAX).collect(), None));
    }
    EnvFilter::try_new(level).map_err(|e| LevelError(level.to_owned(), Some(e)))
}

/// What is logged, as operators are told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogLevel {
    /// What is logged now: a level, or levels by module.
    pub now: String,
    /// What the daemon was started with.
    pub usual: String,
    /// When `now` gives way to `usual`; never by itself where this is `None`.
    pub until: Option<Timestamp>,
}

/// The level of a running log.
#[derive(Debug)]
pub(super) struct Levels {
    usual: String,
    other: Option<(String, Option<Timestamp>)>,
}

impl Levels {
    pub(super) fn new(usual: &str) -> Self {
        Self { usual: usual.to_owned(), other: None }
    }

    pub(super) fn level(&self) -> LogLevel {
        let usual = self.usual.clone();
        match &self.other {
            Some((now, until)) => LogLevel { now: now.clone(), usual, until: *until },
            None => LogLevel { now: usual.clone(), usual, until: None },
        }
    }

    pub(super) fn set(&mut self, level: &str, until: Option<Timestamp>) {
        self.other = Some((level.to_owned(), until));
    }

    pub(super) fn reset(&mut self) {
        self.other = None;
    }

    /// Whether the level of now has had its time.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        matches!(self.other, Some((_, Some(until))) if until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_makes_no_sense_is_refused() {
        for level in ["loud=very=much", "loud", "verbose", "info,mta_stsd::acme", &"info,".repeat(500)] {
            assert!(check(level).is_err(), "{level:?}");
        }
        for level in ["info", "WARN", "off", "info,mta_stsd::acme=debug", "error,[order]=trace"] {
            assert!(check(level).is_ok(), "{level:?}");
        }
    }

    #[test]
    fn a_level_for_a_time_ends_at_its_end_and_another_never() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (before, end) = (at("2026-11-22T08:00:00Z"), at("2026-11-22T08:10:00Z"));
        let mut levels = Levels::new("info");
        assert!(!levels.is_over(end));
        levels.set("debug", Some(end));
        assert_eq!((levels.is_over(before), levels.is_over(end)), (false, true));
        let expected = LogLevel { now: "debug".into(), usual: "info".into(), until: Some(end) };
        assert_eq!(levels.level(), expected);
        levels.set("trace", None);
        assert!(!levels.is_over(end));
        levels.reset();
        assert_eq!(levels.level().now, "info");
    }
}
