//! The sockets of the admin page, and what one connection may use up.
//!
//! A page for a few people: bounds are fixed and low, so that whoever reaches the port can neither hold
//! up the policy server nor lock the operator out for longer than a minute. HTTP/1.1 only.

use super::{
    Page, PageParts, Shared, act,
    gate::{Ends, Gate},
    look, router,
    secret::{self, Identity},
    surveyor::Surveyor,
};
use crate::{
    admin::server::Sources,
    config,
    listening::{Accepted, Acceptor, Arrival, Front, Permits, Visitor},
};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info};

/// Connections at once; a browser opens six.
const CONNECTIONS: usize = 64;
/// Connections at once from one address: room for others, and for a proxy in front.
const CONNECTIONS_PER_ADDRESS: usize = 32;
/// From accept to the end of the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// From the first octet of a request to the end of its header; also how long a connection may idle.
const HEADER_MAX: Duration = Duration::from_secs(10);
/// The oldest a connection gets before it is wound down, answers that are not read among it.
const AGE_MAX: Duration = Duration::from_secs(60);
/// How long an answer under way may still take when the connection is wound down for its age, and when
/// the daemon stops.
const GRACES: [Duration; 2] = [Duration::from_secs(25), Duration::from_secs(3)];
/// Octets of a request's header; hyper works with no less than 8 KiB.
const HEADER_OCTETS: usize = 16 * 1024;
/// Header fields of a request.
const HEADER_FIELDS: usize = 64;

/// The sockets, bound, with the secrets they need.
pub struct PageServer {
    listeners: Vec<TcpListener>,
    settings: config::Admin,
    identity: Option<Arc<Identity>>,
}

impl PageServer {
    /// Looks whether the token and the certificate of `settings` can be used.
    ///
    /// # Errors
    ///
    /// When one of them cannot be; it names the file, the key and the remedy.
    pub fn new(listeners: Vec<TcpListener>, settings: &config::Admin) -> io::Result<Self> {
        if let Some(file) = &settings.token_file {
            secret::token(file)?;
        }
        // What is configured is checked like that already; a passed socket may be open to more.
        let mut at = listeners.iter().filter_map(|listener| listener.local_addr().ok());
        let open = at.find(|at| !at.ip().to_canonical().is_loopback());
        if let Some(open) = open.filter(|_| settings.token_file.is_none() || settings.certificate.is_none()) {
            return Err(io::Error::other(format!(
                "other hosts can reach the passed socket {open}, without TLS or without a token; write \
                 admin.certificate_file, admin.key_file and admin.token_file, or let its unit listen on 127.0.0.1"
            )));
        }
        let identity = settings.certificate.as_ref().map(Identity::open).transpose()?.map(Arc::new);
        Ok(Self { listeners, settings: settings.clone(), identity })
    }

    /// Where it listens, with the ports the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Answers until `stop`.
    pub async fn run(self, sources: Sources, parts: PageParts, stop: CancellationToken) {
        for address in self.addresses() {
            info!(%address, tls = self.identity.is_some(), "listening for the admin page");
        }
        let page = Page(Arc::new(Shared {
            looks: look::Looks::new(Arc::clone(&parts.lookup)),
            gate: Gate::new(self.settings.names, self.settings.token_file),
            surveyor: Surveyor::default(),
            renewals: act::Lately::default(),
            sources,
            parts,
        }));
        let router = router(page);
        let permits = Permits::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS);
        let connections = TaskTracker::new();
        let accepting = self.listeners.into_iter().map(|listener| {
            let acceptor = Acceptor::new(listener, Front::default(), permits.clone());
            accept(acceptor, self.identity.clone(), router.clone(), connections.clone(), stop.clone())
        });
        let accepting: Vec<_> = accepting.map(tokio::spawn).collect();
        for one in accepting {
            // One that panicked leaves a socket that nobody serves: the daemon is then started again.
            if one.await.is_err() {
                return;
            }
        }
        connections.close();
        connections.wait().await;
    }
}

async fn accept(
    mut acceptor: Acceptor,
    identity: Option<Arc<Identity>>,
    router: Router,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    while let Some(arrival) = stop.run_until_cancelled(acceptor.next()).await {
        if let Arrival::Accepted(accepted) = arrival {
            connections.spawn(serve(accepted, identity.clone(), router.clone(), stop.clone()));
        }
    }
}

async fn serve(accepted: Accepted, identity: Option<Arc<Identity>>, router: Router, stop: CancellationToken) {
    // With no proxy before it nothing is read here, so this waits for nobody.
    let Ok(Visitor { stream, peer, permit: _permit, .. }) = accepted.meet().await else { return };
    let Ok(local) = stream.local_addr() else { return };
    let ends = Ends { peer: peer.ip(), local: local.ip(), tls: identity.is_some() };
    let router = router.layer(Extension(ends));
    let Some(identity) = identity else {
        return speak(stream, router, stop).await;
    };
    let shake_hands = async {
        let config = tokio::task::spawn_blocking(move || identity.current()).await.ok()?;
        TlsAcceptor::from(config).accept(stream).await.ok()
    };
    match timeout(HANDSHAKE_MAX, shake_hands).await {
        Ok(Some(stream)) => speak(stream, router, stop).await,
        _ => debug!(%peer, "no handshake with the admin page"),
    }
}

/// HTTP/1.1 until either side has enough.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_headers(HEADER_FIELDS)
        .max_buf_size(HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let [aged, stopped] = GRACES;
    let grace = tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => stopped,
        () = sleep(AGE_MAX) => aged,
    };
    connection.as_mut().graceful_shutdown();
    // What is not read by then is cut.
    let _ = timeout(grace, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_passed_socket_is_held_to_what_a_configured_one_is() {
        let none = config::Admin {
            socket: "admin.sock".into(),
            listen: Vec::new(),
            names: Vec::new(),
            token_file: None,
            certificate: None,
        };
        let listener = async |at: &str| TcpListener::bind(at).await.unwrap();
        assert!(PageServer::new(vec![listener("127.0.0.1:0").await], &none).is_ok());
        let both = vec![listener("127.0.0.1:0").await, listener("0.0.0.0:0").await];
        let why = PageServer::new(both, &none).err().unwrap().to_string();
        assert!(why.contains("0.0.0.0:") && why.contains("admin.token_file"), "{why}");
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "0123456789abcdef").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&token_file, mode).unwrap();
        let token_alone = config::Admin { token_file: Some(token_file), ..none };
        assert!(PageServer::new(vec![listener("0.0.0.0:0").await], &token_alone).is_err(), "without TLS");
    }
}
