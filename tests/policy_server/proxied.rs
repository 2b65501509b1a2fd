//! Behind proxies: PROXY headers from those who are believed, and from strangers; Host over plain HTTP.
//! What real proxies send is in `tests/behind_proxy`.

use crate::{
    client::{Answer, Tls, connect_from, exchange, get, read_to_close},
    hello::{TLS_1_2, client_hello},
    server::{BRIEF, COM, Challenge, Door, NEW, ORG, TestServer, limits, until, within},
};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mta_stsd::{config::Limits, listening::Front};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The address of the proxy; everybody else on loopback is a stranger.
const PROXY: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.9";

/// A header of version 1 for a client of this address.
fn v1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.2 56324 443\r\n").into_bytes()
}

/// A header of version 2 with this command for 192.0.2.1.
fn v2(command: u8) -> Vec<u8> {
    let address = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 187];
    [b"\r\n\r\n\0\r\nQUIT\n", [command, 0x11, 0, 12].as_slice(), &address].concat()
}

fn speaks_proxy() -> Front {
    let proxy = || [PROXY.parse().unwrap()].into_iter().collect();
    Front { proxy_protocol: proxy(), proxies: proxy(), only_from: None }
}

fn backend() -> Front {
    Front { only_from: Some([PROXY.parse().unwrap()].into_iter().collect()), ..speaks_proxy_not() }
}

/// Proxies that say nothing of their clients.
fn speaks_proxy_not() -> Front {
    Front { proxy_protocol: Default::default(), ..speaks_proxy() }
}

/// A fetch over TLS through a proxy that sends `header` first.
async fn fetched(server: &TestServer, at: SocketAddr, header: &[u8]) -> Option<Answer> {
    let mut tcp = connect_from(PROXY, at).await.unwrap();
    // Whoever is refused is not read to the end.
    let _ = tcp.write_all(header).await;
    let mut tls = Tls::to(COM).over(tcp, &server.target).await.ok()?;
    exchange(&mut tls, &get(COM)).await
}

#[tokio::test]
async fn a_listed_proxy_speaks_for_its_client_in_either_version() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Https, speaks_proxy());
    let local = [b"\r\n\r\n\0\r\nQUIT\n", [0x20, 0, 0, 0].as_slice()].concat();
    for header in [v1("192.0.2.1"), v2(0x21), v2(0x20), local, b"PROXY UNKNOWN\r\n".to_vec()] {
        let answer = fetched(&server, at, &header).await.unwrap();
        assert_eq!(answer.status, 200, "{}", header.escape_ascii());
    }
    assert_eq!(server.policies.counters().proxy_header.get(), 0);
}

#[tokio::test]
async fn a_listed_proxy_that_says_nothing_sensible_is_not_served() {
    let server = TestServer::start(Limits { handshake_timeout: BRIEF, ..limits() });
    let at = server.open(Door::Https, speaks_proxy());
    let hello = client_hello(TLS_1_2, Some(COM));
    // No header; garbage; a client of no address; one that never ends; one that is cut short; silence.
    let octets = [
        hello.as_slice(),
        &[0; 64],
        b"PROXY TCP4 client.example 198.51.100.2 1 2\r\n",
        &[b"PROXY TCP4 ".as_slice(), &[b'1'; 500]].concat(),
        b"PROXY TCP4 192.0.2.1 198.51",
        b"",
    ];
    for (count, octets) in (1..).zip(octets) {
        let mut stream = connect_from(PROXY, at).await.unwrap();
        stream.write_all(octets).await.unwrap();
        assert_eq!(read_to_close(&mut stream).await, b"", "{}", octets.escape_ascii());
        until(|| server.policies.counters().proxy_header.get() == count).await;
    }
    until(|| server.policies.open_connections() == 0).await;
}

