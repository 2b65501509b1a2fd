//! What the strict reading of a policy text found: defects, remarks, and the word for the whole.

use super::{MaxAge, Mode};

/// What the strict reading of a body found (P-30 to P-46).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedPolicy {
    /// Mode, when the field is present and good.
    pub mode: Option<Mode>,
    /// The grammatical patterns in the order of the text, lower-cased, repetitions kept.
    ///
    /// Text and not [`MxPattern`](super::MxPattern): the RFC's grammar admits what no policy of ours
    /// may contain (an address in digits, a wildcard over a whole public suffix).
    pub mx: Vec<String>,
    /// Lifetime, when the field is present and good.
    pub max_age: Option<MaxAge>,
    /// Unknown but well-formed fields, in order.
    pub extensions: Vec<(String, String)>,
    /// What makes the body invalid: first what has a line, in their order, then what concerns the
    /// whole. Empty means valid by the RFC.
    pub defects: Vec<Defect>,
    /// What is legal but unwise; empty when the body is invalid, because then nothing else counts.
    pub remarks: Vec<Remark>,
}

impl ParsedPolicy {
    /// Whether the body is a policy by the RFC.
    pub fn is_valid(&self) -> bool {
        self.defects.is_empty()
    }

    /// What an auditor says of the body as a whole: the worst of what was found.
    pub fn audit(&self) -> Audit {
        if !self.is_valid() {
            return Audit::Error;
        }
        self.remarks.iter().map(|remark| remark.code.audit()).max().unwrap_or(Audit::Ok)
    }
}

/// What an auditor says of a body or of records as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audit {
    /// Nothing to say.
    Ok,
    /// Legal but unwise.
    Warn,
    /// Invalid, or valid and harmful.
    Error,
}

impl Audit {
    /// The keyword in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One reason why a body is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Line in the body, from 1; 0 for the body as a whole.
    pub line: usize,
    /// Column in that line in characters, from 1; 0 for the body as a whole.
    pub column: usize,
    /// What is wrong.
    pub code: DefectCode,
}

/// What makes a body invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectCode {
    /// Nothing there.
    Empty,
    /// More than 64 KiB, the limit senders are advised to set (§3.3); not read any further.
    BodyOver64K,
    /// More than 2,000 lines; not read any further.
    TooManyLines,
    /// A byte order mark in front.
    Bom,
    /// Not UTF-8.
    InvalidUtf8,
    /// A line of nothing, or of white space.
    BlankLine,
    /// A carriage return that is not part of CRLF.
    BareCr,
    /// A control character (C0 other than tab, DEL, or C1).
    ControlCharacter,
    /// White space before the field name.
    LeadingWhitespace,
    /// White space between the field name and the colon.
    SpaceBeforeColon,
    /// No colon.
    NotKeyValue,
    /// Not a field name.
    BadFieldName,
    /// The value of an unknown field is empty, or has a tab in it.
    BadExtensionValue,
    /// A version other than `STSv1`.
    BadVersion,
    /// A mode other than `enforce`, `testing` and `none`.
    BadMode,
    /// Not a host name, nor `*.` and a domain.
    BadMx,
    /// Not one to ten digits.
    MaxAgeSyntax,
    /// Above 31 557 600 s.
    MaxAgeRange,
    /// No `version`.
    MissingVersion,
    /// No `mode`.
    MissingMode,
    /// No `max_age`.
    MissingMaxAge,
    /// No `mx` in mode enforce or testing.
    MissingMx,
}

impl DefectCode {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "EMPTY",
            Self::BodyOver64K => "BODY_OVER_64K",
            Self::TooManyLines => "TOO_MANY_LINES",
            Self::Bom => "BOM",
            Self::InvalidUtf8 => "INVALID_UTF8",
            Self::BlankLine => "BLANK_LINE",
            Self::BareCr => "BARE_CR",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::LeadingWhitespace => "LEADING_WHITESPACE",
            Self::SpaceBeforeColon => "SPACE_BEFORE_COLON",
            Self::NotKeyValue => "NOT_KEY_VALUE",
            Self::BadFieldName => "BAD_FIELD_NAME",
            Self::BadExtensionValue => "BAD_EXTENSION_VALUE",
            Self::BadVersion => "BAD_VERSION",
            Self::BadMode => "BAD_MODE",
            Self::BadMx => "BAD_MX",
            Self::MaxAgeSyntax => "MAX_AGE_SYNTAX",
            Self::MaxAgeRange => "MAX_AGE_RANGE",
            Self::MissingVersion => "MISSING_VERSION",
            Self::MissingMode => "MISSING_MODE",
            Self::MissingMaxAge => "MISSING_MAX_AGE",
            Self::MissingMx => "MISSING_MX",
        }
    }
}

