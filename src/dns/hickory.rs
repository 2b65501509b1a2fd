//! The real resolver: hickory, and nothing of hickory beyond this file.
//!
//! It asks the resolvers it is given and does not recurse itself. Names are asked as full names, so
//! no search list and no hosts file can answer in DNS's place.

use super::{Lookup, MxAnswer, MxHost, MxRecord, Settings, Unanswered};
use crate::name::DomainName;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// One question with all its tries and servers may take this long; waiting in line does not count.
const QUESTION_DEADLINE: Duration = Duration::from_secs(5);
/// More MX records than this are a stranger's joke; the least preferred are left out.
const MX_RECORDS_MAX: usize = 64;
/// Answers kept. Every domain is asked once a period, so the cache only softens bursts.
const CACHED_ANSWERS: u64 = 1_024;
/// An edited zone shows after this time, whatever its own TTLs say.
const POSITIVE_TTL_MAX: Duration = Duration::from_secs(300);
/// An added record shows after this time, whatever the SOA record says.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(60);

/// Asks DNS through hickory.
pub struct HickoryLookup {
    resolver: TokioResolver,
    permits: Semaphore,
}

impl HickoryLookup {
    /// Prepares the resolver; sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when no servers are given and the system's configuration cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let mut builder = if settings.servers.is_empty() {
            Resolver::builder_tokio()?
        } else {
            let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, vec![], servers);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let lookups_at_once = settings.lookups_at_once.clamp(1, Semaphore::MAX_PERMITS);
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.retries;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = CACHED_ANSWERS;
        options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        // Over TCP all questions share a connection; one question is at most two of them (A, AAAA).
        options.max_active_requests = lookups_at_once.saturating_mul(2).max(32);
        Ok(Self { resolver: builder.build()?, permits: Semaphore::new(lookups_at_once) })
    }

    /// Asks one question; "no such name" and "no such record" are answers without records.
    async fn ask(&self, domain: &DomainName, kind: RecordType) -> Result<Answer, Unanswered> {
        let mut name = Name::from_ascii(domain.as_str()).map_err(|error| Unanswered::because(&error))?;
        name.set_fqdn(true);
        let asked = timeout(QUESTION_DEADLINE, self.resolver.lookup(name, kind)).await;
        match asked.map_err(|_| Unanswered::because(&NetError::Timeout))? {
            Ok(lookup) => {
                Ok(Answer::Records(lookup.answers().iter().map(|record| record.data.clone()).collect()))
            }
            Err(error) if error.is_nx_domain() => Ok(Answer::NoSuchDomain),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if is_denial(&none) => {
                Ok(Answer::Records(vec![]))
            }
            Err(error) => Err(Unanswered::because(&error)),
        }
    }

    async fn has(&self, domain: &DomainName, kind: RecordType) -> Result<bool, Unanswered> {
        match self.ask(domain, kind).await? {
            Answer::Records(records) => Ok(records.iter().any(|data| data.record_type() == kind)),
            Answer::NoSuchDomain => Ok(false),
        }
    }
}

enum Answer {
    Records(Vec<RData>),
    NoSuchDomain,
}

#[async_trait::async_trait]
impl Lookup for HickoryLookup {
    async fn mx(&self, domain: &DomainName) -> Result<MxAnswer, Unanswered> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let records = match self.ask(domain, RecordType::MX).await? {
            Answer::Records(records) => records,
            Answer::NoSuchDomain => return Ok(MxAnswer::NoSuchDomain),
        };
        // CNAMEs on the way to the domain's records may stand among them.
        let mut found: Vec<MxRecord> = records
            .iter()
            .filter_map(|data| match data {
                RData::MX(mx) => {
                    Some(MxRecord { preference: mx.preference, host: presentation(&mx.exchange) })
                }
                _ => None,
            })
            .collect();
        if found.is_empty() {
            return Ok(MxAnswer::NoRecords);
        }
        found.sort_unstable();
        found.truncate(MX_RECORDS_MAX);
        Ok(MxAnswer::Records(found))
    }

    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let (v4, v6) = tokio::join!(self.has(domain, RecordType::A), self.has(domain, RecordType::AAAA));
        match (v4, v6) {
            (Ok(true), _) | (_, Ok(true)) => Ok(true),
            (v4, v6) => Ok(v4? || v6?),
        }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// Whether an empty response denies the record, rather than refer us to somebody else.
fn is_denial(none: &NoRecords) -> bool {
    let referral = none.soa.is_none() && none.ns.as_ref().is_some_and(|servers| !servers.is_empty());
    none.response_code == ResponseCode::NoError && !referral
}

/// The name as text, with the dots and odd octets inside labels escaped (RFC 1035 §5.1).
fn presentation(name: &Name) -> MxHost {
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
    MxHost::new(&text)
}

impl Unanswered {
    fn because(error: &dyn std::error::Error) -> Self {
        Self { reason: error.to_string() }
    }
}

/// The resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the system's resolver configuration cannot be used")]
pub struct Unusable(#[from] NetError);

#[cfg(test)]
mod tests;
