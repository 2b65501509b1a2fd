//! An authority that is limiting, failing, babbling or silent.

use super::{order_from, pebble::loopback_certificate, policy_host, settings};
use mta_stsd::{
    acme::{
        authority::{Authority, IssueError, LimitScope, OrderRequest},
        client::AcmeAuthority,
    },
    certificate::ChallengeTable,
    clock::Clock,
    storage::MemoryStorage,
};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

/// What an order from an authority that says `response` to everything comes to.
async fn outcome(response: Vec<u8>) -> IssueError {
    let folder = tempfile::tempdir().unwrap();
    let root_file = folder.path().join("root.pem");
    let (root, leaf, key) = loopback_certificate();
    std::fs::write(&root_file, root).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = format!("https://{}/dir", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut connection = acceptor.accept(connection).await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
            }
            assert!(request.windows(9).any(|octets| octets == b"mta-stsd/"), "no User-Agent");
            // It may hang up in the middle of what is too much.
            let _ = connection.write_all(&response).await;
            let _ = connection.shutdown().await;
        }
    });
    order_from(&directory, &settings(&directory, &root_file)).await
}

fn response(status: &str, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n");
    (head + body).into_bytes()
}

// RFC 8555 §6.6.
#[tokio::test]
async fn a_rate_limit_is_kept_with_its_end_and_its_reason() {
    let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many orders\n"}"#;
    let head = "Retry-After: 120\r\nContent-Type: application/problem+json\r\n";
    let limited = outcome(response("429 Too Many Requests", head, problem)).await;
    let expected = IssueError::RateLimited {
        retry_after: Some(Duration::from_secs(120)),
        scope: LimitScope::Account,
        detail: r"rateLimited: too many orders\u{a}".to_owned(),
    };
    assert_eq!(limited, expected);
}

#[tokio::test]
async fn an_authority_that_asks_for_a_pause_gets_it() {
    let busy = outcome(response("503 Service Unavailable", "Retry-After: 7\r\n", "")).await;
    assert!(
        matches!(&busy, IssueError::RateLimited { retry_after: Some(wait), .. } if wait.as_secs() == 7),
        "{busy}"
    );
}

#[tokio::test]
async fn a_proxys_page_is_no_answer() {
    let page = response("502 Bad Gateway", "Content-Type: text/html\r\n", "<html>oops</html>");
    let failed = outcome(page).await;
    assert!(
        matches!(&failed, IssueError::Unreachable { detail } if detail.contains("502 Bad Gateway")),
        "{failed}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let babble = response("200 OK", "Content-Type: application/json\r\n", &" ".repeat(2 << 20));
    let failed = outcome(babble).await;
    assert!(matches!(&failed, IssueError::Unreachable { detail } if detail.contains("limit")), "{failed}");
}

// Time stands still but for the timers, so the wait is exact.
#[tokio::test(start_paused = true)]
async fn a_silent_authority_holds_all_waiting_orders_no_longer_than_one_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root_file = folder.path().join("root.pem");
    std::fs::write(&root_file, loopback_certificate().0).unwrap();
    let directory = format!("https://{}/dir", listener.local_addr().unwrap());
    let settings = settings(&directory, &root_file);
    let storage = Arc::<MemoryStorage>::default();
    let authority =
        AcmeAuthority::new(&directory, &settings.authorities[0], &settings, storage, Clock::System).unwrap();
    let authority = Arc::new(authority);
    let started = Instant::now();
    let orders: Vec<_> = (0..16)
        .map(|number| {
            let authority = Arc::clone(&authority);
            let host = policy_host(&format!("mta-sts.n{number}.example"));
            tokio::spawn(async move {
                authority.order(OrderRequest::first(&host), &ChallengeTable::default()).await
            })
        })
        .collect();
    for order in orders {
        let failed = order.await.unwrap().unwrap_err();
        assert!(matches!(failed, IssueError::Unreachable { .. }), "{failed}");
    }
    let waited = started.elapsed();
    assert!(waited < settings.request_timeout + Duration::from_secs(1), "{waited:?}");
}
