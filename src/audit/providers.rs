//! Mail providers, told by their MX hosts, and the patterns that they want in a policy (M-16).
//!
//! Only what is certain stands here. Where a provider's zone may hold names of strangers, or nothing is
//! known of it, the exact MX hosts are the patterns: they always have the right depth (M-17).

use crate::{dns::MxRecord, policy::text_allows};

/// A mail provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name as people know it.
    pub name: &'static str,
    /// The names that its MX hosts have.
    hosts: &'static [Hosts],
    /// The patterns that stand for its MX hosts, as it or long practice has them; empty where the MX
    /// hosts themselves do.
    pub patterns: &'static [&'static str],
}

/// Names of MX hosts, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hosts {
    /// Exactly this one.
    Is(&'static str),
    /// Any below this domain, however deep.
    Below(&'static str),
}

use Hosts::{Below, Is};

impl Hosts {
    fn has(self, host: &str) -> bool {
        match self {
            Self::Is(name) => host == name,
            Self::Below(domain) => host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')),
        }
    }
}

const fn provider(
    name: &'static str,
    hosts: &'static [Hosts],
    patterns: &'static [&'static str],
) -> Provider {
    Provider { name, hosts, patterns }
}

/// Every provider that is known here; one that is not is no worse.
pub const PROVIDERS: &[Provider] = &[
    // One label for each customer domain below the zone. Hosts of customers with DANE stand one level
    // below a zone such as o-v1.mx.microsoft, which differs between customers: there the exact host.
    provider(
        "Exchange Online",
        &[Below("mail.protection.outlook.com"), Below("mx.microsoft")],
        &["*.mail.protection.outlook.com"],
    ),
    provider(
        "Google Workspace",
        &[
            Is("smtp.google.com"),
            Is("aspmx.l.google.com"),
            Below("aspmx.l.google.com"),
            Is("aspmx2.googlemail.com"),
            Is("aspmx3.googlemail.com"),
            Is("aspmx4.googlemail.com"),
            Is("aspmx5.googlemail.com"),
        ],
        &["smtp.google.com", "aspmx.l.google.com", "*.aspmx.l.google.com"],
    ),
    provider("Fastmail", &[Below("messagingengine.com")], &[]),
    provider("Proton Mail", &[Is("mail.protonmail.ch"), Is("mailsec.protonmail.ch")], &[]),
    provider(
        "Zoho Mail",
        &[Below("zoho.com"), Below("zoho.eu"), Below("zoho.in"), Below("zoho.com.au"), Below("zoho.jp")],
        &[],
    ),
    provider("Mimecast", &[Below("mimecast.com")], &[]),
    provider("Proofpoint", &[Below("pphosted.com"), Below("ppe-hosted.com")], &[]),
    provider("iCloud Mail", &[Below("mail.icloud.com")], &[]),
    provider("Yandex 360", &[Is("mx.yandex.net"), Is("mx.yandex.ru")], &[]),
    provider("mailbox.org", &[Below("mailbox.org")], &[]),
    provider("Migadu", &[Below("migadu.com")], &[]),
    provider("Tuta", &[Is("mail.tutanota.de")], &[]),
    provider("Barracuda", &[Below("barracudanetworks.com")], &[]),
    provider("Cisco Secure Email", &[Below("iphmx.com")], &[]),
    provider("Cloudflare Email Routing", &[Below("mx.cloudflare.net")], &[]),
    provider("Forward Email", &[Below("forwardemail.net")], &[]),
    provider("ImprovMX", &[Below("improvmx.com")], &[]),
    provider("Gandi", &[Below("mail.gandi.net")], &[]),
    provider("OVHcloud", &[Below("mail.ovh.net")], &[]),
    provider("Infomaniak", &[Below("infomaniak.ch")], &[]),
    provider("Rackspace Email", &[Below("emailsrvr.com")], &[]),
];

