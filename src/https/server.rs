//! Accepts, gives every connection its own task, and drains on stop.

use super::{
    connection::{self, GRACE, Protocol},
    handshake::Handshakes,
    metrics::Counters,
    plain,
    respond::respond,
};
use crate::{
    certificate::{CertificateTable, ChallengeTable},
    config::Limits,
    listening::{Accepted, Acceptor, Arrival, Permits, Refusal},
    metrics::{Registry, read_by},
    snapshot::SharedSnapshot,
};
use http::StatusCode;
use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
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
        }))
    }

    /// What became of connections and requests so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Shows what became of connections and requests, and how many are open, in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.0.counters.register(registry);
        let (permits, most) = (self.0.permits.clone(), self.0.limits.connections as f64);
        read_by(registry, move |page| {
            page.gauge(
                "open_connections",
                "Connections open now, over all listeners",
                permits.open() as f64,
            )?;
            page.gauge(
                "open_connections_max",
                "Connections that may be open at once (limits.connections)",
                most,
            )
        });
    }

    /// Connections open now, over all listeners.
    pub fn open_connections(&self) -> usize {
        self.0.permits.open()
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
                Arrival::Refused(Refusal::Total) => drop(self.0.counters.refused_total.inc()),
                Arrival::Refused(Refusal::Address) => drop(self.0.counters.refused_address.inc()),
            }
        }
        drop(acceptor);
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
        let accepted_at = Instant::now();
        // Boxed, so that a connection that idles afterwards does not keep room for another handshake.
        let finished = tokio::select! {
            biased;
            finished = Box::pin(handshakes.finish(stream, peer.ip())) => finished,
            // A silent peer must not hold a stop up for as long as a handshake may take.
            () = async { stop.cancelled().await; sleep(GRACE).await } => {
                counters.stopped.inc();
                return;
            }
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
        counters.handshake_finished(accepted_at.elapsed());
        let first = AtomicBool::new(true);
        let answered = |status: StatusCode, took| {
            let mode = snapshot.load().find(host.as_str()).map(|hosted| hosted.policy.policy().mode());
            counters.answered(status, mode, took);
            if first.swap(false, Relaxed) {
                counters.first_answer(accepted_at.elapsed());
            }
            debug!(%peer, %host, status = status.as_u16(), "request answered");
        };
        let answer = |request: &_| respond(&snapshot.load(), &host, request);
        let ending = connection::serve(&mut tls, protocol, limits, stop, answer, answered).await;
        self.note(peer, ending);
    }

    async fn serve_http(&self, mut stream: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
        let Shared { challenges, limits, counters, .. } = &*self.0;
        let answered = |status: StatusCode, _| {
            let counter =
                if status == StatusCode::OK { &counters.http_01 } else { &counters.plain_not_found };
            counter.inc();
            debug!(%peer, status = status.as_u16(), "plain request answered");
        };
        let answer = |request: &_| plain::respond(challenges, request);
        let ending = connection::serve(&mut stream, Protocol::Http1, limits, stop, answer, answered).await;
        self.note(peer, ending);
    }

    fn note(&self, peer: SocketAddr, ending: connection::Ending) {
        match ending {
            connection::Ending::Closed => {}
            connection::Ending::Idle => {
                self.0.counters.idle.inc();
                debug!(%peer, "connection dropped: no new request");
            }
            connection::Ending::Fault(error) => {
                self.0.counters.http_error.inc();
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
            self.0.panics.inc();
        }
    }
}
