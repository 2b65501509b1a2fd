//! The server's part of the main file: everything but tenants and policies.

mod access_log;
mod admin;
mod authorities;
mod cross_check;
mod listen;
mod store;

pub use access_log::{AccessLog, AccessLogAddresses, AccessLogFormat, AccessLogTo};
pub use authorities::is_contact;

use super::{
    Acme, Allowance, AuthoritySettings, Budgets, Dns, Limits, Listen, Preflight, Publish, Server, alerts,
    credentials,
    fault::quoted,
    file::{Reading, Table, Written},
};
use crate::{name::DomainName, policy::report_record::render_report_record};
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// What one peer, network or authority may keep us waiting for.
const WAIT: RangeInclusive<Duration> = SECOND..=Duration::from_secs(600);

/// Where DNS resolvers listen.
const DNS_PORT: u16 = 53;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 256,
            handshakes: 512,
            handshakes_per_address: 50,
            handshake_burst_per_address: 100,
            handshake_timeout: 10 * SECOND,
            header_timeout: 10 * SECOND,
            idle_timeout: 15 * SECOND,
            connection_age: 120 * SECOND,
            requests_per_connection: 1_000,
            header_bytes: 16 * 1024,
            header_count: 64,
            uri_bytes: 2_048,
            http2_streams: 16,
            http2_header_bytes: 8 * 1024,
            drain_timeout: 15 * SECOND,
            certificates_in_memory: 20_000,
            config_file_bytes: 16 << 20,
            list_file_bytes: 64 << 20,
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        let allowance = |amount, period| Allowance { amount, period };
        Self {
            account: allowance(250, 3 * HOUR),
            domain: allowance(40, 7 * DAY),
            same_name: allowance(4, 7 * DAY),
            failures: allowance(2, HOUR),
            renewals_percent: 5,
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            second_servers: Vec::new(),
            timeout: 2 * SECOND,
            retries: 1,
            lookups_at_once: 64,
            trust_ad: false,
        }
    }
}

impl Default for Preflight {
    fn default() -> Self {
        Self { enabled: true, auto: true, addresses: Vec::new() }
    }
}

/// Reads the server's tables of the main file. Where something is wrong a fault is left with
/// `reading` and the default stands in, so that all faults come at once.
pub(super) fn read(root: &mut Table<'_, '_>, reading: &Reading<'_>, folder: &Path) -> Server {
    let reader = Reader { reading, folder };
    let listen = reader.listen(root.table("listen"));
    let acme = reader.acme(root, &listen);
    let store = store::read(root.table("store"), &reader);
    Server {
        access_log: reader.access_log(root.table("access_log")),
        admin: reader.admin(root.table("admin"), &store),
        dns: reader.dns(root.table("dns")),
        cross_check: reader.cross_check(root.table("cross_check")),
        alerts: alerts::read(root, reading, folder),
        limits: limits(root.table("limits")),
        publish: reader.publish(root.table("publish")),
        listen,
        store,
        acme,
    }
}

struct Reader<'a, 's> {
    reading: &'a Reading<'s>,
    folder: &'a Path,
}

impl Reader<'_, '_> {
    /// Addresses with ports; where `default_port` is given, the port may be left out.
    fn addresses(
        &self,
        table: &mut Table<'_, '_>,
        key: &'static str,
        default_port: Option<u16>,
        seen: &mut Vec<SocketAddr>,
    ) -> Option<Vec<SocketAddr>> {
        let texts = table.texts(key)?;
        let mut addresses = Vec::new();
        for text in texts.value {
            let alone = || Some(SocketAddr::new(text.value.parse::<IpAddr>().ok()?, default_port?));
            match text.value.parse::<SocketAddr>().ok().or_else(alone) {
                Some(address) if seen.contains(&address) && address.port() != 0 => {
                    let problem = format!("the address {address} is written twice");
                    self.reading.fault(text.span, &table.key(key), problem, "write it once");
                }
                Some(address) => {
                    seen.push(address);
                    addresses.push(address);
                }
                None => {
                    let (sort, remedy) = match default_port {
                        None => (
                            "an address with a port",
                            "write it as \"192.0.2.1:443\" or \"[2001:db8::1]:443\", not as a name",
                        ),
                        Some(_) => (
                            "an address",
                            "write it as \"192.0.2.53\" or \"[2001:db8::53]:5353\", not as a name",
                        ),
                    };
                    let problem = format!("{} is not {sort}", quoted(&text.value));
                    self.reading.fault(text.span, &table.key(key), problem, remedy);
                }
            }
        }
        Some(addresses)
    }

