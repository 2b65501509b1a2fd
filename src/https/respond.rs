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
    match addressed_to(sni, request) {
        Addressed::Us => {}
        Addressed::Malformed => return text(request, StatusCode::BAD_REQUEST),
        Addressed::Other => return text(request, StatusCode::MISDIRECTED_REQUEST),
    }
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
    let Some(hosted) = snapshot.find(sni.as_str()) else {
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

/// Whom a request is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addressed {
    /// The host of this connection.
    Us,
    /// Another host, port or scheme: 421.
    Other,
    /// Nobody can tell: 400.
    Malformed,
}

/// Compares the request's authority with the connection's name (H-26 to H-31).
fn addressed_to<B>(sni: &PolicyHost, request: &Request<B>) -> Addressed {
    let Ok(host) = host_field(request.headers()) else { return Addressed::Malformed };
    let target = match request.uri().authority().map(|authority| Authority::parse(authority.as_str())) {
        None => None,
        Some(None) => return Addressed::Malformed,
        Some(parsed) => parsed,
    };
    let authority = match (request.version(), target, host) {
        // RFC 9113 §8.3.1: the two must not disagree.
        (Version::HTTP_2, Some(target), Some(host)) if !target.same_host(&host) => {
            return Addressed::Malformed;
        }
        (Version::HTTP_2, Some(target), _) => target,
        (Version::HTTP_2, None, Some(host)) => host,
        (Version::HTTP_2, None, None) => return Addressed::Malformed,
        // RFC 9112 §3.2: HTTP/1.1 needs Host even where the absolute form replaces it (§3.2.2).
        (Version::HTTP_11, _, None) => return Addressed::Malformed,
        (_, Some(target), _) => target,
        (_, None, Some(host)) => host,
        // HTTP/1.0 without Host: there is only the name of the connection.
        (_, None, None) => return Addressed::Us,
    };
    let https = request.uri().scheme().is_none_or(|scheme| scheme.as_str() == "https");
    if https && authority.is(sni) { Addressed::Us } else { Addressed::Other }
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
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let is_literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|literal| {
            literal.parse::<std::net::Ipv6Addr>().is_ok()
        });
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
