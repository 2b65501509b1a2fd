//! How senders read the TXT records at `_mta-sts.<domain>`: one reader, one row for each sender.

use super::{RecordReading, Sender, text::White};
use crate::policy::field::{is_extension_value, is_field_name};

/// How one sender finds the record and reads its fields.
#[derive(Clone, Copy)]
struct Reader {
    /// A record with an octet outside ASCII is left out.
    ascii: bool,
    find: Find,
    /// What is left of a record before it is looked at.
    trimmed: White,
    begins: Begins,
    /// It is read as a line of a mail header: what stands before a colon is lost, and so is
    /// everything after a backslash.
    as_header: bool,
    fields: Fields,
}

/// Which of the records counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Find {
    /// The only one with the right beginning; none when there are two.
    OnlyCandidate,
    /// The only one at the name, of whatever kind.
    OnlyOne,
    /// The first that can be read.
    FirstGood,
    /// All of them joined.
    Joined,
}

/// How a record must begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    Anyhow,
    /// `v=STSv1`, whatever follows.
    Version,
    /// `v=STSv1` in any case, followed by the end of a word.
    VersionWord,
    /// `v=STSv1;` exactly.
    VersionSemicolon,
    /// White space may stand before the semicolon.
    VersionSpaceSemicolon,
    /// The same in any case.
    VersionSpaceSemicolonAnyCase,
}

/// How fields are read.
#[derive(Clone, Copy)]
enum Fields {
    /// Not at all.
    Unread,
    Read(FieldRules),
}

#[derive(Clone, Copy)]
struct FieldRules {
    /// What is trimmed off a field.
    field: White,
    /// What is trimmed off both sides of `=`.
    around_equals: White,
    /// What is taken out wherever it stands.
    dropped: White,
    empty: Empty,
    no_equals: NoEquals,
    /// A second `=`, or a space or tab in a field, is refused.
    plain_pairs: bool,
    name_in_any_case: bool,
    version_in_any_case: bool,
    /// Names and values must be grammatical.
    grammar: bool,
    repeated: Repeated,
    id: Id,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Skipped,
    /// Refused, except after the last semicolon.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NoEquals {
    Skipped,
    Refused,
    /// A name with an empty value.
    NameAlone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    First,
    Last,
    /// A second id is refused.
    Refused,
}

/// What an id may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Id {
    Anything,
    NotEmpty,
    /// 1 to 32 letters and digits.
    Grammatical,
    /// The same, but which one it is does not matter.
    GrammaticalUnused,
}

const STRICT_FIELDS: FieldRules = FieldRules {
    field: White::Wsp,
    around_equals: White::Nothing,
    dropped: White::Nothing,
    empty: Empty::Refused,
    no_equals: NoEquals::Refused,
    plain_pairs: false,
    name_in_any_case: false,
    version_in_any_case: false,
    grammar: true,
    repeated: Repeated::First,
    id: Id::Grammatical,
};

const LENIENT_FIELDS: FieldRules = FieldRules {
    empty: Empty::Skipped,
    no_equals: NoEquals::Skipped,
    grammar: false,
    repeated: Repeated::Last,
    id: Id::Anything,
    ..STRICT_FIELDS
};

const STRICT: Reader = Reader {
    ascii: false,
    find: Find::OnlyCandidate,
    trimmed: White::Nothing,
    begins: Begins::VersionSpaceSemicolon,
    as_header: false,
    fields: Fields::Read(STRICT_FIELDS),
};

