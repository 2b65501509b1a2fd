//! On whose behalf a proxy asks: the field X-Forwarded-For, which all of them write.
//!
//! Each proxy adds whom it has seen at the end. What stands at the end was therefore written by the
//! proxy that is connected to us; what stands before that only counts where it was a proxy of ours
//! again. RFC 7239's Forwarded says the same in more words, and is not read.

use crate::listening::Networks;
use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses looked at, at most; nobody has so many proxies.
const HOPS_MAX: usize = 16;

/// The client of a request that came from `peer`; `proxies` are ours. What is no address ends the
/// search: what a stranger wrote before it does not count.
pub(super) fn client(headers: &HeaderMap, peer: IpAddr, proxies: &Networks) -> IpAddr {
    // A PROXY header has named the client, who may have written the fields himself: a proxy that passes
    // octets on adds none.
    if !proxies.contains(peer) {
        return peer;
    }
    let fields = headers.get_all(X_FORWARDED_FOR).iter().map(|field| field.to_str().unwrap_or_default());
    // The fields of a name are one list (RFC 9110 §5.3); looked at from its end.
    let fields: Vec<&str> = fields.collect();
    let hops = fields.iter().rev().flat_map(|field| field.rsplit(',')).take(HOPS_MAX);
    let mut client = peer;
    for hop in hops {
        let Some(seen) = address(hop.trim()) else { break };
        client = seen;
        if !proxies.contains(seen) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let alone = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|with: SocketAddr| with.ip());
    let address: IpAddr = text.parse().ok().or_else(alone).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: &str) {
        check_from("127.0.0.1", fields, expected);
    }

    #[track_caller]
    fn check_from(peer: &str, fields: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, field.parse().unwrap());
        }
        let proxies = ["127.0.0.0/8", "198.51.100.0/24"].map(|text| text.parse().unwrap());
        let found = client(&headers, peer.parse().unwrap(), &proxies.into_iter().collect());
        assert_eq!(found.to_string(), expected, "{fields:?}");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_is_the_client() {
        check(&[], "127.0.0.1");
        check(&["192.0.2.1"], "192.0.2.1");
        check(&["2001:db8::1"], "2001:db8::1");
        check(&["::ffff:192.0.2.1"], "192.0.2.1");
        check(&["192.0.2.1:4711"], "192.0.2.1");
        check(&["[2001:db8::1]:4711"], "2001:db8::1");
        check(&["[2001:db8::1]"], "2001:db8::1");
        check(&["192.0.2.1, 198.51.100.7"], "192.0.2.1");
        check(&["192.0.2.1", "198.51.100.7,127.0.0.1"], "192.0.2.1");
        check(&["198.51.100.7"], "198.51.100.7");
    }

    #[test]
    fn what_a_client_wrote_himself_counts_for_nothing() {
        check(&["10.9.8.7, 192.0.2.1"], "192.0.2.1");
        check(&["127.0.0.1, 192.0.2.1"], "192.0.2.1");
        check(&["10.9.8.7, unknown"], "127.0.0.1");
        check(&["10.9.8.7, , 198.51.100.7"], "198.51.100.7");
        check(&[&"198.51.100.7, ".repeat(100)], "127.0.0.1");
        check(&["not an address"], "127.0.0.1");
    }

    #[test]
    fn who_is_no_proxy_cannot_speak_for_others() {
        check_from("192.0.2.66", &["203.0.113.9"], "192.0.2.66");
        check_from("192.0.2.66", &["203.0.113.9, 127.0.0.1"], "192.0.2.66");
        // A proxy of ours that another one announces does.
        check_from("198.51.100.7", &["192.0.2.1"], "192.0.2.1");
    }
}
