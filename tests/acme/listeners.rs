//! What the authority meets at a policy host: just enough to answer challenges from a table.

use mta_stsd::{certificate::ChallengeTable, name::PolicyHost};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A TLS and a plain listener over one table of answers, counting what they answered.
pub struct Listeners {
    pub answers: ChallengeTable,
    pub tls_port: u16,
    pub http_port: u16,
    tls_answered: Arc<AtomicUsize>,
    http_answered: Arc<AtomicUsize>,
}

impl Listeners {
    pub async fn start() -> Self {
        let answers = ChallengeTable::default();
        let (tls_answered, http_answered) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tls_port, http_port) = (tls.local_addr().unwrap().port(), http.local_addr().unwrap().port());
        tokio::spawn(serve_tls(tls, answers.clone(), tls_answered.clone()));
        tokio::spawn(serve_http(http, answers.clone(), http_answered.clone()));
        Self { answers, tls_port, http_port, tls_answered, http_answered }
    }

    pub fn tls_answered(&self) -> usize {
        self.tls_answered.load(Relaxed)
    }

    pub fn http_answered(&self) -> usize {
        self.http_answered.load(Relaxed)
    }
}

#[derive(Debug)]
struct Pending(ChallengeTable, Arc<AtomicUsize>);

impl ResolvesServerCert for Pending {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = self.0.tls_alpn_01(&PolicyHost::from_full_name(hello.server_name()?)?)?;
        self.1.fetch_add(1, Relaxed);
        Some(certificate)
    }
}

async fn serve_tls(listener: TcpListener, answers: ChallengeTable, answered: Arc<AtomicUsize>) {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Pending(answers, answered)));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((connection, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move { drop(acceptor.accept(connection).await) });
    }
}

async fn serve_http(listener: TcpListener, answers: ChallengeTable, answered: Arc<AtomicUsize>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (answers, answered) = (answers.clone(), answered.clone());
        tokio::spawn(async move { drop(answer_http(connection, &answers, &answered).await) });
    }
}

async fn answer_http(
    mut connection: TcpStream,
    answers: &ChallengeTable,
    answered: &AtomicUsize,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let response = match asked_for(&request).and_then(|(host, token)| answers.http_01(&host, token)) {
        Some(text) => {
            answered.fetch_add(1, Relaxed);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
        }
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    connection.write_all(response.as_bytes()).await
}

/// The policy host and token of a challenge request.
fn asked_for(request: &str) -> Option<(PolicyHost, &str)> {
    let token = request.strip_prefix("GET /.well-known/acme-challenge/")?.split(' ').next()?;
    let host = request.lines().find_map(|line| line.strip_prefix("Host: "))?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    Some((PolicyHost::from_full_name(name)?, token))
}
