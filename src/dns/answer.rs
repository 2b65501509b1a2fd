//! What DNS says, as values.

use super::DnsName;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// An answer with what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: T,
    /// How long the answer holds: the least TTL of its records and of the CNAME records on the way.
    /// `None` where there were none.
    pub ttl: Option<Duration>,
    /// Whether a resolver that is believed vouches for the DNSSEC signatures of all of it (the AD flag,
    /// RFC 4035 §3.2.3), denials among it.
    pub secure: bool,
    /// Who says so.
    pub agreed: Agreed,
}

impl<T> Answer<T> {
    /// An unsigned answer of one resolver.
    pub fn new(data: T, ttl: Option<Duration>) -> Self {
        Self { data, ttl, secure: false, agreed: Agreed::One }
    }
}

/// How many resolvers stand behind an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agreed {
    /// Two were asked and said the same.
    Both,
    /// One was asked, or one of two was silent.
    #[default]
    One,
    /// Two said different things, and this is what the first said. A zone in change looks like this,
    /// and so does a lie; who would raise an alarm had better ask again.
    Contested,
}

/// What DNS said about a domain's MX records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MxAnswer {
    /// The MX records, a null MX among them.
    Records(Vec<MxRecord>),
    /// The domain exists and has no MX record.
    NoRecords,
    /// The domain does not exist.
    #[default]
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
    /// The targets of the CNAME records that were followed, in order; at most [`CNAMES_MAX`](super::CNAMES_MAX).
    pub chain: Vec<DnsName>,
    /// Whether the name at the end of the chain exists, with or without addresses.
    pub exists: bool,
    /// As [`Answer::ttl`].
    pub ttl: Option<Duration>,
    /// As [`Answer::secure`].
    pub secure: bool,
    /// As [`Answer::agreed`].
    pub agreed: Agreed,
}

impl Addresses {
    /// Every address, A before AAAA.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.a.iter().copied().map(IpAddr::V4).chain(self.aaaa.iter().copied().map(IpAddr::V6))
    }
}

/// The TXT records that answer for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxtAnswer {
    /// The records, each a list of character-strings (RFC 1035 §3.3.14): a stranger's octets. Whoever
    /// reads them joins the strings of one record without a separator.
    pub records: Vec<Vec<Vec<u8>>>,
    /// The targets of the CNAME records that were followed; the records stand at the last one.
    pub chain: Vec<DnsName>,
    /// Whether the name at the end of the chain exists, with or without TXT records.
    pub exists: bool,
    /// Whether the name asked for has a CNAME record and TXT records of its own, which no name may
    /// (RFC 2181 §10.1). Resolvers hide much of this: `false` is no proof.
    pub beside_cname: bool,
}

/// The TLSA records that answer for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsaAnswer {
    /// The records; none where the name does not exist or has no such records.
    pub records: Vec<TlsaRecord>,
    /// Whether the name at the end of the CNAME records exists.
    pub exists: bool,
}

/// One TLSA record (RFC 6698 §2.1), its numbers as published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsaRecord {
    /// Certificate usage; for SMTP only 2 and 3 count (RFC 7672 §3.1).
    pub usage: u8,
    /// What of the certificate: 0 all of it, 1 its public key.
    pub selector: u8,
    /// In which form: 0 as it is, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The certificate association data.
    pub data: Vec<u8>,
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
    /// More than [`CNAMES_MAX`](super::CNAMES_MAX) CNAME records one after the other, or a circle of them.
    TooManyCnames,
}
