//! The DNS records for one policy domain.

use crate::{
    config::Publish,
    name::PolicyHost,
    policy::{PolicyId, render_record, report_record::render_report_record},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One record to publish.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishedRecord {
    /// What the record is for.
    pub role: Role,
    /// Who publishes it.
    pub holder: Holder,
    /// The domain at or below which it stands, as a zone is likely cut: the policy domain, or our own
    /// name where a customer's CNAME leads. Without a final dot.
    pub zone: String,
    /// Owner name, without a final dot.
    pub name: String,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Type and data.
    pub data: RecordData,
}

/// What a record is for, in the order in which to publish them (D-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Leads `mta-sts.<domain>` to us (RFC 8461 §3.3).
    PolicyHost,
    /// Lets only our accounts get certificates for the policy host (RFC 8657).
    Authorization,
    /// Tells senders that there is a policy (RFC 8461 §3.1).
    Indicator,
    /// Asks senders for reports (RFC 8460 §3).
    Reports,
}

/// Who publishes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The owner of the policy domain.
    Customer,
    /// Whoever runs this program: the record stands where a customer's CNAME leads.
    Provider,
}

/// Type and data of a record. Names are without their final dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(String),
    /// Text; printable ASCII, of any length.
    Txt(String),
    /// A property `issue` without the critical flag (RFC 8659 §4.2); its value.
    CaaIssue(String),
}

impl RecordData {
    /// The record type's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Cname(_) => "CNAME",
            Self::Txt(_) => "TXT",
            Self::CaaIssue(_) => "CAA",
        }
    }
}

/// The most octets of one character-string (RFC 1035 §3.3).
const STRING_MAX: usize = 255;

/// Data as a zone file has it (RFC 1035 §5.1): names with their final dots, strings quoted.
impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(target) => write!(f, "{target}."),
            Self::Txt(text) => {
                let strings: Vec<String> = strings_of(text).map(quoted).collect();
                f.write_str(&strings.join(" "))
            }
            Self::CaaIssue(value) => write!(f, "0 issue {}", quoted(value)),
        }
    }
}

/// `text` as character-strings.
fn strings_of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut begun = false;
    std::iter::from_fn(move || {
        if rest.is_empty() && begun {
            return None;
        }
        begun = true;
        let (first, more) = rest.split_at_checked(STRING_MAX).unwrap_or((rest, ""));
        rest = more;
        Some(first)
    })
}

/// A character-string of a zone file.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for octet in text.bytes() {
        match octet {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(octet.into());
            }
            b' '..=b'~' => quoted.push(octet.into()),
            _ => quoted.push_str(&format!("\\{octet:03}")),
        }
    }
    quoted.push('"');
    quoted
}

impl PublishedRecord {
    /// Seconds that the policy host's, the CAA and the indicator record are kept for: short enough that
    /// an edit is found soon (T-18).
    pub const TTL: u32 = 300;
    /// Seconds that the report record is kept for: whoever can hide it hides a downgrade, so caches
    /// should have it (RFC 8460 §7).
    pub const TTL_OF_REPORTS: u32 = 3_600;
}

/// As a line of a zone file.
impl fmt::Display for PublishedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} IN {} {}", self.name, self.ttl, self.data.kind(), self.data)
    }
}

/// A record in the answers of the status socket; fields are added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Owner name with its final dot.
    pub name: String,
    /// Record type: CNAME, A, AAAA, TXT or CAA.
    pub kind: String,
    /// Data as a zone file wants it, quoted where needed.
    pub data: String,
    /// Time to live in seconds.
    #[serde(default = "DnsRecord::usual_ttl")]
    pub ttl: u32,
}

impl DnsRecord {
    fn usual_ttl() -> u32 {
        PublishedRecord::TTL
    }
}

impl From<PublishedRecord> for DnsRecord {
    fn from(record: PublishedRecord) -> Self {
        Self {
            name: format!("{}.", record.name),
            kind: record.data.kind().to_owned(),
            data: record.data.to_string(),
            ttl: record.ttl,
        }
    }
}

impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN {} {}", self.name, self.ttl, self.kind, self.data)
    }
}

/// Who may issue for policy hosts: one authority, and our account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The domain by which CAA records name the authority.
    pub issuer: String,
    /// Our account's URL (RFC 8657 §3).
    pub account_uri: String,
    /// The challenges we answer (RFC 8657 §4).
    pub methods: Vec<&'static str>,
}

impl Authorization {
    /// The value of an `issue` property that says so.
    fn value(&self) -> String {
        let Self { issuer, account_uri, methods } = self;
        format!("{issuer}; accounturi={account_uri}; validationmethods={}", methods.join(","))
    }
}

/// The records for the policy domain behind `host`, in the order in which to publish them: the
/// policy host first, the indicator record only once the policy is served (RFC 8461 §8.1, D-05).
///
/// What the policy host points to is left out while `[publish]` does not say it, and CAA records with
/// it, because where they belong depends on it: at the target of a CNAME, which governs the policy host
/// then, else at the policy host itself (RFC 8659 §3). `authorized` are all authorities, or none
/// where one of them is not known: a set that leaves one out would lock it out.
pub fn records_to_publish(
    host: &PolicyHost,
    id: &PolicyId,
    publish: &Publish,
    authorized: &[Authorization],
) -> Vec<PublishedRecord> {
    let domain = host.domain().to_string();
    let customers = |role, name: &str, data| PublishedRecord {
        role,
        holder: Holder::Customer,
        zone: domain.clone(),
        name: name.to_owned(),
        ttl: if role == Role::Reports { PublishedRecord::TTL_OF_REPORTS } else { PublishedRecord::TTL },
        data,
    };
    let ours = |role, zone: &str, name: &str, data| PublishedRecord {
        holder: Holder::Provider,
        zone: zone.to_owned(),
        ..customers(role, name, data)
    };
    let mut records = Vec::new();
    let permits = authorized.iter().map(|one| RecordData::CaaIssue(one.value()));
    match (&publish.cname, publish.addresses.as_slice()) {
        // A CNAME follows us when our addresses change (D-03), so it wins where both are given.
        (Some(target), _) => {
            records.push(customers(Role::PolicyHost, host.as_str(), RecordData::Cname(target.clone())));
            records.extend(permits.map(|permit| ours(Role::Authorization, target, target, permit)));
        }
        (None, []) => {}
        (None, addresses) => {
            let leads = addresses.iter().map(|address| match address {
                IpAddr::V4(address) => RecordData::A(*address),
                IpAddr::V6(address) => RecordData::Aaaa(*address),
            });
            records.extend(leads.map(|data| customers(Role::PolicyHost, host.as_str(), data)));
            records.extend(permits.map(|permit| customers(Role::Authorization, host.as_str(), permit)));
        }
    }
    let indicator = RecordData::Txt(render_record(id));
    let name = format!("_mta-sts.{domain}");
    match publish.record_target(host) {
        Some((zone, target)) => {
            records.push(ours(Role::Indicator, zone, &target, indicator));
            records.push(customers(Role::Indicator, &name, RecordData::Cname(target)));
        }
        None => records.push(customers(Role::Indicator, &name, indicator)),
    }
    // The configuration has good addresses only; without any there is no such record.
    if let Ok(text) = render_report_record(&publish.tlsrpt_rua) {
        records.push(customers(Role::Reports, &format!("_smtp._tls.{domain}"), RecordData::Txt(text)));
    }
    records
}

/// Whether `[publish]` says what policy hosts point to.
pub fn target_is_known(publish: &Publish) -> bool {
    publish.cname.is_some() || !publish.addresses.is_empty()
}
