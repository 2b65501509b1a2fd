//! Clients: TLS with every knob, HTTP/1 as raw octets, and HTTP/2 by hyper.

use crate::server::{Target, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How a client speaks TLS.
#[derive(Clone)]
pub struct Tls {
    pub sni: Option<String>,
    pub alpn: Vec<Vec<u8>>,
    pub tls12_only: bool,
    pub provider: CryptoProvider,
    /// Accepts any certificate, as an authority validating a challenge does.
    pub unverified: bool,
}

impl Tls {
    pub fn to(sni: &str) -> Self {
        Self {
            sni: Some(sni.to_owned()),
            alpn: Vec::new(),
            tls12_only: false,
            provider: aws_lc_rs::default_provider(),
            unverified: false,
        }
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    pub fn config(&self, roots: &Arc<RootCertStore>) -> ClientConfig {
        let versions: &[_] = if self.tls12_only { &[&TLS12] } else { &[&TLS13, &TLS12] };
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(versions)
            .unwrap();
        let mut config = if self.unverified {
            let anyone = Arc::new(Anyone(self.provider.clone()));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        } else {
            builder.with_root_certificates(Arc::clone(roots)).with_no_client_auth()
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.sni.is_some();
        config.resumption = Resumption::in_memory_sessions(8);
        config
    }

    pub async fn connect(&self, target: &Target) -> io::Result<TlsStream<TcpStream>> {
        let tcp = within(TcpStream::connect(target.https)).await?;
        self.over(tcp, target).await
    }

    pub async fn over(&self, tcp: TcpStream, target: &Target) -> io::Result<TlsStream<TcpStream>> {
        let name = self.sni.clone().unwrap_or_else(|| "nobody.example".to_owned());
        let connector = TlsConnector::from(Arc::new(self.config(&target.roots)));
        within(connector.connect(ServerName::try_from(name).unwrap(), tcp)).await
    }
}

/// The alert a handshake or read was ended with.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(description) => Some(*description),
        _ => None,
    }
}

pub fn version(stream: &TlsStream<TcpStream>) -> ProtocolVersion {
    stream.get_ref().1.protocol_version().unwrap()
}

/// A connection from another loopback address, to be another peer.
pub async fn connect_from(source: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{source}:0").parse().unwrap())?;
    within(socket.connect(to)).await
}

/// An HTTP/1 answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads one answer; `None` when the peer closed before the first octet of one.
pub async fn read_answer<R: AsyncRead + Unpin>(stream: &mut R, is_head: bool) -> Option<Answer> {
    within(async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(octet) => head.push(octet),
                Err(_) if head.is_empty() => return None,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if is_head { 0 } else { length }];
        stream.read_exact(&mut body).await.unwrap();
        Some(Answer { status, headers, body })
    })
    .await
}

/// Sends octets and reads one answer.
pub async fn exchange<S>(stream: &mut S, text: &str) -> Option<Answer>
where
    S: AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // The server may have answered and closed before it has read all of it.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    read_answer(stream, text.starts_with("HEAD ")).await
}

/// Reads until the peer closes; what came on the way.
pub async fn read_to_close<R: AsyncRead + Unpin>(stream: &mut R) -> Vec<u8> {
    let mut octets = Vec::new();
    let _ = within(stream.read_to_end(&mut octets)).await;
    octets
}

/// A plain GET of the policy of `host`.
pub fn get(host: &str) -> String {
    format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Whether a sender that starts now gets the policy of `host`.
pub async fn is_served(target: &Target, host: &str) -> bool {
    match Tls::to(host).connect(target).await {
        Ok(mut stream) => {
            let answer = exchange(&mut stream, &get(host)).await;
            answer.is_some_and(|answer| {
                answer.status == 200 && answer.text().contains(&host["mta-sts.".len()..])
            })
        }
        Err(_) => false,
    }
}

/// An HTTP/2 connection of a well-behaved client.
pub struct Http2(SendRequest<Empty<Bytes>>);

impl Http2 {
    pub async fn connect(target: &Target, sni: &str) -> Self {
        let stream = Tls::to(sni).alpn(&["h2"]).connect(target).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = within(builder.handshake(TokioIo::new(stream))).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Bytes>> {
        within(async {
            self.0.ready().await?;
            let (head, body) = self.0.send_request(request).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        })
        .await
    }

    /// Waits until the server has ended the connection.
    pub async fn closed(&mut self) {
        within(async {
            while self.0.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Takes any certificate: webpki cannot even read one with the challenge's critical extension.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
