//! The STS record: the TXT record at `_mta-sts.<domain>` (RFC 8461 §3.1).

use super::{
    Audit, PolicyId,
    field::{FirstValues, Repetition, is_extension_value},
    txt_fields::{Candidates, FieldDefect, TxtFields},
};

/// The text of the record to publish: `v=STSv1; id=…;` in one character-string (T-04).
pub fn render_record(id: &PolicyId) -> String {
    format!("v=STSv1; id={id};")
}

/// What was seen at `_mta-sts.<domain>`.
#[derive(Clone, Copy, Debug)]
pub enum TxtSeen<'a> {
    /// DNS answered. Both "no such name" and "no such record" are no records.
    Answer {
        /// The TXT records, each as its list of character-strings.
        records: &'a [Vec<Vec<u8>>],
        /// Whether a CNAME stands at the same name, beside other data.
        beside_cname: bool,
    },
    /// No answer, which says nothing about the domain (T-17).
    Unanswered,
}

/// What the records at a name amount to, for a sender and for an auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordJudgement {
    /// What a sender makes of them.
    pub outcome: RecordOutcome,
    /// What is unwise about them, sorted, without repetition.
    pub remarks: Vec<RecordRemark>,
}

impl RecordJudgement {
    /// What an auditor says of the records as a whole.
    pub fn audit(&self) -> Audit {
        match self.outcome {
            RecordOutcome::Indicated(_) => {
                self.remarks.iter().map(|remark| remark.audit()).max().unwrap_or(Audit::Ok)
            }
            RecordOutcome::NoPolicy(_) | RecordOutcome::Undetermined => Audit::Error,
        }
    }
}

/// A good record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorRecord {
    /// Its id.
    pub id: PolicyId,
    /// Unknown but well-formed fields, in order.
    pub extensions: Vec<(String, String)>,
}

/// What a sender makes of the TXT records at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Exactly one good record.
    Indicated(IndicatorRecord),
    /// No usable record, and why. A policy that a sender already holds stays in force (§5.1).
    NoPolicy(RecordDefect),
    /// DNS did not answer: neither presence nor absence.
    Undetermined,
}

/// Why there is no usable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordDefect {
    /// No record begins with `v=STSv1;`.
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
    /// The id is not 1 to 32 letters and digits.
    BadId,
    /// The value of an unknown field is empty, or has a character that may not be there.
    BadExtensionValue,
    /// No `id`.
    MissingId,
}

impl From<FieldDefect> for RecordDefect {
    fn from(defect: FieldDefect) -> Self {
        match defect {
            FieldDefect::NotAscii => Self::NotAscii,
            FieldDefect::EmptyField => Self::EmptyField,
            FieldDefect::NotKeyValue => Self::NotKeyValue,
            FieldDefect::BadFieldName => Self::BadFieldName,
        }
    }
}

impl RecordDefect {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoRecord => "NO_RECORD",
            Self::MultipleRecords => "MULTIPLE_RECORDS",
            Self::NotAscii => "NOT_ASCII",
            Self::EmptyField => "EMPTY_FIELD",
            Self::NotKeyValue => "NOT_KEY_VALUE",
            Self::BadFieldName => "BAD_FIELD_NAME",
            Self::BadId => "BAD_ID",
            Self::BadExtensionValue => "BAD_EXTENSION_VALUE",
            Self::MissingId => "MISSING_ID",
        }
    }
}

/// What is unwise about the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordRemark {
    /// Another TXT record stands at the name; some senders then find none.
    UnrelatedTxt,
    /// A field that is not registered; one deployed sender loses the record over some of them.
    ExtensionPresent,
    /// Something other than `; ` between fields, or white space after the last semicolon.
    NoncanonicalWhitespace,
    /// A field twice, with the same value.
    DuplicateField,
    /// A field twice, with two values: senders disagree about which one counts.
    DuplicateFieldDivergent,
    /// White space before the first semicolon: the grammar admits it, the rule that discards other
    /// records does not, and senders are divided (erratum 6285).
    SpaceBeforeFirstSemicolon,
    /// A CNAME and other data at one name (RFC 2181 §10.1): what a resolver returns is chance.
    CnameAndOtherData,
}

