//! One line of the log, in each of its formats. Pure but for the octets' way out.
//!
//! Values are cut when they are gathered and escaped when they are written. What does neither is our
//! own: names of fields, modules and spans.

use super::Format;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Write as _},
    io,
};
use tracing::{
    Level,
    field::{Field, Visit},
};

/// The longest value of a field, in octets before they are escaped.
pub(super) const FIELD_MAX: usize = 256;
/// The longest message, and the longest `error`, which is a chain of causes; in octets likewise.
pub(super) const MESSAGE_MAX: usize = 1024;
/// More fields than we write ourselves; libraries may.
const FIELDS_MAX: usize = 32;

/// What is said in a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub message: String,
    pub fields: Vec<(&'static str, Value)>,
    /// The module that a record of the crate `log` names; its own is always "log".
    pub module: Option<String>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A number or a truth, as JSON writes it.
    Plain(String),
}

/// A span that a line stands in, with what was said when it began.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub name: &'static str,
    pub said: Said,
}

/// A whole line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// RFC 3339.
    pub time: &'a str,
    pub level: Level,
    pub target: &'a str,
    pub around: &'a [Around],
    pub said: &'a Said,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field.name(), format_args!("{}", super::chain(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.plain(field.name(), value.to_string()),
            false => self.text(field.name(), format_args!("{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value.to_string());
    }
}

impl Said {
    fn text(&mut self, name: &'static str, value: fmt::Arguments<'_>) {
        match name {
            "message" => self.message = bounded(MESSAGE_MAX, value),
            "log.target" => self.module = Some(bounded(FIELD_MAX, value)),
            _ if name.starts_with("log.") => {}
            "error" => self.push(name, Value::Text(bounded(MESSAGE_MAX, value))),
            _ => self.push(name, Value::Text(bounded(FIELD_MAX, value))),
        }
    }

    fn plain(&mut self, name: &'static str, value: String) {
        if !name.starts_with("log.") {
            self.push(name, Value::Plain(value));
        }
    }

    fn push(&mut self, name: &'static str, value: Value) {
        // Raw identifiers (r#type) are a matter of Rust alone.
        let name = name.strip_prefix("r#").unwrap_or(name);
        if let Some((_, known)) = self.fields.iter_mut().find(|(known, _)| *known == name) {
            *known = value;
        } else if self.fields.len() < FIELDS_MAX {
            self.fields.push((name, value));
        }
    }
}

/// As much of `value` as fits into `most` octets; cut text ends in an ellipsis.
fn bounded(most: usize, value: fmt::Arguments<'_>) -> String {
    let mut bounded = Bounded { text: String::new(), most };
    // An error means that it is full, or that the value cannot be shown further.
    let _ = bounded.write_fmt(value);
    bounded.text
}

struct Bounded {
    text: String,
    most: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        const ELLIPSIS: char = '…';
        if self.text.len() + more.len() <= self.most {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(more.get(..more.floor_char_boundary(self.most - self.text.len())).unwrap_or(""));
        while self.text.len() + ELLIPSIS.len_utf8() > self.most {
            self.text.pop();
        }
        self.text.push(ELLIPSIS);
        Err(fmt::Error)
    }
}

