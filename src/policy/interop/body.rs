//! The one reader of policy bodies that all senders share, and the behaviours in which they differ.

use super::{
    PolicyReading,
    mx::{MxLine, MxSyntax},
    number::Number,
    text::{Decoding, Lines, White},
};
use crate::policy::{Mode, field::is_field_name};
use std::{collections::HashSet, fmt};

/// How one sender reads a policy body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) limit: Limit,
    pub(super) decoding: Decoding,
    pub(super) lines: Lines,
    pub(super) no_colon: NoColon,
    /// A second colon in a line is refused.
    pub(super) one_colon: bool,
    /// What is trimmed off a field name.
    pub(super) name: White,
    /// `Mode` is `mode`.
    pub(super) name_in_any_case: bool,
    pub(super) names: Names,
    /// What is trimmed off a value.
    pub(super) value: White,
    pub(super) extensions: Extensions,
    pub(super) repeated: Repeated,
    pub(super) version: Version,
    /// `Enforce` is `enforce`.
    pub(super) mode_in_any_case: bool,
    /// The mode of a policy without one; refused when there is none.
    pub(super) mode_by_default: Option<Mode>,
    pub(super) max_age: Number,
    pub(super) range: Range,
    /// The lifetime of a policy without a readable one; refused when there is none.
    pub(super) max_age_by_default: Option<u64>,
    pub(super) mx: MxSyntax,
    /// A repeated pattern is kept once.
    pub(super) mx_once: bool,
    /// A policy of mode none without patterns is refused.
    pub(super) none_needs_mx: bool,
    /// Unknown and repeated fields are warned about.
    pub(super) warns: bool,
}

/// How much of a body is read, in octets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Unlimited,
    RefusedAbove(usize),
    CutAt(usize),
}

/// A line without a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoColon {
    Skipped,
    Refused,
    /// Refused unless it is empty.
    EmptySkipped,
    /// Read as a field name without a value.
    NameAlone,
}

/// A field name outside the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// An unknown field like any other.
    Any,
    OddRefused,
    /// The same, but the first character may be a dot or hyphen too.
    OddRefusedAfterFirst,
}

/// The value of an unknown field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extensions {
    Unread,
    /// Refused when empty or with a character below U+0020 or U+007F in it.
    WithoutC0,
    /// The same for the controls up to U+009F.
    WithoutControls,
}

/// A repeated `version`, `mode` or `max_age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The first counts, the others are not looked at.
    First,
    /// The first counts, but the others must be good too.
    FirstOfGood,
    Last,
    LastOfGood,
    Refused,
}

/// What `version` must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Required,
    /// May be missing; case does not count.
    Optional,
}

/// What a lifetime may be, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range {
    Any,
    Within(i128, i128),
    CappedAt(i128),
}

/// Why a sender refuses a body, with the line (as that sender counts lines) where one line is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) line: Option<usize>,
    pub(super) why: Why,
}

/// What a sender refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Above(usize),
    CutAt(usize),
    NotItsCharset,
    StrayCr,
    BlankLine,
    NoColon,
    SecondColon,
    FieldName,
    ExtensionValue,
    Repetition(&'static str),
    Missing(&'static str),
    Value(&'static str),
    MaxAgeRange(i128),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Above(octets) => write!(f, "it refuses more than {octets} octets"),
            Why::CutAt(octets) => write!(f, "it reads only the first {octets} octets"),
            Why::NotItsCharset => {
                write!(
                    f,
                    "it refuses octets that do not fit the charset, which is ASCII or UTF-8 if none is named"
                )
            }
            Why::StrayCr => write!(f, "it refuses a carriage return inside a line"),
            Why::BlankLine => write!(f, "it refuses a blank line"),
            Why::NoColon => write!(f, "it refuses a line without a colon"),
            Why::SecondColon => write!(f, "it refuses a second colon in a line"),
            Why::FieldName => write!(f, "it refuses what stands before the colon"),
            Why::ExtensionValue => write!(f, "it refuses the value of an unknown field"),
            Why::Repetition(field) => write!(f, "it refuses a second {field}"),
            Why::Missing(field) => write!(f, "it finds no {field}"),
            Why::Value(field) => write!(f, "it refuses the value of {field}"),
            Why::MaxAgeRange(seconds) => write!(f, "it refuses a max_age of {seconds} s"),
        }?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

fn whole(why: Why) -> Refusal {
    Refusal { line: None, why }
}

/// A value with its line.
type Placed<'a> = (usize, &'a str);

/// The fields of a body as one sender sees them.
#[derive(Default)]
struct Fields<'a> {
    version: Vec<Placed<'a>>,
    mode: Vec<Placed<'a>>,
    max_age: Vec<Placed<'a>>,
    mx: usize,
    patterns: HashSet<String>,
    warned: bool,
}

