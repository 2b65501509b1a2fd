//! The table of exhibits: each domain, what is wrong with it, and every finding it must have.
//!
//! An exhibit begins as a healthy domain: signed, its mail taken by `mx.zoo.example`, a record, a
//! policy in mode enforce, a record for reports. Its row says only what differs. The rows are sorted
//! by topic, one file each.

mod families;
mod mail;
mod ours;
mod policy;
mod record;
mod reports;
mod transport;

use crate::{certificates::Paper, mail_hosts::MailHost, scripted_https};

/// Where the zoo is in DNS: exhibits are children of this name.
pub const PARENT: &str = "example";

/// The common web server's addresses: the second answers for [`Answer::Two`] only, and otherwise.
pub const WEB: [&str; 2] = ["11.1.0.1", "11.1.0.2"];

/// Its address of the other family; for [`Answer::Two`] it answers as the second does.
pub const WEB_SIX: &str = "2a11:1::1";

/// Addresses at which nobody listens on any port.
pub const NOBODY: &str = "11.9.9.9";
pub const NOBODY_SIX: &str = "2a11:9::9";

/// An address to which no way leads, as where a network drops what is for port 25.
pub const BEYOND: &str = "11.25.0.1";

/// One domain.
pub struct Exhibit {
    /// The label below [`PARENT`].
    pub name: &'static str,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// Zone lines, relative to the domain.
    pub mail: String,
    /// Zone lines of `_mta-sts`.
    pub record: String,
    /// Zone lines of `mta-sts`; `None` derives them from who answers there.
    pub host: Option<String>,
    /// Zone lines of `_smtp._tls`.
    pub reports: String,
    /// Zone lines beside those.
    pub more: String,
    /// The zone it is in.
    pub zone: Zone,
    /// Names below the domain that are zones of their own.
    pub cuts: Vec<(&'static str, Zone)>,
    /// Who answers at the policy host.
    pub web: Web,
    /// Whether the configuration of the audit has it as a domain that we serve.
    pub ours: bool,
    /// Whether the mail host has an address that is good beside the one that is not.
    pub another_way: bool,
    /// The codes that the audit must find, all of them, sorted.
    pub expected: Vec<&'static str>,
    /// The codes that an audit of this domain alone must find, where these are others.
    pub expected_alone: Option<Vec<&'static str>>,
}

/// A zone, as seen from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// None of its own: the parent's, which is signed.
    Parents,
    /// Its own, without signatures.
    Unsigned,
    /// Its own, without the signatures that the parent promises.
    Bogus,
    /// Its server has lost the file: SERVFAIL.
    Lost,
    /// Its server does not know it: REFUSED.
    Lame,
    /// Its server is the scripted one.
    Odd,
    /// It is not registered.
    Missing,
}

/// Who answers at the policy host.
pub enum Web {
    /// nginx, under this certificate.
    Nginx(Paper, Answer),
    /// A server of the zoo's own.
    Script(scripted_https::Script),
    /// Nobody listens.
    Nobody,
}

