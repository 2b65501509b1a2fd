//! The report record: the TXT record at `_smtp._tls.<domain>` (RFC 8460 §3).

use super::{
    Audit, TxtSeen,
    field::{FirstValues, Repetition, WSP, is_extension_value},
    txt_fields::{Candidates, FieldDefect, TxtFields},
};

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
    /// No URI is `mailto:` or `https:`, and no sender can use another.
    UnsupportedScheme,
    /// The value of an unknown field is empty, or has a character that may not be there.
    BadExtensionValue,
    /// No `rua`.
    MissingRua,
}

impl From<FieldDefect> for ReportDefect {
    fn from(defect: FieldDefect) -> Self {
        match defect {
            FieldDefect::NotAscii => Self::NotAscii,
            FieldDefect::EmptyField => Self::EmptyField,
            FieldDefect::NotKeyValue => Self::NotKeyValue,
            FieldDefect::BadFieldName => Self::BadFieldName,
        }
    }
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
            Self::UnsupportedScheme => "UNSUPPORTED_SCHEME",
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

/// The text of the record to publish: `v=TLSRPTv1; rua=…` with all addresses in one field, because
/// some senders read only the first.
///
/// Above 255 octets it has to be published as several character-strings of one record.
///
/// # Errors
///
/// [`BadRua`] when there is no address, or one is not a `mailto:` or `https:` URI of RFC 3986 in which
/// `,`, `!` and `;` are percent-encoded, with its scheme in small letters.
pub fn render_report_record(rua: &[impl AsRef<str>]) -> Result<String, BadRua> {
    let list: Vec<&str> = rua.iter().map(AsRef::as_ref).collect();
    let bad = list.iter().find(|uri| judge_uri(uri) != Ok(Uri::Usable));
    match (bad, list.as_slice()) {
        (Some(uri), _) => Err(BadRua { uri: (*uri).to_owned() }),
        (None, []) => Err(BadRua { uri: String::new() }),
        (None, list) => Ok(format!("v=TLSRPTv1; rua={}", list.join(","))),
    }
}

/// An address that cannot stand in a report record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{uri:?} cannot stand in a report record; it takes mailto: and https: addresses, with , ! ; percent-encoded"
)]
pub struct BadRua {
    /// The address; empty when none was given.
    pub uri: String,
}

/// The version field, without what ends it.
const VERSION: &[u8] = b"v=TLSRPTv1";

/// Judges the TXT records of `_smtp._tls.<domain>` as a sender must and as an auditor should.
pub fn judge_report_records(seen: TxtSeen<'_>) -> ReportJudgement {
    let TxtSeen::Answer { records, beside_cname } = seen else {
        return ReportJudgement { outcome: ReportOutcome::Undetermined, remarks: vec![] };
    };
    let mut remarks = vec![];
    if beside_cname {
        remarks.push(ReportRemark::CnameAndOtherData);
    }
    let texts: Vec<Vec<u8>> = records.iter().map(|strings| strings.concat()).collect();
    let candidates = Candidates::among(&texts, VERSION);
    if candidates.space_before_semicolon {
        remarks.push(ReportRemark::SpaceBeforeFirstSemicolon);
    }
    let read = match *candidates.ours.as_slice() {
        [fields] => read_record(fields),
        [] => Err(ReportDefect::NoRecord),
        _ => Err(ReportDefect::MultipleRecords),
    };
    let outcome = match read {
        Ok((record, mut found)) => {
            remarks.append(&mut found);
            if texts.len() > 1 {
                remarks.push(ReportRemark::UnrelatedTxt);
            }
            ReportOutcome::Asked(record)
        }
        Err(defect) => ReportOutcome::NoReports(defect),
    };
    remarks.sort_unstable();
    remarks.dedup();
    ReportJudgement { outcome, remarks }
}

/// Reads what follows `v=TLSRPTv1;`.
fn read_record(octets: &[u8]) -> Result<(ReportRecord, Vec<ReportRemark>), ReportDefect> {
    let mut found = vec![];
    let mut seen = FirstValues::default();
    seen.note("v", "TLSRPTv1");
    let mut rua = vec![];
    let mut extensions = vec![];
    let mut fields = TxtFields::of(octets)?;
    for field in fields.by_ref() {
        let (name, value) = field?;
        let repetition = seen.note(name, value);
        if name == "rua" {
            if repetition.is_some() {
                found.push(ReportRemark::DuplicateRua);
            }
            read_rua(value, &mut rua, &mut found)?;
            continue;
        }
        match repetition {
            Some(Repetition::Same) => found.push(ReportRemark::DuplicateField),
            Some(Repetition::Divergent) => found.push(ReportRemark::DuplicateFieldDivergent),
            None if is_extension_value(value) => {
                found.push(ReportRemark::ExtensionPresent);
                extensions.push((name.to_owned(), value.to_owned()));
            }
            None => return Err(ReportDefect::BadExtensionValue),
        }
    }
    if fields.spacious {
        found.push(ReportRemark::NoncanonicalWhitespace);
    }
    if !seen.has("rua") {
        return Err(ReportDefect::MissingRua);
    }
    if rua.is_empty() {
        return Err(ReportDefect::UnsupportedScheme);
    }
    Ok((ReportRecord { rua, extensions }, found))
}

