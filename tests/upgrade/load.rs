//! New connections without a pause, each with one request that has one right answer.

use crate::support::eventually;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    error::Error,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Against hangs alone: what waits for the next daemon is slow, and that is all.
const PATIENCE: Duration = Duration::from_secs(60);

type Failed = Box<dyn Error + Send + Sync>;

/// Where requests go.
#[derive(Clone)]
pub struct Target {
    pub https: SocketAddr,
    pub http: SocketAddr,
    roots: Arc<RootCertStore>,
}

impl Target {
    pub fn new(https: SocketAddr, http: SocketAddr, root: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(root).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        Self { https, http, roots: Arc::new(roots) }
    }

    pub async fn connect(&self, domain: &str, protocol: &str) -> Result<TlsStream<TcpStream>, Failed> {
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(Arc::clone(&self.roots))
                .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let tcp = TcpStream::connect(self.https).await?;
        let name = ServerName::try_from(format!("mta-sts.{domain}"))?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
    }
}

/// What clients do again and again.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Http1,
    Http2,
    Plain,
}

/// A load that runs until it is ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: JoinSet<()>,
}

impl Load {
    /// One client for each of `kinds`, all of which go through `domains` over and over.
    pub fn start(target: &Target, domains: &[String], kinds: &[Kind]) -> Self {
        let (stop, answered, failures) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { stop, answered, failures, clients: JoinSet::new() };
        for kind in kinds {
            let (target, domains, kind) = (target.clone(), domains.to_vec(), *kind);
            let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.answered));
            let failures = Arc::clone(&load.failures);
            load.clients.spawn(async move {
                for domain in domains.iter().cycle() {
                    if stop.load(SeqCst) {
                        break;
                    }
                    let asked = timeout(PATIENCE, ask(&target, kind, domain)).await;
                    match asked.map_err(Into::into).and_then(|asked| asked) {
                        Ok(()) => drop(answered.fetch_add(1, SeqCst)),
                        Err(error) => failures.lock().unwrap().push(format!("{kind:?} {domain}: {error}")),
                    }
                }
            });
        }
        load
    }

    /// Requests answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Waits until so many more are answered.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let wanted = self.answered() + more;
        eventually("more answers", || (self.answered() >= wanted).then_some(()));
    }

    /// Ends the load; the number of answers, of which none was wrong and none is missing.
    pub async fn end(mut self) -> usize {
        self.stop.store(true, SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let failures = self.failures.lock().unwrap().clone();
        assert!(failures.is_empty(), "{} of {}: {failures:#?}", failures.len(), self.answered());
        self.answered()
    }
}

async fn ask(target: &Target, kind: Kind, domain: &str) -> Result<(), Failed> {
    let (status, body) = match kind {
        Kind::Http1 => {
            let mut stream = target.connect(domain, "http/1.1").await?;
            stream.write_all(request(domain).as_bytes()).await?;
            read_answer(&mut stream).await?
        }
        Kind::Http2 => {
            let stream = target.connect(domain, "h2").await?;
            let io = TokioIo::new(stream);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let connection = tokio::spawn(connection);
            let uri = format!("https://mta-sts.{domain}/.well-known/mta-sts.txt");
            let response = sender.send_request(Request::get(uri).body(Empty::<Bytes>::new())?).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            connection.await??;
            (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
        }
        Kind::Plain => {
            let mut stream = TcpStream::connect(target.http).await?;
            stream.write_all(request(domain).as_bytes()).await?;
            let (status, _) = read_answer(&mut stream).await?;
            // Nothing is served there but challenges.
            return if status == StatusCode::NOT_FOUND { Ok(()) } else { Err(format!("{status}").into()) };
        }
    };
    let policy = format!("mx: mx.{domain}\r\n");
    match status == StatusCode::OK && body.starts_with("version: STSv1\r\n") && body.contains(&policy) {
        true => Ok(()),
        false => Err(format!("{status} {body:?}").into()),
    }
}

pub fn request(domain: &str) -> String {
    format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.{domain}\r\nConnection: close\r\n\r\n")
}

/// Reads an HTTP/1.1 answer to the end of the connection.
pub async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<(u16, String), Failed> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| format!("no status: {head:?}"))?, body.to_owned()))
}