/// What nginx answers.
pub enum Answer {
    /// A body of this type.
    Body(&'static str, Vec<u8>),
    /// The first body at the first address, the second at the others.
    Two(String, String),
    /// These directives of nginx.
    Directives(&'static str),
}

/// A policy as text.
pub fn policy(mode: &str, mx: &[&str], max_age: u64) -> String {
    let mx: String = mx.iter().map(|one| format!("mx: {one}\n")).collect();
    format!("version: STSv1\nmode: {mode}\n{mx}max_age: {max_age}\n")
}

impl Exhibit {
    fn new(name: &'static str, wrong: &'static str) -> Self {
        Self {
            name,
            wrong,
            mail: String::new(),
            record: "_mta-sts TXT \"v=STSv1; id=20261121;\"".to_owned(),
            host: None,
            reports: "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:reports@zoo.example\"".to_owned(),
            more: String::new(),
            zone: Zone::Parents,
            cuts: vec![],
            web: Web::Nobody,
            ours: false,
            another_way: false,
            expected: vec![],
            expected_alone: None,
        }
        .mx(&["mx"])
    }

    /// The domain's name.
    pub fn domain(&self) -> String {
        format!("{}.{PARENT}", self.name)
    }

    /// The hosts `HOST.zoo.example` take the mail, and the policy says so.
    fn mx(mut self, hosts: &[&str]) -> Self {
        self.mail = hosts.iter().map(|host| format!("@ MX 10 {host}.zoo.example.\n")).collect();
        let patterns: Vec<_> = hosts.iter().map(|host| format!("{host}.zoo.example")).collect();
        self.patterns(&patterns.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The policy names these hosts.
    fn patterns(self, patterns: &[&str]) -> Self {
        let body = policy("enforce", patterns, 1_209_600);
        self.body(&body)
    }

    fn mail(self, lines: &str) -> Self {
        Self { mail: lines.to_owned(), ..self }
    }

    fn record(self, lines: &str) -> Self {
        Self { record: lines.to_owned(), ..self }
    }

    /// The data of the one TXT record, in quotes.
    fn txt(self, text: &str) -> Self {
        self.record(&format!("_mta-sts TXT \"{text}\""))
    }

    fn host(self, lines: &str) -> Self {
        Self { host: Some(lines.to_owned()), ..self }
    }

    fn reports(self, lines: &str) -> Self {
        Self { reports: lines.to_owned(), ..self }
    }

    fn more(self, lines: &str) -> Self {
        Self { more: lines.to_owned(), ..self }
    }

    fn zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    fn cut(mut self, label: &'static str, zone: Zone) -> Self {
        self.cuts.push((label, zone));
        self
    }

    fn web(self, web: Web) -> Self {
        Self { web, ..self }
    }

    fn body(self, body: &str) -> Self {
        self.bytes("text/plain", body.as_bytes())
    }

    fn bytes(self, content_type: &'static str, body: &[u8]) -> Self {
        self.web(Web::Nginx(Paper::Good, Answer::Body(content_type, body.to_vec())))
    }

    fn directives(self, directives: &'static str) -> Self {
        self.web(Web::Nginx(Paper::Good, Answer::Directives(directives)))
    }

    /// The healthy policy, under this certificate.
    fn paper(mut self, paper: Paper) -> Self {
        if let Web::Nginx(of, _) = &mut self.web {
            *of = paper;
        }
        self
    }

    fn script(self, script: scripted_https::Script) -> Self {
        self.web(Web::Script(script))
    }

    /// Nothing is published for MTA-STS.
    fn without_policy(self) -> Self {
        self.record("").host("").web(Web::Nobody)
    }

    fn expects(mut self, codes: &[&'static str]) -> Self {
        self.expected = codes.to_vec();
        self.expected.sort_unstable();
        self
    }

    /// What must be found when nothing else is looked at.
    fn expects_alone(mut self, codes: &[&'static str]) -> Self {
        let mut codes = codes.to_vec();
        codes.sort_unstable();
        self.expected_alone = Some(codes);
        self
    }

    /// Zone lines of the policy host.
    pub fn host_lines(&self) -> String {
        let address = match (&self.host, &self.web) {
            (Some(lines), _) => return lines.clone(),
            (None, Web::Nginx(_, Answer::Two(..))) => {
                return format!("mta-sts A {}\nmta-sts A {}", WEB[0], WEB[1]);
            }
            (None, Web::Nginx(..)) => WEB[0].to_owned(),
            (None, Web::Script(script)) => script.address().to_string(),
            (None, Web::Nobody) => NOBODY.to_owned(),
        };
        format!("mta-sts A {address}")
    }

    /// The policy host's name.
    pub fn policy_host(&self) -> String {
        format!("mta-sts.{}", self.domain())
    }
}

/// All exhibits.
pub fn all() -> Vec<Exhibit> {
    let topics = [
        record::exhibits(),
        policy::exhibits(),
        mail::exhibits(),
        transport::exhibits(),
        families::exhibits(),
        reports::exhibits(),
        ours::exhibits(),
    ];
    topics.into_iter().flatten().collect()
}

/// All hosts `NAME.zoo.example` that take mail, or pretend to.
pub fn mail_hosts() -> Vec<MailHost> {
    [transport::hosts(), families::hosts()].into_iter().flatten().collect()
}
