//! ClientHellos by hand, where a TLS library would not send them.

use crate::server::within;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const TLS_1_1: [u8; 2] = [3, 2];
pub const TLS_1_2: [u8; 2] = [3, 3];

/// A ClientHello record of at most `version`. Signature algorithms are new in TLS 1.2 and are sent
/// only there, as clients do.
pub fn client_hello(version: [u8; 2], sni: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = sni {
        let entry = [&[0], sized(name.as_bytes(), 2).as_slice()].concat();
        extensions.extend(extension(0, &sized(&entry, 2)));
    }
    // supported_groups: P-256. ec_point_formats: uncompressed.
    extensions.extend(extension(10, &[0, 2, 0, 23]));
    extensions.extend(extension(11, &[1, 0]));
    if version == TLS_1_2 {
        // signature_algorithms: ecdsa_secp256r1_sha256.
        extensions.extend(extension(13, &[0, 2, 4, 3]));
    }
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0); // no session
    // ECDHE-ECDSA with AES-128-GCM and with AES-128-CBC-SHA.
    body.extend(sized(&[0xc0, 0x2b, 0xc0, 0x09], 2));
    body.extend([1, 0]); // no compression
    body.extend(sized(&extensions, 2));
    let handshake = [&[1], sized(&body, 3).as_slice()].concat();
    [&[22, 3, 1], sized(&handshake, 2).as_slice()].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), sized(data, 2).as_slice()].concat()
}

/// `data` behind its length in `octets` octets.
fn sized(data: &[u8], octets: usize) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[4 - octets..], data].concat()
}

/// Sends `octets`, and hands back everything the server sends until it closes.
pub async fn send(to: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let mut stream = within(TcpStream::connect(to)).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

/// The record of a fatal alert.
pub fn fatal(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}
