//! Accepts connections within permits, and goes on after every error.

use super::permits::{Permit, Permits, Refusal};
use rustix::io::Errno;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tracing::warn;

/// How long to wait when the system has no room for another connection: long enough not to spin,
/// short enough that a sender does not notice.
const PAUSE: Duration = Duration::from_millis(100);

/// The least time between two log lines about the same shortage.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A connection, with the right to be open.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, set up as its listener was.
    pub stream: TcpStream,
    /// The other end; IPv4 addresses are never shown mapped into IPv6.
    pub peer: SocketAddr,
    /// Given back when dropped: keep it for as long as the socket is open.
    pub permit: Permit,
}

/// What came in.
#[derive(Debug)]
pub enum Arrival {
    /// A connection to serve.
    Accepted(Accepted),
    /// A connection without a permit; it is closed already.
    Refused(Refusal),
}

/// A listener whose connections need a permit.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    permits: Permits,
    warned_at: Option<Instant>,
}

impl Acceptor {
    /// Accepts from `listener` for as long as `permits` lasts.
    pub fn new(listener: TcpListener, permits: Permits) -> Self {
        Self { listener, permits, warned_at: None }
    }

    /// Waits for the next connection. Errors of the peer's making are skipped; when the system is
    /// out of resources this says so, waits 100 ms and goes on. Safe to cancel.
    pub async fn next(&mut self) -> Arrival {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return arrival(stream, peer, &self.permits),
                Err(error) if is_peers(&error) => {}
                Err(error) => {
                    self.warn(&error);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn warn(&mut self, error: &io::Error) {
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            warn!(%error, "connection not accepted");
            self.warned_at = Some(Instant::now());
        }
    }
}

fn arrival(stream: TcpStream, peer: SocketAddr, permits: &Permits) -> Arrival {
    let address: IpAddr = peer.ip().to_canonical();
    match permits.take(address) {
        Ok(permit) => {
            Arrival::Accepted(Accepted { stream, peer: SocketAddr::new(address, peer.port()), permit })
        }
        Err(refusal) => Arrival::Refused(refusal),
    }
}

/// Whether an error of accept(2) belongs to the connection that was to be accepted, not to us.
/// Linux also reports what happened on the network meanwhile.
fn is_peers(error: &io::Error) -> bool {
    const PEERS: [Errno; 13] = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INTR,
        Errno::AGAIN,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::TIMEDOUT,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PEERS.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peers_own_errors_are_passed_over_without_a_pause() {
        let check = |errno: Errno, expected| {
            assert_eq!(is_peers(&io::Error::from_raw_os_error(errno.raw_os_error())), expected, "{errno}");
        };
        check(Errno::CONNABORTED, true);
        check(Errno::PERM, true);
        check(Errno::HOSTUNREACH, true);
        check(Errno::MFILE, false);
        check(Errno::NFILE, false);
        check(Errno::NOBUFS, false);
        check(Errno::NOMEM, false);
        // A listener that is broken for good must not spin either.
        check(Errno::BADF, false);
        assert!(!is_peers(&io::Error::other("not from the system")));
    }

    #[tokio::test]
    async fn a_connection_over_the_cap_is_closed_and_reported() {
        use tokio::io::AsyncReadExt;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener, Permits::new(10, 1));
        let _first = TcpStream::connect(address).await.unwrap();
        let Arrival::Accepted(held) = acceptor.next().await else { panic!("refused") };
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(matches!(acceptor.next().await, Arrival::Refused(Refusal::Address)));
        assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(matches!(acceptor.next().await, Arrival::Accepted(_)));
    }
}
