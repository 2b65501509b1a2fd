//! What is promised of a fetch, against servers on loopback that do one thing each.

use super::*;
use crate::{
    certificate::presented::{
        NameMatch, Trust,
        forge::{Authority, DAY, Leaf, now},
    },
    dialing::Reach,
    name::PolicyHost,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::CertificateDer;
use std::{convert::Infallible, net::Ipv4Addr, sync::Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const NAME: &str = "mta-sts.example.com";
const POLICY: &str = "version: STSv1\nmode: none\nmax_age: 86400\n";

/// What a server does once it is asked.
#[derive(Clone)]
enum Answer {
    /// Sends these octets over HTTP/1.1 and waits until the client is gone.
    Octets(Vec<u8>),
    /// Sends these octets, and from then on time flies until somebody's patience ends.
    Stall(Vec<u8>),
    /// Sends a header field again and again.
    EndlessHeaders,
    /// Speaks HTTP/2 and sends the policy.
    Http2,
    /// Speaks HTTP/2, sends PING after PING and reads nothing. Time flies once it is stuck, and it tells
    /// when the connection has ended.
    Pings(Arc<Notify>),
}

/// The server name and the head of each request.
type Asked = Arc<Mutex<Vec<(Option<String>, String)>>>;

struct Server {
    port: u16,
    asked: Asked,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn new(chain: Vec<CertificateDer<'static>>, leaf: &Leaf, answer: Answer) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, leaf.key())
            .unwrap();
        if matches!(answer, Answer::Http2 | Answer::Pings(_)) {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let asked = Arc::new(Mutex::new(vec![]));
        let seen = asked.clone();
        Self::on(asked, move |stream| {
            let (acceptor, answer, seen) = (acceptor.clone(), answer.clone(), seen.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = serve(stream, answer, &seen).await;
                }
            }
        })
        .await
    }

    async fn on<F: Future<Output = ()> + Send + 'static>(
        asked: Asked,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream).await;
            }
        });
        Self { port, asked, _tasks: tasks }
    }

    async fn fetch(&self, root: &Authority, offer: Offer, change: impl FnOnce(&mut Settings)) -> Fetch {
        let roots = vec![Arc::new(Roots::of(vec![root.der()]))];
        let mut settings = Settings { port: self.port, roots, ..Settings::default() };
        change(&mut settings);
        let reach = Reach { allow_private: true, own: vec![] };
        let host = PolicyHost::from_full_name(NAME).unwrap();
        Fetcher::new(settings, reach).fetch(&host, Ipv4Addr::LOCALHOST.into(), offer, now()).await
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, answer: Answer, asked: &Asked) -> std::io::Result<()> {
    let name = stream.get_ref().1.server_name().map(str::to_owned);
    if matches!(answer, Answer::Http2) {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let head = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
            asked.lock().unwrap().push((name.clone(), head));
            let policy = Full::new(Bytes::from_static(POLICY.as_bytes()));
            let response = Response::builder().header("content-type", "text/plain").body(policy).unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
        return Ok(());
    }
    if let Answer::Pings(ended) = &answer {
        // SETTINGS, then PING (RFC 9113 §6.5, §6.7), both empty of meaning.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut sent = stream.write_all(&settings).await;
        for round in 0.. {
            if sent.is_err() {
                break;
            }
            if round == 100 {
                tokio::time::pause();
            }
            sent = stream.write_all(&ping.repeat(100)).await;
        }
        ended.notify_one();
        return Ok(());
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return Ok(()) };
        head.push(octet);
    }
    asked.lock().unwrap().push((name, String::from_utf8(head).unwrap()));
    match answer {
        Answer::Octets(octets) => {
            stream.write_all(&octets).await?;
            stream.flush().await?;
        }
        Answer::Stall(octets) => {
            stream.write_all(&octets).await?;
            stream.flush().await?;
            tokio::time::pause();
        }
        Answer::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(b"x-more: more and more and more\r\n").await?;
                stream.flush().await?;
            }
        }
        Answer::Http2 | Answer::Pings(_) => {}
    }
    let _ = stream.read_u8().await;
    Ok(())
}

