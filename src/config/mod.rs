//! The configuration as the rest of the program sees it: checked values only.
//!
//! What stands here is already true: names are names, limits are in range, policies can be served.
//! On the way to it, [`Files`] keeps each file as parsed until it changes: `file` knows TOML, `server`
//! reads the server's tables, `tenants` and `list` read tenants as far as one file goes. [`check()`] then
//! holds the files against each other and against what was good before, and says what a [`Fault`]
//! holds back.

mod alerts;
mod check;
mod contest;
mod continued;
mod credentials;
mod duration;
mod fault;
mod file;
mod files;
mod kept;
mod list;
mod policies;
mod proposed;
mod restart;
mod server;
mod source;
mod tenants;

pub use alerts::{Alert, AlertFormat, AlertSeverity, AlertTarget};
pub use check::{Outcome, Previous, Tenants, check};
pub use continued::{CannotContinue, continued};
pub use duration::parse_duration;
pub use fault::{Fault, Severity};
pub use files::{Files, Loaded};
pub use proposed::{FirstAuthority, MainFileText, TenantText};
pub use server::{AccessLog, AccessLogAddresses, AccessLogFormat, AccessLogTo, is_contact};

use crate::{
    listening::Networks,
    name::{DomainName, PolicyHost},
    policy::RenderedPolicy,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The configuration that is read when none is named; `systemd/` and `Dockerfile` rely on it.
pub const DEFAULT_FILE: &str = "/etc/mta-stsd/mta-stsd.toml";

/// Everything outside tenants and policies: read at start, and compared at every reload so that a
/// change that needs a restart is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to listen.
    pub listen: Listen,
    /// Where what must survive a restart is kept.
    pub store: Store,
    /// Where certificates come from.
    pub acme: Acme,
    /// How DNS is asked.
    pub dns: Dns,
    /// The comparison of policies with MX records.
    pub cross_check: CrossCheck,
    /// What a stranger may use up.
    pub limits: Limits,
    /// Whether and where requests are written down.
    pub access_log: AccessLog,
    /// Who is told of findings.
    pub alerts: Vec<Alert>,
    /// The status socket and the admin page.
    pub admin: Admin,
    /// What customers are told to publish in their DNS.
    pub publish: Publish,
}

impl Server {
    /// Whether certificates are ordered. Without an HTTPS address they are the affair of the proxy in
    /// front, which ends TLS.
    pub fn orders_certificates(&self) -> bool {
        !self.listen.https.is_empty()
    }

    /// Whether the internal authority signs what is served, whose root no sender trusts.
    pub fn signs_internally(&self) -> bool {
        self.orders_certificates() && self.acme.is_internal()
    }
}

/// `[listen]`: sockets, and the proxies in front of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// HTTPS addresses: policies and TLS-ALPN-01 answers; may be empty where `backend` is not.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP addresses: HTTP-01 answers and nothing else; may be empty.
    pub http: Vec<SocketAddr>,
    /// Addresses at which policies are served over plain HTTP to proxies that have ended TLS.
    pub backend: Vec<SocketAddr>,
    /// Who may connect to `backend`.
    pub backend_from: Networks,
    /// Whose connections begin with a PROXY header.
    pub proxy_protocol_from: Networks,
    /// On which listeners.
    pub proxy_protocol_on: ProxyProtocolOn,
}

/// `listen.proxy_protocol_on`: the listeners on which proxies send a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocolOn {
    /// On `listen.https`.
    pub https: bool,
    /// On `listen.http`.
    pub http: bool,
    /// On `listen.backend`.
    pub backend: bool,
}

/// `[store]`: the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Folder of the database; made 0700, refused when others may look in.
    pub directory: PathBuf,
    /// File with the 32-octet master key (64 hexadecimal digits) that seals private keys; systemd's
    /// credential `store-key` where the configuration names none.
    pub key_file: Option<PathBuf>,
}

impl Store {
    /// The folder when none is named; `systemd/` and `Dockerfile` rely on it.
    pub const DEFAULT_DIRECTORY: &str = "/var/lib/mta-stsd";
}

/// `[acme]`: who signs certificates, and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The authorities in the order in which they are tried; never empty.
    pub authorities: Vec<AuthoritySettings>,
    /// Answer TLS-ALPN-01 challenges (RFC 8737); tried first.
    pub tls_alpn_01: bool,
    /// Answer HTTP-01 challenges (RFC 8555 §8.3); tried second.
    pub http_01: bool,
    /// What is asked of DNS before an order.
    pub preflight: Preflight,
    /// Orders in flight at once.
    pub orders_at_once: usize,
    /// The longest one order may take before its worker is given to another host.
    pub order_deadline: Duration,
    /// The longest one request to the authority may take.
    pub request_timeout: Duration,
    /// Requests to one authority in a second; more wait their turn.
    pub requests_per_second: u32,
    /// How long the internal authority's certificates are valid.
    pub internal_lifetime: Duration,
    /// What orders are paid from.
    pub budgets: Budgets,
}

