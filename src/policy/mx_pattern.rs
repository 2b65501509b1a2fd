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
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
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
        let host = host.strip_suffix('.').unwrap_or(host);
        let compared = if self.wildcard {
            match host.split_once('.') {
                Some((first, rest)) if !first.is_empty() => rest,
                _ => return false,
            }
        } else {
            host
        };
        compared.eq_ignore_ascii_case(self.name.as_str())
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
