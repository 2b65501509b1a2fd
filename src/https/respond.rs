//! What a policy host answers to a request (RFC 8461 §3.3). Pure: no clock, no waiting.
//!
//! Only 200 carries a policy, nothing is ever redirected, and no answer depends on anything but the
//! name, the path and the method: not on User-Agent, Accept, Range, validators or the query
//! (H-02 to H-11).

use crate::{name::PolicyHost, snapshot::Snapshot};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;

/// Where every policy stands (RFC 8461 §3.3); case counts.
const POLICY_PATH: &str = "/.well-known/mta-sts.txt";

/// Answers `request`, which came over a connection whose certificate is `sni`'s.
///
/// The request's authority must be `sni` itself (RFC 9110 §7.4): a connection made for one tenant
/// serves no other, even when both are ours.
pub fn respond<B>(snapshot: &Snapshot, sni: &PolicyHost, request: &Request<B>) -> Response<Full<Bytes>> {
    match authority(request) {
        Err(Malformed) => text(request, StatusCode::BAD_REQUEST),
        // HTTP/1.0 without Host: there is only the name of the connection.
        Ok(None) => answer(snapshot, sni, request),
        Ok(Some(authority)) if is_https(request) && authority.is(sni) => answer(snapshot, sni, request),
        Ok(Some(_)) => text(request, StatusCode::MISDIRECTED_REQUEST),
    }
}

/// Answers `request`, which a proxy passed on that has ended TLS: the request's authority chooses the
/// host. Handed back as well is the host that was asked for, if it is one of ours.
///
/// The proxy may say `http`, for that is what it speaks with us.
pub(super) fn respond_to_proxy<'s, B>(
    snapshot: &'s Snapshot,
    request: &Request<B>,
) -> (Option<&'s PolicyHost>, Response<Full<Bytes>>) {
    let authority = match authority(request) {
        Ok(Some(authority)) => authority,
        Ok(None) | Err(Malformed) => return (None, text(request, StatusCode::BAD_REQUEST)),
    };
    let name = authority.host.to_ascii_lowercase();
    match snapshot.find_host(&name).filter(|(host, _)| authority.is(host)) {
        Some((host, _)) => (Some(host), answer(snapshot, host, request)),
        None => (None, text(request, StatusCode::MISDIRECTED_REQUEST)),
    }
}

/// What `host` answers to a request that is meant for it.
fn answer<B>(snapshot: &Snapshot, host: &PolicyHost, request: &Request<B>) -> Response<Full<Bytes>> {
    if !is_known(request.method()) {
        return text(request, StatusCode::NOT_IMPLEMENTED);
    }
    if request.uri().path() != POLICY_PATH {
        return text(request, StatusCode::NOT_FOUND);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(request, StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(hosted) = snapshot.find(host.as_str()) else {
        // Removed since the handshake.
        return text(request, StatusCode::NOT_FOUND);
    };
    let mut response = content(request, StatusCode::OK, hosted.policy.body().clone());
    // For customers' reverse proxies; senders do not cache by HTTP (§3.3).
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    response
}

/// The standard methods (RFC 9110 §9.1, RFC 5789); the rest is 501 rather than 405.
fn is_known(method: &Method) -> bool {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    KNOWN.contains(method)
}

/// A short answer that says its status and nothing of the request, and that no lax parser can take
/// for a policy (H-09).
pub(super) fn text<B>(request: &Request<B>, status: StatusCode) -> Response<Full<Bytes>> {
    let body: &'static [u8] = match status {
        StatusCode::BAD_REQUEST => b"bad request\n",
        StatusCode::NOT_FOUND => b"not found\n",
        StatusCode::METHOD_NOT_ALLOWED => b"only GET and HEAD\n",
        StatusCode::URI_TOO_LONG => b"target too long\n",
        StatusCode::MISDIRECTED_REQUEST => b"this connection is for another host\n",
        StatusCode::NOT_IMPLEMENTED => b"unknown method\n",
        _ => b"\n",
    };
    content(request, status, Bytes::from_static(body))
}

/// An answer with `body`; to HEAD the same header without it (RFC 9110 §9.3.2).
pub(super) fn content<B>(request: &Request<B>, status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(body.len());
    let body = if *request.method() == Method::HEAD { Bytes::new() } else { body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whom a request is meant for, by its target and its Host field (H-26 to H-31); `None` where neither
/// says, which only HTTP/1.0 may do.
fn authority<B>(request: &Request<B>) -> Result<Option<Authority<'_>>, Malformed> {
    let host = host_field(request.headers())?;
    let target = match request.uri().authority() {
        None => None,
        Some(authority) => Some(Authority::parse(authority.as_str()).ok_or(Malformed)?),
    };
    match (request.version(), target, host) {
        // RFC 9113 §8.3.1: the two must not disagree.
        (Version::HTTP_2, Some(target), Some(host)) if !target.same_host(&host) => Err(Malformed),
        (Version::HTTP_2, None, None) => Err(Malformed),
        // RFC 9112 §3.2: HTTP/1.1 needs Host even where the absolute form replaces it (§3.2.2).
        (Version::HTTP_11, _, None) => Err(Malformed),
        (_, target, host) => Ok(target.or(host)),
    }
}

/// Whether the target says nothing else than `https`.
fn is_https<B>(request: &Request<B>) -> bool {
    request.uri().scheme().is_none_or(|scheme| scheme.as_str() == "https")
}

/// The one Host field, if there is any; `Err` for two of them or for what is no authority.
pub(super) fn host_field(headers: &HeaderMap) -> Result<Option<Authority<'_>>, Malformed> {
    let mut fields = headers.get_all(HOST).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Malformed);
    }
    let text = field.to_str().map_err(|_| Malformed)?;
    Authority::parse(text).map(Some).ok_or(Malformed)
}

