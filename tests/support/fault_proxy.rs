//! Stands in front of Pebble and misbehaves on request; adds renewal information and profiles, which
//! Pebble 2.4 lacks, and writes down what orders ask for.
//!
//! Pebble builds its URLs from the Host that it is asked for, so all of them lead through the proxy.

#![allow(dead_code, reason = "each test program uses its part")]

use crate::pebble::{Pebble, loopback_certificate};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Where Pebble takes orders.
pub const NEW_ORDER: &str = "/order-plz";
/// Where Pebble takes requests for certificates.
pub const FINALIZE: &str = "/finalize-order";
/// Where Pebble takes new keys of accounts.
pub const KEY_CHANGE: &str = "/rollover-account-key";

/// What becomes of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A problem document.
    Problem { status: u16, word: &'static str, detail: &'static str, retry_after: Option<&'static str> },
    /// Whatever this is, it is no ACME.
    Page(u16),
    /// No answer, ever.
    Hang,
    /// The connection is closed instead of an answer; Pebble never hears of the request.
    Cut,
    /// Pebble does what it is asked, and nobody hears of that.
    LoseAnswer,
    /// New terms of service wait for agreement.
    NewTerms,
}

/// What the proxy adds to Pebble.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Answers to questions about certificates: status, Retry-After, body. Nothing: not offered.
    pub renewal_info: Option<(u16, Option<&'static str>, String)>,
    /// Whether orders repeat what they replace.
    pub echoes_replaces: bool,
    /// Profiles offered.
    pub profiles: Vec<&'static str>,
    /// The profile that orders follow whatever they ask for.
    pub follows: Option<&'static str>,
    /// What CAA records call the authority.
    pub caa_identities: Vec<&'static str>,
}

/// A running proxy.
pub struct FaultProxy {
    folder: tempfile::TempDir,
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    pebble: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    faults: Mutex<BTreeMap<&'static str, VecDeque<Fault>>>,
    extras: Mutex<Extras>,
    orders: Mutex<Vec<Value>>,
}

impl FaultProxy {
    pub async fn start(pebble: &Pebble) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, leaf, key) = loopback_certificate();
        std::fs::write(folder.path().join("root.pem"), root).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            pebble: pebble.directory().trim_end_matches("/dir").to_owned(),
            client: client(&pebble.root_file()),
            faults: Mutex::default(),
            extras: Mutex::default(),
            orders: Mutex::default(),
        });
        tokio::spawn(serve(listener, acceptor(&leaf, &key), Arc::clone(&shared)));
        Self { folder, address, shared }
    }

    /// The directory URL.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// PEM of the root that vouches for the proxy.
    pub fn root_file(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// The next requests to `resource` meet these faults, one each.
    pub fn fail<const N: usize>(&self, resource: &'static str, faults: [Fault; N]) {
        self.shared.faults.lock().unwrap().entry(resource).or_default().extend(faults);
    }

    /// Faults that nobody has met yet.
    pub fn faults_left(&self) -> usize {
        self.shared.faults.lock().unwrap().values().map(VecDeque::len).sum()
    }

    /// Forgets the faults that nobody has met yet.
    pub fn be_well(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// From now on these are added.
    pub fn add(&self, extras: Extras) {
        *self.shared.extras.lock().unwrap() = extras;
    }

    /// What each order asked for in `field`, in their order, and nothing where it had none. Orders that
    /// met a fault are among them.
    pub fn asked_for(&self, field: &str) -> Vec<Option<String>> {
        let orders = self.shared.orders.lock().unwrap();
        orders.iter().map(|order| order[field].as_str().map(str::to_owned)).collect()
    }
}

fn acceptor(leaf: &str, key: &str) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap()];
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

fn client(root_file: &std::path::Path) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root_file).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    Client::builder(TokioExecutor::new()).build(builder.enable_http1().build())
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(converse(connection, acceptor.clone(), Arc::clone(&shared)));
    }
}

async fn converse(connection: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let Ok(connection) = acceptor.accept(connection).await else { return };
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // An error is what a fault looks like from this side.
    let _ =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let order = path.starts_with(NEW_ORDER).then(|| payload(&body));
    if let Some(order) = &order {
        shared.orders.lock().unwrap().push(order.clone());
    }
    let fault = shared
        .faults
        .lock()
        .unwrap()
        .iter_mut()
        .find_map(|(resource, faults)| path.starts_with(resource).then(|| faults.pop_front())?);
    match &fault {
        Some(Fault::Problem { status, word, detail, retry_after }) => {
            return Ok(problem(*status, word, detail, *retry_after));
        }
        Some(Fault::Page(status)) => {
            return Ok(response(*status, "text/html", "<html>out of order</html>".to_owned()));
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Cut) => return Err(io::Error::other("cut")),
        Some(Fault::NewTerms) => return Ok(new_terms()),
        Some(Fault::LoseAnswer) | None => {}
    }
    let extras = shared.extras.lock().unwrap().clone();
    if let Some((status, retry_after, text)) =
        extras.renewal_info.as_ref().filter(|_| path.starts_with("/renewal-info/"))
    {
        let mut answer = response(*status, "application/json", text.clone());
        if let Some(retry_after) = retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        }
        return Ok(answer);
    }
    let host =
        head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let mut onward = Request::from_parts(head, Full::new(body));
    *onward.uri_mut() = format!("{}{path}", shared.pebble).parse().map_err(io::Error::other)?;
    let answer = shared.client.request(onward).await.map_err(io::Error::other)?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if matches!(fault, Some(Fault::LoseAnswer)) {
        return Err(io::Error::other("lost"));
    }
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(mut value) if head.status.is_success() => {
            enrich(&mut value, &path, &host, &extras, &shared.orders.lock().unwrap());
            head.headers.remove(header::CONTENT_LENGTH);
            Bytes::from(value.to_string())
        }
        _ => body,
    };
    Ok(Response::from_parts(head, Full::new(body)))
}

/// Adds what Pebble lacks to its directory and its orders.
fn enrich(value: &mut Value, path: &str, host: &str, extras: &Extras, orders: &[Value]) {
    if path == "/dir" {
        if extras.renewal_info.is_some() {
            value["renewalInfo"] = json!(format!("https://{host}/renewal-info"));
        }
        value["meta"]["caaIdentities"] = json!(extras.caa_identities);
        value["meta"]["profiles"] = extras.profiles.iter().map(|name| (*name, "as named")).collect();
    }
    let Some(asked) = orders.last().filter(|_| value.get("finalize").is_some()) else { return };
    if extras.echoes_replaces && asked.get("replaces").is_some() {
        value["replaces"] = asked["replaces"].clone();
    }
    if let Some(profile) = extras.follows.or(asked["profile"].as_str()) {
        value["profile"] = json!(profile);
    }
}

/// What a signed request carries (RFC 7515): nobody has to know the key for reading it.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn response(status: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn problem(status: u16, word: &str, detail: &str, retry_after: Option<&str>) -> Response<Full<Bytes>> {
    let document =
        json!({ "type": format!("urn:ietf:params:acme:error:{word}"), "detail": detail, "status": status });
    let mut response = response(status, "application/problem+json", document.to_string());
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after.parse().unwrap());
    }
    response
}

fn new_terms() -> Response<Full<Bytes>> {
    let document = json!({
        "type": "urn:ietf:params:acme:error:userActionRequired",
        "detail": "Terms of service have changed",
        "instance": "https://ca.example/agreement?token=1",
    });
    response(403, "application/problem+json", document.to_string())
}
