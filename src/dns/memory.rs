//! A [`Lookup`] that answers from memory, for tests and simulation.

use super::{
    Addresses, Answer, CNAMES_MAX, CaaAnswer, CaaRecord, DnsName, Lookup, MxAnswer, MxHost, MxRecord,
    TlsaAnswer, TlsaRecord, TxtAnswer, Unanswered, UnansweredKind,
};
use crate::name::DomainName;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// DNS as a test wants it to be; a domain it was told nothing about does not exist.
#[derive(Debug, Default)]
pub struct MemoryLookup {
    domains: Mutex<HashMap<DomainName, Domain>>,
    names: Mutex<HashMap<DnsName, Node>>,
}

/// What one name has; a name that was told of exists.
#[derive(Clone, Debug, Default)]
struct Node {
    cname: Option<DnsName>,
    addresses: Vec<IpAddr>,
    caa: Vec<CaaRecord>,
    txt: Vec<Vec<Vec<u8>>>,
    tlsa: Vec<TlsaRecord>,
    secure: bool,
    ttl: Option<Duration>,
    trouble: Option<Unanswered>,
    /// Nothing was said that makes the name exist.
    absent: bool,
}

/// Where CNAME records lead.
struct Followed {
    node: Option<Node>,
    chain: Vec<DnsName>,
    ttl: Option<Duration>,
    secure: bool,
}

#[derive(Debug, Default)]
struct Domain {
    mx: Option<Result<MxAnswer, Unanswered>>,
    has_address: Option<Result<bool, Unanswered>>,
    mx_questions: u64,
}

impl MemoryLookup {
    /// From now on, this is what is said about the MX records of `domain`.
    pub fn set_mx(&self, domain: &DomainName, answer: Result<MxAnswer, Unanswered>) {
        self.domains().entry(domain.clone()).or_default().mx = Some(answer);
    }

    /// From now on, `hosts` are the MX hosts of `domain`, preferred in this order.
    pub fn set_hosts(&self, domain: &DomainName, hosts: &[&str]) {
        let record = |(preference, host): (u16, &&str)| MxRecord { preference, host: MxHost::new(host) };
        self.set_mx(domain, Ok(MxAnswer::Records((1..).zip(hosts).map(record).collect())));
    }

    /// From now on, this is what is said about addresses of `domain` itself.
    pub fn set_address(&self, domain: &DomainName, answer: Result<bool, Unanswered>) {
        self.domains().entry(domain.clone()).or_default().has_address = Some(answer);
    }

    /// From now on, nobody answers for `domain`.
    pub fn silence(&self, domain: &DomainName) {
        let silent = Unanswered::failed("no answer in time");
        self.set_mx(domain, Err(silent.clone()));
        self.set_address(domain, Err(silent));
    }

