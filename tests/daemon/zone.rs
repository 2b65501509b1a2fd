//! A DNS server on loopback for commands that look at the world.

use hickory_server::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, MX, SOA, TXT},
    },
};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Names below this one are never answered: SERVFAIL.
const BROKEN: &str = "broken.example.";

/// The records of a test, until it ends.
pub struct Zone {
    pub address: SocketAddr,
}

pub fn mx(owner: &str, host: &str) -> (Name, RData) {
    (name(owner), RData::MX(MX::new(10, name(host))))
}

pub fn a(owner: &str, address: Ipv4Addr) -> (Name, RData) {
    (name(owner), RData::A(A(address)))
}

pub fn txt(owner: &str, text: &str) -> (Name, RData) {
    (name(owner), RData::TXT(TXT::new(vec![text.to_owned()])))
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

impl Zone {
    /// Answers from `records` for as long as the test's process lives.
    pub fn serve(records: Vec<(Name, RData)>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((octets, peer)) = socket.recv_from(&mut buffer) {
                if let Ok(request) = Message::from_vec(&buffer[..octets]) {
                    let answer = answer(&records, &request).to_vec().unwrap();
                    // A client that went away is no concern of ours.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address }
    }
}

fn answer(records: &[(Name, RData)], request: &Message) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.add_queries(request.queries.clone());
    let Some(question) = request.queries.first() else { return answer };
    let (owner, kind) = (question.name(), question.query_type());
    let known = records.iter().any(|(name, _)| name == owner);
    let found = records.iter().filter(|(name, data)| name == owner && data.record_type() == kind);
    let found: Vec<Record> =
        found.map(|(name, data)| Record::from_rdata(name.clone(), 60, data.clone())).collect();
    if Name::from_ascii(BROKEN).unwrap().zone_of(owner) && kind != RecordType::MX {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else if found.is_empty() {
        let soa = SOA::new(name("ns.example"), name("post.example"), 1, 60, 60, 60, 60);
        answer.add_authority(Record::from_rdata(name("example"), 60, RData::SOA(soa)));
        answer.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
    }
    answer.add_answers(found);
    answer
}