impl Provider {
    /// The pattern of this provider that allows the MX host `host`; `None` when the host itself is the
    /// best pattern.
    pub fn pattern_for(&self, host: &str) -> Option<&'static str> {
        self.patterns.iter().copied().find(|pattern| text_allows(pattern, host))
    }

    fn has(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.iter().any(|hosts| hosts.has(&host))
    }
}

/// The provider of these MX records, when all of them are of one that is known. A domain with a filter
/// of one and a mailbox of another has no single provider.
pub fn recognise(records: &[MxRecord]) -> Option<&'static Provider> {
    let first = records.first()?;
    let provider = of_host(first.host.as_str())?;
    records.iter().all(|record| provider.has(record.host.as_str())).then_some(provider)
}

/// The known provider whose MX host this is.
pub fn of_host(host: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.has(host))
}

/// The patterns for a policy over these MX records: for each host its provider's, else the host itself,
/// in the order of the records and without repetition.
pub fn recommended(records: &[MxRecord]) -> Vec<String> {
    let mut patterns: Vec<String> = Vec::new();
    for record in records {
        let host = record.host.as_str();
        let pattern = of_host(host).and_then(|provider| provider.pattern_for(host)).unwrap_or(host);
        if !patterns.iter().any(|pattern_so_far| pattern_so_far == pattern) {
            patterns.push(pattern.to_owned());
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dns::DnsName, policy::MxPattern};

    fn records(hosts: &[&str]) -> Vec<MxRecord> {
        hosts.iter().map(|host| MxRecord { preference: 10, host: DnsName::new(host) }).collect()
    }

    fn check(hosts: &[&str], name: Option<&str>, patterns: &[&str]) {
        let records = records(hosts);
        assert_eq!(recognise(&records).map(|provider| provider.name), name, "{hosts:?}");
        let recommended = recommended(&records);
        assert_eq!(recommended, patterns, "{hosts:?}");
        for host in hosts {
            assert!(recommended.iter().any(|pattern| text_allows(pattern, host)), "{host} is not covered");
        }
    }

    #[test]
    fn a_provider_is_told_by_its_mx_hosts() {
        check(
            &["meadow-example.mail.protection.outlook.com"],
            Some("Exchange Online"),
            &["*.mail.protection.outlook.com"],
        );
        check(
            &["ASPMX.L.GOOGLE.COM", "alt1.aspmx.l.google.com", "alt2.aspmx.l.google.com"],
            Some("Google Workspace"),
            &["aspmx.l.google.com", "*.aspmx.l.google.com"],
        );
        check(&["smtp.google.com"], Some("Google Workspace"), &["smtp.google.com"]);
        check(
            &["in1-smtp.messagingengine.com", "in2-smtp.messagingengine.com"],
            Some("Fastmail"),
            &["in1-smtp.messagingengine.com", "in2-smtp.messagingengine.com"],
        );
    }

    // M-16: the zone differs between customers, so only the host itself surely has the right depth.
    #[test]
    fn hosts_of_exchange_online_with_dane_stand_for_themselves() {
        let host = "meadow-example.o-v1.mx.microsoft";
        check(&[host], Some("Exchange Online"), &[host]);
    }

    #[test]
    fn who_is_not_known_or_mixed_gets_exact_hosts() {
        check(
            &["mx1.meadow.example", "mx2.meadow.example"],
            None,
            &["mx1.meadow.example", "mx2.meadow.example"],
        );
        check(
            &["eu-smtp-inbound-1.mimecast.com", "meadow-example.mail.protection.outlook.com"],
            None,
            &["eu-smtp-inbound-1.mimecast.com", "*.mail.protection.outlook.com"],
        );
        check(&["notmimecast.com"], None, &["notmimecast.com"]);
        check(&[], None, &[]);
    }

    #[test]
    fn every_pattern_is_one_and_allows_a_host_of_its_provider() {
        for provider in PROVIDERS {
            for pattern in provider.patterns {
                assert!(MxPattern::from_ascii(pattern).is_ok(), "{pattern}");
                assert!(provider.has(&pattern.replace('*', "x")), "{pattern} of {}", provider.name);
            }
        }
    }
}
