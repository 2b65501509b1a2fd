//! The hosts that take mail: one Postfix with a service for each of its faces, and scripted servers.

use crate::{
    certificates::{Issued, Office, Paper},
    scripted_smtp,
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::chown,
    path::Path,
    process::{Child, Command},
};

/// A CNAME of the host `aliased`, in everybody's certificate.
const ALIAS: &str = "alias.zoo.example";

/// One host `NAME.zoo.example`.
pub struct MailHost {
    pub name: &'static str,
    /// Behind its A record; without one, it has none.
    four: Option<Mta>,
    /// Behind its AAAA record; without one, it has none.
    six: Option<Mta>,
    tlsa: Option<Tlsa>,
}

/// One address of a host.
pub struct Door {
    /// The host's name below `zoo.example`.
    pub name: &'static str,
    pub address: IpAddr,
    pub mta: Mta,
    pub paper: Issued,
    /// What the host's TLSA record has of this door's certificate.
    pub tlsa: Option<Tlsa>,
}

/// What listens on port 25 of an address.
#[derive(Clone, Copy)]
pub enum Mta {
    /// Postfix with this certificate and these options for `master.cf`.
    Postfix(Paper, &'static str),
    /// A server of the zoo's own.
    Script(scripted_smtp::Script),
    /// Nothing.
    Nobody,
}

/// The TLSA record at `_25._tcp.HOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tlsa {
    /// `3 1 1` with the digest of the key in use.
    Match,
    /// `2 1 1` with the digest of the intermediate authority's key, and a record for reports about the host.
    Anchor,
    /// `3 1 1` with another digest.
    Mismatch,
    /// `1 1 1` with the right digest.
    Usage1,
    /// Its zone's server has lost the file.
    Lost,
}

impl MailHost {
    /// A host with an A record.
    pub fn new(name: &'static str, mta: Mta) -> Self {
        Self { name, four: Some(mta), six: None, tlsa: None }
    }

    /// The same with an AAAA record.
    pub fn and_six(self, mta: Mta) -> Self {
        Self { six: Some(mta), ..self }
    }

    /// A host with an AAAA record alone.
    pub fn only_six(name: &'static str, mta: Mta) -> Self {
        Self { name, four: None, six: Some(mta), tlsa: None }
    }

    pub fn tlsa(self, tlsa: Tlsa) -> Self {
        Self { tlsa: Some(tlsa), ..self }
    }

    /// Its doors: `11.2.0.x` and `2a11:2::x`, where x follows from its place in the table.
    fn doors(&self, index: usize, office: &Office) -> Vec<Door> {
        let last = u8::try_from(index + 1).unwrap();
        let addresses: [(IpAddr, Option<Mta>); 2] = [
            (Ipv4Addr::new(11, 2, 0, last).into(), self.four),
            (Ipv6Addr::new(0x2a11, 2, 0, 0, 0, 0, 0, last.into()).into(), self.six),
        ];
        let named = [format!("{}.zoo.example", self.name), ALIAS.to_owned()];
        let door = |(address, mta): (IpAddr, Option<Mta>)| {
            let mta = mta?;
            let paper = if let Mta::Postfix(paper, _) = mta { paper } else { Paper::Good };
            let paper = office.issue_as(&format!("{address}"), &named, paper);
            let tlsa = self.tlsa.filter(|_| address.is_ipv4());
            Some(Door { name: self.name, address, mta, paper, tlsa })
        };
        addresses.into_iter().filter_map(door).collect()
    }
}

impl Door {
    /// The host's name in DNS.
    pub fn host(&self) -> String {
        format!("{}.zoo.example", self.name)
    }
}

/// The doors of all hosts, each with its certificate.
pub fn doors(hosts: &[MailHost], office: &Office) -> Vec<Door> {
    hosts.iter().enumerate().flat_map(|(index, host)| host.doors(index, office)).collect()
}

/// Starts Postfix below `folder`.
pub fn start_postfix(folder: &Path, doors: &[Door]) -> Child {
    let [config, queue, data] = ["postfix", "queue", "data"].map(|name| folder.join(name));
    for one in [&config, &queue, &data] {
        fs::create_dir_all(one).unwrap();
    }
    let user = id("-u");
    chown(&data, Some(user), None).unwrap();
    let shown = folder.display();
    fs::write(
        config.join("main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {shown}/queue\ndata_directory = {shown}/data\n\
             maillog_file = {shown}/mail.log\nmaillog_file_prefixes = /\n\
             myhostname = mx.zoo.example\ninet_protocols = all\nmydestination =\n\
             smtpd_peername_lookup = no\nsmtpd_client_connection_count_limit = 0\n\
             smtpd_tls_security_level = may\nsmtpd_tls_loglevel = 1\n\
             smtpd_tls_protocols = >=TLSv1.2\n\
             tls_low_cipherlist = ALL:@SECLEVEL=0\n"
        ),
    )
    .unwrap();
    let mut services = "postlog unix-dgram n - n - 1 postlogd\n\
         anvil unix - - n - 1 anvil\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         proxymap unix - - n - - proxymap\n\
         rewrite unix - - n - - trivial-rewrite\n"
        .to_owned();
    for Door { address, mta, paper, .. } in doors {
        if let Mta::Postfix(_, options) = mta {
            let place = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            services += &format!(
                "{place}:25 inet n - n - - smtpd\n  -o smtpd_tls_chain_files={} {options}\n",
                paper.file.display()
            );
        }
    }
    fs::write(config.join("master.cf"), services).unwrap();
    Command::new("postfix")
        .arg("-c")
        .arg(&config)
        .arg("start-fg")
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run postfix ({error}): install its Debian package"))
}

/// A number of the user `postfix`.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postfix"]).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .expect("Debian's package postfix makes this user")
}
