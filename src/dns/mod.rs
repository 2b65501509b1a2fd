//! Questions to DNS, as the rest of the program asks them.
//!
//! An answer ("no such domain" among them) and the lack of one are kept apart by the type: what was
//! [`Unanswered`] never counts as absence (M-14, T-17).

mod answer;
pub mod caa;
mod dns_name;
mod hickory;
pub mod memory;
mod metrics;
mod question;
mod two;

pub use answer::{
    Addresses, Agreed, Answer, CaaAnswer, CaaRecord, MxAnswer, MxHost, MxRecord, TlsaAnswer, TlsaRecord,
    TxtAnswer, Unanswered, UnansweredKind,
};
pub use dns_name::DnsName;
pub use hickory::{HickoryLookup, Unusable};
pub use metrics::Lookups;
pub use two::{TwoResolvers, agree};

use crate::name::DomainName;
use std::{net::SocketAddr, time::Duration};

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
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered>;

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

    /// The TXT records at `name`, or where its CNAME records lead, each string kept apart.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when one of the questions was not answered.
    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered>;

    /// The TLSA records at `name`, or where its CNAME records lead (RFC 6698 §3).
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when one of the questions was not answered.
    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered>;

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
    /// Whether a resolver is believed that says an answer is signed, wherever it is. The flag is worth as
    /// much as the way to the resolver: anybody on it can set the bit (RFC 4035 §4.9.3, RFC 7672 §2.1.1).
    /// Without this only resolvers on loopback addresses are believed.
    pub trust_ad: bool,
}
