//! TLS passes through: port 443 is shared by name, certificates are ours, PROXY headers name the client.

use crate::{
    pebble::{Options, Pebble, free_port},
    proxies::{Proxy, Signed, contrib, curl, two_ports},
    support::{Daemon, Home, eventually},
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Connections at once from one client; Pebble looks from three places.
const FROM_ONE_ADDRESS: usize = 4;

/// Pebble that looks for answers where a proxy listens, and a daemon that has no tenants yet.
struct Rig {
    pebble: Pebble,
    home: Home,
    daemon: Daemon,
    root: PathBuf,
    ports: (u16, u16),
}

impl Rig {
    async fn start(listen: &str, challenge: &str) -> Self {
        let ports = two_ports();
        let options = Options { tls_port: ports.0, http_port: ports.1, ..Options::default() };
        let pebble = Pebble::start(options).await;
        let root = pebble.issuing_root();
        let home = Home::new("");
        home.write_main(&format!(
            "[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
             proxy_protocol_from = [\"127.0.0.1\"]\n{listen}\n\
             [acme]\ndirectory = \"{}\"\nroot_file = \"{}\"\nterms_of_service_agreed = true\n\
             challenges = [\"{challenge}\"]\n\
             [dns]\nservers = [\"{}\"]\n[publish]\naddresses = [\"127.0.0.1\"]\n\
             [access_log]\nto = \"access.log\"\naddresses = \"full\"\n\
             [limits]\nconnections_per_address = {FROM_ONE_ADDRESS}\nidle_timeout = \"10m\"\n\
             header_timeout = \"10m\"\nconnection_age = \"10m\"\n",
            pebble.directory(),
            pebble.root_file().display(),
            pebble.dns(),
        ));
        let daemon = home.start();
        Self { pebble, home, daemon, root, ports }
    }

    /// Adds a tenant, and waits until the proxy passes its policy on.
    fn wait_for_policy(&self, proxy: &Proxy) {
        self.home.tenant("meadow", "meadow", "meadow.example", "mx.meadow.example");
        self.daemon.wait_for_log("\"certificate issued\"");
        let (status, body) = self.fetch("127.0.0.7");
        assert_eq!(status, 200, "{}", proxy.log());
        assert!(body.contains("mx: mx.meadow.example"), "{body}");
        assert_eq!(self.pebble.certificates(), 1);
    }

    fn fetch(&self, client: &str) -> (u16, String) {
        curl(client, self.ports.0, &self.root, "mta-sts.meadow.example", &[])
    }

    /// Waits for a line of the access log, and returns it.
    fn noted(&self, part: &str) -> String {
        eventually(&format!("{part} in the access log"), || {
            let text = fs::read_to_string(self.home.path("access.log")).unwrap_or_default();
            text.lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// The client is whom the proxy names: in the log, and for limits.
    fn the_client_counts(&self) {
        let line = self.noted(" 127.0.0.7 ");
        assert!(line.contains(" mta-sts.meadow.example 127.0.0.7 200 \"sender/1\""), "{line}");
        // Who has too many connections is refused, and nobody else behind the same proxy is.
        let hold = || Held::by("127.0.0.8", self.ports.0);
        let mut held: Vec<_> = (0..FROM_ONE_ADDRESS).map(|_| hold()).collect();
        eventually("a client to have its share", || {
            // A fetch may have had the place of one of them.
            let ended = held.iter_mut().filter_map(|held| held.has_ended().then_some(held));
            ended.for_each(|held| *held = hold());
            (self.fetch("127.0.0.8").0 == 0).then_some(())
        });
        assert_eq!(self.fetch("127.0.0.10").0, 200);
        drop(held);
        eventually("the client to be let in again", || (self.fetch("127.0.0.8").0 == 200).then_some(()));
    }
}

/// A connection over TLS that stays open until it is dropped.
struct Held(Child);

impl Held {
    fn by(client: &str, port: u16) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-servername", "mta-sts.meadow.example", "-bind", &format!("{client}:0")]);
        command.args(["-connect", &format!("127.0.0.1:{port}")]);
        // It stays for as long as there may be more to send.
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A web server of the operator's own, which has all other names.
fn another_site(signed: &Signed, options: &str) -> (String, u16) {
    let port = free_port();
    let server = format!(
        "server {{ listen 127.0.0.1:{port} ssl {options}; server_name www.meadow.example;\n\
         ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 \"another site\\n\"; }} }}",
        signed.chain.display(),
        signed.key.display()
    );
    (server, port)
}

fn is_shared(port: u16, signed: &Signed) {
    let (status, body) = curl("127.0.0.7", port, &signed.root, "www.meadow.example", &[]);
    assert_eq!((status, body.as_str()), (200, "another site\n"));
}

async fn behind_haproxy(challenge: &str, header: &str) {
    let rig = Rig::start("", challenge).await;
    let signed = Signed::new(&["www.meadow.example"]);
    let (site, web) = another_site(&signed, "");
    let _web = Proxy::nginx("", &site, &[web]);
    let text = contrib(
        "haproxy/pass-through.cfg",
        &[
            ("bind :443", &format!("bind 127.0.0.1:{}", rig.ports.0)),
            ("bind :80", &format!("bind 127.0.0.1:{}", rig.ports.1)),
            ("server mta-stsd 127.0.0.1:8443", &format!("server mta-stsd {}", rig.daemon.https)),
            ("server mta-stsd 127.0.0.1:8080", &format!("server mta-stsd {}", rig.daemon.http)),
            ("server web 127.0.0.1:4433", &format!("server web 127.0.0.1:{web}")),
            ("send-proxy-v2 check", &format!("{header} check inter 50")),
            ("send-proxy-v2", header),
        ],
    );
    let proxy = Proxy::haproxy(&text, &[rig.ports.0, rig.ports.1]);
    rig.wait_for_policy(&proxy);
    rig.the_client_counts();
    is_shared(rig.ports.0, &signed);
    // HAProxy's health checks come every 50 ms here, and are all taken well.
    rig.daemon.wait_for_log("\"peer\":\"127.0.0.1:");
    assert!(!proxy.log().contains("DOWN"), "{}", proxy.log());
    assert!(!rig.daemon.log().iter().any(|line| line.contains("no PROXY header")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_with_version_2_and_tls_alpn_01() {
    behind_haproxy("tls-alpn-01", "send-proxy-v2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_with_version_1_and_http_01() {
    behind_haproxy("http-01", "send-proxy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_with_either_challenge() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let rig = Rig::start("proxy_protocol_on = [\"https\"]", challenge).await;
        let signed = Signed::new(&["www.meadow.example"]);
        let (site, web) = another_site(&signed, "proxy_protocol");
        let stream = contrib(
            "nginx/pass-through-stream.conf",
            &[
                ("listen 443", &format!("listen 127.0.0.1:{}", rig.ports.0)),
                ("127.0.0.1:8443;", &format!("{};", rig.daemon.https)),
                ("127.0.0.1:4433;", &format!("127.0.0.1:{web};")),
            ],
        );
        let plain = contrib(
            "nginx/pass-through-http.conf",
            &[
                ("listen 80", &format!("listen 127.0.0.1:{}", rig.ports.1)),
                ("127.0.0.1:8080", &rig.daemon.http.to_string()),
            ],
        );
        let listens = [rig.ports.0, rig.ports.1, web];
        let proxy = Proxy::nginx(&stream, &(plain + &site), &listens);
        rig.wait_for_policy(&proxy);
        rig.the_client_counts();
        is_shared(rig.ports.0, &signed);
    }
}

/// Who is not listed may say what he likes of himself.
#[test]
fn a_header_from_elsewhere_is_refused_and_from_the_proxy_it_must_come() {
    let home = Home::new(
        "[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nproxy_protocol_from = [\"127.0.0.1\"]\n",
    );
    home.tenant("meadow", "meadow", "meadow.example", "mx.meadow.example");
    let daemon = home.start();
    let fetch = |client: &str, more: &[&str]| {
        curl(client, daemon.https.port(), &daemon.root, "mta-sts.meadow.example", more).0
    };
    eventually("a stranger to be served", || (fetch("127.0.0.9", &[]) == 200).then_some(()));
    // curl's own header, version 1.
    assert_eq!(fetch("127.0.0.9", &["--haproxy-protocol"]), 0);
    assert_eq!(fetch("127.0.0.1", &[]), 0);
    assert_eq!(fetch("127.0.0.1", &["--haproxy-protocol"]), 200);
    daemon.wait_for_log("no PROXY header");
    assert_eq!(plain_status(daemon.http, b""), "", "port 80 as well");
    assert_eq!(plain_status(daemon.http, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n"), "HTTP/1.1 404");
}

/// The first words of the answer on plain HTTP to a request behind `header`.
fn plain_status(at: SocketAddr, header: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    stream.write_all(&[header, request].concat()).unwrap();
    let mut answer = String::new();
    // A refusal may come as a reset.
    let _ = stream.read_to_string(&mut answer);
    answer.chars().take(12).collect()
}
