//! Tells a bogus answer from a failure.
//!
//! A validating resolver says SERVFAIL to both. Asked again with "checking disabled" (RFC 4035 §3.2.2)
//! it hands out the answer whose signatures do not hold; a failure stays one.

use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// A response that fits this needs no TCP; of one that does not, the head suffices.
const RESPONSE_BYTES: usize = 4_096;
/// What we say we take: no fragments (RFC 9715).
const PAYLOAD_BYTES: u16 = 1_232;

/// Whether `server`, which said SERVFAIL, answers once it need not check. One datagram each way; no
/// answer within `wait` counts as no.
pub async fn answers_unchecked(server: SocketAddr, name: &Name, kind: RecordType, wait: Duration) -> bool {
    let asked = timeout(wait, ask(server, name, kind)).await;
    matches!(asked, Ok(Ok(ResponseCode::NoError | ResponseCode::NXDomain)))
}

async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<ResponseCode> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.metadata.checking_disabled = true;
    question.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_BYTES);
    question.set_edns(edns);

    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = [0; RESPONSE_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(buffer.get(..length).unwrap_or_default()) else { continue };
        let ours = answer.metadata.id == question.metadata.id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries == question.queries;
        if ours {
            return Ok(answer.metadata.response_code);
        }
    }
}
