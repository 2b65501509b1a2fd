//! The real daemon against a real authority: first certificates, restarts, kills, and trouble.

use crate::{
    pebble::{Options, Pebble, free_port},
    support::{Daemon, Fetched, Home, eventually, fetch},
};
use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

/// Pebble that looks for answers where the daemon listens, and the daemon's home.
pub struct Rig {
    pub pebble: Pebble,
    pub home: Home,
    pub ports: (u16, u16),
    root: PathBuf,
    acme: String,
}

impl Rig {
    pub async fn start(change: impl FnOnce(&mut Options), acme: &str) -> Self {
        let ports = (free_port(), free_port());
        let mut options = Options { tls_port: ports.0, http_port: ports.1, ..Options::default() };
        change(&mut options);
        let pebble = Pebble::start(options).await;
        let root = pebble.issuing_root();
        let rig = Self { pebble, home: Home::new(""), ports, root, acme: acme.to_owned() };
        rig.write_main();
        rig
    }

    fn write_main(&self) {
        let (https, http) = self.ports;
        self.home.write_main(&format!(
            "[listen]\nhttps = [\"127.0.0.1:{https}\"]\nhttp = [\"127.0.0.1:{http}\"]\n\
             [acme]\ndirectory = \"{}\"\nroot_file = \"{}\"\nterms_of_service_agreed = true\n\
             contact = [\"mailto:postmaster@provider.example\"]\n{}\n\
             [dns]\nservers = [\"{}\"]\n[publish]\naddresses = [\"127.0.0.1\"]\n",
            self.pebble.directory(),
            self.pebble.root_file().display(),
            self.acme,
            self.pebble.dns(),
        ));
    }

    pub fn tenant(&self, domain: &str) {
        self.home.tenant(domain, domain, domain, &format!("mx.{domain}"));
    }

    pub fn fetch(&self, domain: &str) -> Fetched {
        fetch(SocketAddr::from(([127, 0, 0, 1], self.ports.0)), &self.root, domain)
    }

    #[track_caller]
    pub fn wait_for(&self, domain: &str) {
        eventually(&format!("{domain} to be served"), || (self.fetch(domain).status == 200).then_some(()));
    }
}