    fn path(&self, table: &mut Table<'_, '_>, key: &'static str) -> Option<PathBuf> {
        credentials::file(table, self.reading, self.folder, key)
    }

    fn acme(&self, root: &mut Table<'_, '_>, listen: &Listen) -> Acme {
        let no_plain_http = listen.http.is_empty();
        let mut acme = Acme {
            authorities: vec![AuthoritySettings::internal()],
            tls_alpn_01: true,
            http_01: !no_plain_http,
            preflight: Preflight::default(),
            orders_at_once: 8,
            order_deadline: 2 * MINUTE,
            request_timeout: 30 * SECOND,
            requests_per_second: 10,
            internal_lifetime: 90 * DAY,
            budgets: Budgets::default(),
        };
        let span = root.span_of("acme");
        let present = root.has("acme");
        let Some(mut table) = root.table("acme") else {
            // Where no certificates are ordered nobody has to sign them.
            if !present && !listen.https.is_empty() {
                self.missing_directory(span, "acme");
            }
            return acme;
        };
        acme.authorities = self.authorities(&mut table);
        self.challenges(&mut table, &mut acme, no_plain_http);
        acme.preflight = self.preflight(table.table("preflight"));
        acme.orders_at_once = table.number("orders_at_once", acme.orders_at_once, 1..=64);
        duration(&mut table, "order_deadline", &mut acme.order_deadline, 10 * SECOND..=HOUR);
        duration(&mut table, "request_timeout", &mut acme.request_timeout, WAIT);
        acme.requests_per_second = table.number("requests_per_second", acme.requests_per_second, 1..=1_000);
        duration(&mut table, "internal_lifetime", &mut acme.internal_lifetime, HOUR..=398 * DAY);
        budgets(table.table("budgets"), &mut acme.budgets);
        table.finish();
        acme
    }

    fn preflight(&self, table: Option<Table<'_, '_>>) -> Preflight {
        let mut preflight = Preflight::default();
        let Some(mut table) = table else { return preflight };
        preflight.enabled = table.flag("enabled").unwrap_or(preflight.enabled);
        if let Some(texts) = table.texts("addresses") {
            preflight.auto = texts.value.is_empty();
            for text in texts.value {
                match text.value.parse() {
                    Ok(address) => preflight.addresses.push(address),
                    Err(_) if text.value == "auto" => preflight.auto = true,
                    Err(_) => {
                        let problem = format!("{} is not an IP address", quoted(&text.value));
                        let remedy = "write it as \"192.0.2.1\" or \"2001:db8::1\", or write \"auto\"";
                        self.reading.fault(text.span, "acme.preflight.addresses", problem, remedy);
                    }
                }
            }
        }
        table.finish();
        preflight
    }

    fn challenges(&self, table: &mut Table<'_, '_>, acme: &mut Acme, no_plain_http: bool) {
        const KEY: &str = "acme.challenges";
        let span = table.span_of("challenges");
        let Some(texts) = table.texts("challenges") else { return };
        (acme.tls_alpn_01, acme.http_01) = (false, false);
        for Written { value, span } in &texts.value {
            match value.as_str() {
                "tls-alpn-01" => acme.tls_alpn_01 = true,
                "http-01" if no_plain_http => {
                    let remedy = "write a listen.http address with port 80, or take http-01 out";
                    self.reading.fault(*span, KEY, "http-01 needs a plain HTTP address", remedy);
                    acme.http_01 = true;
                }
                "http-01" => acme.http_01 = true,
                other => {
                    let problem = format!("{} is not a challenge we can answer", quoted(other));
                    self.reading.fault(*span, KEY, problem, "write \"tls-alpn-01\", \"http-01\" or both");
                }
            }
        }
        if texts.value.is_empty() {
            let remedy = "write \"tls-alpn-01\", \"http-01\" or both";
            self.reading.fault(span, KEY, "no challenge can be answered", remedy);
        }
    }

