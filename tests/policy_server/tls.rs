//! The handshake: versions, suites, names, challenges, and a store that misbehaves.

use crate::{
    client::{Tls, alert, exchange, get, is_served, read_to_close, version},
    hello::{TLS_1_1, TLS_1_2, client_hello, fatal, send},
    server::{BRIEF, COM, Challenge, Mood, NEW, ORG, TestServer, limits, until, within},
};
use rustls::{AlertDescription, CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

// Standards H-24; RFC 9325 §3.1.1.
#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let server = TestServer::start(limits());
    let mut tls = Tls::to(COM);
    assert_eq!(version(&tls.connect(&server.target).await.unwrap()), ProtocolVersion::TLSv1_3);
    tls.tls12_only = true;
    assert_eq!(version(&tls.connect(&server.target).await.unwrap()), ProtocolVersion::TLSv1_2);
    assert_eq!(send(server.target.https, &client_hello(TLS_1_1, Some(COM))).await, fatal(70));
}

#[tokio::test]
async fn our_order_of_suites_and_groups_counts() {
    let server = TestServer::start(limits());
    let mut tls = Tls::to(COM);
    // As OpenSSL does: the expensive suite first.
    tls.provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_256_GCM_SHA384);
    let check = async |tls: &Tls, suite, group| {
        let stream = tls.connect(&server.target).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.negotiated_cipher_suite().unwrap().suite(), suite);
        assert_eq!(session.negotiated_key_exchange_group().unwrap().name(), group);
    };
    check(&tls, CipherSuite::TLS13_AES_128_GCM_SHA256, NamedGroup::X25519MLKEM768).await;
    // Clients of TLS 1.2 with P-256 alone.
    tls.tls12_only = true;
    tls.provider.kx_groups = vec![aws_lc_rs::kx_group::SECP256R1];
    check(&tls, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, NamedGroup::secp256r1).await;
}

// Standards H-21 to H-23; RFC 6066 §3: the alert is read from the wire.
#[tokio::test]
async fn a_name_without_certificate_gets_unrecognized_name() {
    let server = TestServer::start(limits());
    for sni in [
        None,
        Some("mta-sts.unknown.example"),
        Some("example.com"),
        Some(NEW),
        Some("MTA-STS.Unknown.example"),
    ] {
        assert_eq!(send(server.target.https, &client_hello(TLS_1_2, sni)).await, fatal(112), "{sni:?}");
    }
    let counters = server.policies.counters();
    assert_eq!(
        (counters.no_sni.get(), counters.unknown_name.get(), counters.no_certificate.get()),
        (1, 3, 1)
    );
}

// Standards; RFC 8737 §4.
#[tokio::test]
async fn a_challenge_handshake_is_finished_only_for_the_host_it_is_pending_for() {
    let server = TestServer::start(limits());
    let refused = async |sni: &str| {
        let error = Tls::to(sni).alpn(&["acme-tls/1"]).connect(&server.target).await.map(drop).unwrap_err();
        assert_eq!(alert(&error), Some(AlertDescription::NoApplicationProtocol), "{sni}");
    };
    refused(COM).await;
    let pending = (server.target.pend)(Challenge::TlsAlpn01 { host: COM });
    refused(ORG).await;
    let mut authority = Tls::to(COM).alpn(&["acme-tls/1"]);
    authority.unverified = true;
    let mut stream = authority.connect(&server.target).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    // Senders are served all the while, with the real certificate.
    assert!(is_served(&server.target, COM).await);
    drop(pending);
    refused(COM).await;
    until(|| server.policies.counters().tls_alpn_01.get() == 1).await;
}

// RFC 8737 §4: the list must hold acme-tls/1 and nothing else.
#[tokio::test]
async fn a_challenge_protocol_among_others_is_no_challenge() {
    let server = TestServer::start(limits());
    let _pending = (server.target.pend)(Challenge::TlsAlpn01 { host: COM });
    let stream = Tls::to(COM).alpn(&["acme-tls/1", "http/1.1"]).connect(&server.target).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

// Standards H-25.
#[tokio::test]
async fn no_alpn_at_all_means_http_1() {
    let server = TestServer::start(limits());
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(COM)).await.unwrap().status, 200);
}

// Standards X-10.
#[tokio::test]
async fn no_session_is_ever_resumed() {
    let server = TestServer::start(limits());
    for tls12_only in [false, true] {
        let mut tls = Tls::to(COM);
        tls.tls12_only = tls12_only;
        let connector = TlsConnector::from(Arc::new(tls.config(&server.target.roots)));
        for _ in 0..2 {
            let tcp = TcpStream::connect(server.target.https).await.unwrap();
            let mut stream =
                within(connector.connect(ServerName::try_from(COM).unwrap(), tcp)).await.unwrap();
            // A ticket would arrive with the answer at the latest.
            assert_eq!(exchange(&mut stream, &get(COM)).await.unwrap().status, 200);
            assert_ne!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_for_one_tenant_leaves_the_other_served() {
    let server = TestServer::start_with(limits(), &[(ORG, Mood::Fails)]);
    assert_eq!(send(server.target.https, &client_hello(TLS_1_2, Some(ORG))).await, fatal(80));
    assert!(is_served(&server.target, COM).await);
    until(|| server.policies.counters().store_error.get() == 1).await;
}

#[tokio::test]
async fn a_store_that_hangs_for_one_tenant_leaves_the_other_served() {
    let server = TestServer::start_with(limits_with_brief_handshakes(), &[(ORG, Mood::Hangs)]);
    let hello = client_hello(TLS_1_2, Some(ORG));
    let (hung, served) = tokio::join!(send(server.target.https, &hello), is_served(&server.target, COM));
    assert!(served);
    assert_eq!(hung, b"", "closed at the deadline");
    until(|| server.policies.counters().handshake_timeout.get() == 1).await;
}

fn limits_with_brief_handshakes() -> mta_stsd::config::Limits {
    let mut limits = limits();
    limits.handshake_timeout = 5 * BRIEF;
    limits
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_is_counted() {
    let server = TestServer::start_with(limits(), &[(ORG, Mood::Panics)]);
    assert_eq!(send(server.target.https, &client_hello(TLS_1_2, Some(ORG))).await, b"");
    assert!(is_served(&server.target, COM).await);
    until(|| server.policies.counters().panics.get() == 1).await;
    until(|| server.policies.open_connections() == 0).await;
}
