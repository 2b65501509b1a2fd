//! The real resolver: hickory's messages, and nothing of hickory beyond this file and `question.rs`.
//!
//! It asks the resolvers it is given, does not recurse itself and keeps no answers: that is what those
//! resolvers do. Names are asked as full names, so no search list and no hosts file can answer in DNS's
//! place. What is signed is not checked here; a resolver's word is taken, or not ([`Settings::trust_ad`]).

use super::{
    Addresses, Answer, CNAMES_MAX, CaaAnswer, CaaRecord, DnsName, Lookup, MxAnswer, MxRecord, Settings,
    TlsaAnswer, TlsaRecord, TxtAnswer, Unanswered, UnansweredKind, question,
};
use crate::name::DomainName;
use hickory_resolver::{
    net::NetError,
    proto::{
        op::{Message, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// One question may take this much longer than all its tries; waiting in line does not count. With
/// two tries of two seconds it ends within five.
const BEYOND_TRIES: Duration = Duration::from_secs(1);
/// More MX records than this are a stranger's joke; the least preferred are left out.
const MX_RECORDS_MAX: usize = 64;
/// More A, AAAA or CAA records than this are not looked at.
const RECORDS_MAX: usize = 64;
/// Asks resolvers, with hickory's messages.
pub struct HickoryLookup {
    servers: Vec<SocketAddr>,
    /// Which of the servers answered last: it is asked first.
    preferred: AtomicUsize,
    permits: Semaphore,
    timeout: Duration,
    /// Tries at each server.
    tries: usize,
    /// The longest one question may take, with all its tries and servers.
    question_deadline: Duration,
    trust_ad: bool,
}

impl HickoryLookup {
    /// Prepares the resolver; sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when no servers are given and the system's configuration cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let servers = match settings.servers.as_slice() {
            [] => system_servers()?,
            servers => servers.to_vec(),
        };
        let lookups_at_once = settings.lookups_at_once.clamp(1, Semaphore::MAX_PERMITS);
        let tries = u32::try_from(settings.retries).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Self {
            servers,
            preferred: AtomicUsize::new(0),
            permits: Semaphore::new(lookups_at_once),
            timeout: settings.timeout,
            tries: settings.retries.saturating_add(1),
            question_deadline: settings.timeout.saturating_mul(tries).saturating_add(BEYOND_TRIES),
            trust_ad: settings.trust_ad,
        })
    }

    /// Looks up in turn, and not for longer than one question may take with a further one about its
    /// signatures, however many CNAME records lead on.
    async fn in_time<T>(&self, look: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let ended = timeout(self.question_deadline.saturating_add(self.timeout), look).await;
        ended.unwrap_or_else(|_| Err(Unanswered::failed("no answer in time")))
    }

    /// Asks one question; "no such name" and "no such record" are answers without records.
    async fn ask(&self, name: &DnsName, kind: RecordType) -> Result<Said, Unanswered> {
        let name = full_name(name)?;
        let (mut failed, mut reason) = (None, "no answer in time".to_owned());
        let asked = timeout(self.question_deadline, self.ask_all(&name, kind, &mut failed, &mut reason));
        if let Ok(Some(said)) = asked.await {
            return Ok(said);
        }
        match failed {
            Some(server) if question::answers_unchecked(server, &name, kind, self.timeout).await => {
                let reason = format!("the DNSSEC signatures of {name} {kind} do not hold");
                Err(Unanswered { kind: UnansweredKind::Bogus, reason })
            }
            _ => Err(Unanswered::failed(reason)),
        }
    }

    /// Asks one server after the other, each again while it is silent. Notes why there is no answer, and
    /// who said SERVFAIL.
    async fn ask_all(
        &self,
        name: &Name,
        kind: RecordType,
        failed: &mut Option<SocketAddr>,
        reason: &mut String,
    ) -> Option<Said> {
        let servers = self.servers.iter().copied().enumerate();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut left: Vec<_> = servers.cycle().skip(first).take(self.servers.len()).collect();
        for _ in 0..self.tries {
            let mut silent = Vec::new();
            for (at, server) in left {
                let message = match question::ask(server, name, kind, self.timeout).await {
                    Ok(message) => message,
                    Err(error) => {
                        *reason = format!("{server}: {error}");
                        silent.push((at, server));
                        continue;
                    }
                };
                match message.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain if !is_referral(&message) => {
                        self.preferred.store(at, Ordering::Relaxed);
                        return Some(self.heard(server, message));
                    }
                    ResponseCode::NoError => *reason = format!("{server} does not recurse"),
                    code => *reason = format!("{server} said {code}"),
                }
                if message.metadata.response_code == ResponseCode::ServFail {
                    failed.get_or_insert(server);
                }
            }
            left = silent;
        }
        None
    }

    fn heard(&self, server: SocketAddr, message: Message) -> Said {
        let believed = self.trust_ad || server.ip().is_loopback();
        Said {
            exists: message.metadata.response_code == ResponseCode::NoError,
            secure: believed && message.metadata.authentic_data,
            records: message.answers,
        }
    }

    async fn has(&self, name: &DnsName, kind: RecordType) -> Result<bool, Unanswered> {
        Ok(self.ask(name, kind).await?.records.iter().any(|record| record.record_type() == kind))
    }

    /// Whether there are such records at `name` itself, as far as resolvers show what stands beside a
    /// CNAME record. No answer counts as no.
    async fn has_own(&self, name: &DnsName, kind: RecordType) -> bool {
        let said = self.ask(name, kind).await.unwrap_or_default();
        let mut records = said.records.iter();
        records.any(|record| record.record_type() == kind && presentation(&record.name) == *name)
    }

    /// Follows CNAME records, which are shown and must not be too many.
    async fn follow(&self, name: &DnsName) -> Result<Followed, Unanswered> {
        let mut at = Followed { end: name.clone(), chain: vec![], exists: true, ttl: None, secure: true };
        loop {
            let said = self.ask(&at.end, RecordType::CNAME).await?;
            at.note(&said);
            at.exists = said.exists;
            let target = said.records.iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(presentation(target)),
                _ => None,
            });
            let Some(target) = target else { return Ok(at) };
            if at.chain.len() == CNAMES_MAX {
                let reason = format!("more than {CNAMES_MAX} CNAME records follow one another from {name}");
                return Err(Unanswered { kind: UnansweredKind::TooManyCnames, reason });
            }
            at.chain.push(target.clone());
            at.end = target;
        }
    }

    /// Asks for the records at the end of the CNAME records of `name`.
    async fn at_end(&self, name: &DnsName, kind: RecordType) -> Result<(Followed, Vec<RData>), Unanswered> {
        let mut at = self.follow(name).await?;
        if !at.exists {
            return Ok((at, vec![]));
        }
        let said = self.ask(&at.end, kind).await?;
        at.note(&said);
        let records = said.records.into_iter().map(|record| record.data);
        Ok((at, records.filter(|data| data.record_type() == kind).take(RECORDS_MAX).collect()))
    }
}

