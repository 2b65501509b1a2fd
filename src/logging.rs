//! Turns on the log: level, format, standard error.
//!
//! Strangers' octets reach the log as field values, so no value can begin a line of its own or speak
//! to a terminal: control characters are written as escapes in both formats.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io::{self, IsTerminal},
};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt,
    filter::LevelFilter,
    fmt::{MakeWriter, format},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: time, level, message and `key=value` fields.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Logs to standard error from now on, in colour only on a terminal.
///
/// `level` is a level (`info`) or tracing's directives (`info,mta_stsd::acme=debug`).
///
/// # Errors
///
/// [`LoggingError`] when `level` makes no sense, or when logging was turned on before.
pub fn init(format: Format, level: &str) -> Result<(), LoggingError> {
    // A bare word that is no level would pass for a target, and nothing else would be logged.
    if level.split(',').any(|part| !part.contains(['=', '[']) && part.trim().parse::<LevelFilter>().is_err())
    {
        return Err(LoggingError::Level(level.to_owned(), None));
    }
    let filter = EnvFilter::try_new(level).map_err(|e| LoggingError::Level(level.to_owned(), Some(e)))?;
    let lines = lines(format, io::stderr, io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(|_| LoggingError::Twice)
}

/// Why the log was not turned on.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is neither a level nor a list of directives.
    #[error("log level {0:?} is neither error, warn, info, debug or trace, nor a list of target=level")]
    Level(String, #[source] Option<tracing_subscriber::filter::ParseError>),
    /// Something else logs already.
    #[error("the log was turned on twice")]
    Twice,
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

fn lines<S, W>(format: Format, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        Format::Json => layer.with_ansi(false).json().flatten_event(true).boxed(),
        Format::Text => {
            let fields = format::debug_fn(|out, field, value| {
                if field.name() != "message" {
                    write!(out, "{field}=")?;
                }
                write!(Escaped(out), "{value:?}")
            });
            layer.fmt_fields(fields.delimited(" ")).boxed()
        }
    }
}

/// Passes text on with control characters, and the two separators that some readers take for the
/// end of a line, as escapes.
struct Escaped<'a, 'w>(&'a mut format::Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod caught;

#[cfg(test)]
mod tests {
    use super::{caught::Lines, *};
    use tracing::{error, info, info_span};

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let written = Lines::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, log);
        written.text()
    }

    const HOSTILE: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\x1b[2J\u{9b}1m\u{2028}\x00\x7f\tend";

    fn log_hostile() {
        let _span = info_span!("request", peer = %HOSTILE, other = HOSTILE).entered();
        info!(display = %HOSTILE, debug = ?HOSTILE, plain = HOSTILE, "message of {HOSTILE}");
        error!(error = &io::Error::other(HOSTILE) as &dyn Error, "failed");
    }

    #[test]
    fn a_value_cannot_begin_a_second_line() {
        for format in [Format::Text, Format::Json] {
            let text = logged(format, log_hostile);
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.matches("forged").count() >= 6, "the value itself is there: {text}");
            assert!(!text.contains('\r') && !text.contains('\x1b') && !text.contains('\0'), "{text:?}");
        }
    }

    #[test]
    fn a_value_cannot_speak_to_a_terminal() {
        let text = logged(Format::Text, log_hostile);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains(r"x\n2026") && text.contains(r"\u{1b}[2J"), "{text}");
    }

    #[test]
    fn a_text_line_reads_as_fields() {
        let text = logged(Format::Text, || info!(host = %"mta-sts.example.com", attempt = 2, "issued"));
        assert!(text.ends_with("issued host=mta-sts.example.com attempt=2\n"), "{text:?}");
    }

    #[test]
    fn a_json_line_is_one_object() {
        let text = logged(Format::Json, || info!(host = %"mta-sts.example.com", "issued"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["host"]), (&"issued".into(), &"mta-sts.example.com".into()));
    }

    #[test]
    fn a_level_that_makes_no_sense_is_refused() {
        for level in ["loud=very=much", "loud", "verbose", "info,mta_stsd::acme"] {
            assert!(matches!(init(Format::Text, level), Err(LoggingError::Level(..))), "{level:?}");
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Layered(&'static str, #[source] Option<Box<Layered>>);
        let error = Layered("a", Some(Box::new(Layered("b", Some(Box::new(Layered("c", None)))))));
        assert_eq!(chain(&error).to_string(), "a: b: c");
    }
}