impl Line<'_> {
    /// The line with its end, in `format`; `colour` makes the level of a text stand out.
    pub(super) fn render(&self, format: Format, colour: bool) -> String {
        let mut line = match format {
            Format::Text => {
                let level = match (colour, self.level) {
                    (false, level) => format!("{level:>5}"),
                    (true, Level::ERROR) => "\x1b[31mERROR\x1b[0m".to_owned(),
                    (true, Level::WARN) => "\x1b[33m WARN\x1b[0m".to_owned(),
                    (true, Level::INFO) => "\x1b[32m INFO\x1b[0m".to_owned(),
                    (true, level) => format!("\x1b[34m{level:>5}\x1b[0m"),
                };
                format!("{} {level} {}", self.time, self.words())
            }
            Format::Journal => format!("<{}>{}", self.priority(), self.words()),
            Format::Json => json(&self.object()),
        };
        line.push('\n');
        line
    }

    /// As syslog counts (RFC 5424 §6.2.1).
    fn priority(&self) -> u8 {
        match self.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        }
    }

    fn words(&self) -> String {
        let mut words = String::new();
        for around in self.around {
            words.push_str(around.name);
            if !around.said.fields.is_empty() {
                words.push('{');
                pairs(&mut words, &around.said.fields);
                words.push('}');
            }
            words.push_str(": ");
        }
        words.push_str(&escaped(self.target));
        words.push_str(": ");
        words.push_str(&escaped(&self.said.message));
        if !self.said.fields.is_empty() {
            words.push(' ');
            pairs(&mut words, &self.said.fields);
        }
        words
    }

    fn object(&self) -> Object {
        let text = |text: &str| serde_json::Value::from(text);
        let mut object = Object(vec![
            ("timestamp".into(), text(self.time)),
            ("level".into(), text(self.level.as_str())),
            ("message".into(), text(&self.said.message)),
        ]);
        object.0.extend(values(&self.said.fields));
        object.0.push(("target".into(), text(self.target)));
        if !self.around.is_empty() {
            let around = self.around.iter().map(|around| {
                let name = ("name".to_owned(), text(around.name));
                [name].into_iter().chain(values(&around.said.fields)).collect::<serde_json::Map<_, _>>()
            });
            object.0.push(("spans".into(), around.collect()));
        }
        object
    }
}

fn values(fields: &[(&'static str, Value)]) -> impl Iterator<Item = (String, serde_json::Value)> {
    fields.iter().map(|(name, value)| {
        let value = match value {
            Value::Text(text) => text.as_str().into(),
            Value::Plain(plain) => serde_json::from_str(plain).unwrap_or_else(|_| plain.as_str().into()),
        };
        ((*name).to_owned(), value)
    })
}

/// `key=value`, quoted where the value has a space, so that no value can pass for two fields.
fn pairs(out: &mut String, fields: &[(&'static str, Value)]) {
    for (i, (name, value)) in fields.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        let (Value::Text(text) | Value::Plain(text)) = value;
        let pair = match text.is_empty() || text.contains([' ', '"', '=']) {
            // Backslashes first: one before a quote would let the quote end the value.
            true => {
                let quoted = text.replace('\\', r"\\").replace('"', "\\\"");
                format!("{space}{name}=\"{}\"", escaped(&quoted))
            }
            false => format!("{space}{name}={}", escaped(text)),
        };
        out.push_str(&pair);
    }
}

/// Whether a character would steer a terminal or a reader of lines, or pass unseen: controls (C0, C1,
/// DEL), separators of lines, marks of direction, and what has no width.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// Text with what steers as `\u{…}`, `\n` and the like.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let mut safe = String::new();
    for c in text.chars() {
        match steers(c) {
            true => safe.extend(c.escape_default()),
            false => safe.push(c),
        }
    }
    safe.into()
}

/// An object with its keys in the order in which they were said.
struct Object(Vec<(String, serde_json::Value)>);

impl Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// As JSON on one line. Beyond what JSON asks for, everything that steers is written as `\u…`.
fn json(object: &Object) -> String {
    let mut octets = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut octets, Careful(CompactFormatter));
    // Writing to memory cannot fail, and keys are strings.
    let _ = object.serialize(&mut serializer);
    String::from_utf8(octets).unwrap_or_default()
}

struct Careful(CompactFormatter);

impl Formatter for Careful {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if !text.contains(steers) {
            return self.0.write_string_fragment(writer, text);
        }
        for c in text.chars() {
            match steers(c) {
                // All of them lie below U+10000, so one unit of UTF-16 is enough.
                true => write!(writer, "\\u{:04x}", u32::from(c))?,
                false => write!(writer, "{c}")?,
            }
        }
        Ok(())
    }
}
