//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who is behind a proxy.
//!
//! A header is read from peers that are known to send one, and from nobody else: whoever may write
//! it may call himself as he likes. Not an octet behind it is taken, so the stream goes on as if the
//! client itself had connected. What proxies add (TLVs) is passed over.

use proxy_header::{ParseConfig, ProxyHeader};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// The shortest header of version 1, `PROXY UNKNOWN` and the end of the line; no header is shorter.
const SHORTEST: usize = 15;
/// The longest header of version 1 in octets (proxy-protocol.txt §2.1).
const V1_LONGEST: usize = 107;
/// How version 2 begins (§2.2).
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 that has the same form in every header.
const V2_FIXED: usize = 16;
/// The longest that a header of version 2 may go on: addresses, and what proxies add. The names and
/// certificates that some add have a few hundred octets.
const V2_REST_MAX: usize = 4_096;

/// Reads the header that stands at the beginning of `stream`, and the client's address in it; `None`
/// when the proxy speaks for itself (LOCAL, as in health checks) or does not know whom it speaks for.
///
/// Waits as long as the peer does; the caller has the deadline.
///
/// # Errors
///
/// [`ErrorKind::InvalidData`] for anything that is not a header within bounds, and what the socket says.
pub async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(V2_SIGNATURE) {
        read_v2(stream, &mut header).await?;
    } else if header.starts_with(b"PROXY ") {
        read_v1(stream, &mut header).await?;
    } else {
        return Err(refused("no PROXY header"));
    }
    client(&header)
}

