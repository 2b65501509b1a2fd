//! A name server that breaks a rule which Knot keeps: it has a TXT and a CNAME record at one name (RFC
//! 1034 §3.6.2), as some providers' servers do. And a resolver that shows it: Unbound keeps the CNAME and
//! does not ask for the other.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

/// Where the name server listens.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 55);

/// Where the resolver listens.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 55);

/// The name with both, as a question has it.
const ODD: &[u8] = b"\x08_mta-sts\x13record-beside-cname\x07example\0";

const CNAME: u16 = 5;
const TXT: u16 = 16;

/// Where its CNAME record leads.
const TARGET: [&str; 3] = ["_mta-sts", "good", "example"];

/// What its TXT record says.
const TEXT: &[u8] = b"v=STSv1; id=20261121;";

/// Answers until the process ends.
pub fn serve(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        let query = &query[..length];
        if let Some(reply) = reply(query).or_else(|| unbounds_reply(query)) {
            // Who asked and went away needs no answer.
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// What Unbound says.
fn unbounds_reply(query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    socket.send_to(query, "127.0.0.1:53").ok()?;
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).ok()?;
    reply.truncate(length);
    Some(reply)
}

/// The answer about the odd name (RFC 1035 §4.1); `None` to what is another question.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let end = HEADER + ODD.len();
    let question = query.get(HEADER..end + 4)?;
    if !question[..ODD.len()].eq_ignore_ascii_case(ODD) {
        return None;
    }
    let kind = u16::from_be_bytes([question[ODD.len()], question[ODD.len() + 1]]);
    let mut target = Vec::new();
    for label in TARGET {
        target.push(u8::try_from(label.len()).ok()?);
        target.extend(label.bytes());
    }
    target.push(0);
    let mut text = vec![u8::try_from(TEXT.len()).ok()?];
    text.extend(TEXT);
    // The record that was asked for comes first, or resolvers would not look further.
    let records = match kind {
        TXT => vec![(TXT, text), (CNAME, target)],
        _ => vec![(CNAME, target)],
    };
    // An authoritative answer, or one of a resolver: nobody asks which.
    let mut reply = vec![query[0], query[1], 0x84, 0, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0];
    reply.extend(question);
    for (kind, data) in records {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 0]);
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}
