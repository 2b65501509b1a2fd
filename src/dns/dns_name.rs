//! A name as DNS spells it, which need not be a host name.

use crate::name::{DomainName, PolicyHost};
use std::{fmt, sync::Arc};

/// A name found in DNS or asked for: lower-case, without the root's dot, not necessarily a host name.
///
/// Stranger's text: octets outside printable ASCII are escaped as `\DDD` (RFC 1035 §5.1) when it is
/// built, so that it can be shown anywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// Takes a name in presentation form; strips one trailing dot and folds case.
    pub fn new(presentation: &str) -> Self {
        let text = presentation.strip_suffix('.').unwrap_or(presentation);
        let mut safe = String::with_capacity(text.len());
        for octet in text.bytes() {
            match octet {
                b'!'..=b'~' => safe.push(octet.to_ascii_lowercase() as char),
                _ => safe.push_str(&format!("\\{octet:03}")),
            }
        }
        Self(safe.into())
    }

    /// The name; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root; as the host of an MX record, a null MX (RFC 7505).
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The name one label up; the root for a name of one label, `None` for the root itself.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let mut escaped = false;
        for (at, octet) in self.0.bytes().enumerate() {
            match octet {
                b'.' if !escaped => return self.0.get(at + 1..).map(|rest| Self(rest.into())),
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Some(Self("".into()))
    }
}

impl From<&DomainName> for DnsName {
    fn from(name: &DomainName) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&PolicyHost> for DnsName {
    fn from(host: &PolicyHost) -> Self {
        Self(host.as_str().into())
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_up_ends_at_the_root() {
        let mut name = Some(DnsName::new("_Mta.sts.Example."));
        let mut seen = vec![];
        while let Some(at) = name {
            seen.push(at.to_string());
            name = at.parent();
        }
        assert_eq!(seen, ["_mta.sts.example", "sts.example", "example", "."]);
    }

    #[test]
    fn a_dot_inside_a_label_is_not_the_way_up() {
        assert_eq!(DnsName::new(r"a\.b.example").parent(), Some(DnsName::new("example")));
        assert_eq!(DnsName::new(r"a\\.b.example").parent(), Some(DnsName::new("b.example")));
    }
}