    fn dns(&self, table: Option<Table<'_, '_>>) -> Dns {
        let mut dns = Dns::default();
        let Some(mut table) = table else { return dns };
        // Whoever is asked twice does not confirm himself.
        let mut seen = Vec::new();
        for (key, target) in [("servers", &mut dns.servers), ("second_servers", &mut dns.second_servers)] {
            *target = self.addresses(&mut table, key, Some(DNS_PORT), &mut seen).unwrap_or_default();
        }
        duration(&mut table, "timeout", &mut dns.timeout, SECOND..=MINUTE);
        dns.retries = table.number("retries", dns.retries, 0..=10);
        dns.lookups_at_once = table.number("lookups_at_once", dns.lookups_at_once, 1..=1_024);
        dns.trust_ad = table.flag("trust_ad").unwrap_or(dns.trust_ad);
        table.finish();
        dns
    }

    fn publish(&self, table: Option<Table<'_, '_>>) -> Publish {
        let mut publish = Publish::default();
        let Some(mut table) = table else { return publish };
        const CNAME_REMEDY: &str = "write the name that mta-sts.<domain> is to be a CNAME to";
        const ZONE_REMEDY: &str =
            "write a domain of yours; <domain>.<record_zone> then has the TXT record of <domain>";
        publish.cname = self.published_name(&mut table, "cname", CNAME_REMEDY);
        publish.record_zone = self.published_name(&mut table, "record_zone", ZONE_REMEDY);
        publish.tlsrpt_rua = self.tlsrpt_rua(&mut table);
        for text in table.texts("addresses").map(|texts| texts.value).unwrap_or_default() {
            match text.value.parse() {
                Ok(address) => publish.addresses.push(address),
                Err(_) => {
                    let problem = format!("{} is not an IP address", quoted(&text.value));
                    let remedy = "write it as \"192.0.2.1\" or \"2001:db8::1\", without a port";
                    self.reading.fault(text.span, "publish.addresses", problem, remedy);
                }
            }
        }
        table.finish();
        publish
    }

    fn published_name(
        &self,
        table: &mut Table<'_, '_>,
        key: &'static str,
        remedy: &'static str,
    ) -> Option<String> {
        let text = table.text(key)?;
        match DomainName::from_user(&text.value) {
            Ok(name) => Some(name.as_str().to_owned()),
            Err(error) => {
                let problem = format!("{key} {} {error}", quoted(&text.value));
                self.reading.fault(text.span, &table.key(key), problem, remedy);
                None
            }
        }
    }

    /// Only what needs no escape in the record, and what every sender reads.
    fn tlsrpt_rua(&self, table: &mut Table<'_, '_>) -> Vec<String> {
        const KEY: &str = "tlsrpt_rua";
        let mut rua: Vec<String> = Vec::new();
        for text in table.texts(KEY).map(|texts| texts.value).unwrap_or_default() {
            let (problem, remedy) = if rua.contains(&text.value) {
                ("is written twice", "write it once")
            } else if is_report_address(&text.value) {
                rua.push(text.value);
                continue;
            } else {
                (
                    "is no address for reports",
                    "write \"mailto:tlsrpt@example.com\" or \"https://…\", with , ; and ! percent-encoded",
                )
            };
            let problem = format!("{} {problem}", quoted(&text.value));
            self.reading.fault(text.span, &table.key(KEY), problem, remedy);
        }
        rua
    }
}

