//! Debian's HAProxy, nginx and Caddy with a configuration from `contrib/`, on ports of the test's own.

use crate::{
    pebble::free_port,
    support::{PATIENCE, eventually},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A configuration of `contrib/`, with each of `changes` made in it. What is to be changed must be there.
pub fn contrib(file: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(file);
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// A proxy that runs; killed when dropped.
pub struct Proxy {
    child: Child,
    pub folder: TempDir,
}

impl Proxy {
    /// Runs what `command` makes of the folder with the configuration, until it listens on `ports`.
    fn start(folder: TempDir, listens: &[u16], command: &mut Command) -> Self {
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: tests/run names the Debian package"));
        let mut proxy = Self { child, folder };
        eventually("the proxy to listen", || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "the proxy ended:\n{}", proxy.log());
            let is_up = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
            listens.iter().all(is_up).then_some(())
        });
        proxy
    }

    pub fn haproxy(text: &str, listens: &[u16]) -> Self {
        let folder = folder_with(&[("haproxy.cfg", text)]);
        let file = folder.path().join("haproxy.cfg");
        Self::start(folder, listens, Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(file))
    }

    /// `outside` stands at the top level, `inside` within http { }.
    pub fn nginx(outside: &str, inside: &str, listens: &[u16]) -> Self {
        let folder = folder_with(&[]);
        let at = folder.path().display();
        let modules = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let text = format!(
            "{modules}\npid {at}/pid;\nerror_log {at}/error.log;\ndaemon off;\nmaster_process off;\n\
             events {{}}\n{outside}\nhttp {{\naccess_log off;\n{temporary}{inside}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
        Self::start(folder, listens, command.arg("-c").arg(file))
    }

    pub fn caddy(text: &str, listens: &[u16]) -> Self {
        let folder = folder_with(&[("Caddyfile", text)]);
        let (file, home) = (folder.path().join("Caddyfile"), folder.path().to_owned());
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", &home).env("XDG_DATA_HOME", home.join("data")).env("XDG_CONFIG_HOME", home);
        Self::start(folder, listens, &mut command)
    }

    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("log") + &read("error.log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::with_prefix("mta-stsd-proxy-").unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Two ports that nobody listens on.
pub fn two_ports() -> (u16, u16) {
    (free_port(), free_port())
}

/// A root, and a certificate of it for these names with its key; PEM in files.
pub struct Signed {
    pub folder: TempDir,
    pub root: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Signed {
    pub fn new(names: &[&str]) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With one name for both, OpenSSL takes the leaf for a root.
        params.distinguished_name.push(DnType::CommonName, "root of a test");
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();
        let (chain, key) = (leaf.pem(), key.serialize_pem());
        let both = format!("{chain}{key}");
        let folder = folder_with(&[
            ("root.pem", &root.pem()),
            ("fullchain.pem", &chain),
            ("privkey.pem", &key),
            ("both.pem", &both),
        ]);
        let at = |name| folder.path().join(name);
        Self { root: at("root.pem"), chain: at("fullchain.pem"), key: at("privkey.pem"), folder }
    }
}

/// What curl got from a host at `port`, as the client at this address: the whole body, and the status.
pub fn curl(client: &str, port: u16, root: &Path, host: &str, more: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", &PATIENCE.as_secs().to_string(), "--noproxy", "*"])
        .args([
            "--write-out",
            "\n%{http_code}",
            "--interface",
            client,
            "--user-agent",
            "sender/1",
            "--cacert",
        ])
        .arg(root)
        .args(["--connect-to", &format!("::127.0.0.1:{port}")])
        .args(more)
        .arg(format!("https://{host}/.well-known/mta-sts.txt"))
        .output()
        .expect("curl is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}
