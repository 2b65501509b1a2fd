//! Networks as operators write them: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr};

/// The addresses with one beginning in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither an address nor an address with the length of a prefix.
    #[error("is not a network")]
    Malformed,
    /// Bits are set behind the prefix, so it may be another network that is meant.
    #[error("has bits set behind its prefix")]
    Beyond(Network),
    /// IPv4 in the clothes of IPv6: peers are compared as IPv4, so it would match nobody.
    #[error("is IPv4 written as IPv6")]
    Mapped,
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = text.parse().ok().or_else(alone).ok_or(BadNetwork::Malformed)?;
        let mapped = |v6: std::net::Ipv6Addr| v6.to_ipv4_mapped().is_some();
        match network {
            IpNet::V6(v6) if v6.prefix_len() >= 96 && mapped(v6.addr()) => Err(BadNetwork::Mapped),
            _ if network.trunc() != network => Err(BadNetwork::Beyond(Self(network.trunc()))),
            _ => Ok(Self(network)),
        }
    }
}

impl Network {
    /// Whether every address of its family is in it.
    pub fn is_everybody(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some networks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// This machine itself.
    pub fn loopback() -> Self {
        ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Whether `address` is in one of them; IPv4 counts as such also when mapped into IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and `others`.
    pub fn with(mut self, others: &Self) -> Self {
        self.0.extend(&others.0);
        self
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        let networks: Networks =
            ["192.0.2.0/24", "2001:db8::/32", "::1"].map(|text| text.parse().unwrap()).into_iter().collect();
        for inside in ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8:ffff::1", "::1"] {
            assert!(networks.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["192.0.3.0", "198.51.100.1", "2001:db9::1", "::2", "::ffff:198.51.100.1"] {
            assert!(!networks.contains(outside.parse().unwrap()), "{outside}");
        }
        assert_eq!(format!("{networks:?}"), "[192.0.2.0/24, 2001:db8::/32, ::1/128]");
        assert!(Networks::loopback().contains("127.9.9.9".parse().unwrap()));
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_would_match_nobody_or_too_many_is_refused() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Network>(), Err(expected), "{text}");
        check("proxy.example", BadNetwork::Malformed);
        check("192.0.2.0/33", BadNetwork::Malformed);
        check("192.0.2.0/", BadNetwork::Malformed);
        check("", BadNetwork::Malformed);
        check("::ffff:192.0.2.0/120", BadNetwork::Mapped);
        check("::ffff:192.0.2.1", BadNetwork::Mapped);
        check("192.0.2.7/24", BadNetwork::Beyond("192.0.2.0/24".parse().unwrap()));
    }
}