/// An `https:` or `mailto:` URI that can stand in a report record as it is (RFC 8460 §3).
fn is_report_address(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b",;!\"\\<>".contains(&b));
    let whole = match text.split_once(':') {
        Some(("mailto", address)) => address
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && DomainName::from_ascii(domain).is_ok()),
        Some(("https", _)) => {
            text.parse::<http::Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()))
        }
        _ => false,
    };
    plain && whole && render_report_record(&[text]).is_ok()
}

fn duration(
    table: &mut Table<'_, '_>,
    key: &'static str,
    target: &mut Duration,
    range: RangeInclusive<Duration>,
) {
    if let Some(written) = table.duration(key, range) {
        *target = written.value;
    }
}

fn budgets(table: Option<Table<'_, '_>>, budgets: &mut Budgets) {
    let Some(mut table) = table else { return };
    let t = &mut table;
    let b = budgets;
    b.account.amount = t.number("account_orders", b.account.amount, 1..=1_000_000);
    duration(t, "account_period", &mut b.account.period, MINUTE..=30 * DAY);
    b.domain.amount = t.number("domain_certificates", b.domain.amount, 1..=1_000_000);
    duration(t, "domain_period", &mut b.domain.period, MINUTE..=30 * DAY);
    b.same_name.amount = t.number("same_name_certificates", b.same_name.amount, 1..=1_000);
    duration(t, "same_name_period", &mut b.same_name.period, MINUTE..=30 * DAY);
    b.failures.amount = t.number("name_failures", b.failures.amount, 1..=1_000);
    duration(t, "name_failures_period", &mut b.failures.period, MINUTE..=30 * DAY);
    b.renewals_percent = t.number("renewals_percent", b.renewals_percent, 1..=100);
    table.finish();
}

fn limits(table: Option<Table<'_, '_>>) -> Limits {
    let mut l = Limits::default();
    let Some(mut table) = table else { return l };
    let t = &mut table;
    l.connections = t.number("connections", l.connections, 16..=1_000_000);
    l.connections_per_address = t.number("connections_per_address", l.connections_per_address, 1..=1_000_000);
    l.handshakes = t.number("handshakes", l.handshakes, 1..=100_000);
    l.handshakes_per_address = t.number("handshakes_per_address", l.handshakes_per_address, 1..=1_000_000);
    l.handshake_burst_per_address =
        t.number("handshake_burst_per_address", l.handshake_burst_per_address, 1..=1_000_000);
    duration(t, "handshake_timeout", &mut l.handshake_timeout, WAIT);
    duration(t, "header_timeout", &mut l.header_timeout, WAIT);
    duration(t, "idle_timeout", &mut l.idle_timeout, WAIT);
    duration(t, "connection_age", &mut l.connection_age, SECOND..=DAY);
    l.requests_per_connection = t.number("requests_per_connection", l.requests_per_connection, 1..=1_000_000);
    // hyper refuses to work with less than 8 KiB.
    l.header_bytes = t.number("header_bytes", l.header_bytes, 8 * 1024..=1024 * 1024);
    l.header_count = t.number("header_count", l.header_count, 16..=1_024);
    l.uri_bytes = t.number("uri_bytes", l.uri_bytes, 64..=64 * 1024);
    l.http2_streams = t.number("http2_streams", l.http2_streams, 1..=1_000);
    l.http2_header_bytes = t.number("http2_header_bytes", l.http2_header_bytes, 1024..=1024 * 1024);
    duration(t, "drain_timeout", &mut l.drain_timeout, Duration::ZERO..=HOUR);
    l.certificates_in_memory = t.number("certificates_in_memory", l.certificates_in_memory, 1..=10_000_000);
    l.config_file_bytes = t.number("config_file_bytes", l.config_file_bytes, 1024..=1 << 30);
    l.list_file_bytes = t.number("list_file_bytes", l.list_file_bytes, 1024..=1 << 30);
    table.finish();
    l
}
