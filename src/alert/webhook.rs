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
use std::{error::Error, path::Path, sync::Arc, time::Duration};
use tracing::warn;

/// The longest text of an error that is shown.
const SHOWN_MAX: usize = 300;

/// Sends to webhooks; cheap to clone, all clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Webhooks {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Clock,
}

/// Where and how one webhook is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub url: &'a str,
    pub secret_file: Option<&'a Path>,
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
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { client, clock }
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
        let response = self.client.request(request).await.map_err(|error| sentence(&error))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {}", status.as_u16())) }
    }
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
