//! The resolver against a real DNS server on loopback.

use super::*;
use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Edns, Metadata},
        rr::{
            LowerName,
            rdata::{
                A, AAAA, CAA, CNAME, MX, NS, SOA, TLSA, TXT,
                tlsa::{CertUsage, Matching, Selector},
            },
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use std::{future::pending, net::Ipv4Addr, sync::Arc};
use tokio::net::{TcpListener, UdpSocket};

/// A DNS server whose answer to each question is in its name's first label.
struct Zone;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn mx(preference: u16, exchange: Name) -> RData {
    RData::MX(MX::new(preference, exchange))
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn txt(strings: &[&[u8]]) -> RData {
    RData::TXT(TXT::from_bytes(strings.to_vec()))
}

fn tlsa(usage: CertUsage, selector: Selector, matching: Matching, data: Vec<u8>) -> RData {
    RData::TLSA(TLSA::new(usage, selector, matching, data))
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
        ("many", RecordType::MX) => {
            Ok((0..200).map(|n| mx(200 - n, name(&format!("mx{n}.a-rather-long-name.example.")))).collect())
        }
        ("v4", RecordType::A) => Ok(vec![RData::A(A::new(192, 0, 2, 1))]),
        ("v6", RecordType::AAAA) => Ok(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]),
        ("both", RecordType::A) => Ok(vec![RData::A(A::new(192, 0, 2, 1)), RData::A(A::new(192, 0, 2, 2))]),
        ("both", RecordType::AAAA) => Ok(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7))]),
        ("both", RecordType::CAA) => Ok(vec![
            RData::CAA(CAA::new_issue(true, Some(name("ca.example")), vec![])),
            RData::CAA(CAA::new_issuewild(false, None, vec![])),
        ]),
        ("half", RecordType::A) => Ok(vec![RData::A(A::new(192, 0, 2, 1))]),
        ("half", RecordType::AAAA) => Err(ResponseCode::ServFail),
        ("alias", RecordType::CNAME) => Ok(vec![cname("_Token.alias2.example.")]),
        ("_token", RecordType::CNAME) => Ok(vec![cname("both.provider.example.")]),
        ("dangling", RecordType::CNAME) => Ok(vec![cname("gone.example.")]),
        ("circle", RecordType::CNAME) => Ok(vec![cname("circle.example.")]),
        ("oddly", RecordType::CNAME) => Ok(vec![RData::CNAME(CNAME(odd_host()))]),
        ("a\\", RecordType::A) => Ok(vec![RData::A(A::new(192, 0, 2, 3))]),
        ("strings" | "stray", RecordType::TXT) => {
            Ok(vec![txt(&[b"v=STSv1; ", b"id=1;"]), txt(&[b"\xff\0 other"])])
        }
        ("stray", RecordType::CNAME) => Ok(vec![cname("strings.provider.example.")]),
        ("text", RecordType::CNAME) => Ok(vec![cname("strings.provider.example.")]),
        ("crowd", RecordType::TXT) => Ok((0..200).map(|n| txt(&[format!("{n}").as_bytes()])).collect()),
        ("long", RecordType::TXT) => Ok(vec![txt(&[&[b'x'; 255][..]; 40])]),
        ("pinned", RecordType::TLSA) => Ok(vec![
            tlsa(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, vec![7; 32]),
            tlsa(CertUsage::Unassigned(9), Selector::Unassigned(8), Matching::Unassigned(7), vec![]),
        ]),
        ("gone", _) => Err(ResponseCode::NXDomain),
        ("broken", _) => Err(ResponseCode::ServFail),
        ("closed", _) => Err(ResponseCode::Refused),
        ("silent", _) => Err(ResponseCode::NoError),
        _ => Ok(vec![]),
    }
}