/// Where CNAME records lead.
struct Followed {
    end: DnsName,
    chain: Vec<DnsName>,
    exists: bool,
    ttl: Option<Duration>,
    secure: bool,
}

impl Followed {
    /// Counts what was said on the way: the least TTL, and no signature missing.
    fn note(&mut self, said: &Said) {
        self.ttl = self.ttl.into_iter().chain(said.ttl()).min();
        self.secure &= said.secure;
    }
}

/// What a resolver said to one question.
#[derive(Default)]
struct Said {
    records: Vec<Record>,
    /// Whether the name does.
    exists: bool,
    secure: bool,
}

impl Said {
    fn ttl(&self) -> Option<Duration> {
        self.records.iter().map(|record| Duration::from_secs(record.ttl.into())).min()
    }
}

#[async_trait::async_trait]
impl Lookup for HickoryLookup {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        self.in_time(async {
            let said = self.ask(&domain.into(), RecordType::MX).await?;
            // CNAMEs on the way to the domain's records may stand among them.
            let mut found: Vec<MxRecord> = said
                .records
                .iter()
                .filter_map(|record| match &record.data {
                    RData::MX(mx) => {
                        Some(MxRecord { preference: mx.preference, host: presentation(&mx.exchange) })
                    }
                    _ => None,
                })
                .collect();
            found.sort_unstable();
            found.truncate(MX_RECORDS_MAX);
            let data = match said.exists {
                false => MxAnswer::NoSuchDomain,
                true if found.is_empty() => MxAnswer::NoRecords,
                true => MxAnswer::Records(found),
            };
            Ok(Answer { secure: said.secure, ..Answer::new(data, said.ttl()) })
        })
        .await
    }

    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        self.in_time(async {
            let name = domain.into();
            let (v4, v6) = tokio::join!(self.has(&name, RecordType::A), self.has(&name, RecordType::AAAA));
            match (v4, v6) {
                (Ok(true), _) | (_, Ok(true)) => Ok(true),
                (v4, v6) => Ok(v4? || v6?),
            }
        })
        .await
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        self.in_time(async {
            let mut at = self.follow(name).await?;
            let (mut a, mut aaaa) = (vec![], vec![]);
            if at.exists {
                let (v4, v6) =
                    tokio::join!(self.ask(&at.end, RecordType::A), self.ask(&at.end, RecordType::AAAA));
                for said in [v4?, v6?] {
                    at.note(&said);
                    for record in said.records {
                        match record.data {
                            RData::A(address) => a.push(address.0),
                            RData::AAAA(address) => aaaa.push(address.0),
                            _ => {}
                        }
                    }
                }
                a.truncate(RECORDS_MAX);
                aaaa.truncate(RECORDS_MAX);
            }
            let Followed { chain, exists, ttl, secure, .. } = at;
            Ok(Addresses { a, aaaa, chain, exists, ttl, secure, ..Addresses::default() })
        })
        .await
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        self.in_time(async {
            let (at, found) = self.at_end(name, RecordType::TXT).await?;
            let beside_cname = !at.chain.is_empty() && self.has_own(name, RecordType::TXT).await;
            let records = found.into_iter().filter_map(|data| match data {
                RData::TXT(txt) => Some(txt.txt_data.iter().map(|string| string.to_vec()).collect()),
                _ => None,
            });
            let data =
                TxtAnswer { records: records.collect(), chain: at.chain, exists: at.exists, beside_cname };
            Ok(Answer { secure: at.secure, ..Answer::new(data, at.ttl) })
        })
        .await
    }

    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        self.in_time(async {
            let (at, found) = self.at_end(name, RecordType::TLSA).await?;
            let records = found.into_iter().filter_map(|data| match data {
                RData::TLSA(tlsa) => Some(TlsaRecord {
                    usage: tlsa.cert_usage.into(),
                    selector: tlsa.selector.into(),
                    matching: tlsa.matching.into(),
                    data: tlsa.cert_data,
                }),
                _ => None,
            });
            let data = TlsaAnswer { records: records.collect(), exists: at.exists };
            Ok(Answer { secure: at.secure, ..Answer::new(data, at.ttl) })
        })
        .await
    }

    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered> {
        self.in_time(async {
            let (at, found) = self.at_end(name, RecordType::CAA).await?;
            let records = found.into_iter().filter_map(|data| match data {
                RData::CAA(caa) => {
                    Some(CaaRecord { critical: caa.issuer_critical, tag: caa.tag, value: caa.value })
                }
                _ => None,
            });
            Ok(CaaAnswer { records: records.collect(), chain: at.chain })
        })
        .await
    }
}

