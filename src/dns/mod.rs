//! Questions to DNS, as the rest of the program asks them.
//!
//! An answer ("no such domain" among them) and the lack of one are kept apart by the type: what was
//! [`Unanswered`] never counts as absence (M-14, T-17).

mod hickory;
pub mod memory;

pub use hickory::{HickoryLookup, Unusable};

use crate::name::DomainName;
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

/// Asks DNS. One real implementation (hickory) and one in memory for tests.
#[async_trait::async_trait]
pub trait Lookup: Send + Sync {
    /// The MX records of `domain`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when no resolver gave an answer in time.
    async fn mx(&self, domain: &DomainName) -> Result<MxAnswer, Unanswered>;

    /// Whether `domain` itself has an A or AAAA record: without MX records it is then its own,
    /// implicit MX host (RFC 5321 §5.1).
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when no resolver gave an answer in time.
    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered>;
}

/// How questions are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Resolvers to ask; empty means the system's.
    pub servers: Vec<SocketAddr>,
    /// Wait for one try.
    pub timeout: Duration,
    /// Tries after the first.
    pub retries: usize,
    /// Questions in flight at once; the others wait in line. Zero is taken as one.
    pub lookups_at_once: usize,
}

/// What DNS said about a domain's MX records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxAnswer {
    /// The MX records, a null MX among them.
    Records(Vec<MxRecord>),
    /// The domain exists and has no MX record.
    NoRecords,
    /// The domain does not exist.
    NoSuchDomain,
}

/// One MX record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MxRecord {
    /// Lower is tried first.
    pub preference: u16,
    /// The host as DNS names it.
    pub host: MxHost,
}

/// A name found in an MX record: lower-case, without the root's dot, not necessarily a host name.
///
/// Stranger's text: octets outside printable ASCII are escaped as `\DDD` (RFC 1035 §5.1) when it is
/// built, so that it can be shown anywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MxHost(Arc<str>);

impl MxHost {
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

    /// Whether this is the root: a null MX (RFC 7505).
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for MxHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Debug for MxHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// No answer: SERVFAIL, refused, bogus, timed out. Says nothing about the domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from DNS: {reason}")]
pub struct Unanswered {
    /// What the resolver met, in its words.
    pub reason: String,
}