fn ttl(data: &RData) -> u32 {
    if matches!(data, RData::CNAME(_)) { 300 } else { 600 }
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
        // A validating resolver: "bogus" names are there for whoever checks for themselves.
        // Names in signed.example are signed; like resolvers, it says so to whoever asks.
        metadata.authentic_data = request.metadata.authentic_data && name("signed.example.").zone_of(&owner);
        let bogus =
            owner.to_lowercase().iter().next() == Some(b"bogus") && !request.metadata.checking_disabled;
        match answer(question.name(), question.query_type()) {
            _ if bogus => metadata.response_code = ResponseCode::ServFail,
            Ok(found) => {
                records = found
                    .into_iter()
                    .map(|data| Record::from_rdata(owner.clone(), ttl(&data), data))
                    .collect();
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
            authority = vec![Record::from_rdata(name("example."), 60, RData::NS(NS(name("ns.example."))))];
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
    Settings {
        servers: vec![server],
        timeout: Duration::from_secs(2),
        retries: 1,
        lookups_at_once: 4,
        trust_ad: false,
    }
}

fn domain(text: &str) -> DomainName {
    DomainName::from_ascii(text).unwrap()
}

fn show(answer: Answer<MxAnswer>) -> Vec<String> {
    let MxAnswer::Records(records) = answer.data else { panic!("{answer:?}") };
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
    assert_eq!(lookup.mx(&domain("empty.example")).await.map(|answer| answer.data), Ok(MxAnswer::NoRecords));
    assert_eq!(
        lookup.mx(&domain("gone.example")).await.map(|answer| answer.data),
        Ok(MxAnswer::NoSuchDomain)
    );
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

#[tokio::test(start_paused = true)]
async fn a_look_up_that_leads_on_and_on_ends_as_a_whole() {
    let one = Settings { lookups_at_once: 1, ..settings("127.0.0.1:9".parse().unwrap()) };
    let lookup = HickoryLookup::new(&one).unwrap();
    let ended = lookup.in_time(std::future::pending::<Result<(), Unanswered>>()).await;
    assert_eq!(ended.unwrap_err().kind, UnansweredKind::Failed);
    assert_eq!(lookup.permits.available_permits(), 1);
}

async fn addresses(lookup: &HickoryLookup, text: &str) -> Result<Addresses, Unanswered> {
    lookup.addresses(&DnsName::new(text)).await
}

#[tokio::test]
async fn every_step_to_the_addresses_is_told() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let both = Addresses {
        a: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        aaaa: vec!["2001:db8::7".parse().unwrap()],
        exists: true,
        ttl: Some(Duration::from_secs(600)),
        ..Addresses::default()
    };
    let chain = vec![DnsName::new("_token.alias2.example"), DnsName::new("both.provider.example")];
    // The least on the way, which is that of the CNAME records.
    let ttl = Some(Duration::from_secs(300));
    assert_eq!(addresses(&lookup, "both.example").await, Ok(both.clone()));
    assert_eq!(addresses(&lookup, "alias.example").await, Ok(Addresses { chain, ttl, ..both }));
    let odd = addresses(&lookup, "oddly.example").await.unwrap();
    assert_eq!(odd.chain, [DnsName::new(r"a\.b.\255\032c.example")]);
    assert_eq!(odd.a, [Ipv4Addr::new(192, 0, 2, 3)]);
}

#[tokio::test]
async fn a_name_without_addresses_is_not_a_name_that_does_not_exist() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let empty = Addresses { exists: true, ..Addresses::default() };
    assert_eq!(addresses(&lookup, "empty.example").await, Ok(empty));
    assert_eq!(addresses(&lookup, "gone.example").await, Ok(Addresses::default()));
    let ttl = Some(Duration::from_secs(300));
    let dangling = Addresses { ttl, chain: vec![DnsName::new("gone.example")], ..Addresses::default() };
    assert_eq!(addresses(&lookup, "dangling.example").await, Ok(dangling));
}

#[tokio::test]
async fn half_of_the_addresses_is_no_answer() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let half = addresses(&lookup, "half.example").await.unwrap_err();
    assert_eq!(half.kind, UnansweredKind::Failed);
}

#[tokio::test]
async fn a_circle_of_cnames_ends() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let circle = addresses(&lookup, "circle.example").await.unwrap_err();
    assert_eq!(circle.kind, UnansweredKind::TooManyCnames, "{circle}");
}

#[tokio::test]
async fn caa_records_are_those_at_the_end_of_the_chain() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let records = vec![
        CaaRecord { critical: true, tag: "issue".into(), value: b"ca.example".to_vec() },
        CaaRecord { critical: false, tag: "issuewild".into(), value: b";".to_vec() },
    ];
    let found = lookup.caa(&DnsName::new("both.example")).await;
    assert_eq!(found, Ok(CaaAnswer { records: records.clone(), chain: vec![] }));
    let found = lookup.caa(&DnsName::new("alias.example")).await.unwrap();
    assert_eq!((found.records, found.chain.len()), (records, 2));
    assert_eq!(lookup.caa(&DnsName::new("empty.example")).await, Ok(CaaAnswer::default()));
    assert_eq!(lookup.caa(&DnsName::new("gone.example")).await, Ok(CaaAnswer::default()));
    // The top of every climb, a single label.
    assert_eq!(lookup.caa(&DnsName::new("example")).await, Ok(CaaAnswer::default()));
}

#[tokio::test]
async fn a_bogus_answer_is_told_from_a_failure() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let kind = async |text| addresses(&lookup, text).await.unwrap_err().kind;
    assert_eq!(kind("bogus.example").await, UnansweredKind::Bogus);
    assert_eq!(kind("broken.example").await, UnansweredKind::Failed);
}

async fn texts(lookup: &HickoryLookup, text: &str) -> Answer<TxtAnswer> {
    lookup.txt(&DnsName::new(text)).await.unwrap()
}