#[tokio::test]
async fn a_header_and_the_handshake_have_one_deadline() {
    let server = TestServer::start(Limits { handshake_timeout: BRIEF, ..limits() });
    let at = server.open(Door::Https, speaks_proxy());
    let mut stream = connect_from(PROXY, at).await.unwrap();
    stream.write_all(&v2(0x21)).await.unwrap();
    read_to_close(&mut stream).await;
    until(|| server.policies.counters().handshake_timeout.get() == 1).await;
}

#[tokio::test]
async fn a_strangers_header_is_noise() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Https, speaks_proxy());
    for header in [v1("192.0.2.1"), v2(0x21)] {
        let mut stream = connect_from(STRANGER, at).await.unwrap();
        stream.write_all(&header).await.unwrap();
        stream.write_all(&client_hello(TLS_1_2, Some(COM))).await.unwrap();
        let answer = read_to_close(&mut stream).await;
        assert!(matches!(answer.as_slice(), [] | [21, ..]), "{}", answer.escape_ascii());
    }
    until(|| server.policies.counters().tls_error.get() == 2).await;
    let stranger = connect_from(STRANGER, at).await.unwrap();
    let mut tls = Tls::to(COM).over(stranger, &server.target).await.unwrap();
    assert_eq!(exchange(&mut tls, &get(COM)).await.unwrap().status, 200, "without one he is served");
}

#[tokio::test]
async fn limits_count_the_client_and_never_the_proxy() {
    let limits = Limits {
        connections_per_address: 1,
        handshakes_per_address: 1,
        handshake_burst_per_address: 2,
        ..limits()
    };
    let server = TestServer::start(limits);
    let at = server.open(Door::Https, speaks_proxy());
    let connected = async |client: &str| {
        let mut tcp = connect_from(PROXY, at).await.unwrap();
        tcp.write_all(&v1(client)).await.unwrap();
        Tls::to(COM).over(tcp, &server.target).await
    };
    let first = connected("192.0.2.1").await.unwrap();
    assert!(connected("192.0.2.1").await.is_err(), "one connection for each client");
    until(|| server.policies.counters().refused_address.get() == 1).await;
    let _other = connected("192.0.2.2").await.unwrap();
    let _third = connected("192.0.2.3").await.unwrap();
    drop(first);
    until(|| server.policies.open_connections() == 2).await;
    drop(connected("192.0.2.1").await.unwrap());
    until(|| server.policies.open_connections() == 2).await;
    assert!(connected("192.0.2.1").await.is_err(), "two handshakes in one moment");
    until(|| server.policies.counters().refused_rate.get() == 1).await;
    let mut own = Vec::new();
    for _ in 0..5 {
        let mut tcp = connect_from(PROXY, at).await.unwrap();
        tcp.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        own.push(Tls::to(COM).over(tcp, &server.target).await.unwrap());
    }
}

#[tokio::test]
async fn a_health_check_is_no_fault() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Https, speaks_proxy());
    let mut stream = connect_from(PROXY, at).await.unwrap();
    stream.write_all(&v2(0x20)).await.unwrap();
    drop(stream);
    until(|| server.policies.counters().proxy_checks.get() == 1).await;
    assert_eq!(server.policies.counters().tls_error.get(), 0);
}

#[tokio::test]
async fn challenges_are_answered_through_a_proxy() {
    let server = TestServer::start(limits());
    let (https, http) = (server.open(Door::Https, speaks_proxy()), server.open(Door::Http, speaks_proxy()));
    let _pending = (server.target.pend)(Challenge::TlsAlpn01 { host: NEW });
    let mut tls = Tls::to(NEW).alpn(&["acme-tls/1"]);
    tls.unverified = true;
    let mut tcp = connect_from(PROXY, https).await.unwrap();
    tcp.write_all(&v2(0x21)).await.unwrap();
    tls.over(tcp, &server.target).await.unwrap();
    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let _pending = (server.target.pend)(Challenge::Http01 { host: NEW, token });
    let mut tcp = connect_from(PROXY, http).await.unwrap();
    tcp.write_all(&v1("192.0.2.1")).await.unwrap();
    let request = format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {NEW}\r\n\r\n");
    assert_eq!(exchange(&mut tcp, &request).await.unwrap().text(), format!("{token}.thumbprint"));
}