/// An answer over HTTP/1.1 with these header fields, each with its end of line, and this body.
fn octets(status: &str, fields: &str, body: &str) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    Answer::Octets((head + body).into_bytes())
}

/// Fetches from a server with a good certificate.
async fn fetch(answer: Answer, change: impl FnOnce(&mut Settings)) -> Fetch {
    let root = Authority::root("Meadow Root");
    let leaf = root.leaf(&[NAME], -DAY, 89 * DAY);
    let server = Server::new(vec![leaf.der.clone()], &leaf, answer).await;
    server.fetch(&root, Offer::Http1WithoutAlpn, change).await
}

async fn answered(answer: Answer) -> (Answered, Vec<FetchFault>) {
    let mut fetch = fetch(answer, |_| {}).await;
    // How fast this computer is today is no promise.
    fetch.elapsed = Duration::ZERO;
    let faults = judge(&fetch);
    match fetch.outcome {
        Outcome::Answered(answered) => (answered, faults),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_policy_is_fetched_without_alpn_and_with_http2() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let leaf = middle.leaf(&[NAME], -DAY, 89 * DAY);
    let chain = vec![leaf.der.clone(), middle.der()];
    let plain = octets("200 OK", "Content-Type: text/plain\r\nServer: meadow\r\n", POLICY);
    let cases = [
        (plain.clone(), Offer::Http1WithoutAlpn, HttpVersion::Http1),
        // A server without HTTP/2 is asked in HTTP/1.1.
        (plain, Offer::Http2, HttpVersion::Http1),
        (Answer::Http2, Offer::Http2, HttpVersion::Http2),
    ];
    for (answer, offer, version) in cases {
        let server = Server::new(chain.clone(), &leaf, answer).await;
        let agent = |settings: &mut Settings| settings.user_agent = user_agent(Some("https://a.example/"));
        let mut fetch = server.fetch(&root, offer, agent).await;
        fetch.elapsed = Duration::ZERO;
        assert_eq!(judge(&fetch), []);
        assert!(fetch.chain.unwrap().is_accepted());
        assert_eq!(fetch.tls_version.as_deref(), Some("TLSv1.3"));
        let Outcome::Answered(answered) = fetch.outcome else { panic!("{:?}", fetch.outcome) };
        assert_eq!((answered.status, answered.http_version), (200, version));
        assert_eq!(answered.body, POLICY.as_bytes());
        assert_eq!(answered.content_type.as_deref(), Some("text/plain"));
        let asked = server.asked.lock().unwrap();
        let [(name, head)] = &asked[..] else { panic!("asked once: {asked:?}") };
        assert_eq!(name.as_deref(), Some(NAME));
        let lower = head.to_ascii_lowercase();
        assert!(head.starts_with("GET ") && head.contains("/.well-known/mta-sts.txt"), "{head}");
        assert!(lower.contains("(+https://a.example/)") && !lower.contains("cookie"), "{head}");
        let host = if version == HttpVersion::Http1 {
            "host: mta-sts.example.com\r\n"
        } else {
            "//mta-sts.example.com/"
        };
        assert!(lower.contains(host), "{head}");
    }
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let fields = "Location: https://www.example.com/\u{e9}\r\n";
    let (answered, faults) = answered(octets("301 Moved Permanently", fields, "")).await;
    assert_eq!(answered.status, 301);
    let location = answered.location.unwrap();
    assert!(location.starts_with("https://www.example.com/\\u{c3}"), "{location}");
    assert_eq!(faults, [FetchFault::Redirect { status: 301, location: Some(location) }]);
}

#[tokio::test]
async fn what_is_not_plain_text_with_status_200_is_told() {
    let found = async |status, fields: &str| answered(octets(status, fields, POLICY)).await.1;
    assert_eq!(found("404 Not Found", "").await, [FetchFault::Status(404)]);
    let html = found("200 OK", "Content-Type: text/html\r\n").await;
    assert_eq!(html, [FetchFault::ContentType("text/html".to_owned())]);
    assert_eq!(found("200 OK", "").await, [FetchFault::NoContentType]);
    let capital = found("200 OK", "Content-Type: Text/Plain; charset=utf-8\r\n").await;
    assert_eq!(capital, [FetchFault::ContentTypeCase("Text/Plain; charset=utf-8".to_owned())]);
    let coded = found("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n").await;
    assert_eq!(coded, [FetchFault::ContentEncoding("gzip".to_owned())]);
}

#[tokio::test]
async fn one_octet_above_the_limit_is_too_large_and_not_kept() {
    let plain = "Content-Type: text/plain\r\n";
    let (whole, _) = answered(octets("200 OK", plain, &" ".repeat(65_536))).await;
    assert_eq!((whole.body.len(), whole.too_large), (65_536, false));
    let (cut, faults) = answered(octets("200 OK", plain, &" ".repeat(65_537))).await;
    assert_eq!((cut.body.len(), cut.too_large), (65_536, true));
    assert_eq!(faults, [FetchFault::TooLarge]);
}

#[tokio::test]
async fn whoever_drips_is_left_when_the_time_is_up() {
    // More than all buffers between the two hold: once it is written, the head has been read.
    let body = " ".repeat(16 * 1024 * 1024);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
    let patient = |settings: &mut Settings| settings.body_bytes = 2 * body.len();
    let fetch = fetch(Answer::Stall((head + &body).into_bytes()), patient).await;
    assert_eq!(fetch.outcome, Outcome::Timeout(Stage::Body));
    assert!(fetch.elapsed >= Duration::from_secs(30) && fetch.chain.is_some());
    assert_eq!(judge(&fetch), [FetchFault::Timeout(Stage::Body)]);
}

#[tokio::test]
async fn whoever_never_ends_the_head_is_left_when_the_time_is_up() {
    let in_head = fetch(Answer::Stall(b"HTTP/1.1 200 OK\r\n".into()), |_| {}).await;
    assert_eq!(in_head.outcome, Outcome::Timeout(Stage::Head));
}

#[tokio::test]
async fn the_connection_of_whoever_only_pings_ends_with_the_fetch() {
    let ended = Arc::new(Notify::new());
    let root = Authority::root("Meadow Root");
    let leaf = root.leaf(&[NAME], -DAY, 89 * DAY);
    let server = Server::new(vec![leaf.der.clone()], &leaf, Answer::Pings(ended.clone())).await;
    let fetch = server.fetch(&root, Offer::Http2, |_| {}).await;
    assert_eq!(fetch.outcome, Outcome::Timeout(Stage::Head));
    ended.notified().await;
}

#[tokio::test]
async fn headers_without_end_and_answers_that_are_no_http_are_bad_http() {
    for answer in [Answer::EndlessHeaders, Answer::Octets(b"220 mail.example.com ESMTP\r\n\r\n".into())] {
        let fetch = fetch(answer, |_| {}).await;
        assert!(matches!(fetch.outcome, Outcome::BadHttp(_)), "{:?}", fetch.outcome);
        assert!(matches!(judge(&fetch)[..], [FetchFault::BadHttp { .. }]));
    }
}

#[tokio::test]
async fn a_bad_certificate_is_told_with_all_else_and_stops_whoever_does_not_look_further() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let chain = |leaf: Leaf| (vec![leaf.der.clone(), middle.der()], leaf);
    let wrong = chain(middle.leaf(&["www.example.com"], -DAY, 89 * DAY));
    let expired = chain(middle.leaf(&[NAME], -90 * DAY, -1));
    let lone = Leaf::self_signed(&[NAME]);
    let alone = (vec![lone.der.clone()], lone);
    let leaf = middle.leaf(&[NAME], -DAY, 89 * DAY);
    let incomplete = (vec![leaf.der.clone()], leaf);
    let cases = [
        (wrong, FetchFault::CertificateName { common_name_only: false }),
        (expired, FetchFault::CertificateExpired),
        (alone, FetchFault::CertificateUntrusted(Trust::SelfSigned)),
        (incomplete, FetchFault::CertificateIncomplete { issuer: "CN=Meadow Middle".to_owned() }),
    ];
    for ((chain, leaf), expected) in cases {
        let server = Server::new(chain, &leaf, octets("404 Not Found", "", "")).await;
        let strict = |settings: &mut Settings| settings.look_further = false;
        let stopped = server.fetch(&root, Offer::Http1WithoutAlpn, strict).await;
        assert_eq!(stopped.outcome, Outcome::NotAsked, "{expected:?}");
        assert_eq!(judge(&stopped), std::slice::from_ref(&expected));
        assert!(server.asked.lock().unwrap().is_empty(), "nothing was sent");
        let mut further = server.fetch(&root, Offer::Http1WithoutAlpn, |_| {}).await;
        further.elapsed = Duration::ZERO;
        assert_eq!(judge(&further), [expected, FetchFault::Status(404)]);
    }
    let mail = middle.leaf(&["mail.example.com"], -DAY, 89 * DAY);
    let server = Server::new(vec![mail.der.clone()], &mail, Answer::Http2).await;
    let both = server.fetch(&root, Offer::Http2, |_| {}).await.chain.unwrap();
    assert_eq!(both.name, NameMatch::Nothing);
    assert!(matches!(both.trust, Trust::Incomplete { .. }), "{both:?}");
}