impl Reader {
    /// Reads `octets`, which came with the content type's `charset`.
    pub(super) fn read(&self, octets: &[u8], charset: Option<&str>) -> Result<PolicyReading, Refusal> {
        match self.limit {
            Limit::RefusedAbove(most) if octets.len() > most => Err(whole(Why::Above(most))),
            Limit::CutAt(most) => match octets.get(..most).filter(|start| start.len() < octets.len()) {
                Some(start) => self.read_all(start, charset).map_err(|_| whole(Why::CutAt(most))),
                None => self.read_all(octets, charset),
            },
            Limit::RefusedAbove(_) | Limit::Unlimited => self.read_all(octets, charset),
        }
    }

    fn read_all(&self, octets: &[u8], charset: Option<&str>) -> Result<PolicyReading, Refusal> {
        let text = self.decoding.decode(octets, charset).ok_or(whole(Why::NotItsCharset))?;
        let mut fields = Fields::default();
        for (index, line) in self.lines.split(&text).into_iter().enumerate() {
            let number = index + 1;
            self.read_line(number, line, &mut fields).map_err(|why| Refusal { line: Some(number), why })?;
        }
        self.judge(&fields)
    }

    fn read_line<'a>(&self, number: usize, line: &'a str, fields: &mut Fields<'a>) -> Result<(), Why> {
        if self.lines == Lines::LfOrEndWithoutCr && line.contains('\r') {
            return Err(Why::StrayCr);
        }
        let (name, rest) = match (line.split_once(':'), self.no_colon) {
            (Some(field), _) => field,
            (None, NoColon::NameAlone) => (White::Python.trim_end(line), ""),
            (None, NoColon::Skipped) => return Ok(()),
            (None, NoColon::EmptySkipped) if line.is_empty() => return Ok(()),
            (None, _) if line.trim().is_empty() => return Err(Why::BlankLine),
            (None, _) => return Err(Why::NoColon),
        };
        if self.one_colon && rest.contains(':') {
            return Err(Why::SecondColon);
        }
        let name = self.name.trim(name);
        let known = ["version", "mode", "max_age", "mx"].into_iter().find(|known| {
            if self.name_in_any_case { name.to_lowercase() == **known } else { name == *known }
        });
        let value = self.value.trim(rest);
        match known {
            Some("version") => self.note(&mut fields.version, (number, value), &mut fields.warned),
            Some("mode") => self.note(&mut fields.mode, (number, value), &mut fields.warned),
            Some("max_age") => self.note(&mut fields.max_age, (number, value), &mut fields.warned),
            Some(_) => return self.read_mx(value, fields),
            None => return self.read_extension(name, value, fields),
        }
        Ok(())
    }

    fn note<'a>(&self, values: &mut Vec<Placed<'a>>, value: Placed<'a>, warned: &mut bool) {
        *warned |= self.warns && !values.is_empty();
        values.push(value);
    }

    fn read_mx(&self, value: &str, fields: &mut Fields<'_>) -> Result<(), Why> {
        match self.mx.judge(value) {
            MxLine::Refused => return Err(Why::Value("mx")),
            MxLine::LeftOut => return Ok(()),
            MxLine::Pattern => {}
        }
        if !self.mx_once || fields.patterns.insert(value.to_lowercase()) {
            fields.mx += 1;
        }
        Ok(())
    }

    fn read_extension(&self, name: &str, value: &str, fields: &mut Fields<'_>) -> Result<(), Why> {
        let well_named = match self.names {
            Names::Any => true,
            Names::OddRefused => is_field_name(name),
            Names::OddRefusedAfterFirst => match name.strip_prefix(['-', '.']) {
                Some("") => true,
                Some(rest) => is_field_name(&format!("x{rest}")),
                None => is_field_name(name),
            },
        };
        if !well_named {
            return Err(Why::FieldName);
        }
        let good = match self.extensions {
            Extensions::Unread => true,
            Extensions::WithoutC0 => !value.is_empty() && !value.chars().any(|c| c.is_ascii_control()),
            Extensions::WithoutControls => !value.is_empty() && !value.chars().any(char::is_control),
        };
        if !good {
            return Err(Why::ExtensionValue);
        }
        fields.warned |= self.warns;
        Ok(())
    }

    fn judge(&self, fields: &Fields<'_>) -> Result<PolicyReading, Refusal> {
        match self.version {
            Version::Required => {
                self.counted("version", &fields.version, |text| (text == "STSv1").then_some(()))?
            }
            Version::Optional => self.counted("version", &fields.version, |text| {
                text.eq_ignore_ascii_case("STSv1").then_some(())
            })?,
        };
        let mode = self.counted("mode", &fields.mode, |text| self.mode_of(text))?;
        let max_age = self.lifetime(&fields.max_age)?;
        let mode = mode.or(self.mode_by_default).ok_or(whole(Why::Missing("mode")))?;
        if self.version == Version::Required && fields.version.is_empty() {
            return Err(whole(Why::Missing("version")));
        }
        if fields.mx == 0 && (mode != Mode::None || self.none_needs_mx) {
            return Err(whole(Why::Missing("mx")));
        }
        Ok(PolicyReading::Accept { mode, max_age, mx: fields.mx, warned: fields.warned })
    }

    fn mode_of(&self, text: &str) -> Option<Mode> {
        if self.mode_in_any_case {
            Mode::from_keyword(&text.to_lowercase())
        } else {
            Mode::from_keyword(text)
        }
    }

    /// The value that counts among `values`, if there is any.
    fn counted<T>(
        &self,
        field: &'static str,
        values: &[Placed<'_>],
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let good = |(line, text): &Placed<'_>| {
            read(text).ok_or(Refusal { line: Some(*line), why: Why::Value(field) })
        };
        if let (Repeated::Refused, [_, (line, _), ..]) = (self.repeated, values) {
            return Err(Refusal { line: Some(*line), why: Why::Repetition(field) });
        }
        if matches!(self.repeated, Repeated::FirstOfGood | Repeated::LastOfGood) {
            values.iter().try_for_each(|value| good(value).map(drop))?;
        }
        let one = match self.repeated {
            Repeated::First | Repeated::FirstOfGood | Repeated::Refused => values.first(),
            Repeated::Last | Repeated::LastOfGood => values.last(),
        };
        one.map(good).transpose()
    }

    fn lifetime(&self, values: &[Placed<'_>]) -> Result<u64, Refusal> {
        if let Some(default) = self.max_age_by_default {
            // Who has a default takes it for what cannot be read as well.
            let last = values.iter().filter_map(|(_, text)| self.max_age.read(text)).next_back();
            return Ok(last.map_or(default, seconds));
        }
        let found = self.counted("max_age", values, |text| self.max_age.read(text))?;
        let found = found.ok_or(whole(Why::Missing("max_age")))?;
        match self.range {
            Range::Any => Ok(seconds(found)),
            Range::CappedAt(most) => Ok(seconds(found.min(most))),
            Range::Within(least, most) if (least..=most).contains(&found) => Ok(seconds(found)),
            Range::Within(..) => Err(whole(Why::MaxAgeRange(found))),
        }
    }
}

/// A lifetime below nothing is over at once.
fn seconds(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}
