//! MX host patterns and what they allow (RFC 8461 §3.2 `mx`, §4.1).

use crate::name::{DomainName, NameError};
use std::fmt;

/// One `mx:` line of a policy: a host name, or `*.` and a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MxPattern {
    /// The name, or what follows the wildcard label.
    name: DomainName,
    wildcard: bool,
}

impl MxPattern {
    /// Parses what a person wrote; U-labels are converted (P-13), a trailing dot is refused (P-12).
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with it.
    pub fn from_user(text: &str) -> Result<Self, PatternError> {
        if text.ends_with('.') {
            return Err(PatternError::TrailingDot);
        }
        Self::parse(text, DomainName::from_user)
    }

    /// Parses the pattern of a policy body: ASCII, any case.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with it.
    pub fn from_ascii(text: &str) -> Result<Self, PatternError> {
        Self::parse(text, DomainName::from_ascii)
    }

    fn parse(text: &str, name: fn(&str) -> Result<DomainName, NameError>) -> Result<Self, PatternError> {
        let (wildcard, rest) = split_wildcard(text);
        if rest.contains('*') {
            return Err(PatternError::Wildcard);
        }
        Ok(Self { name: name(rest).map_err(PatternError::Name)?, wildcard })
    }

    /// Whether the pattern begins with `*.`.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The name, or what follows `*.`.
    pub fn name(&self) -> &DomainName {
        &self.name
    }

    /// Whether the pattern allows an MX host, given as DNS shows it (any case, one trailing dot).
    ///
    /// A wildcard stands for exactly one label (§4.1). The host need not be LDH: a label with an
    /// underscore under a wildcard matches, whatever else is wrong with it.
    pub fn allows(&self, host: &str) -> bool {
        covers(self.wildcard, self.name.as_str(), host)
    }
}

/// Whether the pattern `pattern`, as a [`ParsedPolicy`](super::ParsedPolicy) holds it, allows an MX
/// host; see [`MxPattern::allows`] for patterns of our own.
pub fn text_allows(pattern: &str, host: &str) -> bool {
    let (wildcard, name) = split_wildcard(pattern);
    covers(wildcard, name, host)
}

/// Splits `*.` off; says whether it was there.
pub(super) fn split_wildcard(pattern: &str) -> (bool, &str) {
    match pattern.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, pattern),
    }
}

/// Whether `pattern` is `["*."] Domain` (RFC 8461 §3.2, RFC 5321 §4.1.2) within the sizes of DNS.
///
/// Wider than [`MxPattern`]: `192.0.2.25`, `*.com` and `localhost` are grammatical.
pub(super) fn is_grammatical(pattern: &str) -> bool {
    let (_, name) = split_wildcard(pattern);
    pattern.len() <= DomainName::LONGEST && name.split('.').all(is_sub_domain)
}

fn is_sub_domain(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn covers(wildcard: bool, name: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !wildcard {
        return host.eq_ignore_ascii_case(name);
    }
    match host.split_once('.') {
        Some((first, rest)) => !first.is_empty() && rest.eq_ignore_ascii_case(name),
        None => false,
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wildcard {
            f.write_str("*.")?;
        }
        self.name.fmt(f)
    }
}

/// Why a text is not an MX host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `*` that is not the whole left-most label, or a second one.
    #[error("has a wildcard in the wrong place; a pattern is a host name or one leading \"*.\" and a domain")]
    Wildcard,
    /// A dot at the end.
    #[error("ends in a dot; write it without")]
    TrailingDot,
    /// The name itself is wrong.
    #[error("{0}")]
    Name(NameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, allowed: &[&str], refused: &[&str]) {
        let pattern = MxPattern::from_ascii(pattern).unwrap();
        for host in allowed {
            assert!(pattern.allows(host), "{pattern} and {host:?}");
        }
        for host in refused {
            assert!(!pattern.allows(host), "{pattern} and {host:?}");
        }
    }

    // RFC 8461 §4.1, the three hosts of its own example.
    #[test]
    fn wildcard_stands_for_exactly_one_label() {
        check("*.example.com", &["mail.example.com"], &["example.com", "foo.bar.example.com"]);
        check("*.example.com", &["MAIL.Example.com.", "_mx.example.com"], &[".example.com", "."]);
    }

    #[test]
    fn a_name_allows_itself_alone() {
        check(
            "mx.example.com",
            &["mx.example.com", "MX.EXAMPLE.COM."],
            &["mx.example.com..", "a.mx.example.com", "mx.example.com.evil.example", "example.com", ""],
        );
    }

    // P-12, P-13.
    #[test]
    fn what_a_person_writes_becomes_an_a_label_pattern_or_is_refused() {
        for (text, expected) in [
            ("MX.Example.COM", "mx.example.com"),
            ("mx.bücher.example", "mx.xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
        ] {
            assert_eq!(MxPattern::from_user(text).unwrap().to_string(), expected);
        }
        for (text, expected) in [
            ("mx.example.com.", PatternError::TrailingDot),
            ("*.*.example.com", PatternError::Wildcard),
            ("mail.*.example.com", PatternError::Wildcard),
            ("mx*.example.com", PatternError::Wildcard),
            ("*.com", PatternError::Name(NameError::SingleLabel)),
            ("192.0.2.25", PatternError::Name(NameError::IpAddress)),
            ("mx1.example.com:25", PatternError::Name(NameError::Character(':'))),
            ("", PatternError::Name(NameError::Empty)),
        ] {
            assert_eq!(MxPattern::from_user(text), Err(expected), "{text:?}");
        }
    }
}
