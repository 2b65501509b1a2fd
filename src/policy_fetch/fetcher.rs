//! The fetch itself: one connection, one request, nothing followed.

use super::{Answered, Fetch, HttpVersion, Offer, Outcome, Settings, Stage, user_agent};
use crate::{
    certificate::presented::{self, ChainJudgement, Observer, Roots, TlsVersions, client_config, escaped},
    dialing::{DialError, Reach},
    name::PolicyHost,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls_pki_types::ServerName;
use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where every policy is (RFC 8461 §3.3, RFC 8615).
const PATH: &str = "/.well-known/mta-sts.txt";

/// The largest head of an answer: 16 KiB, more than any policy host has reason to send.
const HEAD_MAX: usize = 16 * 1024;

/// The most header fields of an answer over HTTP/1.1.
const FIELDS_MAX: usize = 100;

/// The most octets shown of a header field or of what went wrong.
const TEXT_MAX: usize = 300;

/// Fetches policies; nothing is kept between two fetches.
#[derive(Clone, Debug)]
pub struct Fetcher {
    settings: Settings,
    reach: Reach,
}

/// What is known so far; what stands here when the time is up is what was seen.
struct Seen {
    stage: Stage,
    observer: Option<Observer>,
    tls_version: Option<String>,
    chain: Option<ChainJudgement>,
}

/// The tasks of one attempt; all of them end when this goes.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

/// Starts tasks of an attempt, and none once it is over. Tasks may hold it: it keeps nothing alive.
#[derive(Clone)]
struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.spawn(async {
                let _ = task.await;
            });
        }
    }
}

impl Fetcher {
    /// A fetcher that dials what `reach` allows.
    pub fn new(settings: Settings, reach: Reach) -> Self {
        Self { settings, reach }
    }

    /// What it dials.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Asks `address` once for the policy of `host`. Certificates are judged at `now`.
    ///
    /// Never fails: what went wrong is what was seen. Takes [`Settings::total`] at the longest.
    pub async fn fetch(&self, host: &PolicyHost, address: IpAddr, offer: Offer, now: Timestamp) -> Fetch {
        let start = Instant::now();
        let mut seen = Seen { stage: Stage::Connect, observer: None, tls_version: None, chain: None };
        let attempt = self.attempt(host, address, offer, now, &mut seen);
        let outcome = timeout_at(start + self.settings.total, attempt).await;
        let elapsed = start.elapsed();
        let outcome = outcome.unwrap_or(Outcome::Timeout(seen.stage));
        // A handshake that failed or hung may have shown a chain before.
        let chain = seen.chain.or_else(|| self.judged(seen.observer.as_ref(), host, now));
        Fetch { address, offer, elapsed, tls_version: seen.tls_version, chain, outcome }
    }

