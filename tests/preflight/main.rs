//! The preflight against real DNS: Knot DNS has the zones, Unbound resolves and validates.
//!
//! The zones are those of `zones/`; the trust anchor for `bogus.example` is not that of its zone, which
//! has no signatures at all, so a validating resolver must not believe what it says.

use mta_stsd::{
    acme::{
        authority::CaaIdentity,
        preflight::{Ours, PreflightCode, examine},
    },
    dns::{DnsName, HickoryLookup, Lookup, Settings, caa::Method},
    name::PolicyHost,
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

const EXAMPLE: &str = "\
$ORIGIN example.
$TTL 60
@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1

; A customer who lets another authority issue, by a CNAME and by addresses (A-64).
alias CAA 0 issue \"other-ca.example\"
mta-sts.alias CNAME token.mta-sts.provider
token.mta-sts.provider A 192.0.2.1
token.mta-sts.provider AAAA 2001:db8::1
token.mta-sts.provider CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/1; validationmethods=tls-alpn-01\"
direct CAA 0 issue \"other-ca.example\"
mta-sts.direct A 192.0.2.1

; The target has no CAA records, so those of the customer decide, and not those of the target's parent.
parent CAA 0 issue \"other-ca.example\"
mta-sts.parent CNAME bare.mta-sts.provider
mta-sts.provider CAA 0 issue \"ca.example\"
bare.mta-sts.provider A 192.0.2.1

good A 192.0.2.99
mta-sts.good A 192.0.2.1
mta-sts.good AAAA 2001:db8::1
leaver A 192.0.2.99
forgotten A 192.0.2.99
mta-sts.forgotten A 192.0.2.1
mta-sts.forgotten AAAA 2001:db8::7
mta-sts.empty TXT \"no address\"
mta-sts.circle CNAME other.circle
other.circle CNAME mta-sts.circle
";

const BOGUS: &str = "\
$ORIGIN bogus.example.
$TTL 60
@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60
@ NS ns.example.
mta-sts A 192.0.2.1
";

/// Signed by Knot DNS; Unbound has its key as a trust anchor.
const SIGNED: &str = "\
$ORIGIN signed.example.
$TTL 60
@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60
@ NS ns.example.
_mta-sts TXT \"v=STSv1; \" \"id=1;\"
_25._tcp.mx TLSA 3 1 1 0707070707070707070707070707070707070707070707070707070707070707
";

/// Both servers; they end with this value.
struct Dns {
    resolver: SocketAddr,
    processes: Vec<Child>,
    _folder: TempDir,
}

impl Drop for Dns {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Already ended is fine: this only makes sure of it.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A port that is free for UDP and TCP.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn spawn(program: &str, folder: &Path, arguments: &[&str]) -> Child {
    let log = fs::File::create(folder.join(format!("{program}.log"))).unwrap();
    Command::new(program)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install its Debian package"))
}

/// Runs Knot's keeper of keys and returns what it says.
fn keymgr(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("keymgr")
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .args(["-c", "knot.conf"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Dns {
    fn start() -> Self {
        let folder = TempDir::with_prefix("mta-stsd-dns-").unwrap();
        let at = folder.path();
        let (knot, resolver, closed) = (free_port(), free_port(), free_port());
        fs::write(at.join("example.zone"), EXAMPLE).unwrap();
        fs::write(at.join("bogus.zone"), BOGUS).unwrap();
        fs::write(at.join("signed.zone"), SIGNED).unwrap();
        let shown = at.display();
        fs::write(
            at.join("knot.conf"),
            format!(
                "server:\n    rundir: {shown}\n    listen: [ 127.0.0.1@{knot} ]\n\
                 database:\n    storage: {shown}\n\
                 policy:\n  - id: manual\n    manual: on\n\
                 zone:\n  - domain: example\n    storage: {shown}\n    file: example.zone\n\
                 \x20 - domain: bogus.example\n    storage: {shown}\n    file: bogus.zone\n\
                 \x20 - domain: signed.example\n    storage: {shown}\n    file: signed.zone\n    \
                 dnssec-signing: on\n    dnssec-policy: manual\n"
            ),
        )
        .unwrap();
        keymgr(at, &["signed.example", "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes"]);
        let signed = keymgr(at, &["signed.example", "ds"]);
        let signed = signed.lines().next().unwrap();
        let anchor = "11".repeat(32);
        let stub = |zone: &str, port: u16| {
            format!("stub-zone:\n  name: \"{zone}\"\n  stub-addr: 127.0.0.1@{port}\n  stub-no-cache: yes\n")
        };
        fs::write(
            at.join("unbound.conf"),
            format!(
                "server:\n  interface: 127.0.0.1@{resolver}\n  do-daemonize: no\n  use-syslog: no\n\
                 \x20 chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  directory: \"{shown}\"\n\
                 \x20 do-not-query-localhost: no\n  do-ip6: no\n  num-threads: 1\n\
                 \x20 module-config: \"validator iterator\"\n\
                 \x20 trust-anchor: \"bogus.example. DS 4711 13 2 {anchor}\"\n\
                 \x20 trust-anchor: \"{signed}\"\n\
                 remote-control:\n  control-enable: no\n{}{}{}{}",
                stub("example", knot),
                stub("bogus.example", knot),
                stub("signed.example", knot),
                stub("dead.example", closed),
            ),
        )
        .unwrap();
        let processes = vec![
            spawn("knotd", at, &["-c", "knot.conf"]),
            spawn("unbound", at, &["-d", "-c", "unbound.conf"]),
        ];
        let resolver = SocketAddr::from((Ipv4Addr::LOCALHOST, resolver));
        Self { resolver, processes, _folder: folder }
    }

    fn lookup(&self) -> HickoryLookup {
        let servers = vec![self.resolver];
        let timeout = Duration::from_secs(2);
        HickoryLookup::new(&Settings { servers, timeout, retries: 1, lookups_at_once: 8, trust_ad: false })
            .unwrap()
    }

    /// What stands against an order for the policy host of `domain`.
    async fn findings(&self, domain: &str) -> Vec<(PreflightCode, String)> {
        let host = PolicyHost::from_full_name(&format!("mta-sts.{domain}")).unwrap();
        let issuer = CaaIdentity {
            identities: vec!["ca.example".into()],
            account_uri: Some("https://ca.example/acct/1".into()),
        };
        let ours = Ours::of(&["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()], &[]);
        let methods = [Method::TlsAlpn01];
        let found = examine(&self.lookup(), &host, &ours, Some(&issuer), &methods).await;
        found.into_iter().map(|finding| (finding.code, finding.to_string())).collect()
    }

    /// The one finding for `domain`.
    #[track_caller]
    fn only(found: Vec<(PreflightCode, String)>) -> (PreflightCode, String) {
        let [one] = <[_; 1]>::try_from(found).unwrap_or_else(|found| panic!("{found:?}"));
        one
    }

    async fn wait_until_up(&self) {
        let begun = Instant::now();
        while !self.findings("good.example").await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.findings("good.example").await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

// Standards, each against servers that did not come from us.
#[tokio::test]
async fn real_servers_tell_what_stands_against_an_order() {
    let dns = Dns::start();
    dns.wait_until_up().await;

    assert_eq!(dns.findings("alias.example").await, [], "the target's own CAA records decide");
    for domain in ["direct.example", "parent.example"] {
        let (code, text) = Dns::only(dns.findings(domain).await);
        assert_eq!(code, PreflightCode::CaaForbids, "{text}");
        assert!(text.contains(&format!("CAA 0 issue \"other-ca.example\" at {domain} ")), "{text}");
    }
    for (domain, code, words) in [
        ("forgotten.example", PreflightCode::ForeignAddress, "AAAA 2001:db8::7 is not ours"),
        ("leaver.example", PreflightCode::NoSuchName, "mta-sts.leaver.example does not exist"),
        ("empty.example", PreflightCode::NoAddress, "neither an A nor an AAAA"),
        ("bogus.example", PreflightCode::DnssecBogus, "mta-sts.bogus.example"),
        ("dead.example", PreflightCode::Unanswered, "mta-sts.dead.example"),
        ("circle.example", PreflightCode::TooManyCnames, "mta-sts.circle.example"),
    ] {
        let (found, text) = Dns::only(dns.findings(domain).await);
        assert_eq!(found, code, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_validating_resolver_vouches_for_what_is_signed() {
    let dns = Dns::start();
    let lookup = dns.lookup();
    let name = DnsName::new("_mta-sts.signed.example");
    let begun = Instant::now();
    let found = loop {
        match lookup.txt(&name).await {
            Ok(found) => break found,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(found.data.records, [[b"v=STSv1; ".to_vec(), b"id=1;".to_vec()]]);
    assert!(found.secure);
    let tlsa = lookup.tlsa(&DnsName::new("_25._tcp.mx.signed.example")).await.unwrap();
    assert!(tlsa.secure && tlsa.data.records.len() == 1, "{tlsa:?}");
    let none = lookup.tlsa(&DnsName::new("_25._tcp.other.signed.example")).await.unwrap();
    assert!(none.secure && !none.data.exists, "{none:?}");
    assert!(!lookup.txt(&DnsName::new("mta-sts.empty.example")).await.unwrap().secure);
}
