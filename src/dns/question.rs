//! One question to one resolver, and what came back.
//!
//! Asked here and not through hickory's resolver, because that keeps the flags of a response to
//! itself, and one of them tells whether the answer is signed. UDP first; TCP for what does not fit.
//! A forger has to guess port, id and the case of the name's letters.

use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// No resolver sends more by UDP; we say that we take less.
const DATAGRAM_BYTES: usize = 4_096;
/// What we say we take by UDP: no fragments (RFC 9715). TCP's limit lies in its length of two octets.
const PAYLOAD_BYTES: u16 = 1_232;

/// Asks `server`, which is to check DNSSEC signatures and to say that it did (the AD flag, RFC 6840
/// §5.7).
///
/// # Errors
///
/// No response within `wait`, both transports together. A response of any code is none.
pub async fn ask(server: SocketAddr, name: &Name, kind: RecordType, wait: Duration) -> io::Result<Message> {
    let mut question = question(name, kind);
    question.metadata.authentic_data = true;
    within(wait, exchange(server, &question)).await
}

/// Whether `server`, which said SERVFAIL, answers once it need not check. A validating resolver says
/// SERVFAIL to a bogus answer and to a failure; asked with "checking disabled" (RFC 4035 §3.2.2) it hands
/// out the answer whose signatures do not hold, while a failure stays one. No answer within `wait`
/// counts as no.
pub async fn answers_unchecked(server: SocketAddr, name: &Name, kind: RecordType, wait: Duration) -> bool {
    let mut question = question(name, kind);
    question.metadata.checking_disabled = true;
    // The head is enough, so nothing is asked again over TCP.
    let asked = within(wait, over_udp(server, &question)).await;
    asked.is_ok_and(|answer| {
        matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
    })
}

fn question(name: &Name, kind: RecordType) -> Message {
    let mut name = name.clone();
    name.randomize_label_case();
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_BYTES);
    question.set_edns(edns);
    question
}

async fn within(wait: Duration, asked: impl Future<Output = io::Result<Message>>) -> io::Result<Message> {
    timeout(wait, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn exchange(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let answer = over_udp(server, question).await?;
    let same_case = |(asked, echoed): (&Query, &Query)| asked.name().eq_case(echoed.name());
    if answer.metadata.truncation || !question.queries.iter().zip(&answer.queries).all(same_case) {
        return over_tcp(server, question).await;
    }
    Ok(answer)
}

async fn over_udp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = [0; DATAGRAM_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_vec(buffer.get(..length).unwrap_or_default());
        if let Some(answer) = answer.ok().filter(|answer| answers(answer, question)) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let octets = question.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), octets.as_slice()].concat()).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    match answers(&answer, question) {
        true => Ok(answer),
        false => Err(io::Error::other("the response is not to our question")),
    }
}

fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == question.queries
}
