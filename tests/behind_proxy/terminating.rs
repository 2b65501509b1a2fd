//! A proxy ends TLS and has the certificates; the daemon orders none and serves who is asked for.

use crate::{
    proxies::{Proxy, Signed, contrib, curl, two_ports},
    support::{Daemon, Home, eventually},
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

const HOSTS: [&str; 2] = ["mta-sts.meadow.example", "mta-sts.hill.example"];

/// A daemon for proxies alone, with two tenants and without [acme].
fn home() -> Home {
    let home = Home::new("");
    home.write(
        "mta-stsd.toml",
        "tenants = \"tenants.d/*.toml\"\n\
         [listen]\nhttps = []\nbackend = [\"127.0.0.1:0\"]\nbackend_from = [\"127.0.0.1\"]\n\
         [store]\ndirectory = \"state\"\n[cross_check]\nenabled = false\n[admin]\nsocket = \"admin.sock\"\n\
         listen = [\"127.0.0.1:0\"]\n\
         [access_log]\nto = \"access.log\"\nformat = \"json\"\naddresses = \"full\"\n",
    );
    for name in ["meadow", "hill"] {
        home.tenant(name, name, &format!("{name}.example"), &format!("mx.{name}.example"));
    }
    home
}

/// Each host has its own policy through the proxy, in both ways of HTTP, and the client is known.
fn is_served(home: &Home, port: u16, root: &Path, proxy: &Proxy) {
    for host in HOSTS {
        for version in ["--http1.1", "--http2"] {
            let (status, body) = curl("127.0.0.7", port, root, host, &[version]);
            let domain = host.strip_prefix("mta-sts.").unwrap();
            assert_eq!(status, 200, "{host}\n{}", proxy.log());
            assert!(body.contains(&format!("mx: mx.{domain}")), "{host}: {body}");
        }
    }
    // What clients say of themselves is not believed.
    let liar = ["--header", "X-Forwarded-For: 192.0.2.66"];
    assert_eq!(curl("127.0.0.8", port, root, HOSTS[0], &liar).0, 200);
    eventually("the clients in the access log", || {
        let text = fs::read_to_string(home.path("access.log")).unwrap_or_default();
        assert!(!text.contains("192.0.2.66"), "{text}");
        (text.contains("\"127.0.0.7\"") && text.contains("\"127.0.0.8\"")).then_some(())
    });
}

#[test]
fn behind_haproxy_over_http_2() {
    let (home, signed, ports) = (home(), Signed::new(&HOSTS), two_ports());
    let daemon = home.start();
    let text = contrib(
        "haproxy/terminating.cfg",
        &[
            ("bind :443", &format!("bind 127.0.0.1:{}", ports.0)),
            ("/etc/haproxy/certs/", &signed.folder.path().join("both.pem").display().to_string()),
            ("127.0.0.1:8081", &daemon.backend.to_string()),
        ],
    );
    let proxy = Proxy::haproxy(&text, &[ports.0]);
    is_served(&home, ports.0, &signed.root, &proxy);
}

#[test]
fn behind_nginx() {
    let (home, signed, ports) = (home(), Signed::new(&HOSTS), two_ports());
    let daemon = home.start();
    let text = contrib(
        "nginx/terminating.conf",
        &[
            ("listen 443", &format!("listen 127.0.0.1:{}", ports.0)),
            ("/etc/ssl/mta-sts/fullchain.pem", &signed.chain.display().to_string()),
            ("/etc/ssl/mta-sts/privkey.pem", &signed.key.display().to_string()),
            ("127.0.0.1:8081", &daemon.backend.to_string()),
        ],
    );
    let proxy = Proxy::nginx("", &text, &[ports.0]);
    is_served(&home, ports.0, &signed.root, &proxy);
}

#[test]
fn behind_caddy() {
    let (home, ports) = (home(), two_ports());
    let daemon = home.start();
    // Caddy signs by itself here, instead of asking an authority on the internet.
    let options = format!(
        "{{\nadmin off\nauto_https disable_redirects\nskip_install_trust\nlocal_certs\nhttps_port {}\nhttp_port {}\n}}\n",
        ports.0, ports.1
    );
    let text = contrib("caddy/Caddyfile", &[("127.0.0.1:8081", &daemon.backend.to_string())]);
    let proxy = Proxy::caddy(&(options + &text), &[ports.0]);
    let root = proxy.folder.path().join("data/caddy/pki/authorities/local/root.crt");
    let fetched = |host| curl("127.0.0.7", ports.0, &root, host, &[]).0;
    eventually("Caddy's certificates", || HOSTS.iter().all(|host| fetched(host) == 200).then_some(()));
    is_served(&home, ports.0, &root, &proxy);
}

#[test]
fn no_certificate_is_ordered_and_every_command_says_so() {
    let home = home();
    let mut daemon = home.start();
    let said = |args: &[&str]| {
        let output = home.run(args);
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.code().unwrap(), text)
    };
    let (code, check) = said(&["check"]);
    assert_eq!(code, 0, "{check}");
    assert!(
        check.contains("2 domains to serve to a proxy, which has the certificates; 0 faults, 0 warnings"),
        "{check}"
    );
    let (_, status) = said(&["status"]);
    assert!(status.contains("no certificates are ordered: without listen.https"), "{status}");
    assert!(status.contains("without a valid certificate: 0;"), "{status}");
    assert!(status.contains("nothing needs attention"), "{status}");
    assert!(status.contains("certificate  the proxy's: none is ordered here"), "{status}");
    assert!(!status.contains("internal root"), "{status}");
    let (_, plan) = said(&["plan"]);
    assert!(plan.starts_with("no certificates are ordered"), "{plan}");
    let (_, records) = said(&["records", "meadow.example"]);
    assert!(records.contains("_mta-sts.meadow.example") && !records.contains("CAA"), "{records}");
    let line = daemon.wait_for_log("listening for the admin page");
    let address = serde_json::from_str::<serde_json::Value>(&line).unwrap()["address"].clone();
    let page = |path: &str| {
        let url = format!("http://{}{path}", address.as_str().unwrap());
        let output = Command::new("curl").args(["--silent", "--noproxy", "*", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for path in ["/", "/domains", "/domains/meadow.example"] {
        let text = page(path);
        assert!(text.contains("the proxy"), "{path}: {text}");
        assert!(!text.contains("no certificate") && !text.contains("there is none"), "{path}: {text}");
    }
    assert!(!home.path("state/internal-root.pem").exists());
    assert!(!daemon.log().iter().any(|line| line.contains("certificate issued")));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn the_backend_is_for_listed_networks_alone() {
    let home = home();
    let daemon = home.start();
    assert!(asked(&daemon, "127.0.0.1").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(asked(&daemon, "127.0.0.9"), "");
}

/// What the backend answers to a client at this address.
fn asked(daemon: &Daemon, client: &str) -> String {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{client}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&daemon.backend.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let request =
        format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", HOSTS[0]);
    let mut answer = String::new();
    // A refusal may come as a reset, in either place.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What was held before the proxy came is kept, and nothing more is done about it.
#[test]
fn a_fleet_that_moves_behind_a_proxy_keeps_what_it_holds() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx.meadow.example");
    let mut daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx.meadow.example");
    assert_eq!(daemon.stop(), 0);
    home.write_main("[listen]\nhttps = []\nbackend = [\"127.0.0.1:0\"]\n");
    let mut daemon = home.start();
    assert!(asked(&daemon, "127.0.0.1").starts_with("HTTP/1.1 200 OK\r\n"));
    let listed = eventually("the host to be let go", || {
        let listed = String::from_utf8(home.run(&["certificates", "--json"]).stdout).unwrap();
        listed.contains("\"gone\"").then_some(listed)
    });
    assert!(listed.contains(HOSTS[0]), "{listed}");
    assert_eq!(daemon.stop(), 0);
    // Back again: the certificate is there, and no other is ordered.
    home.write_main("");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx.meadow.example");
    assert!(!daemon.log().iter().any(|line| line.contains("certificate issued")));
}

/// The listener for proxies is handed over as the others are.
#[test]
fn an_upgrade_keeps_the_backend() {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            // Already ended is fine: this only makes sure of it.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let home = home();
    let mut daemon = home.start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
    command.args(["serve", "--take-over", "--config"]).arg(home.main_file()).stderr(Stdio::null());
    let _successor = Ended(command.spawn().unwrap());
    assert_eq!(daemon.exit_code(), 0);
    assert!(asked(&daemon, "127.0.0.1").starts_with("HTTP/1.1 200 OK\r\n"));
}

/// Moving the file away is what logrotate does.
#[test]
fn the_access_log_goes_on_in_a_new_file_after_a_rotation() {
    let home = home();
    let daemon = home.start();
    let lines = |name: &str| fs::read_to_string(home.path(name)).unwrap_or_default().lines().count();
    asked(&daemon, "127.0.0.1");
    eventually("the first line", || (lines("access.log") == 1).then_some(()));
    fs::rename(home.path("access.log"), home.path("access.log.1")).unwrap();
    asked(&daemon, "127.0.0.1");
    eventually("the second line", || (lines("access.log") == 1).then_some(()));
    assert_eq!(lines("access.log.1"), 1);
    let mode = Command::new("stat").args(["-c", "%a"]).arg(home.path("access.log")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&mode.stdout), "600\n");
}
