//! The DNS records a customer publishes for one policy domain.

use super::HostedPolicy;
use crate::{config::Publish, name::PolicyHost, policy::render_record};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// One record to publish, in the form of a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Owner name with its final dot.
    pub name: String,
    /// Record type: CNAME, A, AAAA or TXT.
    pub kind: String,
    /// Data as a zone file wants it, quoted where needed.
    pub data: String,
}

impl DnsRecord {
    /// Time to live to publish with, in seconds: short enough that an edit is found soon (T-18).
    pub const TTL: u32 = 300;
}

impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN {} {}", self.name, Self::TTL, self.kind, self.data)
    }
}

/// The records for the policy domain behind `host`, in the order in which to publish them: the
/// policy host first, the indicator record only once the policy is served (RFC 8461 §8.1, D-05). What
/// the policy host points to is left out while `[publish]` does not say it.
pub fn records_to_publish(host: &PolicyHost, hosted: &HostedPolicy, publish: &Publish) -> Vec<DnsRecord> {
    let host_name = format!("{host}.");
    let mut records = Vec::new();
    match (&publish.cname, publish.addresses.as_slice()) {
        // A CNAME follows us when our addresses change (D-03), so it wins where both are given.
        (Some(target), _) => records.push(record(&host_name, "CNAME", format!("{target}."))),
        (None, addresses) => records.extend(addresses.iter().map(|address| {
            let kind = if matches!(address, IpAddr::V4(_)) { "A" } else { "AAAA" };
            record(&host_name, kind, address.to_string())
        })),
    }
    let indicator = format!("_mta-sts.{}.", host.domain());
    records.push(record(&indicator, "TXT", format!("\"{}\"", render_record(hosted.policy.id()))));
    records
}

/// Whether `[publish]` says what policy hosts point to.
pub fn target_is_known(publish: &Publish) -> bool {
    publish.cname.is_some() || !publish.addresses.is_empty()
}

fn record(name: &str, kind: &str, data: String) -> DnsRecord {
    DnsRecord { name: name.to_owned(), kind: kind.to_owned(), data }
}
