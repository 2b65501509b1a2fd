//! Policy hosts that nginx cannot be made to be. Each takes one address; each connection has a thread.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Takes the connection and says nothing.
    Silent,
    /// Stops within the headers.
    Stalls,
    /// Answers a TLS hello in plaintext.
    Plain,
    /// Answers a request with no HTTP.
    Garbage,
    /// Closes within the body.
    Short,
    /// Agrees on HTTP/2, speaks HTTP/1.1.
    Http2Broken,
    /// Hangs up on whoever does not agree on HTTP/2.
    Http2Only,
    /// A good answer by HTTP/1.1, without ALPN.
    Http1Only,
    /// The same, after a while.
    Slow,
    /// The same, at first an octet a second.
    Drips,
    /// Header fields without end.
    EndlessHead,
    /// A body without end.
    EndlessBody,
}

impl Script {
    /// Where it listens.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 1, 1, self as u8 + 1)
    }

    /// What it agrees on by ALPN.
    pub fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2Broken => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::Http2Only => vec![b"h2".to_vec()],
            _ => vec![],
        }
    }
}

/// Longer than the fastest senders wait, which is 2 s.
const SLOW: Duration = Duration::from_millis(2_500);

/// So many octets, one a second, are longer than we wait, which is 30 s; then comes the rest, because
/// some of the peers would wait for ever.
const DRIPPING: usize = 40;

const BODY: &str = "version: STSv1\nmode: enforce\nmx: mx.zoo.example\nmax_age: 1209600\n";

/// Serves one connection. An error means that the client went away, which is its right.
pub fn serve(script: Script, mut tcp: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<()> {
    match script {
        Script::Silent => return hold(&mut tcp),
        Script::Plain => {
            tcp.read_exact(&mut [0; 5])?;
            return tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
        _ => {}
    }
    let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let agreed = stream.conn.alpn_protocol() == Some(b"h2");
    match script {
        Script::Http2Only if agreed => return http2(&mut stream),
        Script::Http2Only => return Ok(()),
        Script::Http2Broken if agreed => {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
            stream.flush()?;
            return hold(&mut stream);
        }
        _ => while !line(&mut stream)?.is_empty() {},
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    let length = BODY.len();
    let answer = match script {
        Script::Garbage => "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_owned(),
        Script::Stalls => head.to_owned(),
        Script::Short => format!("{head}Content-Length: 5000\r\n\r\n{BODY}"),
        Script::EndlessHead => return repeat(&mut stream, head, "X-Filler: nothing to see here\r\n"),
        Script::EndlessBody => return repeat(&mut stream, &format!("{head}\r\n{BODY}"), "x-note: filler\n"),
        _ => format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{BODY}"),
    };
    let rest = match script {
        Script::Drips => {
            let (dripping, rest) = answer.split_at(DRIPPING);
            drip(&mut stream, dripping)?;
            rest
        }
        _ => &answer,
    };
    if script == Script::Slow {
        thread::sleep(SLOW);
    }
    stream.write_all(rest.as_bytes())?;
    stream.flush()?;
    if script == Script::Stalls {
        return hold(&mut stream);
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// Just enough HTTP/2 (RFC 9113) to answer one request with the policy.
fn http2(stream: &mut (impl Read + Write)) -> io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    stream.flush()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, s @ ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        stream.read_exact(&mut vec![0; length])?;
        if kind == SETTINGS && flags == 0 {
            stream.write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])?;
        } else if kind == HEADERS {
            let mut frame = |kind: u8, flags: u8, payload: &[u8]| {
                stream.write_all(&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags])?;
                stream.write_all(&s)?;
                stream.write_all(payload)
            };
            // `:status: 200` and `content-type: text/plain` (RFC 7541, static table 8 and 31).
            frame(HEADERS, 4, b"\x88\x5f\x0atext/plain")?;
            frame(DATA, 1, BODY.as_bytes())?;
        }
        stream.flush()?;
    }
}

/// Writes `text` an octet a second.
pub fn drip(stream: &mut impl Write, text: &str) -> io::Result<()> {
    for octet in text.bytes() {
        stream.write_all(&[octet])?;
        stream.flush()?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Writes `beginning` and then `filler` until the client goes, or has taken far too much: some of the
/// peers would read for ever.
fn repeat(stream: &mut impl Write, beginning: &str, filler: &str) -> io::Result<()> {
    const FAR_TOO_MUCH: usize = 4 << 20;
    stream.write_all(beginning.as_bytes())?;
    for _ in 0..FAR_TOO_MUCH / filler.len() {
        stream.write_all(filler.as_bytes())?;
    }
    stream.flush()
}

/// Reads until the client goes.
pub fn hold(stream: &mut impl Read) -> io::Result<()> {
    while stream.read(&mut [0; 512])? > 0 {}
    Ok(())
}

/// The next line, without its end; one octet at a time, so that nothing beyond it is taken.
pub fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet)?;
        match octet[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&text).trim_end().to_owned()),
            other if text.len() < 8192 => text.push(other),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
