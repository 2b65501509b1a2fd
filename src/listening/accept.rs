//! Accepts connections within permits, and goes on after every error.

use super::{
    networks::Networks,
    permits::{Permit, Permits, Refusal},
    proxy_protocol::read_header,
};
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

/// What may stand between a listener and those who connect to it; by default nothing does.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// From here a connection must begin with a PROXY header, which says on whose behalf it is.
    pub proxy_protocol: Networks,
    /// Proxies: they connect on behalf of many, so their own addresses are not limited.
    pub proxies: Networks,
    /// Who may connect at all; `None`: everybody.
    pub only_from: Option<Networks>,
}

/// A connection, with the right to be open.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    own: Own,
}

/// Whether the address of the other end is that of who wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    /// It is.
    Yes,
    /// It is a proxy's.
    Proxy,
    /// It is a proxy's, and a PROXY header says whose it is.
    Announced,
}

impl Accepted {
    /// Finds out who it is: at once, or from the PROXY header that this peer has to send. Waits for as
    /// long as the peer does; the caller has the deadline.
    ///
    /// # Errors
    ///
    /// [`NotMet`]; the connection is closed then.
    pub async fn meet(self) -> Result<Visitor, NotMet> {
        let Self { mut stream, mut peer, mut permit, own } = self;
        let mut is_proxy = own != Own::Yes;
        if own == Own::Announced
            && let Some(client) = read_header(&mut stream).await.map_err(NotMet::Header)?
        {
            permit.name(client.ip()).map_err(NotMet::Refused)?;
            (peer, is_proxy) = (client, false);
        }
        Ok(Visitor { stream, peer, is_proxy, permit })
    }

    /// The other end of the socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

/// Who has connected.
#[derive(Debug)]
pub struct Visitor {
    /// The socket, set up as its listener was; a PROXY header is read from it already.
    pub stream: TcpStream,
    /// Who it is; IPv4 addresses are never shown mapped into IPv6.
    pub peer: SocketAddr,
    /// Whether that is a proxy, who speaks for many or for itself: no limit for each address counts.
    pub is_proxy: bool,
    /// Given back when dropped: keep it for as long as the socket is open.
    pub permit: Permit,
}

/// Why nobody knows who has connected.
#[derive(Debug, thiserror::Error)]
pub enum NotMet {
    /// The PROXY header is missing, broken, or too long.
    #[error("no PROXY header could be read")]
    Header(#[source] io::Error),
    /// Whom the header names has too many connections.
    #[error("the client has too many connections")]
    Refused(Refusal),
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
    front: Front,
    permits: Permits,
    warned_at: Option<Instant>,
}

impl Acceptor {
    /// Accepts from `listener`, before which stands `front`, for as long as `permits` lasts.
    pub fn new(listener: TcpListener, front: Front, permits: Permits) -> Self {
        Self { listener, front, permits, warned_at: None }
    }

    /// Waits for the next connection. Errors of the peer's making are skipped; when the system is
    /// out of resources this says so, waits 100 ms and goes on. Safe to cancel.
    pub async fn next(&mut self) -> Arrival {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return arrival(stream, peer, &self.front, &self.permits),
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

fn arrival(stream: TcpStream, peer: SocketAddr, front: &Front, permits: &Permits) -> Arrival {
    let address: IpAddr = peer.ip().to_canonical();
    if front.only_from.as_ref().is_some_and(|networks| !networks.contains(address)) {
        return Arrival::Refused(Refusal::Network);
    }
    let own = if front.proxy_protocol.contains(address) {
        Own::Announced
    } else if front.proxies.contains(address) {
        Own::Proxy
    } else {
        Own::Yes
    };
    let permit = if own == Own::Yes { permits.take(address) } else { permits.take_unnamed() };
    match permit {
        Ok(permit) => {
            let peer = SocketAddr::new(address, peer.port());
            Arrival::Accepted(Accepted { stream, peer, permit, own })
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
        let mut acceptor = Acceptor::new(listener, Front::default(), Permits::new(10, 1));
        let _first = TcpStream::connect(address).await.unwrap();
        let Arrival::Accepted(held) = acceptor.next().await else { panic!("refused") };
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(matches!(acceptor.next().await, Arrival::Refused(Refusal::Address)));
        assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(matches!(acceptor.next().await, Arrival::Accepted(_)));
    }

    async fn arrive(front: &Front, permits: &Permits, say: &[u8]) -> (TcpStream, Arrival) {
        use tokio::io::AsyncWriteExt;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener, front.clone(), permits.clone());
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(say).await.unwrap();
        (client, acceptor.next().await)
    }

    #[tokio::test]
    async fn a_proxys_own_address_is_not_limited_but_its_clients_are() {
        let front = Front { proxy_protocol: Networks::loopback(), ..Front::default() };
        let permits = Permits::new(10, 1);
        let check = async |say: &[u8]| {
            let (client, arrival) = arrive(&front, &permits, say).await;
            let Arrival::Accepted(accepted) = arrival else { panic!("refused") };
            let visitor = accepted.meet().await.map_err(|error| error.to_string());
            (client, visitor)
        };
        let (_a, first) = check(b"PROXY TCP4 192.0.2.1 192.0.2.9 1 443\r\n").await;
        let (_b, second) = check(b"PROXY TCP4 192.0.2.1 192.0.2.9 2 443\r\n").await;
        let (_c, third) = check(b"PROXY TCP4 192.0.2.2 192.0.2.9 3 443\r\n").await;
        let first = first.unwrap();
        assert_eq!((first.peer.to_string().as_str(), first.is_proxy), ("192.0.2.1:1", false));
        assert_eq!(second.unwrap_err(), "the client has too many connections");
        assert!(third.is_ok());
        for _ in 0..2 {
            let (_client, own) = check(b"PROXY UNKNOWN\r\n").await;
            let own = own.unwrap();
            assert!(own.is_proxy && own.peer.ip().is_loopback());
        }
        assert_eq!(permits.open(), 2);
    }

    #[tokio::test]
    async fn a_listener_for_proxies_is_closed_to_everybody_else() {
        let permits = Permits::new(10, 1);
        let only = |network: &str| Front {
            only_from: Some([network.parse().unwrap()].into_iter().collect()),
            proxies: Networks::loopback(),
            ..Front::default()
        };
        let (_client, arrival) = arrive(&only("192.0.2.0/24"), &permits, b"").await;
        assert!(matches!(arrival, Arrival::Refused(Refusal::Network)));
        let (_client, arrival) = arrive(&only("127.0.0.0/8"), &permits, b"").await;
        let Arrival::Accepted(accepted) = arrival else { panic!("refused") };
        assert!(accepted.meet().await.unwrap().is_proxy);
    }
}
