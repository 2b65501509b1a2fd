//! One daemon takes the place of another, and no connection is refused, reset or left without an answer.
//!
//! The new one (`arriving`) reaches the old one (`leaving`) over the status socket:
//!
//! | the new daemon | the old daemon |
//! | --- | --- |
//! | has read and checked its configuration, asks to `lend` | |
//! | | sends its listening sockets |
//! | binds what it lacks, asks to `hold` | |
//! | | begins no orders, lets those under way end, stops writing to the store: `held` |
//! | opens the store, builds every part: `ready` | |
//! | | stops accepting: `yours`; serves what it has accepted, and ends |
//! | accepts, orders, answers on the status socket | |
//!
//! Until `ready` is heard every fault ends in the old daemon going on as before, whatever became of the
//! new one: the store's lock is with a process, and goes when that goes. Between `ready` and `yours`
//! nobody accepts, and what comes in waits in the queue, which both share.

mod arriving;
mod leaving;

pub(super) use arriving::Arrival;
pub use arriving::TakeOverError;
pub(super) use leaving::{Leaving, Successor};

use crate::listening::{PassedSocket, receive_socket, send_socket};
use bytes::Bytes;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// Longer than any sentence between the two.
const LINE_MAX: usize = 4 * 1024;
/// Sockets that one message may announce; nobody listens on that many addresses.
const SOCKETS_MAX: usize = 1_024;
/// The longest wait for what takes the other side no time.
const PROMPT: Duration = Duration::from_secs(60);

/// What the two say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// The new one: send your sockets.
    Lend,
    /// The old one: so many sockets follow.
    Sockets(usize),
    /// The new one: stop writing.
    Hold,
    /// The old one: the store is free.
    Held,
    /// The new one: everything is built.
    Ready,
    /// The old one: nobody else accepts any more.
    Yours,
    /// The old one: it goes on by itself; why.
    Refused(String),
}

/// The stream between the two.
#[derive(Debug)]
struct Talk {
    stream: UnixStream,
    /// What was read of it before.
    ahead: Bytes,
}

impl Talk {
    fn new(stream: UnixStream, ahead: Bytes) -> Self {
        Self { stream, ahead }
    }

    async fn say(&mut self, word: &Word) -> io::Result<()> {
        let line = match word {
            Word::Lend => "lend\n".to_owned(),
            Word::Sockets(count) => format!("sockets {count}\n"),
            Word::Hold => "hold\n".to_owned(),
            Word::Held => "held\n".to_owned(),
            Word::Ready => "ready\n".to_owned(),
            Word::Yours => "yours\n".to_owned(),
            Word::Refused(why) => format!("refused {}\n", why.replace('\n', " ")),
        };
        prompt(self.stream.write_all(line.as_bytes())).await
    }

    /// The next word; `None` when the other side is gone.
    async fn hear(&mut self) -> io::Result<Option<Word>> {
        // Octet by octet: what follows may be a socket, which a reader ahead of it would lose.
        let mut line = Vec::new();
        loop {
            let octet = match self.octet().await {
                Ok(b'\n') => break,
                Ok(octet) => octet,
                Err(error) if is_end(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            line.push(octet);
            if line.len() > LINE_MAX {
                return Err(not_understood("a line without an end"));
            }
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let word = match word {
            "sockets" => rest.parse().ok().filter(|count| *count <= SOCKETS_MAX).map(Word::Sockets),
            "lend" => Some(Word::Lend),
            "hold" => Some(Word::Hold),
            "held" => Some(Word::Held),
            "ready" => Some(Word::Ready),
            "yours" => Some(Word::Yours),
            "refused" => Some(Word::Refused(rest.to_owned())),
            _ => None,
        };
        word.map(Some).ok_or_else(|| not_understood(&line))
    }

    async fn octet(&mut self) -> io::Result<u8> {
        match self.ahead.is_empty() {
            true => self.stream.read_u8().await,
            false => Ok(self.ahead.split_to(1)[0]),
        }
    }

    async fn send(&self, sockets: &[PassedSocket]) -> io::Result<()> {
        for socket in sockets {
            prompt(send_socket(&self.stream, socket)).await?;
        }
        Ok(())
    }

    async fn receive(&self, count: usize) -> io::Result<Vec<PassedSocket>> {
        let mut sockets = Vec::new();
        for _ in 0..count {
            sockets.push(prompt(receive_socket(&self.stream)).await?);
        }
        Ok(sockets)
    }
}

async fn prompt<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PROMPT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn not_understood(said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{said:?} was not understood"))
}

#[cfg(test)]
mod tests;