/// `acme.preflight`: what is asked of DNS before an order. The internal authority needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// Whether it is done.
    pub enabled: bool,
    /// Whether to find our addresses by ourselves, from `[publish]` and the sockets.
    pub auto: bool,
    /// Addresses that are ours besides.
    pub addresses: Vec<IpAddr>,
}

impl Acme {
    /// Whether the internal authority signs, whose root no sender trusts. It always stands alone.
    pub fn is_internal(&self) -> bool {
        self.authorities.iter().all(|one| one.directory == Directory::Internal)
    }
}

/// `[[acme.authority]]`, or the same keys in `[acme]` itself: one authority and our account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritySettings {
    /// Which authority.
    pub directory: Directory,
    /// `mailto:` addresses for the account.
    pub contact: Vec<String>,
    /// Whether the operator agrees to the authority's terms of service.
    pub terms_of_service_agreed: bool,
    /// PEM file with the roots that vouch for the directory's own certificate.
    pub root_file: Option<PathBuf>,
    /// External Account Binding (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// Certificate profile to ask for.
    pub profile: Option<String>,
}

impl AuthoritySettings {
    /// The internal authority, which needs no account.
    pub fn internal() -> Self {
        Self {
            directory: Directory::Internal,
            contact: Vec::new(),
            terms_of_service_agreed: false,
            root_file: None,
            external_account: None,
            profile: None,
        }
    }
}

/// `[acme.budgets]`: limits of our own, under those of the authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Orders of one account, those excepted that replace a certificate as its authority suggests.
    pub account: Allowance,
    /// Certificates under one registered domain, with the same exception.
    pub domain: Allowance,
    /// Certificates for one host, with the same exception.
    pub same_name: Allowance,
    /// Failed validations of one host.
    pub failures: Allowance,
    /// The most of the fleet that is renewed within an hour, in percent, unless it is urgent.
    pub renewals_percent: u32,
}

impl Budgets {
    /// For the internal authority, which limits nobody: as much as an hour can hold.
    pub fn without_limits() -> Self {
        let plenty = Allowance { amount: 1_000_000, period: Duration::from_secs(3600) };
        Self { account: plenty, domain: plenty, same_name: plenty, failures: plenty, renewals_percent: 100 }
    }
}

/// So many in so long; afterwards one more whenever that share of the time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many, at least 1.
    pub amount: u32,
    /// In how long.
    pub period: Duration,
}

/// Which authority signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// The local root made on first start.
    Internal,
    /// An RFC 8555 directory URL.
    Url(String),
}

/// External Account Binding as the authority handed it out.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Key identifier.
    pub key_id: String,
    /// File with the MAC key in base64url, as the authority shows it.
    pub mac_key_file: PathBuf,
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// `[dns]`: how questions are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Resolvers to ask; empty means the system's.
    pub servers: Vec<SocketAddr>,
    /// Resolvers that are asked the same, independent of the others; empty means nobody.
    pub second_servers: Vec<SocketAddr>,
    /// Wait for one try.
    pub timeout: Duration,
    /// Tries after the first.
    pub retries: usize,
    /// Questions in flight at once.
    pub lookups_at_once: usize,
    /// Whether resolvers beyond this host are believed that say an answer is signed.
    pub trust_ad: bool,
}

/// `[cross_check]`: policies against what the world shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossCheck {
    /// Whether it runs.
    pub enabled: bool,
    /// Every domain is looked at in this time at the latest, and sooner where the TTL is shorter.
    pub period: Duration,
    /// After this time what would alarm, and what only one resolver says, is looked at again.
    pub recheck: Duration,
    /// Whether the STS records of domains are looked at as well.
    pub records: bool,
    /// Whether domains are audited as well.
    pub audit: bool,
    /// Every domain is audited once in this time.
    pub audit_every: Duration,
    /// After this time what would alarm in an audit is looked at again.
    pub audit_recheck: Duration,
    /// Domains that are audited at once.
    pub audits_at_once: usize,
    /// Whether an audit speaks SMTP to mail hosts.
    pub probe_mx: bool,
    /// The name that mail hosts are greeted with; `None`: that of `publish.cname`, if there is one.
    pub ehlo_name: Option<String>,
    /// PEM file with roots to trust beside Mozilla's.
    pub root_file: Option<PathBuf>,
    /// Whether audits dial addresses in private networks, too.
    pub dial_private: bool,
}

