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

#[cfg(test)]
mod tests {
    use super::*;

    // T-14: `printf … | sha256sum | cut -c1-32`. A failure here means that every sender of every
    // domain would fetch anew, and that nodes of two versions would disagree.
    #[test]
    fn golden_ids_stay_what_they_are() {
        let testing = "version: STSv1\r\nmode: testing\r\nmx: *.mail.example.net\r\nmx: mx1.example.com\r\n\
                       max_age: 604800\r\n";
        let none = "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n";
        for (body, id) in [
            (testing, "386be4dd13e8c1d96a9d8ec2643c88cf"),
            (none, "94815eb6141fb6e5526888bf66f98f76"),
            ("", "e3b0c44298fc1c149afbf4c8996fb924"),
        ] {
            assert_eq!(PolicyId::of_body(body.as_bytes()).as_str(), id, "{body:?}");
        }
    }

    // T-03.
    #[test]
    fn an_id_is_1_to_32_letters_and_digits() {
        for good in ["0", "20261121T120000Z", "0123456789abcdefABCDEF0123456789"] {
            assert_eq!(PolicyId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a-b", "a_b", "a b", "ü", "0123456789abcdefABCDEF01234567890"] {
            assert_eq!(PolicyId::parse(bad), None, "{bad:?}");
        }
    }
}
