//! Strangers who mean harm, or have bad connections. Whatever they do, another tenant is served.

use crate::{
    client::{Tls, connect_from, exchange, get, is_served, read_to_close},
    hello::{TLS_1_2, client_hello, fatal, send},
    server::{BRIEF, COM, Challenge, ORG, TestServer, limits, until, within},
};
use mta_stsd::config::Limits;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

#[tokio::test]
async fn half_a_handshake_is_cut_at_the_deadline() {
    let mut limits = limits();
    limits.handshake_timeout = BRIEF;
    let server = TestServer::start(limits);
    let hello = client_hello(TLS_1_2, Some(COM));
    // Nothing; one octet; half a ClientHello; all of it but no answer to ours.
    for octets in [0, 1, hello.len() / 2, hello.len()] {
        let mut stream = TcpStream::connect(server.target.https).await.unwrap();
        stream.write_all(&hello[..octets]).await.unwrap();
        read_to_close(&mut stream).await;
    }
    until(|| server.policies.counters().handshake_timeout.get() == 4).await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut() {
    let mut limits = limits();
    limits.header_timeout = BRIEF;
    let server = TestServer::start(limits);
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    stream.write_all(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nX: ").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    until(|| server.policies.open_connections() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_dropped() {
    let mut limits = limits();
    limits.idle_timeout = BRIEF;
    let server = TestServer::start(limits);
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(COM)).await.unwrap().status, 200);
    read_to_close(&mut stream).await;
    until(|| server.policies.counters().idle.get() == 1).await;
}

#[tokio::test]
async fn garbage_on_either_port_is_answered_with_an_end() {
    let server = TestServer::start(limits());
    for octets in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        &[0; 64],
        &[0xff; 64],
        b"SSH-2.0-x\r\n",
        &[22, 3, 1, 255, 255, 1],
    ] {
        let mut stream = TcpStream::connect(server.target.https).await.unwrap();
        stream.write_all(octets).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_close(&mut stream).await;
    }
    until(|| server.policies.open_connections() == 0).await;
    let mut plain = TcpStream::connect(server.target.http).await.unwrap();
    plain.write_all(&[0xff; 64]).await.unwrap();
    assert!(read_to_close(&mut plain).await.starts_with(b"HTTP/1.1 400 "));
    assert!(is_served(&server.target, COM).await);
}

// Standards X-13.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_strange_names_reach_neither_store_nor_cache() {
    const NAMES: usize = 10_000;
    const AT_ONCE: usize = 50;
    let server = TestServer::start(limits());
    let to = server.target.https;
    let mut flood = JoinSet::new();
    for worker in 0..AT_ONCE {
        flood.spawn(async move {
            for number in (worker..NAMES).step_by(AT_ONCE) {
                let name = format!("mta-sts.stranger-{number}.example");
                assert_eq!(send(to, &client_hello(TLS_1_2, Some(&name))).await, fatal(112), "{name}");
            }
        });
    }
    flood.join_all().await;
    until(|| server.policies.counters().unknown_name.get() == NAMES as u64).await;
    assert_eq!(server.store_reads(), 0);
    assert!(format!("{:?}", server.certificates).contains("parsed: 0"), "{:?}", server.certificates);
    until(|| server.policies.open_connections() == 0).await;
    assert!(is_served(&server.target, COM).await);
    assert_eq!(server.store_reads(), 1);
}

#[tokio::test]
async fn one_address_that_holds_all_it_may_leaves_others_served() {
    let mut limits = limits();
    limits.connections_per_address = 20;
    let server = TestServer::start(limits);
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(connect_from("127.0.0.2", server.target.https).await.unwrap());
    }
    until(|| server.policies.open_connections() == 20).await;
    // The 21st is closed at once, and counted.
    let mut refused = connect_from("127.0.0.2", server.target.https).await.unwrap();
    read_to_close(&mut refused).await;
    until(|| server.policies.counters().refused_address.get() == 1).await;
    assert!(is_served(&server.target, ORG).await);
    drop(held);
    until(|| server.policies.open_connections() == 0).await;
    let again = connect_from("127.0.0.2", server.target.https).await.unwrap();
    assert!(Tls::to(COM).over(again, &server.target).await.is_ok());
}

// Threat 15: the signature is what a flood of handshakes costs us.
#[tokio::test]
async fn an_address_that_asks_too_often_is_cut_off_and_others_are_served() {
    let mut limits = limits();
    (limits.handshakes_per_address, limits.handshake_burst_per_address) = (1, 5);
    let server = TestServer::start(limits);
    let counters = server.policies.counters();
    let flooder = async || connect_from("127.0.0.2", server.target.https).await.unwrap();
    let hello = client_hello(TLS_1_2, Some(COM));
    let mut answered = 0;
    within(async {
        while counters.refused_rate.get() == 0 {
            let mut stream = flooder().await;
            stream.write_all(&hello).await.unwrap();
            stream.shutdown().await.unwrap();
            answered += usize::from(!read_to_close(&mut stream).await.is_empty());
        }
    })
    .await;
    assert!(answered >= 5, "the burst was {answered}");
    assert!(is_served(&server.target, ORG).await, "another address");
    // Validations are never limited by address (standards A-50).
    let _pending = (server.target.pend)(Challenge::TlsAlpn01 { host: COM });
    for _ in 0..20 {
        let mut authority = Tls::to(COM).alpn(&["acme-tls/1"]);
        authority.unverified = true;
        assert!(authority.over(flooder().await, &server.target).await.is_ok());
    }
}

// Standards H-13: limits as they are by default.
#[tokio::test]
async fn fifty_fetches_from_one_address_are_all_answered() {
    let server = TestServer::start(Limits::default());
    for number in 1..=50 {
        assert!(is_served(&server.target, COM).await, "number {number}");
    }
}

#[tokio::test]
async fn the_total_of_connections_is_kept() {
    let mut limits = limits();
    limits.connections = 5;
    let server = TestServer::start(limits);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(TcpStream::connect(server.target.http).await.unwrap());
    }
    until(|| server.policies.open_connections() == 5).await;
    // The listeners count together.
    let mut refused = TcpStream::connect(server.target.https).await.unwrap();
    read_to_close(&mut refused).await;
    until(|| server.policies.counters().refused_total.get() == 1).await;
    drop(held);
    until(|| server.policies.open_connections() == 0).await;
    assert!(is_served(&server.target, COM).await);
}

#[tokio::test]
async fn silent_handshakes_make_room_for_those_that_speak() {
    let mut limits = limits();
    limits.handshakes = 4;
    let server = TestServer::start(limits);
    let mut silent = Vec::new();
    for number in 1..=20 {
        silent.push(TcpStream::connect(server.target.https).await.unwrap());
        until(|| {
            server.policies.open_connections() + server.policies.counters().handshake_shed.get() as usize
                >= number
        })
        .await;
    }
    assert!(is_served(&server.target, ORG).await);
    assert_eq!(read_to_close(&mut silent[0]).await, b"", "the oldest was shed");
    until(|| server.policies.counters().handshake_shed.get() >= 16).await;
}
