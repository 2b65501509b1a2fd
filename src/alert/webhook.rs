//! Sends one alert by POST: signed, within a deadline, to the address that the operator named.
//!
//! A redirect is not followed, and of an answer only its status is read.

use super::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, read_secret, sign};
use crate::clock::Clock;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{error::Error, path::Path, sync::Arc, time::Duration};
use tracing::warn;

/// The longest text of an error that is shown.
const SHOWN_MAX: usize = 300;

/// Sends to webhooks; cheap to clone, all clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Webhooks {
    client: HttpsClient,
    /// The system's.
    roots: Arc<RootCertStore>,
    clock: Clock,
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Where and how one webhook is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub url: &'a str,
    pub secret_file: Option<&'a Path>,
    /// Roots to trust beside the system's.
    pub root_file: Option<&'a Path>,
    pub timeout: Duration,
}

impl Webhooks {
    /// Trusts the system's roots. Connects to nothing yet.
    pub fn new(clock: Clock) -> Self {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(native.certs);
        if usable == 0 {
            warn!("no trusted roots of the system were found, alerts by https will fail");
        }
        let roots = Arc::new(roots);
        Self { client: client(Arc::clone(&roots)), roots, clock }
    }

    /// Posts `document`.
    ///
    /// # Errors
    ///
    /// A sentence part that says why it was not taken; the address, which may be a secret, is not in it.
    pub async fn post(&self, call: Call<'_>, document: Vec<u8>) -> Result<(), String> {
        let exchange = self.exchange(call, document);
        tokio::time::timeout(call.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", call.timeout.as_secs_f32())))
    }

    async fn exchange(&self, call: Call<'_>, document: Vec<u8>) -> Result<(), String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(call.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("mta-stsd/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = call.secret_file {
            let secret = read_secret(file).await.map_err(|e| format!("secret_file cannot be used: {e}"))?;
            let (timestamp, signature) = sign(&secret, self.clock.now(), &document);
            request = request.header(TIMESTAMP_HEADER, timestamp).header(SIGNATURE_HEADER, signature);
        }
        let request = request.body(Full::new(document.into())).map_err(|error| error.to_string())?;
        let client = match call.root_file {
            None => self.client.clone(),
            Some(file) => client(Arc::new(with_roots_of(&self.roots, file).await?)),
        };
        let response = client.request(request).await.map_err(|error| sentence(&error))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {}", status.as_u16())) }
    }
}

fn client(roots: Arc<RootCertStore>) -> HttpsClient {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Plain http goes to this machine only, as the configuration has checked.
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .build();
    // Alerts are rare: a connection kept open would be dead when it is needed.
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// The roots in `file` beside `roots`; read for every delivery, so that mending the file is enough.
async fn with_roots_of(roots: &RootCertStore, file: &Path) -> Result<RootCertStore, String> {
    let unusable = |why: &(dyn Error + 'static)| format!("root_file cannot be used: {}", sentence(why));
    let text = tokio::fs::read(file).await.map_err(|error| unusable(&error))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let mut all = roots.clone();
    let (added, _) = all.add_parsable_certificates(read.map_err(|error| unusable(&error))?);
    if added == 0 {
        return Err("root_file cannot be used: it has no certificate in it".to_owned());
    }
    Ok(all)
}

/// An error with its causes, escaped and cut.
fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text.escape_debug().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use std::fs;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };
    use tokio_rustls::TlsAcceptor;

    const DOCUMENT: &[u8] = b"{\"id\":7}";

    /// A receiver by https, its certificate as PEM, which is its own root, and what it was sent.
    async fn receiver() -> (String, String, mpsc::UnboundedReceiver<Vec<u8>>) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
        let (sender, got) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // Who does not trust us ends the handshake.
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut octets = Vec::new();
                while !octets.ends_with(DOCUMENT) {
                    assert!(tls.read_buf(&mut octets).await.unwrap() > 0, "closed in the middle");
                }
                tls.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n").await.unwrap();
                tls.shutdown().await.unwrap();
                sender.send(octets).unwrap();
            }
        });
        (url, certificate.pem(), got)
    }

    #[tokio::test]
    async fn a_receiver_of_a_private_authority_is_trusted_by_its_root_alone() {
        let (url, root, mut got) = receiver().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let webhooks = Webhooks::new(Clock::System);
        let post = |root_file| {
            let timeout = Duration::from_secs(120);
            webhooks.post(Call { url: &url, secret_file: None, root_file, timeout }, DOCUMENT.to_vec())
        };
        let untrusted = post(None).await.unwrap_err();
        assert!(untrusted.contains("certificate") && !untrusted.contains("/hook"), "{untrusted}");
        let absent = post(Some(&file)).await.unwrap_err();
        assert!(absent.starts_with("root_file cannot be used: No such file"), "{absent}");
        fs::write(&file, "nothing in here").unwrap();
        assert!(post(Some(&file)).await.unwrap_err().contains("no certificate"));
        assert!(got.try_recv().is_err(), "whoever is not trusted is told nothing");

        fs::write(&file, root).unwrap();
        assert_eq!(post(Some(&file)).await, Ok(()));
        let sent = String::from_utf8(got.recv().await.unwrap()).unwrap();
        assert!(sent.starts_with("POST /hook HTTP/1.1\r\n"), "{sent}");
    }
}
