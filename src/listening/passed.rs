//! Sockets that listen already: systemd opened them, or the daemon that we take over from.
//!
//! What waits in such a socket's queue waits for whoever accepts next, so a restart or an upgrade
//! loses no connection. `choose` decides which of them are used; here they are taken in.

use super::{
    bind::{BindError, bind_one, prepare},
    choose::{Passer, Remark, Unknown, choose},
};
use listenfd::ListenFd;
use socket2::Socket;
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use tokio::net::TcpListener;

/// Where connections come in: what a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Policies and TLS-ALPN-01 answers.
    Https,
    /// HTTP-01 answers.
    Http,
    /// Policies for a proxy that ends TLS.
    Backend,
    /// The admin page.
    Page,
}

impl Entrance {
    /// The configuration key of its addresses.
    pub fn key(self) -> &'static str {
        match self {
            Self::Https => "listen.https",
            Self::Http => "listen.http",
            Self::Backend => "listen.backend",
            Self::Page => "admin.listen",
        }
    }

    /// The word for it: in `FileDescriptorName=` of a socket unit, and between two daemons.
    pub fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Backend => "backend",
            Self::Page => "page",
        }
    }

    /// What `word` stands for.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Https, Self::Http, Self::Backend, Self::Page]
            .into_iter()
            .find(|entrance| entrance.word() == word)
    }
}

/// A listening socket that was passed to us.
#[derive(Debug)]
pub struct PassedSocket {
    entrance: Option<Entrance>,
    address: SocketAddr,
    listener: StdListener,
}

impl PassedSocket {
    /// Takes `socket` in; without an `entrance` its address has to tell what it is for.
    ///
    /// # Errors
    ///
    /// When it does not listen for TCP connections.
    pub fn new(entrance: Option<Entrance>, socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        if !socket.is_listener()? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen (Accept=yes?)"));
        }
        let listener = StdListener::from(socket);
        Ok(Self { entrance, address: listener.local_addr()?, listener })
    }

    /// Another handle on a socket that we listen on ourselves.
    ///
    /// # Errors
    ///
    /// When the system has no room for another descriptor.
    pub fn share(entrance: Entrance, listener: &TcpListener) -> io::Result<Self> {
        Self::new(Some(entrance), listener.as_fd().try_clone_to_owned()?)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is for, where that is known.
    pub fn entrance(&self) -> Option<Entrance> {
        self.entrance
    }
}

impl AsFd for PassedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The sockets that systemd, or who plays it, passes to this process (sd_listen_fds(3)); none where
/// nobody does. To be called once, before there are threads: it also clears the environment.
///
/// # Errors
///
/// When one of them is no listening TCP socket; the text names it.
pub fn sockets_of_environment() -> io::Result<Vec<PassedSocket>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .map(|number| {
            let name = names.next().unwrap_or_default();
            let taken = passed.take_tcp_listener(number).and_then(|listener| {
                let listener = listener.ok_or(io::ErrorKind::NotFound)?;
                PassedSocket::new(Entrance::of(name), listener.into())
            });
            taken.map_err(|error| {
                let problem = format!("passed socket {} ({name:?}) cannot be used: {error}", number + 1);
                io::Error::new(error.kind(), problem)
            })
        })
        .collect()
}

/// The sockets of all entrances.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Those for HTTPS.
    pub https: Vec<TcpListener>,
    /// Those for plain HTTP.
    pub http: Vec<TcpListener>,
    /// Those for proxies that end TLS.
    pub backend: Vec<TcpListener>,
    /// Those of the admin page.
    pub page: Vec<TcpListener>,
    /// What the configuration and the passed sockets disagree about.
    pub remarks: Vec<Remark>,
}

