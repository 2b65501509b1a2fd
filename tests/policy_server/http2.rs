//! HTTP/2: names for each stream, and the floods that cost a server most. Hostile frames are written
//! by hand (RFC 9113 §6).

use crate::{
    client::{Http2, Tls, is_served, read_to_close},
    server::{BRIEF, COM, ORG, Target, TestServer, limits, until, within},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::client::TlsStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

fn get(authority: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://{authority}/.well-known/mta-sts.txt")).body(Empty::new()).unwrap()
}

// Standards H-31.
#[tokio::test]
async fn another_tenants_name_on_a_later_stream_is_misdirected() {
    let server = TestServer::start(limits());
    let mut http2 = Http2::connect(&server.target, COM).await;
    for (authority, expected) in [(COM, 200), (ORG, 421), (COM, 200)] {
        assert_eq!(http2.send(get(authority)).await.unwrap().status(), expected, "{authority}");
    }
}

#[tokio::test]
async fn a_connection_goes_away_after_its_share_of_requests() {
    let mut limits = limits();
    limits.requests_per_connection = 3;
    let server = TestServer::start(limits);
    let mut http2 = Http2::connect(&server.target, COM).await;
    for _ in 0..3 {
        assert_eq!(http2.send(get(COM)).await.unwrap().status(), 200);
    }
    http2.closed().await;
    until(|| server.policies.open_connections() == 0).await;
}

#[tokio::test]
async fn a_large_header_list_or_target_is_refused() {
    let server = TestServer::start(limits());
    let mut http2 = Http2::connect(&server.target, COM).await;
    let long = Request::get(format!("https://{COM}/{}", "a".repeat(3_000))).body(Empty::new()).unwrap();
    assert_eq!(http2.send(long).await.unwrap().status(), 414);
    let mut large = get(COM);
    large.headers_mut().insert("x", "a".repeat(9_000).parse().unwrap());
    // The client knows our limit from SETTINGS and may refuse to send; either way nothing is served.
    assert!(
        http2.send(large).await.is_ok_and(|response| response.status() == 431)
            || server.policies.counters().policies_served() == 0
    );
}

#[tokio::test]
async fn the_header_list_is_as_long_as_configured() {
    for (most, served) in [(4_096, true), (1_024, false)] {
        let mut limits = limits();
        limits.http2_header_bytes = most;
        let server = TestServer::start(limits);
        let mut http2 = Http2::connect(&server.target, COM).await;
        // The first answer comes after the SETTINGS that tell the limit.
        assert_eq!(http2.send(get(COM)).await.unwrap().status(), 200);
        let mut large = get(COM);
        large.headers_mut().insert("x", "a".repeat(2_000).parse().unwrap());
        let answered = http2.send(large).await.is_ok_and(|response| response.status() == 200);
        assert_eq!(answered, served, "at most {most}");
    }
}

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals without indexing (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn get_block() -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", COM),
        (":path", "/.well-known/mta-sts.txt"),
    ])
}

/// A connection on which only the preface and `settings` were sent.
async fn hostile(target: &Target, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = Tls::to(COM).alpn(&["h2"]).connect(target).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// Sends frames made by `next` until the server has had enough, and reads what it said.
async fn flood(mut stream: TlsStream<TcpStream>, mut next: impl FnMut(u32) -> Vec<u8>) -> Vec<u8> {
    let mut number = 1;
    within(async {
        loop {
            let sent = stream.write_all(&next(number)).await;
            if sent.is_err() || stream.flush().await.is_err() {
                break;
            }
            number += 2;
        }
    })
    .await;
    read_to_close(&mut stream).await
}

#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    let server = TestServer::start(limits());
    let stream = hostile(&server.target, &[]).await;
    let block = get_block();
    flood(stream, |number| {
        let cancel = 8_u32.to_be_bytes();
        [frame(HEADERS, 5, number, &block), frame(RST_STREAM, 0, number, &cancel)].concat()
    })
    .await;
    until(|| server.policies.open_connections() == 0).await;
    assert!(is_served(&server.target, ORG).await);
}

#[tokio::test]
async fn an_endless_header_block_ends_the_connection() {
    let server = TestServer::start(limits());
    let mut stream = hostile(&server.target, &[]).await;
    stream.write_all(&frame(HEADERS, 1, 1, &get_block())).await.unwrap();
    let more = block(&[("x", "a".repeat(100).as_str()); 100]);
    flood(stream, |_| frame(CONTINUATION, 0, 1, &more)).await;
    until(|| server.policies.open_connections() == 0).await;
    assert!(is_served(&server.target, ORG).await);
}

#[tokio::test]
async fn a_window_of_zero_is_no_way_to_stay() {
    let mut limits = limits();
    limits.idle_timeout = BRIEF;
    let server = TestServer::start(limits);
    // SETTINGS_INITIAL_WINDOW_SIZE = 0: every answer has to wait for a window that never opens.
    let mut stream = hostile(&server.target, &[0, 4, 0, 0, 0, 0]).await;
    for number in 0..16 {
        stream.write_all(&frame(HEADERS, 5, number * 2 + 1, &get_block())).await.unwrap();
    }
    until(|| server.policies.counters().idle.get() == 1).await;
    until(|| server.policies.open_connections() == 0).await;
}

#[tokio::test]
async fn pings_do_not_keep_a_connection_alive() {
    let mut limits = limits();
    limits.idle_timeout = BRIEF;
    let server = TestServer::start(limits);
    let stream = hostile(&server.target, &[]).await;
    flood(stream, |_| frame(PING, 0, 0, &[0; 8])).await;
    until(|| server.policies.open_connections() == 0).await;
}