/// Reads one list of addresses; white space may stand around a comma, but not at the ends.
fn read_rua(list: &str, rua: &mut Vec<String>, found: &mut Vec<ReportRemark>) -> Result<(), ReportDefect> {
    let pieces: Vec<&str> = list.split(',').collect();
    for (index, piece) in pieces.iter().enumerate() {
        let uri = if index == 0 { piece } else { piece.trim_start_matches(WSP) };
        let uri = if index + 1 == pieces.len() { uri } else { uri.trim_end_matches(WSP) };
        match judge_uri(uri)? {
            Uri::Unsupported => {
                found.push(ReportRemark::UnsupportedScheme);
                continue;
            }
            Uri::OddCase => found.push(ReportRemark::SchemeCase),
            Uri::Usable => {}
        }
        rua.push(uri.to_owned());
    }
    Ok(())
}

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uri {
    Usable,
    /// Usable, but its scheme has capital letters.
    OddCase,
    /// Of another scheme.
    Unsupported,
}

fn judge_uri(text: &str) -> Result<Uri, ReportDefect> {
    let (scheme, rest) = text.split_once(':').filter(|_| is_uri(text)).ok_or(ReportDefect::BadUri)?;
    let lower = scheme.to_ascii_lowercase();
    let complete = match lower.as_str() {
        "mailto" => rest.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
        "https" => {
            rest.strip_prefix("//").is_some_and(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty())
        }
        _ => return Ok(Uri::Unsupported),
    };
    match (complete, lower == scheme) {
        (false, _) => Err(ReportDefect::BadUri),
        (true, true) => Ok(Uri::Usable),
        (true, false) => Ok(Uri::OddCase),
    }
}

/// Whether `text` has the shape of a URI (RFC 3986: a scheme, then the characters it allows), with
/// `,`, `!` and `;` percent-encoded.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let mut escapes = rest.split('%');
    let plain = escapes.next().unwrap_or_default();
    let allowed =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@$&'()*+=".contains(&b));
    let escaped = |text: &str| {
        let hex = text.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        hex && text.get(2..).is_some_and(allowed)
    };
    named && !rest.is_empty() && allowed(plain) && escapes.all(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(records: &[&str]) -> ReportJudgement {
        let records: Vec<_> = records.iter().map(|text| vec![text.as_bytes().to_vec()]).collect();
        judge_report_records(TxtSeen::Answer { records: &records, beside_cname: false })
    }

    //
    #[test]
    fn what_is_rendered_is_read_back_without_a_remark() {
        let rua = ["https://reports.example/v1/r/TOKEN", "mailto:TOKEN@reports.example"];
        let text = render_report_record(&rua).unwrap();
        assert_eq!(text, format!("v=TLSRPTv1; rua={},{}", rua[0], rua[1]));
        let judged = judge(&[&text]);
        let expected = ReportRecord { rua: rua.map(String::from).to_vec(), extensions: vec![] };
        assert_eq!(judged, ReportJudgement { outcome: ReportOutcome::Asked(expected), remarks: vec![] });
    }

    #[test]
    fn only_an_address_that_every_sender_reads_is_rendered() {
        assert!(render_report_record(&[] as &[&str]).is_err());
        for bad in [
            "",
            "a@example.com",
            "ftp://example.com/x",
            "MAILTO:a@example.com",
            "mailto:a@example.com!10m",
            "mailto:a@example.com,mailto:b@example.com",
            "mailto:a b@example.com",
            "mailto:@example.com",
            "https:///x",
            "https://example.com/%zz",
            "https://example.com/\u{fc}",
        ] {
            assert_eq!(render_report_record(&[bad]), Err(BadRua { uri: bad.into() }));
        }
    }

    #[test]
    fn a_broken_field_spoils_the_record() {
        for (record, defect) in [
            ("v=TLSRPTv1; ; rua=mailto:a@example.com", ReportDefect::EmptyField),
            ("v=TLSRPTv1; rua", ReportDefect::NotKeyValue),
            ("v=TLSRPTv1; rua=", ReportDefect::BadUri),
            ("v=TLSRPTv1; rua=mailto:a@example.com ", ReportDefect::BadUri),
            ("v=TLSRPTv1; rua=example.com", ReportDefect::BadUri),
            ("v=TLSRPTv1; rua=http://example.com/", ReportDefect::UnsupportedScheme),
            ("v=TLSRPTv1; _x=1; rua=mailto:a@example.com", ReportDefect::BadFieldName),
            ("v=TLSRPTv1; x=; rua=mailto:a@example.com", ReportDefect::BadExtensionValue),
            ("v=TLSRPTv1;\u{a0}rua=mailto:a@example.com", ReportDefect::NotAscii),
            ("v=tlsrptv1; rua=mailto:a@example.com", ReportDefect::NoRecord),
            ("v=TLSRPTv1; RUA=mailto:a@example.com", ReportDefect::MissingRua),
        ] {
            assert_eq!(judge(&[record]).outcome, ReportOutcome::NoReports(defect), "{record:?}");
        }
    }

    #[test]
    fn what_is_unwise_is_remarked_on() {
        let spacious = [ReportRemark::NoncanonicalWhitespace];
        for (record, remarks) in [
            ("v=TLSRPTv1;rua=mailto:a@example.com", [].as_slice()),
            ("v=TLSRPTv1;  rua=mailto:a@example.com", &spacious),
            ("v=TLSRPTv1; rua=mailto:a@example.com ;", &spacious),
            ("v=TLSRPTv1; rua=mailto:a@example.com; v=TLSRPTv2", &[ReportRemark::DuplicateFieldDivergent]),
        ] {
            let judged = judge(&[record]);
            assert!(matches!(judged.outcome, ReportOutcome::Asked(_)), "{record:?}: {judged:?}");
            assert_eq!(judged.remarks, remarks, "{record:?}");
        }
    }
}
