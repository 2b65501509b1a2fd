//! DNS: Knot has a signed root, `example` below it and the zones cut out of that; Unbound validates.

use crate::{
    exhibits::{BEYOND, Exhibit, PARENT, WEB, Zone},
    mail_hosts::{Door, Tlsa},
    scripted_dns,
};
use std::{fs, net::IpAddr, path::Path, process::Command};

/// Where Knot listens.
pub const AUTHORITATIVE: &str = "11.0.0.53";

/// Where a Knot listens that has no zones.
pub const LAME: &str = "11.0.0.54";

/// A promise of signatures that nobody keeps.
const BROKEN_PROMISE: &str = "DS 4711 13 2 1111111111111111111111111111111111111111111111111111111111111111";

const REPORTS: &str = "v=TLSRPTv1; rua=mailto:reports@zoo.example";

const SOA: &str =
    "@ SOA ns.zoo.example. hostmaster.zoo.example. 1 3600 600 86400 300\n@ NS ns.zoo.example.\n";

/// The files of all zones, and which of them Knot knows.
struct Zones<'a> {
    folder: &'a Path,
    parent: String,
    known: Vec<String>,
}

/// Writes `knot.conf`, `unbound.conf` and all zones; makes the keys.
pub fn write(folder: &Path, exhibits: &[Exhibit], doors: &[Door]) {
    fs::create_dir_all(folder.join("zones")).unwrap();
    let mut zones = Zones { folder, parent: format!("$ORIGIN {PARENT}.\n$TTL 300\n{SOA}"), known: vec![] };
    zones.parent += &format!(
        "ns.zoo A {AUTHORITATIVE}\nlame-ns.zoo A {LAME}\nodd-ns.zoo A {}\nbeyond.zoo A {}\nweb.zoo A {}\nalias.zoo CNAME aliased.zoo\nprivate.zoo A 192.168.25.25\n\
         no-address.zoo TXT \"no address\"\n",
        scripted_dns::ADDRESS,
        BEYOND,
        WEB[0]
    );
    for door in doors {
        zones.parent += &match door.address {
            IpAddr::V4(address) => format!("{}.zoo A {address}\n", door.name),
            IpAddr::V6(address) => format!("{}.zoo AAAA {address}\n", door.name),
        };
        zones.tlsa(door);
    }
    for exhibit in exhibits {
        zones.add(exhibit);
    }
    let parent = std::mem::take(&mut zones.parent);
    zones.file(PARENT, &parent);
    let mut known: String = zones.known.iter().map(|name| zone_of(folder, name, "")).collect();
    for name in [".", PARENT] {
        known += &zone_of(folder, name, "    dnssec-signing: on\n    dnssec-policy: zoo\n");
    }
    let shown = folder.display();
    fs::create_dir_all(folder.join("knot")).unwrap();
    fs::write(
        folder.join("knot.conf"),
        format!(
            "server:\n    rundir: {shown}/knot\n    listen: [ {AUTHORITATIVE}@53 ]\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: {shown}/knot\n\
             policy:\n  - id: zoo\n    manual: on\n    single-type-signing: on\n\
             zone:\n{known}"
        ),
    )
    .unwrap();
    fs::create_dir_all(folder.join("lame")).unwrap();
    fs::write(
        folder.join("lame.conf"),
        format!(
            "server:\n    rundir: {shown}/lame\n    listen: [ {LAME}@53 ]\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: {shown}/lame\n"
        ),
    )
    .unwrap();
    let [anchor, link] = [".", PARENT].map(|zone| {
        keymgr(folder, &[zone, "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes"]);
        // Digest type 2 is SHA-256; the other that is printed is SHA-384.
        let all = keymgr(folder, &[zone, "ds"]);
        all.lines().find(|line| line.contains(" 13 2 ")).expect("a DS record").to_owned()
    });
    let root = format!(
        "$ORIGIN .\n$TTL 300\n{SOA}{PARENT} NS ns.zoo.example.\n{link}\nns.zoo.example A {AUTHORITATIVE}\n"
    );
    fs::write(folder.join("zones/root.zone"), root).unwrap();
    fs::write(
        folder.join("unbound.conf"),
        format!(
            "server:\n  interface: 127.0.0.1\n  do-daemonize: no\n  use-syslog: no\n  do-ip6: no\n\
             \x20 chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  directory: \"{shown}\"\n  num-threads: 1\n  rrset-roundrobin: no\n  cache-max-ttl: 604800\n\
             \x20 module-config: \"validator iterator\"\n  trust-anchor: \"{anchor}\"\n  trust-anchor-signaling: no\n\
             remote-control:\n  control-enable: no\n\
             stub-zone:\n  name: \".\"\n  stub-addr: {AUTHORITATIVE}\n"
        ),
    )
    .unwrap();
}