    async fn attempt(
        &self,
        host: &PolicyHost,
        address: IpAddr,
        offer: Offer,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Outcome {
        let to = SocketAddr::new(address, self.settings.port);
        let stream = match self.reach.connect(to, self.settings.connect).await {
            Ok(stream) => stream,
            Err(DialError::Refused(network)) => return Outcome::NotDialled(network.to_owned()),
            Err(DialError::Timeout) => return Outcome::Timeout(Stage::Connect),
            Err(DialError::Io(error)) => return Outcome::Unreachable(words(&error)),
        };
        seen.stage = Stage::Tls;
        let alpn: &[&[u8]] = match offer {
            Offer::Http1WithoutAlpn => &[],
            Offer::Http2 => &[b"h2", b"http/1.1"],
        };
        let (config, observer) = client_config(TlsVersions::Both, alpn);
        seen.observer = Some(observer);
        let name = match ServerName::try_from(host.as_str().to_owned()) {
            Ok(name) => name,
            Err(error) => return Outcome::TlsFailed(words(&error)),
        };
        let stream = match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) => return Outcome::TlsFailed(words(&error)),
        };
        let (_, tls) = stream.get_ref();
        seen.tls_version = tls.protocol_version().and_then(|version| version.as_str()).map(version_name);
        let h2 = tls.alpn_protocol() == Some(b"h2");
        seen.chain = self.judged(seen.observer.as_ref(), host, now);
        if !self.settings.look_further && !seen.chain.as_ref().is_some_and(ChainJudgement::is_accepted) {
            return Outcome::NotAsked;
        }
        seen.stage = Stage::Head;
        // The connection lives in tasks of its own, which end with these.
        let tasks = Tasks::default();
        let answer = if h2 {
            self.ask_http2(host, stream, &tasks).await
        } else {
            self.ask_http1(host, stream, &tasks).await
        };
        let version = if h2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        match answer {
            Ok(response) => self.read(response, version, seen).await,
            Err(error) => Outcome::BadHttp(words(&error)),
        }
    }

    async fn ask_http1(
        &self,
        host: &PolicyHost,
        stream: TlsStream<TcpStream>,
        tasks: &Tasks,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_MAX).max_headers(FIELDS_MAX);
        let (mut sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        tasks.spawner().execute(driver);
        let mut request = self.request(PATH.to_owned());
        let host = HeaderValue::from_str(host.as_str()).expect("a policy host is made of letters and digits");
        request.headers_mut().insert(header::HOST, host);
        sender.send_request(request).await
    }

    async fn ask_http2(
        &self,
        host: &PolicyHost,
        stream: TlsStream<TcpStream>,
        tasks: &Tasks,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut builder = http2::Builder::new(tasks.spawner());
        builder.max_header_list_size(HEAD_MAX as u32).max_frame_size(16 * 1024);
        let (mut sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        tasks.spawner().execute(driver);
        sender.send_request(self.request(format!("https://{}{PATH}", host.as_str()))).await
    }

    fn request(&self, uri: String) -> Request<Empty<Bytes>> {
        let agent = HeaderValue::from_str(&self.settings.user_agent)
            .or_else(|_| HeaderValue::from_str(&user_agent(None)))
            .expect("our own name is a header value");
        Request::get(uri)
            .header(header::USER_AGENT, agent)
            .header(header::ACCEPT, "*/*")
            .body(Empty::new())
            .expect("the path and a policy host make a URI")
    }

    async fn read(&self, response: Response<Incoming>, version: HttpVersion, seen: &mut Seen) -> Outcome {
        seen.stage = Stage::Body;
        let (head, mut incoming) = response.into_parts();
        let field = |name: HeaderName| {
            let value = head.headers.get(name)?.as_bytes();
            let text: String = value.iter().map(|octet| char::from(*octet)).collect();
            Some(escaped(&text, TEXT_MAX))
        };
        let mut body = Vec::new();
        let mut too_large = false;
        while let Some(frame) = incoming.frame().await {
            let data = match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => data,
                Ok(Err(_trailers)) => continue,
                Err(error) => return Outcome::BadHttp(words(&error)),
            };
            let room = self.settings.body_bytes.saturating_sub(body.len());
            body.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                too_large = true;
                break;
            }
        }
        Outcome::Answered(Answered {
            status: head.status.as_u16(),
            location: field(header::LOCATION),
            content_type: field(header::CONTENT_TYPE),
            content_encoding: field(header::CONTENT_ENCODING),
            server: field(header::SERVER),
            body,
            too_large,
            http_version: version,
        })
    }

    fn judged(
        &self,
        observer: Option<&Observer>,
        host: &PolicyHost,
        now: Timestamp,
    ) -> Option<ChainJudgement> {
        let roots: Vec<&Roots> = self.settings.roots.iter().map(|roots| &**roots).collect();
        Some(presented::judge(observer?.chain()?, host.as_str(), &roots, now))
    }
}

/// rustls writes `TLSv1_3`; people write `TLSv1.3`.
fn version_name(name: &str) -> String {
    name.replace('_', ".")
}

/// An error with all that stands behind it; strangers may have written parts of it.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        behind = error.source();
    }
    escaped(&text, TEXT_MAX)
}
