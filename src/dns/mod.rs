//! Questions to DNS, as the rest of the program asks them.
//!
//! An answer ("no such domain" among them) and the lack of one are kept apart by the type: what was
//! [`Unanswered`] never counts as absence (M-14, T-17).

mod bogus;
mod dns_name;
mod hickory;
pub mod memory;

pub use dns_name::DnsName;
pub use hickory::{HickoryLookup, Unusable};

use crate::name::DomainName;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// CNAME records that are followed from one name. Resolvers give up at about this many, too.
pub const CNAMES_MAX: usize = 8;

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
    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        Ok(self.addresses(&domain.into()).await?.iter().next().is_some())
    }

    /// Where `name` leads: its CNAME records step by step, and every A and AAAA record at their end.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when one of the questions was not answered: half of the addresses is no answer.
    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered>;

    /// The CAA records at `name`, or where its CNAME records lead (RFC 8659 §3). Does not climb.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when one of the questions was not answered.
    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered>;
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

/// A name found in an MX record; the root in a null MX.
pub type MxHost = DnsName;

/// Where a name leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The A records.
    pub a: Vec<Ipv4Addr>,
    /// The AAAA records.
    pub aaaa: Vec<Ipv6Addr>,
    /// The targets of the CNAME records that were followed, in order; at most [`CNAMES_MAX`].
    pub chain: Vec<DnsName>,
    /// Whether the name at the end of the chain exists, with or without addresses.
    pub exists: bool,
}

impl Addresses {
    /// Every address, A before AAAA.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.a.iter().copied().map(IpAddr::V4).chain(self.aaaa.iter().copied().map(IpAddr::V6))
    }
}

/// The CAA records that answer for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaaAnswer {
    /// The records; none where the name does not exist or has no such records.
    pub records: Vec<CaaRecord>,
    /// The targets of the CNAME records that were followed; the records stand at the last one.
    pub chain: Vec<DnsName>,
}

/// One CAA record (RFC 8659 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// Whether an authority that does not know the tag must not issue (flag bit 0).
    pub critical: bool,
    /// The property's tag as written; compared without regard to case.
    pub tag: String,
    /// The property's value; a stranger's octets.
    pub value: Vec<u8>,
}

/// No answer. Says nothing about the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from DNS: {reason}")]
pub struct Unanswered {
    /// What sort of silence this is.
    pub kind: UnansweredKind,
    /// What the resolver met, in its words.
    pub reason: String,
}

impl Unanswered {
    /// Silence of no special sort.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { kind: UnansweredKind::Failed, reason: reason.into() }
    }
}

/// Sorts of silence, by who can end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnansweredKind {
    /// SERVFAIL, refused, timed out.
    Failed,
    /// The resolver has an answer and withholds it, because its DNSSEC signatures do not hold.
    Bogus,
    /// More than [`CNAMES_MAX`] CNAME records one after the other, or a circle of them.
    TooManyCnames,
}
