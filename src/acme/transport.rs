//! HTTPS to the authority: trusted roots, one deadline for each request, bounded answers.
//!
//! Everything an authority could do to us with a connection is bounded here: how long it may take,
//! how much it may say, and what a refusal that is no ACME problem turns into.

mod pace;

use self::pace::Pace;
use super::problem::{ProblemDocument, printable};
use crate::{clock::Clock, config};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracing::warn;

/// The largest answer that is read, 1 MiB: chains and directories have a few KiB.
const ANSWER_MAX: usize = 1 << 20;

/// How long an unused connection is kept: about as long as an order's steps are apart.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Sends requests to the authority; cheap to clone, all clones share their connections.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    pace: Arc<Pace>,
    clock: Clock,
}

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// Nothing whole came in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The connection, TLS or HTTP failed.
    #[error("{}", printable(&sentence(.0.as_ref())))]
    Broken(Box<dyn Error + Send + Sync>),
    /// The answer asks us to stay away: status 429, or 503 with a Retry-After.
    #[error("the authority answered {status}")]
    Throttled {
        /// Which of the two.
        status: StatusCode,
        /// How long.
        retry_after: Option<Duration>,
        /// The problem document that came with it, if any.
        body: Bytes,
    },
    /// The authority waits for something that only a person can do, such as agreeing to new terms of
    /// service (RFC 8555 §7.3.3).
    #[error("{}", action(.0.as_deref(), .1.as_deref()))]
    ActionRequired(Option<String>, Option<String>),
    /// An error that does not come from the ACME server itself: a proxy's page, say.
    #[error("the authority answered {0}, without an ACME problem")]
    NotAcme(StatusCode),
}

/// The roots that should vouch for the authority cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read trusted roots from {}", .path.display())]
pub struct UnreadableRoots {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: rustls_pki_types::pem::Error,
}

impl Transport {
    /// A transport that trusts the system's roots and those in `root_file`. Connects to nothing.
    pub fn new(
        root_file: Option<&Path>,
        settings: &config::Acme,
        clock: Clock,
    ) -> Result<Self, UnreadableRoots> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots(root_file)?)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_all_versions()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        let pace = Arc::new(Pace::new(settings.requests_per_second));
        Ok(Self { client, timeout: settings.request_timeout, pace, clock })
    }

    /// Sends `request` when its turn comes, and reads the whole answer.
    ///
    /// A problem document of the ACME server is an answer; everything else that is no success is an error.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.pace.turn().await;
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(TransportError::TimedOut(self.timeout)))
    }

    /// How long `response` asks us to wait, if it does.
    pub fn retry_after(&self, response: &Response<Bytes>) -> Option<Duration> {
        retry_after(response.headers(), self.clock.now())
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (mut head, body) = request.into_parts();
        introduce_ourselves(&mut head.headers);
        let request = Request::from_parts(head, Full::new(body));
        let response = self.client.request(request).await.map_err(|e| TransportError::Broken(e.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(TransportError::Broken)?.to_bytes();

        let retry_after = retry_after(&head.headers, self.clock.now());
        match head.status {
            StatusCode::TOO_MANY_REQUESTS => {
                Err(TransportError::Throttled { status: head.status, retry_after, body })
            }
            StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => {
                Err(TransportError::Throttled { status: head.status, retry_after, body })
            }
            status if (status.is_client_error() || status.is_server_error()) && !is_json(&head.headers) => {
                Err(TransportError::NotAcme(status))
            }
            StatusCode::FORBIDDEN => match action_required(&head.headers, &body) {
                Some(action) => Err(action),
                None => Ok(Response::from_parts(head, body)),
            },
            _ => Ok(Response::from_parts(head, body)),
        }
    }
}

/// What the authority wants of the operator, if `body` says that it wants something.
fn action_required(headers: &HeaderMap, body: &[u8]) -> Option<TransportError> {
    let document = ProblemDocument::read(body);
    let wanted = document.problem(None).word() == "userActionRequired";
    wanted.then(|| TransportError::ActionRequired(document.instance, link(headers, "terms-of-service")))
}

/// In words: what to open, and what happens then.
fn action(page: Option<&str>, terms: Option<&str>) -> String {
    let what = match (page, terms) {
        (Some(page), Some(terms)) => format!("open {page} and agree to the terms of service at {terms}"),
        (Some(page), None) => format!("open {page} and do what it asks"),
        (None, Some(terms)) => format!("its terms of service have changed: read and agree to {terms}"),
        (None, None) => "it does not say what; look at its web pages".to_owned(),
    };
    printable(&format!("userActionRequired: {what}; orders then go on by themselves"))
}

/// The target of the first link of relation `rel` (RFC 8288), for values without commas inside.
fn link(headers: &HeaderMap, rel: &str) -> Option<String> {
    let values = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let of_rel = |parameter: &str| {
            parameter.trim().strip_prefix("rel=").is_some_and(|value| value.trim_matches('"') == rel)
        };
        parameters.split(';').any(of_rel).then(|| target.to_owned())
    })
}

