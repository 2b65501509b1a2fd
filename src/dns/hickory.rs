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

/// One question may take this much longer than all its tries; waiting in line does not count. With
/// two tries of two seconds it ends within five.
const BEYOND_TRIES: Duration = Duration::from_secs(1);
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
    /// The longest one question may take, with all its tries and servers.
    question_deadline: Duration,
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
        let tries = u32::try_from(settings.retries).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Self {
            resolver: builder.build()?,
            permits: Semaphore::new(lookups_at_once),
            question_deadline: settings.timeout.saturating_mul(tries).saturating_add(BEYOND_TRIES),
        })
    }

    /// Asks one question; "no such name" and "no such record" are answers without records.
    async fn ask(&self, domain: &DomainName, kind: RecordType) -> Result<Answer, Unanswered> {
        let mut name = Name::from_ascii(domain.as_str()).map_err(|error| Unanswered::because(&error))?;
        name.set_fqdn(true);
        let asked = timeout(self.question_deadline, self.resolver.lookup(name, kind)).await;
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
mod tests {
    use super::*;
    use hickory_server::{
        Server,
        net::runtime::Time,
        proto::{
            op::{Edns, Metadata},
            rr::{
                LowerName, RData, Record,
                rdata::{A, AAAA, MX, NS, SOA},
            },
        },
        server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
        zone_handler::MessageResponseBuilder,
    };
    use std::{future::pending, sync::Arc};
    use tokio::net::{TcpListener, UdpSocket};

    /// A DNS server whose answer to each question is in its name's first label.
    struct Zone;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn mx(preference: u16, exchange: Name) -> RData {
        RData::MX(MX::new(preference, exchange))
    }

    fn odd_host() -> Name {
        Name::from_labels([&b"a.b"[..], &b"\xff c"[..], &b"example"[..]]).unwrap()
    }

    fn answer(question: &LowerName, kind: RecordType) -> Result<Vec<RData>, ResponseCode> {
        let name_text = question.to_string();
        match (name_text.split('.').next().unwrap(), kind) {
            ("two", RecordType::MX) => Ok(vec![
                mx(20, name("B.Backup.example.")),
                mx(10, name("mx1.example.com.")),
                mx(20, name("a.backup.example.")),
            ]),
            ("null", RecordType::MX) => Ok(vec![mx(0, Name::root())]),
            ("odd", RecordType::MX) => Ok(vec![mx(1, name("_mx.example.com.")), mx(2, odd_host())]),
            ("many", RecordType::MX) => Ok((0..200)
                .map(|n| mx(200 - n, name(&format!("mx{n}.a-rather-long-name.example."))))
                .collect()),
            ("v4", RecordType::A) => Ok(vec![RData::A(A::new(192, 0, 2, 1))]),
            ("v6", RecordType::AAAA) => Ok(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]),
            ("gone", _) => Err(ResponseCode::NXDomain),
            ("broken", _) => Err(ResponseCode::ServFail),
            ("closed", _) => Err(ResponseCode::Refused),
            ("silent", _) => Err(ResponseCode::NoError),
            _ => Ok(vec![]),
        }
    }

    #[async_trait::async_trait]
    impl RequestHandler for Zone {
        async fn handle_request<R: ResponseHandler, T: Time>(
            &self,
            request: &Request,
            mut out: R,
        ) -> ResponseInfo {
            let info = request.request_info().unwrap();
            let question = info.query;
            let mut metadata = Metadata::response_from_request(&request.metadata);
            let owner = question.original().name().clone();
            let (mut records, mut authority) = (vec![], vec![]);
            match answer(question.name(), question.query_type()) {
                Ok(found) => {
                    records =
                        found.into_iter().map(|data| Record::from_rdata(owner.clone(), 300, data)).collect();
                }
                Err(ResponseCode::NoError) => pending().await,
                Err(code) => metadata.response_code = code,
            }
            if records.is_empty()
                && matches!(metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
            {
                let data = SOA::new(name("ns.example."), name("post.example."), 1, 60, 60, 60, 60);
                authority.push(Record::from_rdata(name("example."), 60, RData::SOA(data)));
            }
            if owner == name("lame.example.") {
                authority =
                    vec![Record::from_rdata(name("example."), 60, RData::NS(NS(name("ns.example."))))];
            }
            let edns = Edns::new();
            let builder = MessageResponseBuilder::new(&request.queries, Some(&edns));
            let response = builder.build(metadata, records.iter(), authority.iter(), [], []);
            out.send_response(response).await.unwrap()
        }
    }

    /// The server on loopback, with UDP and TCP on one port; it ends with the test's runtime.
    async fn serve() -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let mut server = Server::new(Zone);
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 16);
        tokio::spawn(async move { server.block_until_done().await });
        address
    }

    fn settings(server: SocketAddr) -> Settings {
        Settings { servers: vec![server], timeout: Duration::from_secs(2), retries: 1, lookups_at_once: 4 }
    }

    fn domain(text: &str) -> DomainName {
        DomainName::from_ascii(text).unwrap()
    }

    fn show(answer: MxAnswer) -> Vec<String> {
        let MxAnswer::Records(records) = answer else { panic!("{answer:?}") };
        records.iter().map(|record| format!("{} {}", record.preference, record.host)).collect()
    }

    #[tokio::test]
    async fn records_come_sorted_and_in_lower_case() {
        let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
        let found = show(lookup.mx(&domain("two.example")).await.unwrap());
        assert_eq!(found, ["10 mx1.example.com", "20 a.backup.example", "20 b.backup.example"]);
        assert_eq!(show(lookup.mx(&domain("null.example")).await.unwrap()), ["0 ."]);
    }

    #[tokio::test]
    async fn odd_octets_of_a_host_arrive_escaped() {
        let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
        let found = show(lookup.mx(&domain("odd.example")).await.unwrap());
        assert_eq!(found, ["1 _mx.example.com", r"2 a\.b.\255\032c.example"]);
    }

    // The answer does not fit into a UDP message, so this also asks over TCP.
    #[tokio::test]
    async fn of_very_many_records_the_preferred_ones_are_kept() {
        let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
        let found = show(lookup.mx(&domain("many.example")).await.unwrap());
        assert_eq!(found.len(), MX_RECORDS_MAX);
        assert_eq!(found[0], "1 mx199.a-rather-long-name.example");
    }

    #[tokio::test]
    async fn no_record_and_no_domain_are_answers() {
        let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
        assert_eq!(lookup.mx(&domain("empty.example")).await, Ok(MxAnswer::NoRecords));
        assert_eq!(lookup.mx(&domain("gone.example")).await, Ok(MxAnswer::NoSuchDomain));
        assert_eq!(lookup.has_address(&domain("empty.example")).await, Ok(false));
        assert_eq!(lookup.has_address(&domain("gone.example")).await, Ok(false));
        assert_eq!(lookup.has_address(&domain("v4.example")).await, Ok(true));
        assert_eq!(lookup.has_address(&domain("v6.example")).await, Ok(true));
    }

    #[tokio::test]
    async fn failure_and_silence_are_not_answers() {
        let address = serve().await;
        let short = Settings { timeout: Duration::from_millis(100), retries: 0, ..settings(address) };
        let lookup = HickoryLookup::new(&short).unwrap();
        for text in ["broken.example", "closed.example", "silent.example", "lame.example"] {
            assert!(lookup.mx(&domain(text)).await.is_err(), "{text}");
            assert!(lookup.has_address(&domain(text)).await.is_err(), "{text}");
        }
        let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = Settings { servers: vec![nobody.local_addr().unwrap()], ..short };
        let lookup = HickoryLookup::new(&silent).unwrap();
        assert!(lookup.mx(&domain("two.example")).await.is_err());
    }

    #[tokio::test]
    async fn more_questions_than_permits_wait_in_line() {
        let one = Settings { lookups_at_once: 0, ..settings(serve().await) };
        let lookup = Arc::new(HickoryLookup::new(&one).unwrap());
        let asked: Vec<_> = (0..8)
            .map(|n| {
                let lookup = Arc::clone(&lookup);
                tokio::spawn(async move { lookup.mx(&domain(&format!("two.d{n}.example"))).await })
            })
            .collect();
        for answer in asked {
            assert_eq!(show(answer.await.unwrap().unwrap()).len(), 3);
        }
    }
}
