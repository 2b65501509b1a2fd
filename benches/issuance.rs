//! From nothing to all served: first certificates of many names from a real authority, Pebble, on this
//! machine; and the same by Caddy, another server that issues for itself, for comparison.
//!
//! A name counts as served when a handshake for it ends with a chain that Pebble's root vouches for.
//! Both servers answer TLS-ALPN-01, ask a Pebble of their own and keep certificates on disk. Ours looks
//! at DNS before each order as it always does, and may place 16 orders at once, which is as many as
//! Pebble 2.4 bears. Caddy runs as it is: it places no more than ten orders in ten seconds.
//!
//! `cargo bench --bench issuance` needs the Debian packages pebble and caddy, and some minutes for the
//! latter; without them it says so. `cargo test --benches` only sees whether it works.

#[path = "../tests/support/pebble.rs"]
mod pebble;

use pebble::{Options, Pebble, free_port};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::json;
use std::{
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsConnector;

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMES: usize = 200;
const NAMES_OF_SMOKE: usize = 3;

/// No server may take longer than this for all of them.
const PATIENCE: Duration = Duration::from_secs(300);

/// The wait before a name that is not served is asked for again: two processors are enough for both.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Outcome<()> {
    // cargo says so when it runs a benchmark to measure, and not when it runs all targets as tests.
    let whole = std::env::args().any(|argument| argument == "--bench");
    if !is_there("pebble", "-h") {
        println!("nothing measured: install the Debian package pebble");
        return Ok(());
    }
    let names = if whole { NAMES } else { NAMES_OF_SMOKE };
    let ours = measure("mta-stsd", names, ours).await?;
    if whole && is_there("caddy", "version") {
        let caddy = measure("Caddy", names, caddy).await?;
        println!("{:.1} times as fast", caddy.as_secs_f64() / ours.as_secs_f64());
    }
    Ok(())
}

fn is_there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What a server needs to know.
struct Task<'a> {
    pebble: &'a Pebble,
    folder: &'a Path,
    https: u16,
    http: u16,
    hosts: &'a [String],
}

/// How long it takes from starting a server until it serves all names.
async fn measure(
    name: &str,
    names: usize,
    start: impl FnOnce(&Task<'_>) -> Outcome<Child>,
) -> Outcome<Duration> {
    let (https, http) = (free_port(), free_port());
    let pebble = Pebble::start(Options { tls_port: https, http_port: http, ..Options::default() }).await;
    let connector = connector(&pebble.issuing_root())?;
    let hosts: Vec<String> = (0..names).map(|number| format!("mta-sts.d{number}.example")).collect();
    let folder = tempfile::tempdir()?;
    let task = Task { pebble: &pebble, folder: folder.path(), https, http, hosts: &hosts };
    let begun = Instant::now();
    let mut server = start(&task)?;
    let served = timeout(PATIENCE, all_served(&connector, &task)).await;
    let took = begun.elapsed();
    server.kill()?;
    server.wait()?;
    if served.is_err() {
        let log = fs::read_to_string(folder.path().join("log"))?;
        let last: Vec<_> = log.lines().rev().take(5).collect();
        return Err(format!("{name} has not served all names within {PATIENCE:?}: {last:#?}").into());
    }
    let rate = names as f64 / took.as_secs_f64();
    println!(
        "{name}: {names} names in {:.1} s, {rate:.1} a second, {} orders",
        took.as_secs_f64(),
        pebble.orders()
    );
    Ok(took)
}

async fn all_served(connector: &TlsConnector, task: &Task<'_>) {
    for host in task.hosts {
        while handshake(connector, task.https, host).await.is_err() {
            sleep(PAUSE).await;
        }
    }
}

async fn handshake(connector: &TlsConnector, port: u16, host: &str) -> Outcome<()> {
    let socket = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    connector.connect(ServerName::try_from(host.to_owned())?, socket).await?;
    Ok(())
}

fn connector(root: &Path) -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn ours(task: &Task<'_>) -> Outcome<Child> {
    let Task { pebble, folder, https, http, hosts } = task;
    let domains: String = hosts.iter().map(|host| host.replace("mta-sts.", "") + "\n").collect();
    fs::write(folder.join("list.txt"), domains)?;
    let main = format!(
        "[listen]\nhttps = [\"127.0.0.1:{https}\"]\nhttp = [\"127.0.0.1:{http}\"]\n\
         [store]\ndirectory = \"state\"\n\
         [acme]\ndirectory = \"{}\"\nroot_file = \"{}\"\nterms_of_service_agreed = true\n\
         orders_at_once = 16\nrequests_per_second = 1000\n\
         [dns]\nservers = [\"{}\"]\n[publish]\naddresses = [\"127.0.0.1\"]\n\
         [cross_check]\nenabled = false\n\
         [policies.hosted]\nmx = [\"mx.provider.example\"]\ndomains_file = \"list.txt\"\n",
        pebble.directory(),
        pebble.root_file().display(),
        pebble.dns(),
    );
    fs::write(folder.join("main.toml"), main)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
    spawn(command.args(["serve", "--config"]).arg(folder.join("main.toml")), folder)
}

fn caddy(task: &Task<'_>) -> Outcome<Child> {
    let Task { pebble, folder, https, http, hosts } = task;
    let challenges = json!({ "http": { "disabled": true }, "tls-alpn": { "alternate_port": https } });
    let issuer = json!({
        "module": "acme",
        "ca": pebble.directory(),
        "trusted_roots_pem_files": [pebble.root_file()],
        "challenges": challenges,
    });
    let route = json!({
        "match": [{ "host": hosts }],
        "handle": [{ "handler": "static_response", "body": "version: STSv1" }],
    });
    let config = json!({
        "admin": { "disabled": true, "config": { "persist": false } },
        "storage": { "module": "file_system", "root": folder.join("state") },
        "apps": {
            "http": {
                "http_port": http,
                "https_port": https,
                "servers": { "policies": {
                    "listen": [format!("127.0.0.1:{https}")],
                    "routes": [route],
                    "automatic_https": { "disable_redirects": true },
                } },
            },
            "tls": { "automation": { "policies": [{ "issuers": [issuer] }] } },
        },
    });
    fs::write(folder.join("caddy.json"), config.to_string())?;
    let mut command = Command::new("caddy");
    command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    spawn(command.args(["run", "--config"]).arg(folder.join("caddy.json")), folder)
}

/// Starts a server that writes into `folder/log`.
fn spawn(command: &mut Command, folder: &Path) -> Outcome<Child> {
    let log = fs::File::create(folder.join("log"))?;
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
}
