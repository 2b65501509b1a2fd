//! What a TXT record looks as if it was meant to be, when it is not that (T-19).
//!
//! Records are typed into forms that add quotes, pasted from pages with typographic characters, and
//! put at the wrong name. The strict reading only says "no record"; here is what an operator needs
//! to hear. Pure, and only about octets: where a record stands is the caller's knowledge.

/// A kind of record, told by its version field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// `v=STSv1`, at `_mta-sts.<domain>`.
    Indicator,
    /// `v=TLSRPTv1`, at `_smtp._tls.<domain>`.
    Report,
}

/// One thing that went wrong when a record was typed, pasted or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misprint {
    /// Quotation marks are part of the data: a form added them to those that were typed.
    Quotes,
    /// Backslashes are part of the data, usually before a semicolon.
    Backslash,
    /// A no-break space or another space that is not one.
    NoBreakSpace,
    /// Curly quotes, long dashes, invisible characters or full-width letters: pasted from a page.
    Typographic,
    /// Another octet outside ASCII.
    NotAscii,
    /// A line break, or another control character.
    ControlCharacter,
    /// White space in front of the version.
    LeadingSpace,
    /// No semicolon after the version.
    MissingSemicolon,
    /// A comma or colon where the semicolon belongs.
    WrongSeparator,
    /// The version, or the name of a field, in other letters than the standard writes.
    LetterCase,
    /// White space around `=`.
    SpaceAroundEquals,
    /// `:` where `=` belongs.
    ColonForEquals,
    /// Another version: `v=STSv2`, `v=STS1`, `v=MTA-STSv1`.
    OtherVersion,
    /// The text of a policy stands in the record.
    PolicyText,
    /// The whole line of a zone file stands in the record: name, type and text.
    ZoneFileLine,
}

impl Misprint {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Quotes => "QUOTES",
            Self::Backslash => "BACKSLASH",
            Self::NoBreakSpace => "NO_BREAK_SPACE",
            Self::Typographic => "TYPOGRAPHIC",
            Self::NotAscii => "NOT_ASCII",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::LeadingSpace => "LEADING_SPACE",
            Self::MissingSemicolon => "MISSING_SEMICOLON",
            Self::WrongSeparator => "WRONG_SEPARATOR",
            Self::LetterCase => "LETTER_CASE",
            Self::SpaceAroundEquals => "SPACE_AROUND_EQUALS",
            Self::ColonForEquals => "COLON_FOR_EQUALS",
            Self::OtherVersion => "OTHER_VERSION",
            Self::PolicyText => "POLICY_TEXT",
            Self::ZoneFileLine => "ZONE_FILE_LINE",
        }
    }
}

/// What a TXT record was meant to be, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// The kind it resembles, if any; `None` is another protocol's record.
    pub kind: Option<RecordKind>,
    /// What went wrong, sorted, without repetition; empty when it resembles nothing of ours.
    pub misprints: Vec<Misprint>,
}

/// Looks at one TXT record, its character-strings joined.
pub fn look_at(_text: &[u8]) -> Likeness {
    Likeness { kind: None, misprints: vec![] }
}