/// Two Host fields, or one that is no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Host and port as a request names them; no user information (RFC 9110 §4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// The host without its trailing dot, in the sender's case.
    pub(super) host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (text, ""),
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let is_literal = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|literal| literal.parse::<std::net::Ipv6Addr>().is_ok());
        (is_name || is_literal).then_some(Self { host, port })
    }

    fn same_host(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port.unwrap_or(443) == other.port.unwrap_or(443)
    }

    /// Whether this is `https` at the policy host (RFC 9110 §4.2.3).
    fn is(&self, host: &PolicyHost) -> bool {
        self.host.eq_ignore_ascii_case(host.as_str()) && self.port.unwrap_or(443) == 443
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::https::tls::tests::snapshot;
    use http::request::Builder;
    use http_body_util::BodyExt;

    const HOST: &str = "mta-sts.example.com";
    const PATH: &str = "/.well-known/mta-sts.txt";

    fn answered(request: Builder) -> Response<Full<Bytes>> {
        let snapshot = snapshot(&[HOST, "mta-sts.example.org"]);
        respond(&snapshot, &PolicyHost::from_full_name(HOST).unwrap(), &request.body(()).unwrap())
    }

    #[track_caller]
    fn check(request: Builder, expected: u16) {
        let shown = format!("{request:?}");
        let response = answered(request);
        assert_eq!(response.status().as_u16(), expected, "{shown}");
        assert!(!response.headers().contains_key("location"), "{shown} is redirected");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["content-type"], "text/plain");
    }

    fn get(host: &str) -> Builder {
        Request::get(PATH).header("host", host)
    }

    // Standards H-26, H-28, H-29.
    #[test]
    fn the_authority_must_be_the_name_of_the_connection() {
        for host in [
            HOST,
            "MTA-STS.Example.COM",
            "mta-sts.example.com.",
            "mta-sts.example.com:443",
            "mta-sts.example.com.:443",
            "mta-sts.example.com:",
        ] {
            check(get(host), 200);
        }
        for host in [
            "mta-sts.example.org",
            "example.com",
            "mta-sts.example.com:8443",
            "mta-sts.example.com..",
            "[::1]",
            "192.0.2.1",
        ] {
            check(get(host), 421);
        }
        for host in [
            "",
            ".",
            ":443",
            "mta-sts.example.com:port",
            "mta-sts.example.com:+443",
            "mta-sts.example.com:99999",
            "a@mta-sts.example.com",
            "mta-sts.example.com, mta-sts.example.com",
            "mta-sts.example.com/",
            "[::1",
            "mta-sts.example.com mta-sts.example.com",
        ] {
            check(get(host), 400);
        }
        check(Request::get(PATH), 400);
        check(get(HOST).header("host", HOST), 400);
        check(get(HOST).header("host", "mta-sts.example.org"), 400);
    }

    // Standards H-27, H-30.
    #[test]
    fn absolute_form_replaces_host_and_http_1_0_needs_none() {
        let absolute = |authority: &str| Request::get(format!("https://{authority}{PATH}"));
        check(absolute(HOST).header("host", "mta-sts.example.org"), 200);
        check(absolute("mta-sts.example.org").header("host", HOST), 421);
        check(absolute(HOST), 400);
        check(absolute("user@mta-sts.example.com").header("host", HOST), 400);
        check(Request::get(format!("http://{HOST}{PATH}")).header("host", HOST), 421);
        check(Request::get(PATH).version(Version::HTTP_10), 200);
        check(get("mta-sts.example.org").version(Version::HTTP_10), 421);
    }

    // Standards H-31; RFC 9113 §8.3.1.
    #[test]
    fn http_2_is_held_to_its_authority_for_every_request() {
        let h2 =
            |authority: &str| Request::get(format!("https://{authority}{PATH}")).version(Version::HTTP_2);
        check(h2(HOST), 200);
        check(h2("mta-sts.example.org"), 421);
        check(h2(HOST).header("host", HOST), 200);
        check(h2(HOST).header("host", "mta-sts.example.org"), 400);
        check(get(HOST).version(Version::HTTP_2), 200);
        check(Request::get(PATH).version(Version::HTTP_2), 400);
    }

    #[test]
    fn behind_a_proxy_the_authority_chooses_the_host() {
        let snapshot = snapshot(&[HOST, "mta-sts.example.org"]);
        let check = |request: Builder, status: u16, host: Option<&str>| {
            let shown = format!("{request:?}");
            let request = request.body(()).unwrap();
            let (asked, response) = respond_to_proxy(&snapshot, &request);
            assert_eq!(
                (response.status().as_u16(), asked.map(PolicyHost::as_str)),
                (status, host),
                "{shown}"
            );
        };
        check(get(HOST), 200, Some(HOST));
        check(get("MTA-STS.Example.ORG.:443"), 200, Some("mta-sts.example.org"));
        check(get("mta-sts.example.net"), 421, None);
        check(get("mta-sts.example.com:8443"), 421, None);
        check(get("[::1]"), 421, None);
        check(Request::get(PATH), 400, None);
        check(Request::get(PATH).version(Version::HTTP_10), 400, None);
        check(get(HOST).header("host", HOST), 400, None);
        check(Request::get("/").header("host", HOST), 404, Some(HOST));
        check(get(HOST).method("POST"), 405, Some(HOST));
        check(Request::get(format!("http://{HOST}{PATH}")).header("host", HOST), 200, Some(HOST));
        let h2 = || Request::get(format!("http://{HOST}{PATH}")).version(Version::HTTP_2);
        check(h2(), 200, Some(HOST));
        check(h2().header("host", "mta-sts.example.org"), 400, None);
        // The same octets as over TLS.
        let tls = answered(get(HOST));
        let request = get(HOST).body(()).unwrap();
        let proxied = respond_to_proxy(&snapshot, &request).1;
        assert_eq!((tls.status(), tls.headers()), (proxied.status(), proxied.headers()));
    }

    // Standards H-07 to H-09.
    #[test]
    fn only_get_and_head_of_the_one_path_are_served() {
        for path in [
            "/",
            "/.well-known/MTA-STS.txt",
            "/.well-known/mta-sts.txt/",
            "//.well-known/mta-sts.txt",
            "/.well-known/mta%2Dsts.txt",
        ] {
            check(Request::get(path).header("host", HOST), 404);
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
            let response = answered(get(HOST).method(method));
            assert_eq!(response.status().as_u16(), 405, "{method}");
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
        check(get(HOST).method("BREW"), 501);
        check(get(HOST).method("get"), 501);
        let (get, head) = (answered(get(HOST)), answered(self::get(HOST).method("HEAD")));
        assert_eq!(get.headers(), head.headers());
        assert_eq!(hyper::body::Body::size_hint(head.body()).exact(), Some(0));
    }

    // Standards H-10.
    #[test]
    fn nothing_else_in_a_request_changes_the_answer() {
        let plain = answered(get(HOST));
        for (name, value) in [
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("range", "bytes=0-3"),
            ("if-none-match", "*"),
            ("cookie", "a=b"),
            ("user-agent", ""),
        ] {
            let varied = answered(get(HOST).header(name, value));
            assert_eq!((varied.status(), varied.headers()), (plain.status(), plain.headers()), "{name}");
        }
        check(Request::get(format!("{PATH}?x=1")).header("host", HOST), 200);
        assert_eq!(plain.headers()["cache-control"], "max-age=60");
    }

    // Standards H-09: one deployed sender parses a body whatever the status.
    #[test]
    fn no_error_text_can_be_read_as_a_policy() {
        for status in (400..=505).filter_map(|status| StatusCode::from_u16(status).ok()) {
            let mut body = text(&Request::new(()), status).into_body();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let std::task::Poll::Ready(Some(Ok(frame))) =
                std::pin::Pin::new(&mut body.frame()).poll(&mut context)
            else {
                panic!("a full body is ready");
            };
            let octets = frame.into_data().unwrap();
            let lines = String::from_utf8_lossy(&octets).to_lowercase();
            for line in lines.lines() {
                assert!(!["mx:", "mode:", "version:"].iter().any(|field| line.starts_with(field)), "{line}");
            }
        }
    }

    #[test]
    fn a_host_that_was_removed_since_the_handshake_is_404() {
        let request = get(HOST).body(()).unwrap();
        let response = respond(&Snapshot::default(), &PolicyHost::from_full_name(HOST).unwrap(), &request);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