#[tokio::test]
async fn strings_of_a_text_record_are_kept_apart() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let found = texts(&lookup, "strings.example").await;
    let records = vec![vec![b"v=STSv1; ".to_vec(), b"id=1;".to_vec()], vec![b"\xff\0 other".to_vec()]];
    let data = TxtAnswer { records: records.clone(), exists: true, ..TxtAnswer::default() };
    assert_eq!(found, Answer::new(data, Some(Duration::from_secs(600))));
    // Too large for UDP.
    assert_eq!(texts(&lookup, "long.example").await.data.records, [vec![vec![b'x'; 255]; 40]]);
    assert_eq!(texts(&lookup, "crowd.example").await.data.records.len(), RECORDS_MAX);
    for (text, exists) in [("empty.example", true), ("gone.example", false)] {
        let found = texts(&lookup, text).await;
        assert_eq!((found.data.records.len(), found.data.exists, found.ttl), (0, exists, None), "{text}");
    }
    let unanswered = async |text| lookup.txt(&DnsName::new(text)).await.unwrap_err().kind;
    assert_eq!(unanswered("broken.example").await, UnansweredKind::Failed);
    assert_eq!(unanswered("bogus.example").await, UnansweredKind::Bogus);
    assert_eq!(unanswered("circle.example").await, UnansweredKind::TooManyCnames);
}

#[tokio::test]
async fn a_text_record_elsewhere_is_followed_and_one_beside_the_alias_is_told() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    for (text, beside_cname) in [("text.example", false), ("stray.example", true)] {
        let found = texts(&lookup, text).await;
        assert_eq!(found.data.chain, [DnsName::new("strings.provider.example")], "{text}");
        assert_eq!(found.data.records.len(), 2, "{text}");
        assert_eq!(found.data.beside_cname, beside_cname, "{text}");
        assert_eq!(found.ttl, Some(Duration::from_secs(300)), "{text}");
    }
}

#[tokio::test]
async fn numbers_of_a_tlsa_record_are_those_published() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let found = lookup.tlsa(&DnsName::new("pinned.example")).await.unwrap();
    let records = vec![
        TlsaRecord { usage: 3, selector: 1, matching: 1, data: vec![7; 32] },
        TlsaRecord { usage: 9, selector: 8, matching: 7, data: vec![] },
    ];
    assert_eq!(found.data, TlsaAnswer { records, exists: true });
    assert!(!lookup.tlsa(&DnsName::new("gone.example")).await.unwrap().data.exists);
}

#[tokio::test]
async fn an_answer_is_signed_when_every_step_is() {
    let lookup = HickoryLookup::new(&settings(serve().await)).unwrap();
    let signed = async |text: &str| {
        let name = DnsName::new(text);
        let secure = lookup.txt(&name).await.unwrap().secure;
        assert_eq!(lookup.tlsa(&name).await.unwrap().secure, secure, "{text}");
        assert_eq!(lookup.addresses(&name).await.unwrap().secure, secure, "{text}");
        assert_eq!(lookup.mx(&domain(text)).await.unwrap().secure, secure, "{text}");
        secure
    };
    assert!(signed("strings.signed.example").await);
    assert!(signed("empty.signed.example").await);
    assert!(signed("gone.signed.example").await, "so is a denial");
    assert!(!signed("strings.example").await);
    // The alias is signed, what it leads to is not.
    assert!(!lookup.txt(&DnsName::new("text.signed.example")).await.unwrap().secure);
}

#[test]
fn only_a_near_resolver_is_believed_unless_told_otherwise() {
    let mut response = Message::query();
    response.metadata.authentic_data = true;
    let secure = |server: &str, trust_ad| {
        let server: SocketAddr = server.parse().unwrap();
        let lookup = HickoryLookup::new(&Settings { trust_ad, ..settings(server) }).unwrap();
        lookup.heard(server, response.clone()).secure
    };
    assert!(secure("127.0.0.53:53", false));
    assert!(secure("[::1]:53", false));
    assert!(!secure("192.0.2.53:53", false));
    assert!(secure("192.0.2.53:53", true));
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_and_is_then_asked_first() {
    let live = serve().await;
    // Bound and dropped: nobody listens there.
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lookup = HickoryLookup::new(&Settings { servers: vec![dead, live], ..settings(live) }).unwrap();
    assert_eq!(texts(&lookup, "strings.example").await.data.records.len(), 2);
    assert_eq!(lookup.preferred.load(Ordering::Relaxed), 1);
}

#[test]
fn a_shown_name_is_asked_for_as_it_was() {
    for name in [odd_host(), name("_mx.Example.COM."), name("example."), Name::root()] {
        let back = full_name(&presentation(&name)).unwrap();
        assert_eq!(back, name);
    }
}