#[tokio::test]
async fn a_silent_proxy_does_not_hold_a_stop_up() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Https, speaks_proxy());
    let mut stream = connect_from(PROXY, at).await.unwrap();
    until(|| server.policies.open_connections() == 1).await;
    server.stop.cancel();
    assert_eq!(read_to_close(&mut stream).await, b"");
}

#[tokio::test]
async fn a_backend_serves_the_host_that_is_asked_for() {
    let server = TestServer::start(Limits { connections_per_address: 1, ..limits() });
    let at = server.open(Door::Backend, backend());
    let mut kept = Vec::new();
    for (host, status) in [(COM, 200), (ORG, 200), (NEW, 200), ("mta-sts.elsewhere.example", 421)] {
        // The proxy's connections are many, and all from one address.
        let mut stream = connect_from(PROXY, at).await.unwrap();
        for _ in 0..2 {
            let answer = exchange(&mut stream, &get(host)).await.unwrap();
            assert_eq!(answer.status, status, "{host}");
            let domain = host.strip_prefix("mta-sts.").unwrap();
            assert_eq!(answer.text().contains(&format!("mx: mail.{domain}")), status == 200);
        }
        kept.push(stream);
    }
    // One connection of a proxy is for all tenants.
    let stream = &mut kept[0];
    assert!(exchange(stream, &get(ORG)).await.unwrap().text().contains("mx: mail.example.org"));
    let chunked = format!(
        "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {COM}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(exchange(stream, &chunked).await.unwrap().status, 400, "the same rules as over TLS");
}

#[tokio::test]
async fn a_backend_speaks_http_2_to_who_begins_with_it() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Backend, backend());
    let tcp = connect_from(PROXY, at).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = within(builder.handshake(TokioIo::new(tcp))).await.unwrap();
    tokio::spawn(connection);
    for (host, status) in [(COM, 200), (ORG, 200), ("mta-sts.elsewhere.example", 421)] {
        let uri = format!("http://{host}/.well-known/mta-sts.txt");
        let request = Request::get(uri).version(Version::HTTP_2).body(Empty::<Bytes>::new()).unwrap();
        let answer = within(sender.send_request(request)).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (status, Version::HTTP_2), "{host}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.starts_with(b"version: STSv1"), status == 200);
    }
}

#[tokio::test]
async fn a_backend_is_closed_to_strangers() {
    let server = TestServer::start(limits());
    let at = server.open(Door::Backend, backend());
    let mut stranger = connect_from(STRANGER, at).await.unwrap();
    let _ = stranger.write_all(get(COM).as_bytes()).await;
    assert_eq!(read_to_close(&mut stranger).await, b"");
    until(|| server.policies.counters().refused_network.get() == 1).await;
    assert_eq!(server.policies.counters().policies_served(), 0);
}

#[tokio::test]
async fn a_backend_takes_a_request_in_pieces_and_drops_who_is_silent() {
    let server = TestServer::start(Limits { idle_timeout: BRIEF, header_timeout: BRIEF, ..limits() });
    let at = server.open(Door::Backend, backend());
    let mut silent = TcpStream::connect(at).await.unwrap();
    read_to_close(&mut silent).await;
    let mut halfway = TcpStream::connect(at).await.unwrap();
    halfway.write_all(b"PRI").await.unwrap();
    read_to_close(&mut halfway).await;
    until(|| server.policies.open_connections() == 0).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // Begins as HTTP/2 does, and is something else.
    for piece in ["P", "R", "OPFIND / HTTP/1.1\r\nHost: ", COM, "\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 501");
}