impl RecordRemark {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnrelatedTxt => "UNRELATED_TXT",
            Self::ExtensionPresent => "EXTENSION_PRESENT",
            Self::NoncanonicalWhitespace => "NONCANONICAL_WHITESPACE",
            Self::DuplicateField => "DUPLICATE_FIELD",
            Self::DuplicateFieldDivergent => "DUPLICATE_FIELD_DIVERGENT",
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

/// The version field with what ends it: the records that begin otherwise are discarded (§3.1).
const VERSION: &[u8] = b"v=STSv1";

/// Judges the TXT records of `_mta-sts.<domain>` as a sender must and as an auditor should.
pub fn judge_records(seen: TxtSeen<'_>) -> RecordJudgement {
    let TxtSeen::Answer { records, beside_cname } = seen else {
        return RecordJudgement { outcome: RecordOutcome::Undetermined, remarks: vec![] };
    };
    let mut remarks = vec![];
    if beside_cname {
        remarks.push(RecordRemark::CnameAndOtherData);
    }
    // The character-strings of one record are joined without anything between them (T-07).
    let texts: Vec<Vec<u8>> = records.iter().map(|strings| strings.concat()).collect();
    let candidates = Candidates::among(&texts, VERSION);
    if candidates.space_before_semicolon {
        remarks.push(RecordRemark::SpaceBeforeFirstSemicolon);
    }
    let read = match *candidates.ours.as_slice() {
        [fields] => read_record(fields, &mut remarks),
        [] => Err(RecordDefect::NoRecord),
        _ => Err(RecordDefect::MultipleRecords),
    };
    let outcome = match read {
        Ok(record) => {
            if texts.len() > 1 {
                remarks.push(RecordRemark::UnrelatedTxt);
            }
            RecordOutcome::Indicated(record)
        }
        Err(defect) => RecordOutcome::NoPolicy(defect),
    };
    remarks.sort_unstable();
    remarks.dedup();
    RecordJudgement { outcome, remarks }
}

/// Reads what follows `v=STSv1;`. The remarks of a record that turns out to be broken are dropped.
fn read_record(octets: &[u8], remarks: &mut Vec<RecordRemark>) -> Result<IndicatorRecord, RecordDefect> {
    let mut found = vec![];
    let mut seen = FirstValues::default();
    seen.note("v", "STSv1");
    let mut id = None;
    let mut extensions = vec![];
    let mut fields = TxtFields::of(octets)?;
    for field in fields.by_ref() {
        let (name, value) = field?;
        match seen.note(name, value) {
            Some(Repetition::Same) => found.push(RecordRemark::DuplicateField),
            Some(Repetition::Divergent) => found.push(RecordRemark::DuplicateFieldDivergent),
            None if name == "id" => id = Some(PolicyId::parse(value).ok_or(RecordDefect::BadId)?),
            None => {
                if !is_extension_value(value) {
                    return Err(RecordDefect::BadExtensionValue);
                }
                found.push(RecordRemark::ExtensionPresent);
                extensions.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    let id = id.ok_or(RecordDefect::MissingId)?;
    if fields.spacious || fields.cramped {
        found.push(RecordRemark::NoncanonicalWhitespace);
    }
    remarks.append(&mut found);
    Ok(IndicatorRecord { id, extensions })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(records: &[&str]) -> RecordJudgement {
        let records: Vec<_> = records.iter().map(|text| vec![text.as_bytes().to_vec()]).collect();
        judge_records(TxtSeen::Answer { records: &records, beside_cname: false })
    }

    fn check_good(record: &str, id: &str, remarks: &[RecordRemark]) {
        let judged = judge(&[record]);
        let RecordOutcome::Indicated(found) = &judged.outcome else { panic!("{record:?}: {judged:?}") };
        assert_eq!(found.id.as_str(), id, "{record:?}");
        assert_eq!(judged.remarks, remarks, "{record:?}");
    }

    fn check_bad(records: &[&str], defect: RecordDefect) {
        let judged = judge(records);
        assert_eq!(judged.outcome, RecordOutcome::NoPolicy(defect), "{records:?}");
        assert_eq!(judged.audit(), Audit::Error);
    }

    #[test]
    fn white_space_belongs_to_semicolons_after_the_first() {
        check_good("v=STSv1; id=a1; x=1", "a1", &[RecordRemark::ExtensionPresent]);
        for odd in ["v=STSv1;id=a1", "v=STSv1;\t id=a1 \t;", "v=STSv1; id=a1;\t"] {
            check_good(odd, "a1", &[RecordRemark::NoncanonicalWhitespace]);
        }
        check_bad(&["v=STSv1; id=a1\t"], RecordDefect::BadId);
        let judged = judge(&["v=STSv1\t; id=a1;"]);
        assert_eq!(judged.remarks, [RecordRemark::SpaceBeforeFirstSemicolon]);
    }

    #[test]
    fn a_record_must_begin_with_the_exact_version_and_be_the_only_one() {
        for other in
            ["V=STSv1; id=a1", "v=stsv1; id=a1", "v=STSv10; id=a1", " v=STSv1; id=a1", "id=a1; v=STSv1;"]
        {
            check_bad(&[other], RecordDefect::NoRecord);
        }
        check_bad(&["v=STSv1; id=a1;", "v=STSv1; id=a1;"], RecordDefect::MultipleRecords);
        check_bad(&["v=STSv1; id=a1;", "v=STSv1;"], RecordDefect::MultipleRecords);
        assert_eq!(judge(&["v=STSv1; id=a1;", "v=spf1 -all"]).audit(), Audit::Warn);
    }

    #[test]
    fn a_broken_field_spoils_the_record() {
        for (record, defect) in [
            ("v=STSv1; ; id=a1", RecordDefect::EmptyField),
            ("v=STSv1; id=a1;;", RecordDefect::EmptyField),
            ("v=STSv1; id", RecordDefect::NotKeyValue),
            ("v=STSv1; id=", RecordDefect::BadId),
            ("v=STSv1; _x=1; id=a1", RecordDefect::BadFieldName),
            ("v=STSv1; id=a1; x=a=b", RecordDefect::BadExtensionValue),
            ("v=STSv1; x=1", RecordDefect::MissingId),
        ] {
            check_bad(&[record], defect);
        }
    }

    #[test]
    fn of_a_repeated_field_the_first_counts() {
        check_good("v=STSv1; id=a1; id=a1", "a1", &[RecordRemark::DuplicateField]);
        check_good("v=STSv1; id=a1; id=b-2", "a1", &[RecordRemark::DuplicateFieldDivergent]);
        check_good("v=STSv1; id=a1; v=STSv2", "a1", &[RecordRemark::DuplicateFieldDivergent]);
        check_bad(&["v=STSv1; id=b-2; id=a1"], RecordDefect::BadId);
    }
}
