//! HTTP/1.1 and 1.0 as octets: framing, limits, and what hyper answers in our name.

use crate::{
    client::{Tls, exchange, get, read_answer, read_to_close},
    server::{BRIEF, COM, TestServer, limits, until},
};
use std::fmt::Write;
use tokio::io::AsyncWriteExt;

/// Sends `text` on a connection of its own; the answer's status, or 0 when there was none.
async fn status(server: &TestServer, text: &str) -> u16 {
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    exchange(&mut stream, text).await.map_or(0, |answer| answer.status)
}

const POLICY: &str = "/.well-known/mta-sts.txt";

// Standards H-27, H-30, H-29 as they come over the wire.
#[tokio::test]
async fn every_lawful_spelling_of_the_request_is_served() {
    let server = TestServer::start(limits());
    for text in [
        get(COM),
        get("MTA-STS.EXAMPLE.COM:443"),
        format!("GET https://{COM}{POLICY} HTTP/1.1\r\nHost: mta-sts.example.org\r\n\r\n"),
        format!("GET {POLICY} HTTP/1.0\r\n\r\n"),
        format!("GET {POLICY} HTTP/1.0\r\nHost: {COM}\r\n\r\n"),
        format!("\r\nGET {POLICY} HTTP/1.1\r\nHost:{COM}\r\n\r\n"),
        format!("GET {POLICY} HTTP/1.1\nHost: {COM}\n\n"),
        format!("GET {POLICY} HTTP/1.1\r\nHost: {COM}\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
        format!("GET {POLICY} HTTP/1.1\r\nHost: {COM}\r\nExpect: 100-continue\r\n\r\n"),
    ] {
        assert_eq!(status(&server, &text).await, 200, "{text:?}");
    }
}

// Standards X-12; RFC 9112 §2.2, §5.1, §6.1: every one of these is a way to make two parties read two
// different requests.
#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let server = TestServer::start(limits());
    let smuggled = get(COM);
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked, gzip\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "Content-Length: 0, 5\r\n\r\n",
        "Content-Length: +1\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 99999999999999999999999\r\n\r\n",
        "X: a\r\n folded\r\n\r\n",
        "X: a\rb\r\n\r\n",
        "X: a\0b\r\n\r\n",
        "X : a\r\n\r\n",
        " X: a\r\n\r\n",
        ": a\r\n\r\n",
        "X\r\n\r\n",
        "X(y): a\r\n\r\n",
    ] {
        let text = format!("GET {POLICY} HTTP/1.1\r\nHost: {COM}\r\n{fields}{smuggled}");
        let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
        let status = exchange(&mut stream, &text).await.map(|answer| answer.status);
        assert_eq!(status, Some(400), "{fields:?}");
        assert_eq!(read_to_close(&mut stream).await, b"", "{fields:?}: something was answered behind it");
    }
    for text in [
        format!("GET {POLICY} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("GET {POLICY}\r\nHost: {COM}\r\n\r\n"),
        format!("GET {POLICY} HTTP/3.0\r\nHost: {COM}\r\n\r\n"),
        format!("GET  {POLICY} HTTP/1.1\r\nHost: {COM}\r\n\r\n"),
        format!("G@T {POLICY} HTTP/1.1\r\nHost: {COM}\r\n\r\n"),
    ] {
        assert_eq!(status(&server, &text).await, 400, "{text:?}");
    }
    assert_eq!(server.policies.counters().policies_served(), 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = TestServer::start(limits());
    let path = |octets: usize| format!("GET /{} HTTP/1.1\r\nHost: {COM}\r\n\r\n", "a".repeat(octets - 1));
    assert_eq!(status(&server, &path(2_048)).await, 404);
    assert_eq!(status(&server, &path(2_049)).await, 414);
    assert_eq!(status(&server, &path(17_000)).await, 431);

    let header =
        |octets: usize| format!("GET {POLICY} HTTP/1.1\r\nHost: {COM}\r\nX: {}\r\n\r\n", "a".repeat(octets));
    assert_eq!(status(&server, &header(15_000)).await, 200);
    assert_eq!(status(&server, &header(17_000)).await, 431);
    let fields = |count: usize| {
        let mut text = format!("GET {POLICY} HTTP/1.1\r\nHost: {COM}\r\n");
        for number in 1..count {
            write!(text, "X-{number}: a\r\n").unwrap();
        }
        text + "\r\n"
    };
    assert_eq!(status(&server, &fields(64)).await, 200);
    assert_eq!(status(&server, &fields(65)).await, 431);
    // More than we read to be polite: the answer may be lost, the connection is not kept.
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    let _ = stream.write_all(header(1_000_000).as_bytes()).await;
    read_to_close(&mut stream).await;
    until(|| server.policies.open_connections() == 0).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start(limits());
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    let text = get(COM) + &get("mta-sts.example.org") + &get(COM);
    stream.write_all(text.as_bytes()).await.unwrap();
    for expected in [200, 421, 200] {
        assert_eq!(read_answer(&mut stream, false).await.unwrap().status, expected);
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_answered_before_the_body_and_closed() {
    let server = TestServer::start(limits());
    for (method, expected) in [("POST", 405), ("GET", 200)] {
        let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
        let text = format!("{method} {POLICY} HTTP/1.1\r\nHost: {COM}\r\nContent-Length: 100000\r\n\r\na");
        let answer = exchange(&mut stream, &text).await.unwrap();
        assert_eq!(answer.status, expected, "the rest of the body was never sent");
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(read_to_close(&mut stream).await, b"");
    }
}

#[tokio::test]
async fn an_answer_survives_a_body_nobody_reads() {
    let server = TestServer::start(limits());
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    let body = "a".repeat(40_000);
    let text = format!("POST {POLICY} HTTP/1.1\r\nHost: {COM}\r\nContent-Length: 40000\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream, false).await.unwrap().status, 405);
}

#[tokio::test]
async fn a_connection_is_closed_after_its_share_of_requests() {
    let mut limits = limits();
    limits.requests_per_connection = 3;
    let server = TestServer::start(limits);
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    for _ in 0..3 {
        assert_eq!(exchange(&mut stream, &get(COM)).await.unwrap().status, 200);
    }
    assert_eq!(read_to_close(&mut stream).await, b"");
}

#[tokio::test]
async fn an_old_connection_is_closed_however_busy() {
    let mut limits = limits();
    limits.connection_age = 2 * BRIEF;
    let server = TestServer::start(limits);
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    let mut answered = 0;
    while exchange(&mut stream, &get(COM)).await.is_some() {
        answered += 1;
    }
    assert!(answered > 0);
    until(|| server.policies.open_connections() == 0).await;
}

// Standards H-36, A-52.
#[tokio::test]
async fn plain_http_never_serves_or_redirects_a_policy() {
    let server = TestServer::start(limits());
    for text in
        [get(COM), format!("GET / HTTP/1.1\r\nHost: {COM}\r\n\r\n"), format!("GET {POLICY} HTTP/1.0\r\n\r\n")]
    {
        let mut stream = tokio::net::TcpStream::connect(server.target.http).await.unwrap();
        let answer = exchange(&mut stream, &text).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (404, ""));
    }
}