fn roots(root_file: Option<&Path>) -> Result<RootCertStore, UnreadableRoots> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(native.certs);
    if unusable > 0 || !native.errors.is_empty() {
        warn!(unusable, errors = native.errors.len(), "some of the system's trusted roots were skipped");
    }
    if let Some(path) = root_file {
        let unreadable = |source| UnreadableRoots { path: path.to_owned(), source };
        let before = roots.len();
        for root in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots.add_parsable_certificates([root.map_err(unreadable)?]);
        }
        if roots.len() == before {
            return Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound));
        }
    }
    Ok(roots)
}

/// Product name and version on every request (RFC 8555 §6.1), in front of the ACME library's own.
fn introduce_ourselves(headers: &mut HeaderMap) {
    const US: &str = concat!("mta-stsd/", env!("CARGO_PKG_VERSION"));
    let library = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = library.map_or(US.to_owned(), |library| format!("{US} {library}"));
    let agent = HeaderValue::try_from(agent).expect("made of two header values");
    headers.insert(header::USER_AGENT, agent);
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
}

/// `application/json`, `application/problem+json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "application/problem+json"
}

/// Retry-After in either of its forms, seconds or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(at.duration_since(now).try_into().unwrap_or_default())
}

/// An error with its causes, outermost first: "client error (Connect): connection refused".
fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence += &format!(": {error}");
        cause = error.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_retry_after(value: &str, expected: Option<u64>) {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value:?}");
    }

    // RFC 9110 §10.2.3.
    #[test]
    fn retry_after_is_read_in_both_forms_and_never_negative() {
        check_retry_after("120", Some(120));
        check_retry_after(" 0 ", Some(0));
        check_retry_after("Sat, 21 Nov 2026 13:00:00 GMT", Some(3600));
        check_retry_after("Sat, 21 Nov 2026 11:00:00 GMT", Some(0));
        check_retry_after("-5", None);
        check_retry_after("soon", None);
        check_retry_after("", None);
        check_retry_after("99999999999999999999999", None);
    }

    // RFC 8555 §7.3.3, its own example.
    #[test]
    fn changed_terms_are_told_with_the_page_to_open() {
        let body = br#"{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"Terms of service have changed",
            "instance":"https://example.com/acme/agreement/?token=W8Ih3PswD-8"}"#;
        let value = "<https://example.com/acme/directory>;rel=\"index\", \
                     <https://example.com/acme/terms/2017-6-02>;rel=\"terms-of-service\"";
        let headers = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static(value))]);
        assert_eq!(
            action_required(&headers, body).unwrap().to_string(),
            "userActionRequired: open https://example.com/acme/agreement/?token=W8Ih3PswD-8 and agree to the \
             terms of service at https://example.com/acme/terms/2017-6-02; orders then go on by themselves"
        );
        let other = br#"{"type":"urn:ietf:params:acme:error:unauthorized"}"#;
        assert!(action_required(&headers, other).is_none());
    }

    #[test]
    fn every_request_names_product_and_version() {
        let mut headers = HeaderMap::new();
        introduce_ourselves(&mut headers);
        let us = concat!("mta-stsd/", env!("CARGO_PKG_VERSION"));
        assert_eq!(headers[header::USER_AGENT], us);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("library/1"));
        introduce_ourselves(&mut headers);
        assert_eq!(headers[header::USER_AGENT], format!("{us} library/1"));
    }

    #[test]
    fn a_proxys_page_is_told_from_a_problem_document() {
        for (value, expected) in [
            ("application/problem+json", true),
            ("application/json; charset=utf-8", true),
            ("text/html", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