/// One thing that is legal but unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Line in the body, from 1; 0 for the body as a whole.
    pub line: usize,
    /// What it is.
    pub code: RemarkCode,
}

/// What is legal but unwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemarkCode {
    /// A none policy without patterns: two deployed senders refuse it and keep enforcing the old one.
    NoneWithoutMx,
    /// `version` is not the first field; Google asks for it there.
    VersionNotFirst,
    /// Not exactly one space after the colon, or white space at the end of a line.
    NoncanonicalWhitespace,
    /// A field that is not registered; senders disagree about such.
    ExtensionPresent,
    /// Something other than ASCII.
    NonAsciiBody,
    /// U+2028 or U+2029, at which some readers begin a new line and see other fields.
    LineSeparator,
    /// A field twice, with the same value.
    DuplicateField,
    /// A field twice, with two values: senders disagree about which one counts.
    DuplicateFieldDivergent,
    /// A pattern twice.
    DuplicateMx,
    /// Capital letters in a pattern.
    MxNotLowercase,
    /// A dotted quad in place of a name.
    MxIsIp,
    /// A pattern without a dot: no public authority certifies such a name.
    MxSingleLabel,
    /// A pattern whose last label is a number, as no domain's is.
    MxNumericEnd,
    /// A label that claims to be Punycode and is not.
    MxBadALabel,
    /// A wildcard over everything below a public suffix.
    MxWildcardPublicSuffix,
    /// A wildcard over a suffix where strangers get names.
    MxWildcardSharedSuffix,
    /// A lifetime of nothing.
    MaxAgeZero,
    /// Zeros in front of the lifetime.
    MaxAgeLeadingZero,
    /// A lifetime below a day, or below a week in mode enforce.
    MaxAgeBelowGuidance,
    /// More than 10 KiB.
    BodyOver10K,
}

impl RemarkCode {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoneWithoutMx => "NONE_WITHOUT_MX",
            Self::VersionNotFirst => "VERSION_NOT_FIRST",
            Self::NoncanonicalWhitespace => "NONCANONICAL_WHITESPACE",
            Self::ExtensionPresent => "EXTENSION_PRESENT",
            Self::NonAsciiBody => "NON_ASCII_BODY",
            Self::LineSeparator => "LINE_SEPARATOR",
            Self::DuplicateField => "DUPLICATE_FIELD",
            Self::DuplicateFieldDivergent => "DUPLICATE_FIELD_DIVERGENT",
            Self::DuplicateMx => "DUPLICATE_MX",
            Self::MxNotLowercase => "MX_NOT_LOWERCASE",
            Self::MxIsIp => "MX_IS_IP",
            Self::MxSingleLabel => "MX_SINGLE_LABEL",
            Self::MxNumericEnd => "MX_NUMERIC_END",
            Self::MxBadALabel => "MX_BAD_A_LABEL",
            Self::MxWildcardPublicSuffix => "MX_WILDCARD_PUBLIC_SUFFIX",
            Self::MxWildcardSharedSuffix => "MX_WILDCARD_SHARED_SUFFIX",
            Self::MaxAgeZero => "MAX_AGE_ZERO",
            Self::MaxAgeLeadingZero => "MAX_AGE_LEADING_ZERO",
            Self::MaxAgeBelowGuidance => "MAX_AGE_BELOW_GUIDANCE",
            Self::BodyOver10K => "BODY_OVER_10K",
        }
    }

    /// How bad it is.
    pub fn audit(self) -> Audit {
        match self {
            Self::LineSeparator
            | Self::DuplicateFieldDivergent
            | Self::MxIsIp
            | Self::MxSingleLabel
            | Self::MxNumericEnd
            | Self::MxBadALabel
            | Self::MxWildcardPublicSuffix => Audit::Error,
            _ => Audit::Warn,
        }
    }
}