fn reader(sender: Sender) -> Reader {
    match sender {
        Sender::PostfixMtaStsResolver => Reader {
            ascii: true,
            begins: Begins::Version,
            fields: Fields::Read(FieldRules {
                field: White::Python,
                no_equals: NoEquals::NameAlone,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        Sender::PostfixTlspol => Reader {
            fields: Fields::Read(FieldRules { id: Id::GrammaticalUnused, ..STRICT_FIELDS }),
            ..STRICT
        },
        Sender::Mox => Reader {
            fields: Fields::Read(FieldRules { repeated: Repeated::Refused, ..STRICT_FIELDS }),
            ..STRICT
        },
        Sender::Chasquid => Reader {
            find: Find::FirstGood,
            begins: Begins::VersionSemicolon,
            fields: Fields::Unread,
            ..STRICT
        },
        Sender::GoMtasts => Reader {
            find: Find::OnlyOne,
            begins: Begins::Anyhow,
            fields: Fields::Read(FieldRules {
                field: White::Unicode,
                no_equals: NoEquals::Refused,
                plain_pairs: true,
                id: Id::NotEmpty,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        Sender::KumoMta => Reader {
            find: Find::Joined,
            begins: Begins::Anyhow,
            fields: Fields::Read(FieldRules {
                field: White::Nothing,
                around_equals: White::Unicode,
                no_equals: NoEquals::Refused,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        // What it calls mail-auth. Reading stops at a bad version, so a record is good or it is not.
        Sender::Stalwart => Reader {
            find: Find::FirstGood,
            begins: Begins::Anyhow,
            fields: Fields::Read(FieldRules {
                dropped: White::Ascii,
                name_in_any_case: true,
                version_in_any_case: true,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        Sender::Mailauth5 => Reader {
            trimmed: White::JavaScript,
            begins: Begins::VersionWord,
            as_header: true,
            fields: Fields::Read(FieldRules {
                field: White::JavaScript,
                around_equals: White::JavaScript,
                name_in_any_case: true,
                version_in_any_case: true,
                id: Id::NotEmpty,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        Sender::Mailauth7 => Reader {
            trimmed: White::JavaScript,
            begins: Begins::VersionSpaceSemicolonAnyCase,
            fields: Fields::Read(FieldRules {
                field: White::JavaScript,
                around_equals: White::JavaScript,
                name_in_any_case: true,
                version_in_any_case: true,
                repeated: Repeated::First,
                id: Id::NotEmpty,
                ..LENIENT_FIELDS
            }),
            ..STRICT
        },
        Sender::Mailauth7Strict => STRICT,
        // Its parser skips white space of every kind between the parts of the grammar.
        Sender::Checkdmarc => {
            Reader { fields: Fields::Read(FieldRules { field: White::Python, ..STRICT_FIELDS }), ..STRICT }
        }
    }
}

/// What `sender` makes of the records.
pub(super) fn read(sender: Sender, rrset: &[Vec<Vec<u8>>]) -> RecordReading {
    let reader = reader(sender);
    let texts: Vec<String> = rrset
        .iter()
        .map(|strings| strings.concat())
        .filter(|octets| !reader.ascii || octets.is_ascii())
        .map(|octets| reader.trimmed.trim(&String::from_utf8_lossy(&octets)).to_owned())
        .collect();
    reader.find_in(&texts).unwrap_or(RecordReading::None)
}

impl Reader {
    fn find_in(&self, texts: &[String]) -> Option<RecordReading> {
        let mut candidates = texts.iter().filter(|text| self.begins.fits(text));
        match self.find {
            Find::OnlyCandidate => match (candidates.next(), candidates.next()) {
                (Some(text), None) => self.read(text),
                _ => None,
            },
            Find::OnlyOne => match texts {
                [text] => self.read(text),
                _ => None,
            },
            Find::FirstGood => candidates.find_map(|text| self.read(text)),
            Find::Joined => self.read(&texts.concat()),
        }
    }

    fn read(&self, text: &str) -> Option<RecordReading> {
        if self.as_header && text.contains([':', '\\']) {
            return None;
        }
        match self.fields {
            Fields::Unread => Some(RecordReading::Policy),
            Fields::Read(rules) => rules.read(text),
        }
    }
}

impl Begins {
    fn fits(self, text: &str) -> bool {
        let folded = text.to_ascii_lowercase();
        let spaced = |rest: &str| White::Wsp.trim_start(rest).starts_with(';');
        match self {
            Self::Anyhow => true,
            Self::Version => text.starts_with("v=STSv1"),
            Self::VersionWord => begins_with_version_word(text),
            Self::VersionSemicolon => text.starts_with("v=STSv1;"),
            Self::VersionSpaceSemicolon => text.strip_prefix("v=STSv1").is_some_and(spaced),
            Self::VersionSpaceSemicolonAnyCase => folded.strip_prefix("v=stsv1").is_some_and(spaced),
        }
    }
}

fn begins_with_version_word(text: &str) -> bool {
    let word = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.to_ascii_lowercase().strip_prefix("v=stsv1").is_some_and(word)
}

impl FieldRules {
    fn read(&self, text: &str) -> Option<RecordReading> {
        let text: String = text.chars().filter(|c| !self.dropped.contains(*c)).collect();
        let (mut version, mut id) = (false, None);
        let mut pieces = text.split(';').peekable();
        while let Some(piece) = pieces.next() {
            let Some((name, value)) = self.pair(piece, pieces.peek().is_none())? else { continue };
            let name = self.around_equals.trim(name);
            let value = self.around_equals.trim(value);
            let is = |known: &str| {
                if self.name_in_any_case { name.to_lowercase() == known } else { name == known }
            };
            if is("v") && !(version && self.repeated != Repeated::Last) {
                version =
                    value == "STSv1" || (self.version_in_any_case && value.eq_ignore_ascii_case("STSv1"));
                if !version {
                    return None;
                }
            } else if is("id") {
                self.note_id(value, &mut id)?;
            } else if self.grammar && !(is_field_name(name) && is_extension_value(value)) {
                return None;
            }
        }
        let id = id.filter(|_| version)?;
        Some(if self.id == Id::GrammaticalUnused { RecordReading::Policy } else { RecordReading::Id(id) })
    }

    /// One field as name and value; `Ok`'s place is taken by `Some`, a field to skip is `Some(None)`.
    fn pair<'a>(&self, piece: &'a str, last: bool) -> Option<Option<(&'a str, &'a str)>> {
        // By the grammar white space belongs to a semicolon, and none follows the last field.
        let field = if last && self.grammar && self.field == White::Wsp {
            self.field.trim_start(piece)
        } else {
            self.field.trim(piece)
        };
        if field.is_empty() {
            let skipped = match self.empty {
                Empty::Skipped => true,
                Empty::Refused => last,
            };
            return skipped.then_some(None);
        }
        let Some((name, value)) = field.split_once('=') else {
            return match self.no_equals {
                NoEquals::Skipped => Some(None),
                NoEquals::Refused => None,
                NoEquals::NameAlone => Some(Some((field, ""))),
            };
        };
        let plain = !value.contains('=') && !field.contains([' ', '\t']);
        (plain || !self.plain_pairs).then_some(Some((name, value)))
    }

    /// Notes an id; `None` spoils the record.
    fn note_id(&self, value: &str, id: &mut Option<String>) -> Option<()> {
        let grammatical = (1..=32).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
        match (self.repeated, &id) {
            (Repeated::Refused, Some(_)) => return None,
            // Of a later one only the shape of a field is asked for.
            (Repeated::First, Some(_)) => return (!self.grammar || is_extension_value(value)).then_some(()),
            _ => {}
        }
        let good = match self.id {
            Id::Anything => true,
            Id::NotEmpty => !value.is_empty(),
            Id::Grammatical | Id::GrammaticalUnused => grammatical,
        };
        if good {
            *id = Some(value.to_owned());
            return Some(());
        }
        // Who takes any id overlooks an empty one; a last one that is empty still counts.
        if self.grammar {
            return None;
        }
        if self.repeated == Repeated::Last {
            *id = None;
        }
        Some(())
    }
}