/// Listens on every configured address: on what `passer` passed where it fits, else on sockets of our own.
///
/// # Errors
///
/// [`ListenError`] for the first socket that cannot be used; all are closed then, and whoever passed one
/// has it still.
pub fn listen(
    https: &[SocketAddr],
    http: &[SocketAddr],
    backend: &[SocketAddr],
    page: &[SocketAddr],
    passed: Vec<PassedSocket>,
    passer: Passer,
) -> Result<Listeners, ListenError> {
    let offered: Vec<_> = passed.iter().map(|socket| (socket.entrance, socket.address)).collect();
    let choice = choose(https, http, backend, page, &offered, passer)?;
    let mut listeners = Listeners { remarks: choice.remarks, ..Listeners::default() };
    for (socket, entrance) in passed.into_iter().zip(choice.used_as) {
        let Some(entrance) = entrance else { continue };
        let address = socket.address;
        let adopted = adopt(socket.listener);
        let adopted = adopted.map_err(|source| BindError { key: entrance.key(), address, source })?;
        listeners.of(entrance).push(adopted);
    }
    for (entrance, address) in choice.bound {
        let all = match entrance {
            Entrance::Https => https,
            Entrance::Http => http,
            Entrance::Backend => backend,
            Entrance::Page => page,
        };
        listeners.of(entrance).push(bind_one(entrance.key(), address, all)?);
    }
    Ok(listeners)
}

impl Listeners {
    fn of(&mut self, entrance: Entrance) -> &mut Vec<TcpListener> {
        match entrance {
            Entrance::Https => &mut self.https,
            Entrance::Http => &mut self.http,
            Entrance::Backend => &mut self.backend,
            Entrance::Page => &mut self.page,
        }
    }

    /// Another handle on each, for a daemon that takes over.
    ///
    /// # Errors
    ///
    /// When the system has no room for more descriptors.
    pub fn shared(&self) -> io::Result<Vec<PassedSocket>> {
        let all = [
            (Entrance::Https, &self.https),
            (Entrance::Http, &self.http),
            (Entrance::Backend, &self.backend),
            (Entrance::Page, &self.page),
        ];
        let each = all.into_iter().flat_map(|(entrance, sockets)| sockets.iter().map(move |s| (entrance, s)));
        each.map(|(entrance, socket)| PassedSocket::share(entrance, socket)).collect()
    }
}

fn adopt(listener: StdListener) -> io::Result<TcpListener> {
    let socket = Socket::from(listener);
    prepare(&socket)?;
    TcpListener::from_std(socket.into())
}

/// Why there is no listening.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address, or the socket passed for it.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A passed socket that could be anything.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use tokio::{io::AsyncReadExt, net::TcpStream};

    fn socket(entrance: Entrance) -> PassedSocket {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        PassedSocket::new(Some(entrance), listener.into()).unwrap()
    }

    #[tokio::test]
    async fn what_waits_in_a_passed_socket_is_accepted_by_whoever_comes_next() {
        let opened = socket(Entrance::Https);
        let address = opened.address;
        let ours = listen(&[address], &[], &[], &[], vec![opened], Passer::Manager).unwrap();
        let next = PassedSocket::share(Entrance::Https, &ours.https[0]).unwrap();
        let mut waiting = TcpStream::connect(address).await.unwrap();
        drop(ours);
        let listeners = listen(&[address], &[], &[], &[], vec![next], Passer::Predecessor).unwrap();
        let (accepted, _) = listeners.https[0].accept().await.unwrap();
        assert!(accepted.nodelay().unwrap(), "set up as our own sockets are");
        assert!(SockRef::from(&accepted).tcp_user_timeout().unwrap().is_some());
        drop(accepted);
        assert_eq!(waiting.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_not_passed_is_bound() {
        let https = socket(Entrance::Https);
        let address = https.address;
        let any = "127.0.0.1:0".parse().unwrap();
        let listeners = listen(&[address], &[any], &[any], &[any], vec![https], Passer::Manager).unwrap();
        assert_eq!(listeners.https[0].local_addr().unwrap(), address);
        assert_eq!((listeners.http.len(), listeners.backend.len()), (1, 1));
        assert!(listeners.remarks.is_empty(), "{:?}", listeners.remarks);
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(PassedSocket::new(None, connected.into()).is_err());
    }
}