/// Hosts for which a certificate was issued in this run of the daemon.
fn issued(daemon: &Daemon) -> usize {
    daemon.log().iter().filter(|line| line.contains("\"certificate issued\"")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_gets_a_certificate_by_either_challenge() {
    for acme in ["challenges = [\"tls-alpn-01\"]", "challenges = [\"http-01\"]", ""] {
        let rig = Rig::start(|_| (), acme).await;
        rig.tenant("meadow.example");
        let daemon = rig.home.start();
        rig.wait_for("meadow.example");
        rig.tenant("brook.example");
        rig.wait_for("brook.example");
        assert_eq!(rig.pebble.accounts(), 1, "{acme}");
        assert_eq!(rig.pebble.orders(), 2, "{acme}");
        drop(daemon);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_half_a_minute_is_renewed_before_it_expires() {
    let rig = Rig::start(|options| options.validity = Duration::from_secs(30), "").await;
    rig.tenant("meadow.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    eventually("the renewal", || {
        assert_eq!(rig.fetch("meadow.example").status, 200, "not served while it is renewed");
        (issued(&daemon) > 1).then_some(())
    });
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_the_nonces_refused_costs_nobody_a_certificate() {
    let rig = Rig::start(|options| options.nonce_reject = 50, "").await;
    let domains: Vec<_> = (0..6).map(|n| format!("d{n}.example")).collect();
    domains.iter().for_each(|domain| rig.tenant(domain));
    let _daemon = rig.home.start();
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(rig.pebble.certificates(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_wants_an_external_account_gets_one() {
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let rig = Rig::start(
        |options| options.external_account = Some(("kid-1".into(), mac_key.into())),
        "external_account = { key_id = \"kid-1\", mac_key_file = \"mac.key\" }",
    )
    .await;
    rig.home.write("mac.key", mac_key);
    rig.tenant("meadow.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    assert!(!daemon.log().iter().any(|line| line.contains(mac_key)), "the key is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_cannot_be_validated_delays_nobody_and_says_why() {
    let rig =
        Rig::start(|options| options.blocked = Some("blocked.example".into()), "orders_at_once = 1").await;
    ["blocked.example", "a.example", "b.example"].iter().for_each(|domain| rig.tenant(domain));
    let _daemon = rig.home.start();
    rig.wait_for("a.example");
    rig.wait_for("b.example");
    let shown = eventually("the failure to be shown", || {
        let shown = String::from_utf8(rig.home.run(&["status", "blocked.example"]).stdout).unwrap();
        shown.contains("last failure").then_some(shown)
    });
    assert!(shown.contains("tried again at"), "{shown}");
    assert_eq!(rig.fetch("blocked.example").exit, 35);
}

//
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_dns_leads_elsewhere_costs_no_order_and_is_told() {
    let rig = Rig::start(|_| (), "orders_at_once = 1").await;
    ["away.example", "meadow.example"].iter().for_each(|domain| rig.tenant(domain));
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let line = daemon.wait_for_log("not_ready");
    assert!(line.contains("mta-sts.away.example"), "{line}");
    let shown = String::from_utf8(rig.home.run(&["status", "away.example"]).stdout).unwrap();
    assert!(shown.contains("A 192.0.2.7 is not ours: remove it or point it here"), "{shown}");
    assert_eq!(rig.pebble.orders(), 1);
    assert_eq!(rig.fetch("away.example").exit, 35);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_preflight_the_authority_finds_out() {
    let rig = Rig::start(|_| (), "preflight = { enabled = false }").await;
    rig.tenant("away.example");
    let daemon = rig.home.start();
    let line = daemon.wait_for_log("certificate not issued");
    assert!(line.contains("not_validated"), "{line}");
    assert!(rig.pebble.orders() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_store_serves_while_the_authority_is_down() {
    let mut rig = Rig::start(|_| (), "request_timeout = \"2s\"").await;
    rig.tenant("meadow.example");
    let mut daemon = rig.home.start();
    rig.wait_for("meadow.example");
    assert_eq!(daemon.stop(), 0);
    rig.pebble.stop();

    rig.tenant("late.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let line = daemon.wait_for_log("certificate not issued");
    assert!(line.contains("mta-sts.late.example"), "{line}");
    assert_eq!(rig.fetch("meadow.example").status, 200);
    assert_eq!(issued(&daemon), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_nothing_held_is_ordered_again() {
    const AT_ONCE: usize = 3;
    let rig = Rig::start(|_| (), &format!("orders_at_once = {AT_ONCE}")).await;
    let domains: Vec<_> = (0..12).map(|n| format!("d{n}.example")).collect();
    domains.iter().for_each(|domain| rig.tenant(domain));
    let mut served = 0;
    for kill_after in [2, 3, 3] {
        let mut daemon = rig.home.start();
        let held = read_from_store(&daemon);
        // A kill may come between an order's log line and its commit, for no more than those in flight.
        assert!(held + AT_ONCE >= served, "{held} held after the kill, {served} were issued");
        eventually("some certificates", || (issued(&daemon) >= kill_after).then_some(()));
        daemon.kill();
        served = held + issued(&daemon);
    }
    let mut daemon = rig.home.start();
    let held = read_from_store(&daemon);
    assert!(held + AT_ONCE >= served && held > 0);
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(held + issued(&daemon), domains.len(), "what was held was ordered again");
    assert_eq!(rig.pebble.accounts(), 1, "the account survives every kill");

    let daemon = rig.home.start();
    assert_eq!(read_from_store(&daemon), domains.len());
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(issued(&daemon), 0);
    // No half-written file and no key outside the store.
    let mut files: Vec<_> =
        fs::read_dir(rig.home.path("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
    files.sort();
    assert!(files.iter().all(|name| name.to_string_lossy().starts_with("mta-stsd.db")), "{files:?}");
}

/// Certificates that the daemon found in its store when it started.
fn read_from_store(daemon: &Daemon) -> usize {
    let line = daemon.wait_for_log("certificates read from the store");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    usize::try_from(json["held"].as_u64().unwrap()).unwrap()
}
