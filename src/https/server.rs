//! Accepts, gives every connection its own task, and drains on stop.

use super::{
    access_log::AccessLog,
    connection::{self, GRACE, Protocol},
    forwarded,
    handshake::{self, Handshakes},
    metrics::Counters,
    plain,
    respond::{respond, respond_to_proxy},
};
use crate::{
    certificate::{CertificateTable, ChallengeTable},
    config::Limits,
    listening::{Accepted, Acceptor, Arrival, Front, NotMet, Permits, Refusal, Visitor},
    metrics::{Registry, read_by},
    name::PolicyHost,
    policy::Mode,
    snapshot::{SharedSnapshot, Snapshot},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
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

/// A listener, what stands in front of it, and where its requests are noted.
#[derive(Debug)]
pub struct PolicyListener {
    /// The socket.
    pub listener: TcpListener,
    /// The proxies in front of it.
    pub front: Front,
    /// Who takes note of requests to hosts that are served.
    pub access_log: Option<AccessLog>,
}

impl From<TcpListener> for PolicyListener {
    /// With nothing in front of it and nobody who takes notes.
    fn from(listener: TcpListener) -> Self {
        Self { listener, front: Front::default(), access_log: None }
    }
}

/// Which service a listener offers.
#[derive(Clone, Copy, Debug)]
enum Service {
    Https,
    Http,
    Backend,
}

/// What the connections of one listener have in common.
#[derive(Clone, Debug)]
struct Common {
    service: Service,
    front: Front,
    access_log: Option<AccessLog>,
    stop: CancellationToken,
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

    /// Waits until no listener accepts any more, after the stop of all.
    pub async fn stopped_accepting(&self) {
        // We hold the sender, so this can only end well.
        let _ = self.0.accepting.subscribe().wait_for(|accepting| *accepting == 0).await;
    }

    /// Serves policies and TLS-ALPN-01 answers at `entrance` until `stop`, then drains.
    pub async fn run_https(&self, entrance: impl Into<PolicyListener>, stop: CancellationToken) -> Drained {
        self.run(Service::Https, entrance.into(), stop).await
    }

    /// Serves HTTP-01 answers at `entrance` until `stop`, then drains.
    pub async fn run_http(&self, entrance: impl Into<PolicyListener>, stop: CancellationToken) -> Drained {
        self.run(Service::Http, entrance.into(), stop).await
    }

    /// Serves policies over plain HTTP/1 or HTTP/2 to proxies that have ended TLS, at `entrance` until
    /// `stop`, then drains. Who may connect is for the entrance's front to say.
    pub async fn run_backend(&self, entrance: impl Into<PolicyListener>, stop: CancellationToken) -> Drained {
        self.run(Service::Backend, entrance.into(), stop).await
    }

    async fn run(&self, service: Service, entrance: PolicyListener, stop: CancellationToken) -> Drained {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        self.0.accepting.send_modify(|accepting| *accepting += 1);
        let PolicyListener { listener, front, access_log } = entrance;
        let mut acceptor = Acceptor::new(listener, front.clone(), self.0.permits.clone());
        let common = Arc::new(Common { service, front, access_log, stop });
        loop {
            let arrival = tokio::select! {
                biased;
                () = common.stop.cancelled() => break,
                arrival = acceptor.next() => arrival,
            };
            match arrival {
                Arrival::Accepted(accepted) => {
                    let task = self.clone().serve(Arc::clone(&common), accepted, cut.clone());
                    connections.spawn(task);
                }
                Arrival::Refused(refusal) => self.count_refused(refusal),
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

    fn count_refused(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Total => &self.0.counters.refused_total,
            Refusal::Address => &self.0.counters.refused_address,
            Refusal::Network => &self.0.counters.refused_network,
        };
        counter.inc();
    }

    /// One connection, from accept to its end. The permit goes with it.
    async fn serve(self, common: Arc<Common>, accepted: Accepted, cut: CancellationToken) {
        let _panic = CountPanic(&self.0.counters);
        let accepted_at = Instant::now();
        let deadline = accepted_at + self.0.limits.handshake_timeout;
        let mut served = pin!(async {
            let Some(visitor) = self.meet(accepted, &common.stop, deadline).await else { return };
            let Visitor { stream, peer, is_proxy, permit: _permit } = visitor;
            let is_first = AtomicBool::new(true);
            let visit = Visit { common: &common, peer, is_proxy, accepted_at, is_first };
            match common.service {
                Service::Https => self.serve_https(stream, &visit, deadline).await,
                Service::Http => self.serve_http(stream, &visit).await,
                Service::Backend => self.serve_backend(stream, &visit).await,
            }
        });
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            () = &mut served => {}
        }
    }

    /// Finds out who has connected; `None` when that cannot be, and then the connection is closed.
    async fn meet(&self, accepted: Accepted, stop: &CancellationToken, deadline: Instant) -> Option<Visitor> {
        let proxy = accepted.peer();
        let met = tokio::select! {
            biased;
            met = timeout_at(deadline, accepted.meet()) => met,
            () = after_grace(stop) => return None,
        };
        match met {
            Ok(Ok(visitor)) => return Some(visitor),
            Ok(Err(NotMet::Refused(refusal))) => self.count_refused(refusal),
            Ok(Err(NotMet::Header(error))) => {
                self.0.counters.proxy_header.inc();
                debug!(peer = %proxy, %error, "no PROXY header, connection closed");
            }
            Err(_late) => {
                self.0.counters.proxy_header.inc();
                debug!(peer = %proxy, "no PROXY header in time, connection closed");
            }
        }
        None
    }

    async fn serve_https(&self, stream: TcpStream, visit: &Visit<'_>, deadline: Instant) {
        let Shared { snapshot, limits, handshakes, counters, .. } = &*self.0;
        let (peer, stop) = (visit.peer, &visit.common.stop);
        // Boxed, so that a connection that idles afterwards does not keep room for another handshake.
        let finished = tokio::select! {
            biased;
            finished = Box::pin(handshakes.finish(stream, visit.limited(), deadline)) => finished,
            // A silent peer must not hold a stop up for as long as a handshake may take.
            () = after_grace(stop) => {
                counters.stopped.inc();
                return;
            }
        };
        let (mut tls, host) = match finished {
            Ok(finished) => finished,
            Err(ending) => {
                match &ending {
                    handshake::Ending::Tls(error) if visit.is_proxy && is_gone(error) => {
                        counters.proxy_checks.inc();
                    }
                    _ => ending.count(counters),
                }
                let error = ending.error().map(display);
                debug!(%peer, outcome = ending.outcome(), error, "handshake ended");
                return;
            }
        };
        let protocol = match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        counters.handshake_finished(visit.accepted_at.elapsed());
        let answer = |request: &Request<_>| {
            let (begun, snapshot) = (Instant::now(), snapshot.load());
            let response = respond(&snapshot, &host, request);
            visit.count(counters, response.status(), mode_of(&snapshot, Some(&host)), begun.elapsed());
            visit.note(Some(&host), peer.ip(), request, response.status());
            response
        };
        let limited = |status| {
            visit.count(counters, status, mode_of(&snapshot.load(), Some(&host)), Duration::ZERO);
        };
        let ending = connection::serve(&mut tls, protocol, limits, stop, answer, limited).await;
        self.note(visit, ending);
    }

    async fn serve_http(&self, mut stream: TcpStream, visit: &Visit<'_>) {
        let Shared { challenges, limits, counters, .. } = &*self.0;
        let peer = visit.peer;
        let stop = &visit.common.stop;
        let answer = |request: &Request<_>| {
            let response: Response<Full<Bytes>> = plain::respond(challenges, request);
            let counter = match response.status() {
                StatusCode::OK => &counters.http_01,
                _ => &counters.plain_not_found,
            };
            counter.inc();
            debug!(%peer, status = response.status().as_u16(), "plain request answered");
            response
        };
        let limited = |_: StatusCode| {
            counters.plain_not_found.inc();
        };
        let ending = connection::serve(&mut stream, Protocol::Http1, limits, stop, answer, limited).await;
        self.note(visit, ending);
    }

    async fn serve_backend(&self, mut stream: TcpStream, visit: &Visit<'_>) {
        let Shared { snapshot, limits, counters, .. } = &*self.0;
        let Common { front, stop, .. } = visit.common;
        let protocol = tokio::select! {
            biased;
            protocol = timeout(limits.idle_timeout, connection::spoken(&stream)) => protocol,
            () = after_grace(stop) => return,
        };
        // Silence and errors are HTTP/1's to find again, within its limits.
        let protocol = protocol.ok().and_then(Result::ok).unwrap_or(Protocol::Http1);
        counters.backend.inc();
        let answer = |request: &Request<_>| {
            let (begun, snapshot) = (Instant::now(), snapshot.load());
            let (host, response) = respond_to_proxy(&snapshot, request);
            visit.count(counters, response.status(), mode_of(&snapshot, host), begun.elapsed());
            let client = forwarded::client(request.headers(), visit.peer.ip(), &front.proxies);
            visit.note(host, client, request, response.status());
            response
        };
        let limited = |status| visit.count(counters, status, None, Duration::ZERO);
        let ending = connection::serve(&mut stream, protocol, limits, stop, answer, limited).await;
        self.note(visit, ending);
    }

    fn note(&self, visit: &Visit<'_>, ending: connection::Ending) {
        let peer = visit.peer;
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

/// A connection to a listener.
struct Visit<'a> {
    common: &'a Common,
    /// Who it is.
    peer: SocketAddr,
    /// Whether that is a proxy.
    is_proxy: bool,
    accepted_at: Instant,
    /// Whether nothing was answered yet.
    is_first: AtomicBool,
}

impl Visit<'_> {
    /// Whom limits for each address count.
    fn limited(&self) -> Option<IpAddr> {
        (!self.is_proxy).then_some(self.peer.ip())
    }

    /// Counts a request for a policy of this mode; the answer took `took` to work out.
    fn count(&self, counters: &Counters, status: StatusCode, mode: Option<Mode>, took: Duration) {
        counters.answered(status, mode, took);
        if self.is_first.swap(false, Relaxed) {
            counters.first_answer(self.accepted_at.elapsed());
        }
    }

    /// Notes a request when it was for a host that is served.
    fn note<B>(&self, host: Option<&PolicyHost>, client: IpAddr, request: &Request<B>, status: StatusCode) {
        if let (Some(host), Some(access_log)) = (host, &self.common.access_log) {
            access_log.note(host, client, status.as_u16(), request.headers());
        }
        let host = host.map(display);
        debug!(peer = %self.peer, %client, host, status = status.as_u16(), "request answered");
    }
}

/// The mode of the policy of `host`, if it has one.
fn mode_of(snapshot: &Snapshot, host: Option<&PolicyHost>) -> Option<Mode> {
    let hosted = host.and_then(|host| snapshot.find(host.as_str()));
    hosted.map(|hosted| hosted.policy.policy().mode())
}

/// Waits until `stop`, and then as long as a connection under way may still take.
async fn after_grace(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
}

/// Whether the peer has simply left.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
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