async fn read_v2(stream: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    header.push(stream.read_u8().await?);
    let rest = match header.as_slice() {
        [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    if rest > V2_REST_MAX {
        return Err(refused("PROXY header is too long"));
    }
    header.resize(V2_FIXED + rest, 0);
    let rest = header.get_mut(V2_FIXED..).unwrap_or_default();
    stream.read_exact(rest).await.map(drop)
}

/// The line ends nobody knows where, and what follows is not ours: so each time what is there is
/// looked at first, and then taken up to the end of the line.
async fn read_v1(stream: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    let mut there = [0; V1_LONGEST];
    while header.last() != Some(&b'\n') {
        let room = there.get_mut(..V1_LONGEST - header.len()).filter(|room| !room.is_empty());
        let room = room.ok_or_else(|| refused("PROXY header is too long"))?;
        let seen = stream.peek(room).await?;
        let seen = room.get_mut(..seen).filter(|seen| !seen.is_empty()).ok_or(ErrorKind::UnexpectedEof)?;
        let take = seen.iter().position(|octet| *octet == b'\n').map_or(seen.len(), |at| at + 1);
        let taken = seen.get_mut(..take).unwrap_or_default();
        stream.read_exact(taken).await?;
        header.extend_from_slice(taken);
    }
    Ok(())
}

/// The client's address in a whole header. Pure.
fn client(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    /// The command LOCAL of version 2: what follows it does not count, whatever it is (§2.2).
    const LOCAL: u8 = 0x20;
    if header.starts_with(V2_SIGNATURE) && header.get(V2_SIGNATURE.len()) == Some(&LOCAL) {
        return Ok(None);
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(header, config) {
        Ok((parsed, octets)) if octets == header.len() => {
            let source = parsed.proxied_address().map(|address| address.source);
            Ok(source.map(|source| SocketAddr::new(source.ip().to_canonical(), source.port())))
        }
        _ => Err(refused("PROXY header makes no sense")),
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proxy_header::ProxiedAddress;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    const BEHIND: &[u8] = b"\x16\x03\x01 what the client says\n";

    /// What comes of `pieces` sent one after the other, each when the one before was taken, and what
    /// is left for the next reader.
    async fn read(pieces: &[&[u8]]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let sender = async move {
            for piece in pieces {
                // Whoever refuses does not read to the end.
                let _ = client.write_all(&piece).await;
                tokio::task::yield_now().await;
            }
            let _ = client.shutdown().await;
            client
        };
        let reader = async {
            let read = read_header(&mut server).await;
            let mut rest = Vec::new();
            let _ = server.read_to_end(&mut rest).await;
            (read, rest)
        };
        let (_client, read) = tokio::join!(sender, reader);
        read
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn encoded(source: &str, destination: &str) -> Vec<u8> {
        let address = ProxiedAddress::stream(source.parse().unwrap(), destination.parse().unwrap());
        let mut header = [0; 256];
        let length = ProxyHeader::with_address(address).encode_to_slice_v2(&mut header).unwrap();
        header[..length].to_vec()
    }

    async fn check(header: &[u8], expected: Option<&str>) {
        let expected = expected.map(|text| text.parse().unwrap());
        let whole = [header, BEHIND].concat();
        let octets: Vec<&[u8]> = whole.chunks(1).collect();
        for pieces in [&[header, BEHIND][..], &[whole.as_slice()], &octets] {
            let (read, rest) = read(pieces).await;
            assert_eq!(read.unwrap(), expected, "{}", header.escape_ascii());
            assert_eq!(rest, BEHIND, "{}", header.escape_ascii());
        }
    }

    #[tokio::test]
    async fn the_client_is_read_and_nothing_behind_it_is_taken() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", Some("192.0.2.1:56324")).await;
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n", Some("[2001:db8::1]:1")).await;
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let line = format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n");
        check(line.as_bytes(), Some(&format!("[{longest}]:65535"))).await;
        check(&encoded("192.0.2.1:56324", "198.51.100.2:443"), Some("192.0.2.1:56324")).await;
        check(&encoded("[2001:db8::1]:7", "[2001:db8::2]:443"), Some("[2001:db8::1]:7")).await;
        // One and the same host must not have two names.
        check(&encoded("[::ffff:192.0.2.1]:7", "[::ffff:192.0.2.2]:443"), Some("192.0.2.1:7")).await;
        check(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 7 443\r\n", Some("192.0.2.1:7")).await;
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself_or_for_nobody_is_let_through() {
        check(b"PROXY UNKNOWN\r\n", None).await;
        let most = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_LONGEST - 16));
        assert_eq!(most.len(), V1_LONGEST);
        check(most.as_bytes(), None).await;
        check(&v2(0x20, 0, b""), None).await;
        check(&v2(0x20, 0xff, b"whatever"), None).await;
        check(&v2(0x21, 0, b""), None).await;
        check(&v2(0x21, 0x31, &[b'/'; 216]), None).await;
    }

    #[tokio::test]
    async fn what_proxies_add_is_passed_over() {
        let address = [192, 0, 2, 1, 198, 51, 100, 2, 0, 7, 1, 187];
        let check_with = |added: Vec<u8>| {
            let header = v2(0x21, 0x11, &[&address[..], &added].concat());
            async move { check(&header, Some("192.0.2.1:7")).await }
        };
        check_with(b"\x02\0\x04name".to_vec()).await;
        check_with(b"\x02\xff\xffcut".to_vec()).await;
        let (read, rest) =
            read(&[&v2(0x21, 0x11, &[&address[..], &vec![0; V2_REST_MAX - 12]].concat()), BEHIND]).await;
        assert_eq!((read.unwrap(), rest.as_slice()), (Some("192.0.2.1:7".parse().unwrap()), BEHIND));
    }

    #[tokio::test]
    async fn anything_else_is_refused_within_bounds() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_LONGEST - 15));
        let endless = vec![b'1'; 100_000];
        for octets in [
            &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a ClientHello"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 66000\r\n",
            b"PROXY TCP9 192.0.2.1 198.51.100.2 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\n",
            b"proxy tcp4 192.0.2.1 198.51.100.2 1 2\r\n",
            too_long.as_bytes(),
            &[b"PROXY TCP4 ", endless.as_slice()].concat(),
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x41, &[0; 99]),
            &v2(0x21, 0x11, &vec![0; V2_REST_MAX + 1]),
        ] {
            let (read, _) = read(&[octets]).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData, "{}", octets.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_header_that_breaks_off_is_an_end_and_no_spin() {
        let whole = encoded("192.0.2.1:56324", "198.51.100.2:443");
        for octets in [&b""[..], b"PROXY", b"PROXY TCP4 192.0.2.1 198.5", &whole[..14], &whole[..20]] {
            let (read, _) = read(&[octets]).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{}", octets.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(rest in proptest::collection::vec(any::<u8>(), 0..300), command: u8, family: u8) {
            let _ = client(&v2(command, family, &rest));
            let _ = client(&rest);
            let _ = client(&[b"PROXY ", rest.as_slice(), b"\r\n"].concat());
        }
    }
}