/// The resolvers of the system.
fn system_servers() -> Result<Vec<SocketAddr>, Unusable> {
    let (config, _) = read_system_conf()?;
    let servers = config.name_servers().iter();
    Ok(servers
        .filter_map(|server| Some(SocketAddr::new(server.ip, server.connections.first()?.port)))
        .collect())
}

/// Whether an empty response refers us to somebody else, instead of denying the record.
fn is_referral(message: &Message) -> bool {
    let has = |kind| message.authorities.iter().any(|record| record.record_type() == kind);
    message.answers.is_empty() && has(RecordType::NS) && !has(RecordType::SOA)
}

/// The name as text, with the dots and odd octets inside labels escaped (RFC 1035 §5.1).
fn presentation(name: &Name) -> DnsName {
    let mut text = String::new();
    for label in name.iter() {
        for octet in label {
            match octet {
                b'.' | b'\\' => text.extend(['\\', char::from(*octet)]),
                b'!'..=b'~' => text.push(char::from(*octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
        text.push('.');
    }
    DnsName::new(&text)
}

/// The way back from [`presentation`], as a full name.
fn full_name(name: &DnsName) -> Result<Name, Unanswered> {
    let (mut labels, mut label) = (Vec::new(), Vec::new());
    let mut rest = name.as_str().as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'.', _) => labels.push(std::mem::take(&mut label)),
            (b'\\', [a @ b'0'..=b'2', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..]) => {
                let digits = [a, b, c].map(|digit| u16::from(digit - b'0'));
                let [hundreds, tens, ones] = digits;
                label.push(u8::try_from(hundreds * 100 + tens * 10 + ones).unwrap_or(u8::MAX));
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                label.push(*escaped);
                rest = after;
            }
            (octet, _) => label.push(*octet),
        }
    }
    if !name.is_root() {
        labels.push(label);
    }
    let mut name = Name::from_labels(labels.iter().map(Vec::as_slice)).map_err(|error| because(&error))?;
    name.set_fqdn(true);
    Ok(name)
}

fn because(error: &dyn std::error::Error) -> Unanswered {
    Unanswered::failed(error.to_string())
}

/// The resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the system's resolver configuration cannot be used")]
pub struct Unusable(#[from] NetError);

#[cfg(test)]
mod tests;
