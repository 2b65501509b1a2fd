//! A real authority, and a home of the daemon where that authority looks for answers.

use crate::{
    pebble::{Options, Pebble, free_port},
    support::{Daemon, Fetched, Home, eventually, fetch},
};
use std::{net::SocketAddr, path::PathBuf};

/// Pebble that looks for answers where the daemon listens, and the daemon's home.
pub struct Rig {
    pub pebble: Pebble,
    pub home: Home,
    /// HTTPS, and plain HTTP.
    pub ports: (u16, u16),
    /// PEM of the roots that senders trust.
    pub root: PathBuf,
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

    pub fn write_main(&self) {
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
pub fn issued(daemon: &Daemon) -> usize {
    daemon.log().iter().filter(|line| line.contains("\"certificate issued\"")).count()
}