    /// From now on, `name` exists and has these addresses and no others.
    pub fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let parsed = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.at(name, |node| node.addresses = parsed);
    }

    /// From now on, `name` is a CNAME to `target`.
    pub fn set_cname(&self, name: &str, target: &str) {
        self.at(name, |node| node.cname = Some(DnsName::new(target)));
    }

    /// From now on, `name` exists and has these CAA records, each a tag and a value; an exclamation
    /// mark in front of the tag stands for the critical flag.
    pub fn set_caa(&self, name: &str, records: &[(&str, &str)]) {
        let record = |(tag, value): &(&str, &str)| CaaRecord {
            critical: tag.starts_with('!'),
            tag: tag.trim_start_matches('!').to_owned(),
            value: value.as_bytes().to_vec(),
        };
        self.at(name, |node| node.caa = records.iter().map(record).collect());
    }

    /// From now on, `name` exists and has these TXT records, each of one string.
    pub fn set_txt(&self, name: &str, records: &[&str]) {
        let records: Vec<[&[u8]; 1]> = records.iter().map(|text| [text.as_bytes()]).collect();
        self.set_txt_strings(name, &records.iter().map(<[_; 1]>::as_slice).collect::<Vec<_>>());
    }

    /// From now on, `name` exists and has these TXT records, each a list of strings.
    pub fn set_txt_strings(&self, name: &str, records: &[&[&[u8]]]) {
        let record = |strings: &&[&[u8]]| strings.iter().map(|string| string.to_vec()).collect();
        self.at(name, |node| node.txt = records.iter().map(record).collect());
    }

    /// From now on, `name` exists and has these TLSA records.
    pub fn set_tlsa(&self, name: &str, records: &[TlsaRecord]) {
        self.at(name, |node| node.tlsa = records.to_vec());
    }

    /// From now on, what is said about `name`, its absence and its MX records among it, is signed, or
    /// is not. Names that are told nothing are not.
    pub fn set_secure(&self, name: &str, secure: bool) {
        let kept = || Node { absent: true, ..Node::default() };
        self.names().entry(DnsName::new(name)).or_insert_with(kept).secure = secure;
    }

    /// From now on, records at `name` have this TTL, MX records among them.
    pub fn set_ttl(&self, name: &str, ttl: Duration) {
        let kept = || Node { absent: true, ..Node::default() };
        self.names().entry(DnsName::new(name)).or_insert_with(kept).ttl = Some(ttl);
    }

    /// From now on, questions about `name` end so.
    pub fn set_trouble(&self, name: &str, trouble: Option<Unanswered>) {
        self.at(name, |node| node.trouble = trouble);
    }

    /// From now on, `name` does not exist.
    pub fn remove(&self, name: &str) {
        self.names().remove(&DnsName::new(name));
    }

    /// How often the MX records of `domain` were asked for.
    pub fn mx_questions(&self, domain: &DomainName) -> u64 {
        self.domains().get(domain).map_or(0, |domain| domain.mx_questions)
    }

    fn at(&self, name: &str, change: impl FnOnce(&mut Node)) {
        let mut names = self.names();
        let node = names.entry(DnsName::new(name)).or_default();
        node.absent = false;
        change(node);
    }

    /// What is at the end of the CNAME records of `name`, and the targets on the way.
    fn follow(&self, name: &DnsName) -> Result<Followed, Unanswered> {
        let names = self.names();
        let (mut at, mut chain, mut ttl, mut secure) = (name, Vec::new(), None, true);
        loop {
            let Some(node) = names.get(at) else {
                return Ok(Followed { node: None, chain, ttl, secure: false });
            };
            if let Some(trouble) = &node.trouble {
                return Err(trouble.clone());
            }
            secure &= node.secure;
            ttl = ttl.into_iter().chain(node.ttl).min();
            let Some(target) = &node.cname else {
                let node = (!node.absent).then(|| node.clone());
                return Ok(Followed { node, chain, ttl, secure });
            };
            if chain.len() == CNAMES_MAX {
                let reason = format!("too many CNAME records from {name}");
                return Err(Unanswered { kind: UnansweredKind::TooManyCnames, reason });
            }
            chain.push(target.clone());
            at = target;
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<DnsName, Node>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn domains(&self) -> MutexGuard<'_, HashMap<DomainName, Domain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Lookup for MemoryLookup {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let data = {
            let mut domains = self.domains();
            let entry = domains.entry(domain.clone()).or_default();
            entry.mx_questions += 1;
            entry.mx.clone().unwrap_or(Ok(MxAnswer::NoSuchDomain))?
        };
        let names = self.names();
        let node = names.get(&DnsName::from(domain));
        let (ttl, secure) = node.map_or((None, false), |node| (node.ttl, node.secure));
        Ok(Answer { secure, ..Answer::new(data, ttl) })
    }

    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        let told = self.domains().get(domain).and_then(|entry| entry.has_address.clone());
        match told {
            Some(told) => told,
            None => Ok(self.addresses(&domain.into()).await?.iter().next().is_some()),
        }
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        let Followed { node, chain, ttl, secure } = self.follow(name)?;
        let mut found = Addresses { chain, exists: node.is_some(), ttl, secure, ..Addresses::default() };
        for address in node.unwrap_or_default().addresses {
            match address {
                IpAddr::V4(v4) => found.a.push(v4),
                IpAddr::V6(v6) => found.aaaa.push(v6),
            }
        }
        Ok(found)
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        let Followed { node, chain, ttl, secure } = self.follow(name)?;
        let own = self.names().get(name).is_some_and(|node| !node.txt.is_empty());
        let (exists, beside_cname) = (node.is_some(), own && !chain.is_empty());
        let data = TxtAnswer { records: node.unwrap_or_default().txt, chain, exists, beside_cname };
        Ok(Answer { secure, ..Answer::new(data, ttl) })
    }

    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        let Followed { node, ttl, secure, .. } = self.follow(name)?;
        let exists = node.is_some();
        let data = TlsaAnswer { records: node.unwrap_or_default().tlsa, exists };
        Ok(Answer { secure, ..Answer::new(data, ttl) })
    }

    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered> {
        let Followed { node, chain, .. } = self.follow(name)?;
        Ok(CaaAnswer { records: node.unwrap_or_default().caa, chain })
    }
}
