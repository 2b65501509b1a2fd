//! The log: one line for each event, on standard error, at a level that can be changed at run time.
//!
//! Strangers' octets reach the log as field values. No value can begin a line of its own, speak to a
//! terminal, or be longer than `line::FIELD_MAX`; and no kind of line is written more often than
//! `flood::LINES_A_SECOND`, whoever causes it (`flood`).

mod flood;
mod journal;
mod level;
mod line;
mod printer;

pub use journal::is_journal;
pub use level::{LevelError, LogLevel, check as check_level};

use jiff::Timestamp;
use level::Levels;
use printer::Printer;
use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal, Write as _},
    sync::{Mutex, OnceLock, PoisonError},
};
use tracing::{error, info};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: time, level, module, message and key=value fields
    Text,
    /// For machines: one JSON object a line
    Json,
    /// For the journal, which keeps time and level itself: a priority, then as text
    Journal,
}

impl Format {
    /// What fits standard error: [`Format::Journal`] when that is the journal, [`Format::Text`] otherwise.
    pub fn fitting() -> Self {
        if is_journal(&io::stderr()) { Self::Journal } else { Self::Text }
    }
}

/// The log of this process, once [`init`] turned it on.
static LOG: OnceLock<Log> = OnceLock::new();

/// Logs to standard error from now on, in colour only on a terminal and unless `NO_COLOR` is set.
///
/// `level` is a level (`info`) or tracing's directives (`info,mta_stsd::acme=debug`).
///
/// # Errors
///
/// [`LoggingError`] when `level` makes no sense, or when logging was turned on before.
pub fn init(format: Format, level: &str) -> Result<(), LoggingError> {
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Nobody could be told that standard error is gone.
    let out = |octets: &[u8]| drop(io::stderr().write_all(octets));
    let (log, layer) = Log::new(Printer::new(format, colour, out), level)?;
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| LoggingError::Twice)?;
    LOG.set(log).map_err(|_| LoggingError::Twice)
}

/// The log of this process; `None` when this process turned none on, as in tests.
pub fn current() -> Option<&'static Log> {
    LOG.get()
}

/// Why the log was not turned on.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level makes no sense.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// Something else logs already.
    #[error("the log was turned on twice")]
    Twice,
}

/// A log that runs: its level, and what a flood made it leave out.
#[derive(Debug)]
pub struct Log {
    printer: Printer,
    filter: reload::Handle<EnvFilter, Registry>,
    levels: Mutex<Levels>,
}

impl Log {
    /// The log, and the layer through which events come to it.
    fn new(
        printer: Printer,
        level: &str,
    ) -> Result<(Self, impl Layer<Registry> + Send + Sync + 'static), LevelError> {
        let (filter, handle) = reload::Layer::new(level::filter(level)?);
        let layer = printer.clone().with_filter(filter);
        Ok((Self { printer, filter: handle, levels: Mutex::new(Levels::new(level)) }, layer))
    }

    /// What is logged now, and until when.
    pub fn level(&self) -> LogLevel {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).level()
    }

    /// Logs at `level` from now on; from `until` on as the daemon was started with.
    ///
    /// # Errors
    ///
    /// [`LevelError`] when `level` makes no sense; nothing is changed then.
    pub fn set(&self, level: &str, until: Option<Timestamp>) -> Result<LogLevel, LevelError> {
        let filter = level::filter(level)?;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        // Said while both the old and the new level may let it through.
        let before = levels.level().now;
        info!(from = before, to = level, until = until.map(tracing::field::display), "log level changed");
        levels.set(level, until);
        self.reload(filter);
        Ok(levels.level())
    }

    /// Logs as the daemon was started with.
    pub fn reset(&self) -> LogLevel {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        self.fall_back(&mut levels);
        levels.level()
    }

    /// What is due at `now`: to say how many lines were left out, and to fall back to the usual level.
    /// To be called about once a second.
    pub fn tick(&self, now: Timestamp) {
        self.printer.tell_left_out(false);
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.is_over(now) {
            self.fall_back(&mut levels);
        }
    }

    /// How many lines were left out since the start, because there were too many of their kind.
    pub fn left_out(&self) -> u64 {
        self.printer.left_out()
    }

    /// Says what was left out until now; for the end, when no tick comes any more.
    pub fn tell_left_out(&self) {
        self.printer.tell_left_out(true);
    }

    fn fall_back(&self, levels: &mut Levels) {
        levels.reset();
        let level = levels.level().now;
        if let Ok(filter) = level::filter(&level) {
            self.reload(filter);
        }
        info!(to = level, "log level is the usual one again");
    }

    fn reload(&self, filter: EnvFilter) {
        if let Err(error) = self.filter.reload(filter) {
            error!(%error, "log level not changed");
        }
    }
}

/// An error and its causes on one line: `could not save: disk full`.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> impl fmt::Display + 'a {
    Chain(error)
}

struct Chain<'a>(&'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod caught;

#[cfg(test)]
mod tests;
