//! Connecting to addresses that strangers name, without being sent into our own networks.
//!
//! Whoever writes an MX record or an address record chooses where we connect (X-05, S-18). So the
//! address is held against a table in the moment it is dialled, after all resolving: a second answer
//! of DNS changes nothing. The table is written down here, because the libraries' notions of a
//! global address differ and change.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// A network by its name, its first address and the length of its prefix in bits.
type Network<A> = (&'static str, A, u32);

/// Networks of IPv4 that no public mail or web server is in (RFC 6890 and its registry).
const REFUSED_V4: &[Network<Ipv4Addr>] = &[
    ("0.0.0.0/8", Ipv4Addr::new(0, 0, 0, 0), 8),
    ("10.0.0.0/8", Ipv4Addr::new(10, 0, 0, 0), 8),
    ("100.64.0.0/10", Ipv4Addr::new(100, 64, 0, 0), 10),
    ("127.0.0.0/8", Ipv4Addr::new(127, 0, 0, 0), 8),
    // The metadata service of clouds among them.
    ("169.254.0.0/16", Ipv4Addr::new(169, 254, 0, 0), 16),
    ("172.16.0.0/12", Ipv4Addr::new(172, 16, 0, 0), 12),
    ("192.0.0.0/24", Ipv4Addr::new(192, 0, 0, 0), 24),
    ("192.0.2.0/24", Ipv4Addr::new(192, 0, 2, 0), 24),
    ("192.88.99.0/24", Ipv4Addr::new(192, 88, 99, 0), 24),
    ("192.168.0.0/16", Ipv4Addr::new(192, 168, 0, 0), 16),
    ("198.18.0.0/15", Ipv4Addr::new(198, 18, 0, 0), 15),
    ("198.51.100.0/24", Ipv4Addr::new(198, 51, 100, 0), 24),
    ("203.0.113.0/24", Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved, broadcast.
    ("224.0.0.0/3", Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The same for IPv6. Addresses of `::ffff:0:0/96` are not here: they are judged as the IPv4
/// address they stand for. Translated ones (NAT64, 6to4) are refused whatever is inside, because
/// nobody needs them to name a public server.
const REFUSED_V6: &[Network<Ipv6Addr>] = &[
    // Unspecified, loopback, and IPv4-compatible addresses.
    ("::/96", Ipv6Addr::UNSPECIFIED, 96),
    ("64:ff9b::/96", Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    ("64:ff9b:1::/48", Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    ("100::/64", Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    ("2001::/23", Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    ("2001:db8::/32", Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    ("2002::/16", Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation (RFC 9637) and segment routing (RFC 9602), younger than most tables.
    ("3fff::/20", Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ("5f00::/16", Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),
    ("fc00::/7", Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    ("fe80::/10", Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    ("fec0::/10", Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    ("ff00::/8", Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// What [`Reach::refuses`] says of an address of our own.
pub const OWN_ADDRESS: &str = "an address of our own";

/// How far outgoing connections may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Lets private and special networks be dialled. For tests and closed networks only.
    pub allow_private: bool,
    /// Public addresses of this machine, refused in any case: talking to ourselves proves nothing.
    pub own: Vec<IpAddr>,
}

impl Reach {
    /// The network for which `address` is refused, or [`OWN_ADDRESS`]; `None` when it may be dialled.
    pub fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        if self.own.iter().any(|own| own.to_canonical() == address) {
            return Some(OWN_ADDRESS);
        }
        if self.allow_private {
            return None;
        }
        match address {
            IpAddr::V4(address) => {
                let refused = REFUSED_V4.iter().find(|(_, first, length)| {
                    (address.to_bits() ^ first.to_bits()).leading_zeros() >= *length
                });
                refused.map(|(name, ..)| *name)
            }
            IpAddr::V6(address) => {
                let refused = REFUSED_V6.iter().find(|(_, first, length)| {
                    (address.to_bits() ^ first.to_bits()).leading_zeros() >= *length
                });
                refused.map(|(name, ..)| *name)
            }
        }
    }

    /// Connects to exactly `to`, within `limit`. An IPv4-mapped address is dialled as IPv4.
    ///
    /// # Errors
    ///
    /// [`DialError`]; nothing is sent to an address that is refused.
    pub async fn connect(&self, to: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
        let address = to.ip().to_canonical();
        if let Some(network) = self.refuses(address) {
            return Err(DialError::Refused(network));
        }
        let stream = timeout(limit, TcpStream::connect(SocketAddr::new(address, to.port())))
            .await
            .map_err(|_| DialError::Timeout)?
            .map_err(DialError::Io)?;
        // Short commands, each waiting for its answer. A socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Whether `address` is one of this machine's own: what is sent there never leaves it, and shows
/// nothing of what others meet. Where translation stands in front, this does not tell.
pub async fn is_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return true;
    }
    let any: IpAddr = if address.is_ipv4() { [0u8; 4].into() } else { [0u16; 8].into() };
    // A datagram socket that is connected sends nothing; the system chooses its end of the way, which for
    // an address of ours is that address.
    let Ok(socket) = UdpSocket::bind((any, 0)).await else { return false };
    const ANY_PORT: u16 = 443;
    socket.connect((address, ANY_PORT)).await.is_ok()
        && socket.local_addr().is_ok_and(|end| end.ip() == address)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address lies where we do not connect to; the network's name.
    #[error("the address is not dialled: it belongs to {0}")]
    Refused(&'static str),
    /// Nothing answered in time.
    #[error("connecting took too long")]
    Timeout,
    /// The system's word, such as a refused connection or a missing route.
    #[error("no connection")]
    Io(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reach: &Reach, address: &str, expected: Option<&str>) {
        assert_eq!(reach.refuses(address.parse().unwrap()), expected, "{address}");
    }

    /// The network, its first and last address, and the neighbours outside (empty where there is
    /// none, or where the neighbour is refused for itself).
    const BORDERS: &[(&str, &str, &str, &str, &str)] = &[
        ("0.0.0.0/8", "", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
        ("10.0.0.0/8", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
        ("100.64.0.0/10", "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
        ("127.0.0.0/8", "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
        ("169.254.0.0/16", "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
        ("172.16.0.0/12", "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
        ("192.0.0.0/24", "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
        ("192.0.2.0/24", "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
        ("192.88.99.0/24", "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
        ("192.168.0.0/16", "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
        ("198.18.0.0/15", "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
        ("198.51.100.0/24", "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
        ("203.0.113.0/24", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
        ("224.0.0.0/3", "223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
        ("::/96", "", "::", "::ffff:ffff", "::1:0:0"),
        ("64:ff9b::/96", "64:ff9a:ffff:ffff::", "64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9b::1:0:0"),
        (
            "64:ff9b:1::/48",
            "64:ff9b:0:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b:1::",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b:2::",
        ),
        ("100::/64", "ff:ffff::", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::"),
        (
            "2001::/23",
            "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:200::",
        ),
        (
            "2001:db8::/32",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
        ),
        ("2002::/16", "2001:ffff::", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
        ("3fff::/20", "3ffe:ffff::", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
        ("5f00::/16", "5eff:ffff::", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::"),
        (
            "fc00::/7",
            "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fc00::",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe00::",
        ),
        (
            "fe80::/10",
            "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::",
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "",
        ),
        ("fec0::/10", "", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("ff00::/8", "", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
    ];

    #[test]
    fn each_refused_network_ends_exactly_at_its_borders() {
        let reach = Reach::default();
        for (network, before, first, last, after) in BORDERS {
            check(&reach, first, Some(network));
            check(&reach, last, Some(network));
            for outside in [before, after].into_iter().filter(|address| !address.is_empty()) {
                check(&reach, outside, None);
            }
        }
        let tabled =
            REFUSED_V4.iter().map(|(name, ..)| *name).chain(REFUSED_V6.iter().map(|(name, ..)| *name));
        assert_eq!(tabled.collect::<Vec<_>>(), BORDERS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_mapped_address_is_judged_as_the_one_inside() {
        let reach = Reach::default();
        check(&reach, "::ffff:127.0.0.1", Some("127.0.0.0/8"));
        check(&reach, "::ffff:169.254.169.254", Some("169.254.0.0/16"));
        check(&reach, "::ffff:10.255.255.255", Some("10.0.0.0/8"));
        check(&reach, "::ffff:11.0.0.0", None);
        // Translated forms are refused with whatever is inside.
        check(&reach, "64:ff9b::808:808", Some("64:ff9b::/96"));
        check(&reach, "2002:808:808::1", Some("2002::/16"));
        check(&reach, "::127.0.0.1", Some("::/96"));
    }

    #[test]
    fn our_own_addresses_are_refused_even_where_private_ones_are_allowed() {
        let own = vec!["198.20.0.7".parse().unwrap(), "2a00::7".parse().unwrap()];
        for allow_private in [false, true] {
            let reach = Reach { allow_private, own: own.clone() };
            check(&reach, "198.20.0.7", Some(OWN_ADDRESS));
            check(&reach, "::ffff:198.20.0.7", Some(OWN_ADDRESS));
            check(&reach, "2a00::7", Some(OWN_ADDRESS));
            check(&reach, "198.20.0.8", None);
        }
        check(&Reach { allow_private: true, own }, "127.0.0.1", None);
    }

    #[tokio::test]
    async fn what_is_refused_is_never_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let limit = Duration::from_secs(60);
        for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let to = SocketAddr::new(address.parse().unwrap(), port);
            let refused = Reach::default().connect(to, limit).await;
            assert!(matches!(refused, Err(DialError::Refused("127.0.0.0/8"))), "{refused:?}");
            let allowed = Reach { allow_private: true, own: vec![] }.connect(to, limit).await.unwrap();
            // The first connection that arrives is the allowed one.
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, allowed.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn this_machine_is_known_by_its_addresses() {
        assert!(is_this_machine("127.0.0.1".parse().unwrap()).await);
        assert!(is_this_machine("::ffff:127.0.0.7".parse().unwrap()).await);
        // Whether or not a way leads there (RFC 5737).
        assert!(!is_this_machine("192.0.2.1".parse().unwrap()).await);
    }

    #[tokio::test]
    async fn a_refused_connection_is_the_systems_word() {
        // Bound, so that nobody else gets the port, and not listening.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let to = closed.local_addr().unwrap();
        let reach = Reach { allow_private: true, own: vec![] };
        let error = reach.connect(to, Duration::from_secs(60)).await.unwrap_err();
        assert!(
            matches!(&error, DialError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused),
            "{error:?}"
        );
    }
}
