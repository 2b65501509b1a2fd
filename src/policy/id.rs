//! The policy id: what senders compare to notice a change (RFC 8461 §3.1).

use aws_lc_rs::digest::{SHA256, digest};
use std::fmt;

/// The `id` of the STS record: 1 to 32 letters and digits (RFC 8461 §3.1).
///
/// Ours is derived from the policy body, so every node of a fleet announces the same id without
/// talking, the same octets always have the same id, and other octets another one (T-11 to T-14).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(Box<str>);

impl PolicyId {
    /// The id of a policy body: the first 32 lower-case hexadecimal digits of its SHA-256.
    ///
    /// 128 bits make a collision between two edits of one domain unthinkable. The rule is part of
    /// the interface between nodes and versions and must never change silently.
    pub fn of_body(body: &[u8]) -> Self {
        let digest = digest(&SHA256, body);
        let text: String = digest.as_ref()[..16].iter().map(|octet| format!("{octet:02x}")).collect();
        Self(text.into())
    }

    /// Reads an id from a record; `None` unless it is 1 to 32 ASCII letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        valid.then(|| Self(text.into()))
    }

    /// The id as it stands in the record.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
