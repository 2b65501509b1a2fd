//! Opens the zoo in the network namespace that this process was started in: ports 53, 443 and 25 of a
//! loopback that has 11.0.0.0/8 and 2a11::/16 as its own.
//!
//! These addresses look public, so the audit dials them without being told to allow private ones.

use crate::{
    certificates::{Issued, Office, Paper},
    exhibits::{self, Exhibit, Web},
    mail_hosts::{self, Door, Mta},
    ours, scripted_dns, scripted_https, scripted_smtp, web, zones,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::ResolvesServerCertUsingSni,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    fs,
    io::{self, Read},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);

/// The open zoo. Its servers end with this value, and at the latest with the namespace.
pub struct Zoo {
    pub folder: PathBuf,
    pub exhibits: Vec<Exhibit>,
    processes: Vec<(&'static str, Child)>,
}

impl Drop for Zoo {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            // Already ended is fine: this only makes sure of it.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Zoo {
    /// Starts everything below `folder` and waits until it answers.
    pub fn open(folder: &Path) -> Self {
        let office = Office::open(folder);
        let exhibits = exhibits::all();
        let doors = mail_hosts::doors(&exhibits::mail_hosts(), &office);
        zones::write(folder, &exhibits, &doors);
        web::write(folder, &exhibits, &office);
        ours::write(folder, &exhibits);
        be_the_internet(folder, &doors);

        let mut zoo = Self { folder: folder.to_owned(), exhibits, processes: vec![] };
        zoo.start("knotd", &["-c", "knot.conf"]);
        zoo.start("knotd", &["-c", "lame.conf"]);
        zoo.start("unbound", &["-d", "-c", "unbound.conf"]);
        let here = folder.display().to_string();
        zoo.start("nginx", &["-p", &here, "-e", "stderr", "-c", "nginx.conf"]);
        zoo.processes.push(("postfix", mail_hosts::start_postfix(folder, &doors)));
        for address in [scripted_dns::ADDRESS, scripted_dns::RESOLVER] {
            let socket = UdpSocket::bind((address, 53)).unwrap();
            thread::spawn(move || scripted_dns::serve(&socket));
        }
        for exhibit in &zoo.exhibits {
            if let Web::Script(script) = exhibit.web {
                let issued = office.issue(&[exhibit.policy_host()], Paper::Good);
                let tls = Arc::new(server_config(&issued, script.alpn()));
                listen(script.address().into(), 443, move |tcp| scripted_https::serve(script, tcp, &tls));
            }
        }
        for door in &doors {
            if let Mta::Script(script) = door.mta {
                let tls = if script == scripted_smtp::Script::NeedsServerName {
                    Arc::new(server_config_for(&door.host(), &door.paper))
                } else {
                    Arc::new(server_config(&door.paper, vec![]))
                };
                listen(door.address, 25, move |tcp| scripted_smtp::serve(script, tcp, &tls));
            }
        }
        zoo.wait_until_open(&doors);
        zoo
    }

    fn start(&mut self, program: &'static str, arguments: &[&str]) {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join(format!("{program}.log")))
            .unwrap();
        let process = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install its Debian package"));
        self.processes.push((program, process));
    }

    fn wait_until_open(&self, doors: &[Door]) {
        let answers = |kind: &str, name: &str| {
            let output =
                Command::new("kdig").args(["+short", "+timeout=2", "@127.0.0.1", kind, name]).output();
            output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
        };
        self.eventually("Unbound", || answers("TXT", "_mta-sts.good.example"));
        for address in exhibits::WEB.into_iter().chain([exhibits::WEB_SIX]) {
            self.eventually("nginx", || connects(address.parse().unwrap(), 443));
        }
        for door in doors.iter().filter(|door| matches!(door.mta, Mta::Postfix(..))) {
            self.eventually(door.name, || greets(door.address));
        }
    }

    fn eventually(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            if begun.elapsed() > PATIENCE {
                for log in ["knotd.log", "unbound.log", "nginx.log", "mail.log"] {
                    let text = fs::read_to_string(self.folder.join(log)).unwrap_or_default();
                    eprintln!("--- {log}\n{text}");
                }
                panic!("waited in vain for {what}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// All of 11.0.0.0/8 and 2a11::/16 is here but [`exhibits::BEYOND`], to which no way leads; Unbound
/// resolves, and the zoo's root is the only one that is trusted.
fn be_the_internet(folder: &Path, doors: &[Door]) {
    fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    run("ip", &["link", "set", "lo", "up"]);
    run("ip", &["route", "add", "local", "11.0.0.0/8", "dev", "lo"]);
    // Else programs that ask for addresses they could use (AI_ADDRCONFIG) would see IPv6 alone.
    run("ip", &["address", "add", "11.0.0.1/32", "dev", "lo"]);
    run("ip", &["-6", "route", "add", "local", "2a11::/16", "dev", "lo"]);
    // Unlike those of IPv4, addresses that only a route has cannot be listened at.
    let six =
        doors.iter().map(|door| door.address).filter(IpAddr::is_ipv6).map(|address| address.to_string());
    for address in six.chain([exhibits::WEB_SIX.to_owned()]) {
        run("ip", &["-6", "address", "add", &format!("{address}/128"), "dev", "lo", "nodad"]);
    }
    run("ip", &["route", "add", "unreachable", exhibits::BEYOND, "table", "local"]);
    for (ours, theirs) in
        [("resolv.conf", "/etc/resolv.conf"), ("root.pem", "/etc/ssl/certs/ca-certificates.crt")]
    {
        run("mount", &["--bind", folder.join(ours).to_str().unwrap(), theirs]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn connects(address: IpAddr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(2)).is_ok()
}

fn greets(address: IpAddr) -> bool {
    let Ok(mut tcp) = TcpStream::connect_timeout(&SocketAddr::from((address, 25)), Duration::from_secs(2))
    else {
        return false;
    };
    let mut greeting = [0; 4];
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    tcp.read_exact(&mut greeting).is_ok() && greeting == *b"220 "
}

/// Serves each connection in a thread; these end with the process.
fn listen<F>(address: IpAddr, port: u16, serve: F)
where
    F: Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
{
    let listener = TcpListener::bind((address, port)).unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(tcp));
        }
    });
}

fn certified(issued: &Issued) -> CertifiedKey {
    let key = aws_lc_rs::sign::any_supported_type(&issued.key()).unwrap();
    CertifiedKey::new(issued.chain.clone(), key)
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
}

fn server_config(issued: &Issued, alpn: Vec<Vec<u8>>) -> ServerConfig {
    let resolver = Arc::new(SingleCertAndKey::from(certified(issued)));
    let mut config = builder().with_cert_resolver(resolver);
    config.alpn_protocols = alpn;
    config
}

/// Answers whoever names `host`, and nobody else.
fn server_config_for(host: &str, issued: &Issued) -> ServerConfig {
    let mut resolver = ResolvesServerCertUsingSni::new();
    resolver.add(host, certified(issued)).unwrap();
    builder().with_cert_resolver(Arc::new(resolver))
}