/// `[limits]`: what strangers may use up. Defaults and reasons are in `config.example.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all listeners.
    pub connections: usize,
    /// Connections at once from one address (IPv4 /32, IPv6 /64).
    pub connections_per_address: usize,
    /// TLS handshakes at once.
    pub handshakes: usize,
    /// TLS handshakes a second from one address (IPv4 /32, IPv6 /64), in the long run.
    pub handshakes_per_address: u32,
    /// TLS handshakes from one address in one moment, after a while without any.
    pub handshake_burst_per_address: u32,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first octet of a request to the end of its header.
    pub header_timeout: Duration,
    /// Without a new request for this long, a connection is dropped.
    pub idle_timeout: Duration,
    /// The oldest a connection may get.
    pub connection_age: Duration,
    /// Requests on one connection.
    pub requests_per_connection: u32,
    /// Request header in octets.
    pub header_bytes: usize,
    /// Header fields in a request.
    pub header_count: usize,
    /// Request target in octets.
    pub uri_bytes: usize,
    /// Streams at once on an HTTP/2 connection.
    pub http2_streams: u32,
    /// Request header on HTTP/2 in octets, counted as RFC 9113 §6.5.2 does.
    pub http2_header_bytes: u32,
    /// How long open connections may finish after TERM.
    pub drain_timeout: Duration,
    /// Parsed certificates kept in memory.
    pub certificates_in_memory: usize,
    /// The largest configuration file in octets.
    pub config_file_bytes: u64,
    /// The largest list file of domains in octets.
    pub list_file_bytes: u64,
}

/// `[admin]`: the status socket, and the admin page.
///
/// Where an address of `listen` is not a loopback one, there are a token and a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Path of the unix socket, made 0600.
    pub socket: PathBuf,
    /// Where the admin page is served; empty means nowhere.
    pub listen: Vec<SocketAddr>,
    /// Names and addresses by which the page is asked for, beside those of loopback: lower-case, without
    /// ports.
    pub names: Vec<String>,
    /// File with the token that lets in; without one the page can be read on loopback and does nothing.
    pub token_file: Option<PathBuf>,
    /// What the page is served with over TLS; without it, plainly.
    pub certificate: Option<AdminCertificate>,
}

/// The admin page's own certificate, which nobody but the operator renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminCertificate {
    /// PEM file with the chain, leaf first.
    pub certificate_file: PathBuf,
    /// PEM file with the leaf's private key.
    pub key_file: PathBuf,
}

impl Admin {
    /// The socket's name in the store's folder, where it is unless the configuration says otherwise.
    pub const SOCKET_NAME: &str = "admin.sock";
}

/// `[publish]`: what the records of customers point to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Name that `mta-sts.<domain>` is a CNAME to.
    pub cname: Option<String>,
    /// Addresses for `mta-sts.<domain>` where a CNAME is not wanted.
    pub addresses: Vec<IpAddr>,
    /// Domain of ours below which indicator records stand, so that customers publish CNAMEs to them.
    pub record_zone: Option<String>,
    /// Where senders report to: `https:` and `mailto:` URIs (RFC 8460 §3), without commas,
    /// semicolons and exclamation marks.
    pub tlsrpt_rua: Vec<String>,
}

impl Publish {
    /// Our zone for indicator records and the name in it at which that of `host` stands, one for each
    /// policy domain so that their ids move independently (T-22). `None` when customers publish the
    /// TXT record themselves, or the name would be too long for DNS.
    pub fn record_target(&self, host: &PolicyHost) -> Option<(&str, String)> {
        let zone = self.record_zone.as_deref()?;
        let target = format!("{}.{zone}", host.domain());
        (target.len() <= DomainName::LONGEST).then_some((zone, target))
    }
}

/// Who a policy domain belongs to: a customer, or a list of domains under one policy.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The longest tenant name in octets.
    pub const LONGEST: usize = 64;

    /// Takes a checked tenant name: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it fits logs and paths.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=Self::LONGEST).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        valid.then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant whose every part is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// The policy hosts it owns, in the order written.
    pub hosts: Vec<PolicyHost>,
    /// What is served for each of them.
    pub policy: Arc<RenderedPolicy>,
    /// The file it is written in.
    pub file: Arc<Path>,
}

#[cfg(test)]
mod tests;
