//! The indicator record: the TXT record at `_mta-sts.<domain>` (RFC 8461 §3.1).

use super::PolicyId;

/// The text of the record to publish: `v=STSv1; id=…;` in one character-string (T-04).
pub fn render_record(id: &PolicyId) -> String {
    format!("v=STSv1; id={id};")
}

/// A good record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorRecord {
    /// Its id.
    pub id: PolicyId,
    /// Unknown but well-formed fields, in order.
    pub extensions: Vec<(String, String)>,
}

/// What the TXT records at a name amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Exactly one good record.
    Indicated(IndicatorRecord),
    /// No usable record, and why.
    NoPolicy(RecordDefect),
}

/// Why there is no usable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordDefect {
    /// No record begins with `v=STSv1;`.
    NoRecord,
}

/// What is legal but unwise about the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordRemark {
    /// Another TXT record stands at the name.
    UnrelatedTxt,
}

/// Judges the TXT RRset of `_mta-sts.<domain>`: each record is its list of character-strings.
pub fn judge_records(_records: &[Vec<Vec<u8>>]) -> (RecordOutcome, Vec<RecordRemark>) {
    todo!("the policy room")
}