impl Zones<'_> {
    /// Writes the lines of a zone that Knot knows; `text` is complete.
    fn file(&mut self, name: &str, text: &str) {
        fs::write(self.folder.join(format!("zones/{name}.zone")), text).unwrap();
    }

    fn tlsa(&mut self, door: &Door) {
        let Door { name, paper, .. } = door;
        let digest_of = |key: &[u8]| -> String {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key);
            digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
        };
        let digest = digest_of(&paper.public_key);
        let data = match door.tlsa {
            None => return,
            Some(Tlsa::Match) => format!("3 1 1 {digest}"),
            Some(Tlsa::Anchor) => {
                self.parent += &format!("_smtp._tls.{name}.zoo TXT \"{REPORTS}\"\n");
                format!("2 1 1 {}", digest_of(&paper.authority_key))
            }
            Some(Tlsa::Mismatch) => format!("3 1 1 {}", "11".repeat(32)),
            Some(Tlsa::Usage1) => format!("1 1 1 {digest}"),
            Some(Tlsa::Lost) => {
                return self.cut(&format!("_25._tcp.{name}.zoo"), Zone::Lost, "");
            }
        };
        self.parent += &format!("_25._tcp.{name}.zoo TLSA {data}\n");
    }

    fn add(&mut self, exhibit: &Exhibit) {
        let host = exhibit.host_lines();
        let lines = [&exhibit.mail, &exhibit.record, &host, &exhibit.reports, &exhibit.more]
            .map(|lines| lines.trim_end())
            .join("\n");
        if exhibit.zone == Zone::Parents {
            self.parent += &format!("$ORIGIN {}.\n{lines}\n$ORIGIN {PARENT}.\n", exhibit.domain());
        } else {
            self.cut(exhibit.name, exhibit.zone, &lines);
        }
        for (label, zone) in &exhibit.cuts {
            self.cut(&format!("{label}.{}", exhibit.name), *zone, "");
        }
    }

    /// A zone of its own below [`PARENT`].
    fn cut(&mut self, name: &str, zone: Zone, lines: &str) {
        if zone == Zone::Missing {
            return;
        }
        let server = match zone {
            Zone::Lame => "lame-ns",
            Zone::Odd => "odd-ns",
            _ => "ns",
        };
        self.parent += &format!("{name} NS {server}.zoo.example.\n");
        if zone == Zone::Bogus {
            self.parent += &format!("{name} {BROKEN_PROMISE}\n");
        }
        let full = format!("{name}.{PARENT}");
        if !matches!(zone, Zone::Lame | Zone::Odd) {
            self.known.push(full.clone());
        }
        if matches!(zone, Zone::Unsigned | Zone::Bogus) {
            self.file(&full, &format!("$ORIGIN {full}.\n$TTL 300\n{SOA}{lines}\n"));
        }
    }
}

fn zone_of(folder: &Path, name: &str, more: &str) -> String {
    let file = if name == "." { "root" } else { name };
    format!(
        "  - domain: {name}\n    storage: {}/zones\n    file: {file}.zone\n    zonefile-sync: -1\n{more}",
        folder.display()
    )
}

fn keymgr(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("keymgr").arg("-c").arg(folder.join("knot.conf")).args(arguments).output().unwrap();
    assert!(output.status.success(), "keymgr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
