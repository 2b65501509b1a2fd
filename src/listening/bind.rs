//! Binds listening sockets; a failure names the address, the key and what would help.
//!
//! Options that every connection needs are set on the listener: on Linux an accepted socket
//! inherits them, which saves two system calls for each connection. Sockets that were passed to us get
//! the same treatment.

use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::net::TcpListener;

/// Connections that may wait in the kernel to be accepted; also bounded by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Sent octets that stay unacknowledged for this long end the connection: the peer is gone or
/// refuses to read.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Binds every address of the configuration key `key`, in order; all of them or none.
///
/// `[::]` also takes IPv4 connections, unless `0.0.0.0` with the same port is in the list too.
///
/// # Errors
///
/// [`BindError`] for the first address that could not be bound.
pub fn bind_all(key: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    addresses.iter().map(|address| bind_one(key, *address, addresses)).collect()
}

/// Binds one address of the configuration key `key`, under which `all` stand.
pub(super) fn bind_one(
    key: &'static str,
    address: SocketAddr,
    all: &[SocketAddr],
) -> Result<TcpListener, BindError> {
    let only_v6 = all.contains(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()));
    bind(address, only_v6).map_err(|source| BindError { key, address, source })
}

fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for connections of the last run in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    prepare(&socket)?;
    TcpListener::from_std(socket.into())
}

/// Sets `socket` up and listens; on one that listens already this sets the queue's length anew.
pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address} ({key}); {}", Remedy(.source, .address))]
pub struct BindError {
    /// The configuration key the address stands under, `listen.https` for one.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What would help, as the end of a sentence.
struct Remedy<'a>(&'a io::Error, &'a SocketAddr);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ErrorKind::PermissionDenied => write!(
                f,
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or choose another port \
                 than {}",
                self.1.port()
            ),
            ErrorKind::AddrInUse => write!(
                f,
                "another program listens there: stop it (`ss -ltnp 'sport = :{}'` shows it), or choose another \
                 address",
                self.1.port()
            ),
            ErrorKind::AddrNotAvailable => {
                f.write_str("no interface of this host has the address: add it, or listen on [::]")
            }
            _ => f.write_str("check the address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::Ipv6Addr;
    use tokio::net::TcpStream;

    fn local(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_key_and_remedy() {
        let first = bind_all("listen.https", &[local(0)]).unwrap().remove(0);
        let taken = first.local_addr().unwrap();
        let error = bind_all("listen.http", &[taken]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&taken.to_string()) && text.contains("listen.http"), "{text}");
        assert!(text.contains("another program listens there"), "{text}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn a_forbidden_port_and_a_foreign_address_have_their_own_remedies() {
        let check = |kind: ErrorKind, expected: &str| {
            let error = BindError { key: "listen.https", address: local(443), source: kind.into() };
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE");
        check(ErrorKind::PermissionDenied, "127.0.0.1:443");
        check(ErrorKind::AddrNotAvailable, "listen on [::]");
    }

    #[tokio::test]
    async fn accepted_sockets_inherit_what_the_listener_was_given() {
        let listener = bind_all("listen.https", &[local(0)]).unwrap().remove(0);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
        assert_eq!(SockRef::from(&accepted).tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn the_unspecified_v6_address_serves_both_families() {
        let any: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
        let Ok(mut listeners) = bind_all("listen.https", &[any]) else {
            return; // a host without IPv6
        };
        let port = listeners.remove(0).local_addr().unwrap().port();
        let both = [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
        // Alone it takes IPv4 too; beside 0.0.0.0 each keeps to its own family and neither is in use.
        let alone = bind_all("listen.https", &both[..1]).unwrap();
        assert!(TcpStream::connect(local(port)).await.is_ok());
        drop(alone);
        assert_eq!(bind_all("listen.https", &both).unwrap().len(), 2);
    }
}
