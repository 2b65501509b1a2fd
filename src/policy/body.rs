//! The policy text: rendering ours, and reading anybody's strictly (RFC 8461 §3.2).

use super::{MaxAge, Mode, MxPattern, Policy};
use bytes::Bytes;

/// Renders the body that senders fetch: `version`, `mode`, every `mx`, `max_age`, each line ended by
/// CRLF, nothing else (P-01 to P-03).
pub fn render_body(policy: &Policy) -> Bytes {
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", policy.mode());
    for pattern in policy.mx() {
        text.push_str(&format!("mx: {pattern}\r\n"));
    }
    text.push_str(&format!("max_age: {}\r\n", policy.max_age()));
    text.into()
}

/// What the strict reading of a body found (P-30 to P-46).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedPolicy {
    /// Mode, when the field is present and good.
    pub mode: Option<Mode>,
    /// The good patterns in the order of the text, lower-cased, repetitions kept.
    pub mx: Vec<MxPattern>,
    /// Lifetime, when the field is present and good.
    pub max_age: Option<MaxAge>,
    /// Unknown but well-formed fields, in order.
    pub extensions: Vec<(String, String)>,
    /// What makes the body invalid, in the order of the lines; empty means valid by the RFC.
    pub defects: Vec<Defect>,
    /// What is legal but unwise.
    pub remarks: Vec<Remark>,
}

/// What an auditor says of a body as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audit {
    /// Nothing to say.
    Ok,
    /// Legal but unwise.
    Warn,
    /// Invalid, or valid and harmful.
    Error,
}

/// One reason why a body is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Line in the body, from 1; 0 for the body as a whole.
    pub line: usize,
    /// Column in that line in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub code: DefectCode,
}

/// What makes a body invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectCode {
    /// Nothing there.
    Empty,
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
    /// A none policy without patterns.
    NoneWithoutMx,
}

/// Reads a body as strictly as the grammar allows; never panics, whatever the octets.
pub fn parse_body(_octets: &[u8]) -> ParsedPolicy {
    todo!("the policy room")
}
