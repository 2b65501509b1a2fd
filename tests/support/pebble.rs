//! A real ACME authority for tests: Pebble from the Debian package, in a folder and on ports of its own.
//!
//! Include it with `#[path = "../support/pebble.rs"] mod pebble;`. Every name resolves to 127.0.0.1 but
//! those of `away.example`, which lead elsewhere, so Pebble looks for challenge answers at the ports it was told. At most 16 orders at once: with
//! hundreds, Pebble 2.4 deadlocks.

#![allow(dead_code, reason = "each test program uses its part")]

use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::Metadata,
        rr::{RData, Record, RecordType, rdata::A},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// How Pebble shall behave.
pub struct Options {
    /// Where it looks for HTTP-01 answers.
    pub http_port: u16,
    /// Where it looks for TLS-ALPN-01 answers.
    pub tls_port: u16,
    /// Percentage of good nonces it turns down.
    pub nonce_reject: u8,
    /// Percentage of valid authorizations it lets an account use again.
    pub authz_reuse: u8,
    /// Key identifier and base64url MAC key without which no account is made.
    pub external_account: Option<(String, String)>,
    /// A domain for which it refuses orders.
    pub blocked: Option<String>,
    /// How long its certificates are valid.
    pub validity: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            http_port: free_port(),
            tls_port: free_port(),
            nonce_reject: 5,
            authz_reuse: 0,
            external_account: None,
            blocked: None,
            validity: Duration::from_secs(90 * 86_400),
        }
    }
}

/// A running Pebble; it ends with this value.
pub struct Pebble {
    folder: TempDir,
    options: Options,
    port: u16,
    management_port: u16,
    dns_port: u16,
    dns: Server<Loopback>,
    process: Child,
    starts: u32,
}

impl Pebble {
    /// Starts Pebble and returns when it takes requests.
    pub async fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(&folder);
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let dns_port = socket.local_addr().unwrap().port();
        let mut dns = Server::new(Loopback);
        dns.register_socket(socket);
        // Somebody else may take a free port before Pebble does; then others are tried.
        for _ in 0..5 {
            let (port, management_port) = (free_port(), free_port());
            write_config(&folder, &options, port, management_port);
            let mut process = spawn(&folder, &options, dns_port, 1);
            if is_up(&mut process, &[port, management_port]).await {
                return Self { folder, options, port, management_port, dns_port, dns, process, starts: 1 };
            }
        }
        panic!("Pebble does not start:\n{}", fs::read_to_string(folder.path().join("log.1")).unwrap());
    }

    /// The directory URL.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The DNS server that it asks.
    pub fn dns(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.dns_port))
    }

    /// PEM of the root that vouches for the directory; not the root of what Pebble issues.
    pub fn root_file(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// A folder of this test's own.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// PEM of the root of what it issues since its last start, in a file.
    pub fn issuing_root(&self) -> PathBuf {
        let file = self.folder.path().join(format!("issuing-root.{}.pem", self.starts));
        let output = Command::new("curl")
            // Our own process on loopback; its certificate stands for nothing.
            .args(["--silent", "--fail", "--insecure"])
            .arg(format!("https://127.0.0.1:{}/roots/0", self.management_port))
            .output()
            .unwrap_or_else(|error| panic!("cannot run curl ({error}): install the Debian package curl"));
        assert!(output.status.success());
        fs::write(&file, output.stdout).unwrap();
        file
    }

    /// Ends Pebble and starts it anew: it has forgotten everything and signs with another root.
    pub async fn restart(&mut self) {
        self.stop();
        self.starts += 1;
        self.process = spawn(&self.folder, &self.options, self.dns_port, self.starts);
        let up = is_up(&mut self.process, &[self.port, self.management_port]).await;
        assert!(up, "Pebble does not start again:\n{}", self.log());
    }

    /// Ends Pebble.
    pub fn stop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// What Pebble has written since its last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(format!("log.{}", self.starts))).unwrap()
    }

    /// Accounts made since the last start.
    pub fn accounts(&self) -> usize {
        let made = |line: &&str| line.contains("There are now ") && line.contains(" accounts");
        self.log().lines().filter(made).count()
    }

    /// Orders placed since the last start.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order ").count()
    }

    /// Certificates issued since the last start.
    pub fn certificates(&self) -> usize {
        self.log().matches("Issued certificate serial ").count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// PEM of a new root, and of a chain with its key for 127.0.0.1.
pub fn loopback_certificate() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    (root.pem(), leaf.pem(), key.serialize_pem())
}

fn make_certificate(folder: &TempDir) {
    let (root, leaf, key) = loopback_certificate();
    fs::write(folder.path().join("root.pem"), root).unwrap();
    fs::write(folder.path().join("server.pem"), leaf).unwrap();
    fs::write(folder.path().join("server.key"), key).unwrap();
}

fn write_config(folder: &TempDir, options: &Options, port: u16, management_port: u16) {
    let mac_keys: serde_json::Map<_, _> =
        options.external_account.iter().map(|(id, key)| (id.clone(), key.clone().into())).collect();
    let config = serde_json::json!({ "pebble": {
        "listenAddress": format!("127.0.0.1:{port}"),
        "managementListenAddress": format!("127.0.0.1:{management_port}"),
        "certificate": folder.path().join("server.pem"),
        "privateKey": folder.path().join("server.key"),
        "httpPort": options.http_port,
        "tlsPort": options.tls_port,
        "externalAccountBindingRequired": options.external_account.is_some(),
        "externalAccountMACKeys": mac_keys,
        "domainBlocklist": options.blocked.iter().collect::<Vec<_>>(),
        "certificateValidityPeriod": options.validity.as_secs(),
    }});
    fs::write(folder.path().join("pebble.json"), config.to_string()).unwrap();
}

fn spawn(folder: &TempDir, options: &Options, dns_port: u16, start: u32) -> Child {
    let log = File::create(folder.path().join(format!("log.{start}"))).unwrap();
    Command::new("pebble")
        .arg("-config")
        .arg(folder.path().join("pebble.json"))
        .args(["-dnsserver", &format!("127.0.0.1:{dns_port}")])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string())
        .env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run pebble ({error}): install the Debian package pebble"))
}

/// Waits until `process` listens on all of `ports`; `false` when it ended instead.
async fn is_up(process: &mut Child, ports: &[u16]) -> bool {
    let listens = |port: &u16| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok();
    while process.try_wait().unwrap().is_none() {
        if ports.iter().all(listens) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// A DNS in which every name is at 127.0.0.1 and has nothing else.
struct Loopback;

#[async_trait::async_trait]
impl RequestHandler for Loopback {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let asked = request.request_info().unwrap().query;
        let name = asked.original().name().clone();
        // Resolvers mix capital letters in, so that forged answers have more to guess.
        let at = match name.to_lowercase().to_string().ends_with("away.example.") {
            true => Ipv4Addr::new(192, 0, 2, 7),
            false => Ipv4Addr::LOCALHOST,
        };
        let is_address = asked.query_type() == RecordType::A;
        let address = is_address.then(|| Record::from_rdata(name, 60, RData::A(A(at))));
        let answer = MessageResponseBuilder::new(&request.queries, None);
        response.send_response(answer.build(metadata, &address, [], [], [])).await.unwrap()
    }
}
