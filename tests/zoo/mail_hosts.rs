//! The hosts that take mail: one Postfix with a service for each of its faces, and scripted servers.

use crate::{
    certificates::{Issued, Office, Paper},
    scripted_smtp,
};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::chown,
    path::Path,
    process::{Child, Command},
};

/// A CNAME of the host `aliased`, in everybody's certificate.
const ALIAS: &str = "alias.zoo.example";

/// One host `NAME.zoo.example`.
pub struct MailHost {
    pub name: &'static str,
    pub mta: Mta,
    pub tlsa: Option<Tlsa>,
}

/// What listens on its port 25.
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
    pub fn new(name: &'static str, mta: Mta) -> Self {
        Self { name, mta, tlsa: None }
    }

    pub fn tlsa(self, tlsa: Tlsa) -> Self {
        Self { tlsa: Some(tlsa), ..self }
    }

    /// The name in DNS.
    pub fn host(&self) -> String {
        format!("{}.zoo.example", self.name)
    }
}

/// The address of the host at `index` of the table.
pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(11, 2, 0, u8::try_from(index + 1).unwrap())
}

/// The certificate of each host, in the table's order.
pub fn papers(hosts: &[MailHost], office: &Office) -> Vec<Issued> {
    let paper = |mta: &Mta| if let Mta::Postfix(paper, _) = mta { *paper } else { Paper::Good };
    hosts.iter().map(|host| office.issue(&[host.host(), ALIAS.to_owned()], paper(&host.mta))).collect()
}

/// Starts Postfix below `folder`.
pub fn start_postfix(folder: &Path, hosts: &[MailHost], papers: &[Issued]) -> Child {
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
             myhostname = mx.zoo.example\ninet_protocols = ipv4\nmydestination =\n\
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
    for (index, (host, paper)) in hosts.iter().zip(papers).enumerate() {
        if let Mta::Postfix(_, options) = &host.mta {
            services += &format!(
                "{}:25 inet n - n - - smtpd\n  -o smtpd_tls_chain_files={} {options}\n",
                address(index),
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
