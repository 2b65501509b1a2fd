//! Mail servers that Postfix cannot be made to be. Each takes one address; each connection has a thread.

use crate::scripted_https::{drip, hold, line};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Sends a reply in plaintext after the 220 to STARTTLS.
    Injection,
    /// Never greets.
    Tarpit,
    /// Says 421 and closes.
    Busy,
    /// Says 554 and waits for QUIT.
    Refuses,
    /// Greets without end.
    EndlessBanner,
    /// Greets an octet a second.
    Drips,
    /// Answers EHLO without end.
    EndlessEhlo,
    /// Answers EHLO within TLS without end.
    EndlessWithinTls,
    /// Greets as another protocol does.
    Garbage,
    /// Says 220 to STARTTLS and then no TLS.
    BrokenTls,
    /// Says 454 to STARTTLS.
    TlsNotNow,
    /// Offers STARTTLS within TLS.
    StarttlsAgain,
    /// Refuses EHLO within TLS.
    DeafAfterTls,
    /// Ends a handshake that does not name it.
    NeedsServerName,
}

/// Serves one connection. An error means that the client went away, which is its right.
pub fn serve(script: Script, mut tcp: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<()> {
    match script {
        Script::Tarpit => return hold(&mut tcp),
        Script::Busy => return tcp.write_all(b"421 4.3.2 zoo.example is busy\r\n"),
        Script::EndlessBanner => loop {
            tcp.write_all(b"220-zoo.example wishes to say a few words before we begin\r\n")?;
        },
        Script::Drips => return drip(&mut tcp, &"220-zoo.example is taking its time\r\n".repeat(100)),
        Script::Garbage => {
            tcp.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")?;
            return hold(&mut tcp);
        }
        Script::Refuses => tcp.write_all(b"554 5.7.1 zoo.example does not talk to you\r\n")?,
        _ => tcp.write_all(b"220 zoo.example ESMTP\r\n")?,
    }
    loop {
        let command = line(&mut tcp)?.to_ascii_uppercase();
        if command.starts_with("QUIT") {
            return tcp.write_all(b"221 2.0.0 bye\r\n");
        }
        if script == Script::Refuses {
            tcp.write_all(b"503 5.5.1 only QUIT\r\n")?;
        } else if command.starts_with("EHLO") && script == Script::EndlessEhlo {
            loop {
                tcp.write_all(b"250-X-FILLER nothing to see here\r\n")?;
            }
        } else if command.starts_with("EHLO") {
            tcp.write_all(b"250-zoo.example\r\n250 STARTTLS\r\n")?;
        } else if !command.starts_with("STARTTLS") {
            tcp.write_all(b"502 5.5.1 no such command\r\n")?;
        } else {
            match script {
                Script::TlsNotNow => tcp.write_all(b"454 4.7.0 TLS not available\r\n")?,
                Script::Injection => {
                    tcp.write_all(b"220 2.0.0 go ahead\r\n250 2.1.0 injected\r\n")?;
                    return hold(&mut tcp);
                }
                Script::BrokenTls => {
                    tcp.write_all(b"220 2.0.0 go ahead\r\n")?;
                    // The hello comes first, else this would be an injection.
                    tcp.read_exact(&mut [0; 5])?;
                    return tcp.write_all(b"500 5.5.1 what was that?\r\n");
                }
                _ => {
                    tcp.write_all(b"220 2.0.0 go ahead\r\n")?;
                    let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                    return within_tls(script, &mut StreamOwned::new(session, tcp));
                }
            }
        }
    }
}

fn within_tls(script: Script, stream: &mut (impl Read + Write)) -> io::Result<()> {
    loop {
        let command = line(stream)?.to_ascii_uppercase();
        let reply: &[u8] = match () {
            () if command.starts_with("QUIT") => return stream.write_all(b"221 2.0.0 bye\r\n"),
            () if !command.starts_with("EHLO") || script == Script::DeafAfterTls => {
                b"502 5.5.1 no such command\r\n"
            }
            () if script == Script::EndlessWithinTls => loop {
                stream.write_all(b"250-X-FILLER nothing to see here\r\n")?;
            },
            () if script == Script::StarttlsAgain => b"250-zoo.example\r\n250 STARTTLS\r\n",
            () => b"250 zoo.example\r\n",
        };
        stream.write_all(reply)?;
        stream.flush()?;
    }
}