#[tokio::test]
async fn a_server_that_refuses_tls_is_told_with_what_it_said() {
    let root = Authority::root("Meadow Root");
    let server = Server::on(Arc::default(), |mut stream| async move {
        // Alert: handshake failure.
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
        let _ = stream.read_to_end(&mut vec![]).await;
    })
    .await;
    let fetch = server.fetch(&root, Offer::Http1WithoutAlpn, |_| {}).await;
    let Outcome::TlsFailed(problem) = &fetch.outcome else { panic!("{:?}", fetch.outcome) };
    assert!(problem.contains("HandshakeFailure"), "{problem}");
    assert_eq!((&fetch.chain, &fetch.tls_version), (&None, &None));
    assert_eq!(judge(&fetch), [FetchFault::TlsFailed(problem.clone())]);
}

#[tokio::test]
async fn a_huge_chain_ends_the_handshake() {
    let root = Authority::root("Meadow Root");
    let leaf = root.leaf(&[NAME], -DAY, 89 * DAY);
    let mut chain = vec![leaf.der.clone()];
    chain.extend(vec![root.der(); 65_536 / root.der().len() + 1]);
    let server = Server::new(chain, &leaf, octets("200 OK", "", POLICY)).await;
    let fetch = server.fetch(&root, Offer::Http1WithoutAlpn, |_| {}).await;
    assert!(matches!(fetch.outcome, Outcome::TlsFailed(_)), "{:?}", fetch.outcome);
    assert_eq!(fetch.chain, None);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_dialled() {
    let host = PolicyHost::from_full_name(NAME).unwrap();
    let fetcher = Fetcher::new(Settings::default(), Reach::default());
    for address in ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1", "fe80::1"] {
        let fetch = fetcher.fetch(&host, address.parse().unwrap(), Offer::Http2, now()).await;
        assert!(matches!(fetch.outcome, Outcome::NotDialled(_)), "{address}: {:?}", fetch.outcome);
        assert!(matches!(judge(&fetch)[..], [FetchFault::PrivateAddress(_)]));
    }
}

#[tokio::test]
async fn nobody_at_the_port_is_unreachable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = Server { port, asked: Arc::default(), _tasks: JoinSet::new() };
    let fetch = server.fetch(&Authority::root("Meadow Root"), Offer::Http2, |_| {}).await;
    assert!(matches!(fetch.outcome, Outcome::Unreachable(_)), "{:?}", fetch.outcome);
}

#[test]
fn a_contact_cannot_break_out_of_its_comment() {
    assert_eq!(
        user_agent(Some("https://a.example/) x\r\ny: z\\")),
        format!("{} (+https://a.example/xy:z)", user_agent(None))
    );
    assert_eq!(user_agent(Some(" \n")), user_agent(None));
}
