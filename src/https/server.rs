//! Accepts, gives every connection its own task, and drains on stop.

use super::{
    connection::{self, GRACE, Protocol},
    counters::Counters,
    handshake::Handshakes,
    plain,
    respond::respond,
};
use crate::{
    certificate::{CertificateTable, ChallengeTable},
    config::Limits,
    listening::{Accepted, Acceptor, Arrival, Permits, Refusal},
    snapshot::SharedSnapshot,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use std::{net::SocketAddr, pin::pin, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, field::display};

/// Serves policies and challenge answers; cheap to clone, all clones share limits and counters.
#[derive(Clone, Debug)]
pub struct PolicyServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    snapshot: SharedSnapshot,
    challenges: ChallengeTable,
    limits: Limits,
    handshakes: Handshakes,
    permits: Permits,
    counters: Counters,
    /// Listeners that accept.
    accepting: watch::Sender<usize>,
}

/// What a listener left behind when it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open at the drain deadline, and were cut.
    pub left: usize,
}

/// Which of the two services a listener offers.
#[derive(Clone, Copy, Debug)]
enum Service {
    Https,
    Http,
}

impl PolicyServer {
    /// A server over the two tables; it opens nothing until a listener is run.
    pub fn new(
        snapshot: SharedSnapshot,
        certificates: CertificateTable,
        challenges: ChallengeTable,
        limits: Limits,
    ) -> Self {
        let handshakes = Handshakes::new(snapshot.clone(), certificates, challenges.clone(), &limits);
        let permits = Permits::new(limits.connections, limits.connections_per_address);
        Self(Arc::new(Shared {
            snapshot,
            challenges,
            limits,
            handshakes,
            permits,
            counters: Counters::default(),
            accepting: watch::Sender::default(),
        }))
    }

    /// What became of connections and requests so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Connections open now, over all listeners.
    pub fn open_connections(&self) -> usize {
        self.0.permits.open()
    }

    /// Waits until no listener accepts any more, after the stop of all.
    pub async fn stopped_accepting(&self) {
        // We hold the sender, so this can only end well.
        let _ = self.0.accepting.subscribe().wait_for(|accepting| *accepting == 0).await;
    }

    /// Serves policies and TLS-ALPN-01 answers on `listener` until `stop`, then drains.
    pub async fn run_https(&self, listener: TcpListener, stop: CancellationToken) -> Drained {
        self.run(Service::Https, listener, stop).await
    }

    /// Serves HTTP-01 answers on `listener` until `stop`, then drains.
    pub async fn run_http(&self, listener: TcpListener, stop: CancellationToken) -> Drained {
        self.run(Service::Http, listener, stop).await
    }

    async fn run(&self, service: Service, listener: TcpListener, stop: CancellationToken) -> Drained {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        self.0.accepting.send_modify(|accepting| *accepting += 1);
        let mut acceptor = Acceptor::new(listener, self.0.permits.clone());
        loop {
            let arrival = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                arrival = acceptor.next() => arrival,
            };
            match arrival {
                Arrival::Accepted(accepted) => {
                    let task = self.clone().serve(service, accepted, stop.clone(), cut.clone());
                    connections.spawn(task);
                }
                Arrival::Refused(Refusal::Total) => self.0.counters.refused_total.add(),
                Arrival::Refused(Refusal::Address) => self.0.counters.refused_address.add(),
            }
        }
        drop(acceptor);
        self.0.accepting.send_modify(|accepting| *accepting -= 1);
        connections.close();
        let _ = timeout(self.0.limits.drain_timeout, connections.wait()).await;
        let left = connections.len();
        cut.cancel();
        connections.wait().await;
        Drained { left }
    }

    /// One connection, from accept to its end. The permit goes with it.
    async fn serve(
        self,
        service: Service,
        accepted: Accepted,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        let _panic = CountPanic(&self.0.counters);
        let Accepted { stream, peer, permit: _permit } = accepted;
        let mut served = pin!(async {
            match service {
                Service::Https => self.serve_https(stream, peer, &stop).await,
                Service::Http => self.serve_http(stream, peer, &stop).await,
            }
        });
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            () = &mut served => {}
        }
    }

    async fn serve_https(&self, stream: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
        let Shared { snapshot, limits, handshakes, counters, .. } = &*self.0;
        // Boxed, so that a connection that idles afterwards does not keep room for another handshake.
        let finished = tokio::select! {
            biased;
            finished = Box::pin(handshakes.finish(stream, peer.ip())) => finished,
            // A silent peer must not hold a stop up for as long as a handshake may take.
            () = async { stop.cancelled().await; sleep(GRACE).await } => return,
        };
        let (mut tls, host) = match finished {
            Ok(finished) => finished,
            Err(ending) => {
                ending.count(counters);
                let error = ending.error().map(display);
                debug!(%peer, outcome = ending.outcome(), error, "handshake ended");
                return;
            }
        };
        let protocol = match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let ending = connection::serve(&mut tls, protocol, limits, stop, |request| {
            let response = respond(&snapshot.load(), &host, request);
            match response.status() {
                StatusCode::OK => counters.served.add(),
                _ => counters.not_served.add(),
            }
            debug!(%peer, %host, status = response.status().as_u16(), "request answered");
            response
        })
        .await;
        self.note(peer, ending);
    }

    async fn serve_http(&self, mut stream: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
        let Shared { challenges, limits, counters, .. } = &*self.0;
        let ending = connection::serve(&mut stream, Protocol::Http1, limits, stop, |request| {
            let response: Response<Full<Bytes>> = plain::respond(challenges, request);
            match response.status() {
                StatusCode::OK => counters.http_01.add(),
                _ => counters.plain_not_found.add(),
            }
            debug!(%peer, status = response.status().as_u16(), "plain request answered");
            response
        })
        .await;
        self.note(peer, ending);
    }

    fn note(&self, peer: SocketAddr, ending: connection::Ending) {
        match ending {
            connection::Ending::Closed => {}
            connection::Ending::Idle => {
                self.0.counters.idle.add();
                debug!(%peer, "connection dropped: no new request");
            }
            connection::Ending::Fault(error) => {
                self.0.counters.http_error.add();
                debug!(%peer, %error, "connection ended with a fault");
            }
        }
    }
}

/// Counts the panic that drops it. tokio keeps a panic inside the task, so it ends one connection.
struct CountPanic<'a>(&'a Counters);

impl Drop for CountPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.add();
        }
    }
}
