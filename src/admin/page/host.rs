//! Pure: by which names the page may be asked for, and whether a request comes from the page itself.
//!
//! A stranger's page may point a name of its own at our address (DNS rebinding) and would then be of
//! one origin with us in the eyes of a browser. The name it asks by gives it away. What a browser sends
//! on behalf of another site is told by `Sec-Fetch-Site` and `Origin`.

use http::{HeaderMap, Uri, header};
use std::net::IpAddr;

/// What every host calls itself.
const LOCALHOST: &str = "localhost";

/// The host that a request asks for: lower-case, without port and brackets. `None` when it names none,
/// several, or something that is no host.
pub(super) fn asked_for(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut named = headers.get_all(header::HOST).iter();
    let header = named.next()?.to_str().ok()?;
    // Of two, one would be for the eyes of a proxy and the other for ours.
    if named.next().is_some() || uri.authority().is_some_and(|target| target.as_str() != header) {
        return None;
    }
    host_of(header)
}

/// The host in `host[:port]`.
fn host_of(authority: &str) -> Option<String> {
    let authority: http::uri::Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().to_string()),
        Err(_) => Some(host.trim_end_matches('.').to_ascii_lowercase()),
    }
}

/// Whether the page answers to `host`: a loopback name, one of `names`, or the very address that the
/// connection came to (`local`), which no stranger's name can stand for.
pub(super) fn is_ours(host: &str, names: &[String], local: IpAddr) -> bool {
    is_loopback(host)
        || names.iter().any(|name| name == host)
        || host.parse::<IpAddr>().is_ok_and(|address| address == local.to_canonical())
}

/// Whether `host` can only be this host itself.
pub(super) fn is_loopback(host: &str) -> bool {
    host == LOCALHOST || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a proxy says that it sends this for somebody else, as most do.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    let told = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    told.into_iter().any(|name| headers.contains_key(name))
}

/// Whether a request that changes something was sent by our own page, as far as it says. Browsers say
/// where a request comes from; what is no browser says nothing and has nobody's cookies.
pub(super) fn is_our_own(headers: &HeaderMap) -> bool {
    let fetched = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let sent = headers.get(header::ORIGIN).is_none_or(|origin| {
        // Behind a proxy the scheme is its matter; the place has to be the one that was asked.
        let place = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, place)| place);
        let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        place.is_some() && place == asked
    });
    fetched && sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn asked(target: &str, hosts: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        asked_for(&target.parse().unwrap(), &headers)
    }

    // Threat 30.
    #[test]
    fn the_host_is_read_without_its_port_and_only_when_there_is_one() {
        for (host, expected) in [
            ("LOCALHOST:8460", "localhost"),
            ("[::1]:8460", "::1"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("sts.example.", "sts.example"),
        ] {
            assert_eq!(asked("/", &[host]).as_deref(), Some(expected), "{host}");
        }
        for hosts in [&[][..], &["a", "a"], &[""], &["a b"], &["x@localhost"], &["localhost/a"]] {
            assert_eq!(asked("/", hosts), None, "{hosts:?}");
        }
        assert_eq!(asked("http://evil.example/", &["localhost"]), None);
        assert_eq!(asked("http://localhost/", &["localhost"]).as_deref(), Some("localhost"));
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let names = ["sts.example".to_owned(), "192.0.2.9".to_owned()];
        let local: IpAddr = "192.0.2.1".parse().unwrap();
        for (host, ours) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("sts.example", true),
            ("192.0.2.9", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("a.sts.example", false),
            ("127.0.0.1.nip.example", false),
        ] {
            assert_eq!(is_ours(host, &names, local), ours, "{host}");
        }
    }

    #[test]
    fn what_another_site_sends_is_told_by_either_header() {
        let check = |fields: &[(&'static str, &str)], ours| {
            let mut all = vec![("host", "localhost:8460")];
            all.extend(fields);
            assert_eq!(is_our_own(&headers(&all)), ours, "{fields:?}");
        };
        check(&[], true);
        check(&[("origin", "http://localhost:8460")], true);
        check(&[("origin", "https://localhost:8460"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "http://localhost:8461")], false);
        check(&[("origin", "http://localhost")], false);
        check(&[("origin", "null")], false);
        check(&[("origin", "http://evil.example")], false);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "none")], false);
    }
}
