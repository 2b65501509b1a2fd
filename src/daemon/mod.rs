//! Assembly: builds every part, hands each what it needs, and stops them in order.
//!
//! Nothing here decides anything about policies or certificates. A new room on floor 4 costs one
//! block in [`Daemon::start`].

mod admin_page;
mod audits;
mod entrances;
mod log;
mod metrics;
pub mod process;
mod signals;
mod status_socket;
mod supervisor;
mod systemd;
mod take_over;

pub use signals::{Signal, Signals};
pub use take_over::TakeOverError;

use crate::{
    acme::{
        AcmeAuthority, DnsPreflight, InternalAuthority, Readiness, Reading, Scheduler, SchedulerParts,
        authority::Authority,
    },
    admin::{
        Desk, Health, Newcomer, Sources, TakeOvers,
        page::{PageParts, PageServer},
    },
    alert::{AlertStatus, Alerting},
    certificate::{CertificateSource, CertificateTable, ChallengeTable},
    clock::Clock,
    config::{self, Acme, Budgets, Directory, Server},
    cross_check::CrossCheck,
    dns::{self, HickoryLookup, Lookup, TwoResolvers, caa::Method},
    https::PolicyServer,
    listening::{ListenError, PassedSocket},
    logging::chain,
    reload::{Refused, ReloadReport, ReloadRequest, Reloader, last_served},
    snapshot::SharedSnapshot,
    storage::{HistoryStorage, KeyFileError, MasterKey, SqliteStorage, Storage, StorageError},
};
use entrances::Addresses;
use status_socket::StatusSocket;
use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use supervisor::Supervisor;
use take_over::{Arrival, Leaving, Successor};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The file in the store's folder that holds the internal authority's root, for clients to trust.
const INTERNAL_ROOT_FILE: &str = "internal-root.pem";
/// Where a resolver listens when nothing else is said.
const DNS_PORT: u16 = 53;
/// What parts may take for themselves after connections have drained, and then the store.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Reloads asked for that wait for the one under way; more would all see the same files.
const RELOADS_WAITING: usize = 4;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server part of the configuration has faults.
    #[error("the configuration was refused")]
    Refused(#[source] Refused),
    /// The store cannot be used.
    #[error("the store in {} cannot be used", .0.display())]
    Store(PathBuf, #[source] StorageError),
    /// The master key cannot be used.
    #[error("the master key (store.key_file) cannot be used")]
    Key(#[from] KeyFileError),
    /// A socket cannot be bound, or one that was passed to us cannot be used.
    #[error("a socket cannot be used")]
    Listen(#[from] ListenError),
    /// Another daemon runs and goes on.
    #[error("could not take over from the running daemon")]
    TakeOver(#[from] TakeOverError),
    /// Something named cannot be set up.
    #[error("{what} cannot be set up")]
    Part {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StartError {
    /// Whether another try comes to the same until a person has mended something.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Store(_, error) => error.needs_a_person(),
            // What cannot be read may be on a disk that is not there yet.
            Self::Key(error) => !matches!(error, KeyFileError::Failed { .. }),
            Self::Listen(ListenError::Unknown(_)) => true,
            Self::Listen(ListenError::Bind(_)) | Self::TakeOver(_) | Self::Part { .. } => false,
        }
    }
}

/// Stand-ins for the world, for tests; `None` takes the real thing.
#[derive(Default)]
pub struct StandIns {
    /// Who signs.
    pub authority: Option<Arc<dyn Authority>>,
    /// Who resolves.
    pub lookup: Option<Arc<dyn Lookup>>,
}

/// How a daemon comes to its sockets and its store; by default by itself.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Listening sockets that were passed to us.
    pub passed: Vec<PassedSocket>,
    /// Whether to take the place of a daemon that runs.
    pub take_over: bool,
}

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked, everything drained or cut at its deadline.
    Stopped,
    /// Likewise, and another daemon has taken our place.
    Replaced,
    /// A part ended by itself.
    Failed,
    /// A second signal did not wait for the rest.
    AtOnce,
}

/// A running daemon.
pub struct Daemon {
    supervisor: Supervisor,
    storage: Arc<SqliteStorage>,
    snapshot: SharedSnapshot,
    challenges: ChallengeTable,
    reload: mpsc::Sender<ReloadRequest>,
    drain_timeout: Duration,
    health: Health,
    policies: PolicyServer,
    take_overs: TakeOvers,
    leaving: Option<(Leaving, mpsc::Receiver<Newcomer>)>,
    listening: Addresses,
    page: Vec<SocketAddr>,
    page_stop: CancellationToken,
    internal_root: Option<PathBuf>,
}

impl Daemon {
    /// Reads the configuration at `main_file` and starts every part. Needs neither the authority
    /// nor DNS to be well.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the configuration's server part, the store, or a socket.
    pub async fn start(main_file: &Path, stand_ins: StandIns) -> Result<Self, StartError> {
        Self::start_from(main_file, stand_ins, Beginning::default()).await
    }

    /// As [`Self::start`], with sockets that were passed to us, or in the place of a daemon that runs. That
    /// one goes on when this fails.
    ///
    /// # Errors
    ///
    /// [`StartError`], also when the running daemon refuses.
    pub async fn start_from(
        main_file: &Path,
        stand_ins: StandIns,
        beginning: Beginning,
    ) -> Result<Self, StartError> {
        let clock = Clock::System;
        let snapshot = SharedSnapshot::default();
        let mut reloader = Reloader::new(main_file.to_owned(), snapshot.clone(), clock);
        let (server, report) = reloader.first().map_err(StartError::Refused)?;
        let mut arrival = arrive(&server, beginning).await?;
        let storage = Arc::new(open_store(&server, arrival.has_old()).await?);
        let port: Arc<dyn Storage> = Arc::clone(&storage) as _;
        if report.is_good() { report } else { resume(&mut reloader, report, &port).await }.log();

        let source: Arc<dyn CertificateSource> = Arc::clone(&storage) as _;
        let certificates = CertificateTable::new(source, server.limits.certificates_in_memory);
        let challenges = ChallengeTable::default();
        let (authorities, internal_root) = match stand_ins.authority {
            Some(authority) => (vec![authority], None),
            None => authorities(&server, &port, clock).await?,
        };
        let lookups = dns::Lookups::default();
        let lookup = match stand_ins.lookup {
            Some(lookup) => lookups.count("first", lookup),
            None => resolver(&server, &lookups)?,
        };
        let mut listeners = arrival.listen(&server)?;
        let sockets = listeners.shared().map_err(part("a listening socket"))?;
        let admin = match arrival.has_old() {
            true => StatusSocket::replace(&server.admin.socket),
            false => StatusSocket::bind(&server.admin.socket).map_err(part("the status socket"))?,
        };
        let page = admin_page::open(std::mem::take(&mut listeners.page), &server.admin)?;
        let page_at = page.as_ref().map(PageServer::addresses).unwrap_or_default();
        let listening = Addresses::of(&listeners);
        let checks = CrossCheck::new(
            snapshot.clone(),
            Arc::clone(&lookup),
            Arc::clone(&port),
            clock,
            cross_check_settings(&server.cross_check, server.signs_internally()),
            &server.dns,
        );
        let around = audits::Around {
            server: &server,
            lookup: &lookup,
            snapshot: &snapshot,
            bound: &listening.https,
            certificates: certificates.clone(),
            authorities: authorities.clone(),
        };
        let checks = audits::with_audits(checks, around)?;
        // Nothing may fail from here on: the daemon before us ends.
        arrival.ready().await?;

        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop_token();

        let mut limits = server.limits.clone();
        limits.connections = process::connections_that_fit(limits.connections);
        let policies = PolicyServer::new(snapshot.clone(), certificates.clone(), challenges.clone(), limits);
        entrances::open(listeners, &policies, &server, &mut supervisor);

        let readiness = preflight(&server, &lookup, &snapshot, listening.https.clone());
        let (keys, signers) = (Arc::clone(&storage) as _, authorities.clone().into());
        // What is held of hosts that need no certificate any more is kept as if they had left.
        let wanted = if server.orders_certificates() { snapshot.clone() } else { SharedSnapshot::default() };
        let scheduler = Scheduler::new(SchedulerParts {
            snapshot: wanted,
            certificates,
            challenges: challenges.clone(),
            storage: Arc::clone(&storage) as _,
            authorities,
            readiness,
            reading: Reading::default(),
            clock,
            settings: order_settings(&server),
        });
        let acme = scheduler.status();
        let (take_overs, newcomers) = TakeOvers::new();
        let leaving = Leaving {
            sockets,
            scheduler: scheduler.handle(),
            // A look at DNS and an order have each that much time.
            longest_rest: server.acme.order_deadline * 2 + STOP_GRACE,
            storage: Arc::clone(&storage),
        };
        let history = Arc::clone(&storage) as _;
        let desk = Desk { scheduler: scheduler.handle(), authorities: signers, certificates: keys, history };
        supervisor.start("acme", scheduler.run(stop.clone()));

        let cross_check = checks.status();
        let parts = PageParts { history: Arc::clone(&storage) as _, lookup, checks: checks.handle() };
        let alerts = match server.alerts.is_empty() {
            true => AlertStatus::default(),
            false => {
                let history: Arc<dyn HistoryStorage> = Arc::clone(&storage) as _;
                let alerting = Alerting::new(&server.alerts, &history, &checks.changes(), clock);
                let status = alerting.status();
                supervisor.start("alert", alerting.run(stop.clone()));
                status
            }
        };
        if server.cross_check.enabled {
            supervisor.start("cross_check", checks.run(stop.clone()));
        }

        let (reload_status, reloads) = (reloader.status(), reloader.reloads());
        let (reload, requests) = mpsc::channel(RELOADS_WAITING);
        supervisor.start("reload", reloader.run(requests, Arc::clone(&port), stop.clone()));

        let health = Health::default();
        let figures = metrics::Figures {
            snapshot: &snapshot,
            policies: &policies,
            acme: &acme,
            cross_check: &cross_check,
            alerts: &alerts,
            reload: &reload_status,
            reloads: &reloads,
            lookups: &lookups,
            health: &health,
            clock,
        };
        let figures = Arc::new(figures.registry());
        let sources = Sources {
            figures,
            snapshot: snapshot.clone(),
            acme,
            cross_check,
            alerts,
            reload: reload_status,
            clock,
            desk,
            health: health.clone(),
            take_overs: take_overs.clone(),
            internal_authority: server.signs_internally(),
            certificates_elsewhere: !server.orders_certificates(),
            cross_check_enabled: server.cross_check.enabled,
        };
        let last = supervisor.last_token();
        let page_stop = last.child_token();
        if let Some(page) = page {
            supervisor.start_last("admin page", page.run(sources.clone(), parts, page_stop.clone()));
        }
        supervisor.start_last("admin", admin.run(sources, last));
        log::start(&mut supervisor, clock);

        listening.log();
        Ok(Self {
            supervisor,
            storage,
            snapshot,
            challenges,
            reload,
            drain_timeout: server.limits.drain_timeout,
            health,
            policies,
            take_overs,
            leaving: Some((leaving, newcomers)),
            listening,
            page: page_at,
            page_stop,
            internal_root,
        })
    }

    /// HTTPS addresses, with the ports the system chose.
    pub fn https(&self) -> &[SocketAddr] {
        &self.listening.https
    }

    /// Plain HTTP addresses, with the ports the system chose.
    pub fn http(&self) -> &[SocketAddr] {
        &self.listening.http
    }

    /// Addresses for proxies that end TLS, with the ports the system chose.
    pub fn backend(&self) -> &[SocketAddr] {
        &self.listening.backend
    }

    /// Addresses of the admin page, with the ports the system chose.
    pub fn page(&self) -> &[SocketAddr] {
        &self.page
    }

    /// The challenge answers that are up, for tests that play the authority.
    pub fn challenges(&self) -> &ChallengeTable {
        &self.challenges
    }

    /// The command that fetches a policy from this daemon as a sender would; only under the internal
    /// authority, whose root nobody else trusts.
    pub fn curl_line(&self) -> Option<String> {
        let root = self.internal_root.as_ref()?;
        let snapshot = self.snapshot.load();
        let host = snapshot.iter().map(|(host, _)| host).min()?;
        let mut at = *self.listening.https.first()?;
        match at {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => at.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => at.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let root = root.display().to_string().replace('\'', r"'\''");
        Some(format!("curl --cacert '{root}' --connect-to ::{at} https://{host}/.well-known/mta-sts.txt"))
    }

    /// Runs until a signal or a failed part, then drains; the daemon is gone afterwards.
    pub async fn run(mut self, signals: &mut Signals) -> Ended {
        let mut generation = self.snapshot.subscribe();
        let mut reloading: Option<oneshot::Receiver<ReloadReport>> = None;
        let mut watchdog = systemd::Watchdog::from_environment();
        let (leaving, newcomers) = self.leaving.take().expect("a daemon runs once");
        let mut leaving = Box::pin(leaving.successor(newcomers));
        self.health.ready();
        systemd::ready(&self.snapshot.load());
        info!(domains = self.snapshot.load().len(), "ready");
        let ended = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => {
                        info!("reload requested");
                        systemd::reloading();
                        // With no room for another the last one that waits is the one to wait for.
                        reloading = self.request_reload().or(reloading);
                    }
                    Signal::Stop(name) => {
                        info!(signal = name, "stop requested, a second signal ends at once");
                        break Ended::Stopped;
                    }
                },
                () = finished(&mut reloading), if reloading.is_some() => {
                    reloading = None;
                    systemd::ready(&self.snapshot.load());
                }
                () = watchdog.due() => watchdog.answer(),
                Ok(()) = generation.changed() => systemd::status(&self.snapshot.load()),
                part = self.supervisor.failed() => {
                    error!(part, "stopping because a part ended");
                    break Ended::Failed;
                }
                successor = &mut leaving => {
                    self.make_way(successor).await;
                    break Ended::Replaced;
                }
            }
        };
        // Our other handles on the listening sockets: what connects now is refused, not left to wait.
        drop(leaving);
        self.health.draining();
        if ended != Ended::Replaced {
            systemd::stopping();
        }
        // Draining takes less than half of the time that systemd now waits for the next word.
        watchdog.answer();
        let stopped = async {
            self.supervisor.stop(self.drain_timeout + STOP_GRACE).await;
            // Everything is durable without it, so a stuck disk does not hold the end up.
            if tokio::time::timeout(STOP_GRACE, self.storage.close()).await.is_err() {
                warn!("store not closed in time, the next start tidies it up");
            }
        };
        tokio::select! {
            () = stopped => ended,
            name = signals.next_stop() => {
                warn!(signal = name, "second signal, ending without draining");
                Ended::AtOnce
            }
        }
    }

    /// Leaves sockets, store and status socket to `successor`; what was accepted is still served.
    async fn make_way(&self, successor: Successor) {
        info!(process = successor.process, "another daemon takes over, serving what was accepted");
        self.take_overs.leave_socket();
        // Its sockets are shared, too: half of those who ask would hear of our end and not of the new daemon.
        self.page_stop.cancel();
        if let Some(process) = successor.process {
            systemd::replaced_by(process);
        }
        self.supervisor.stop_token().cancel();
        if tokio::time::timeout(STOP_GRACE, self.policies.stopped_accepting()).await.is_err() {
            warn!("a listener hangs");
        }
        successor.go().await;
    }

    /// Asks for a reload; `None` when enough of them wait already and will see the same files.
    fn request_reload(&self) -> Option<oneshot::Receiver<ReloadReport>> {
        let (request, report) = oneshot::channel();
        self.reload.try_send(request).is_ok().then_some(report)
    }
}

/// Sees to sockets and store before anything is opened; a running daemon is asked to let go of its own.
async fn arrive(server: &Server, beginning: Beginning) -> Result<Arrival, StartError> {
    let mut arrival = Arrival::alone(beginning.passed);
    if beginning.take_over {
        arrival.reach_old(&server.admin.socket).await?;
        arrival.hold(server).await?;
    }
    Ok(arrival)
}

async fn finished(reloading: &mut Option<oneshot::Receiver<ReloadReport>>) {
    if let Some(report) = reloading {
        // An error means that the reloader has gone, which the supervisor reports.
        let _ = report.await;
    }
}

fn part<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl Fn(E) -> StartError {
    move |source| StartError::Part { what, source: source.into() }
}

fn say_left(left: usize) {
    if left > 0 {
        warn!(connections = left, "connections cut at the drain deadline");
    }
}

async fn open_store(server: &Server, has_old: bool) -> Result<SqliteStorage, StartError> {
    let key = server.store.key_file.as_deref().map(MasterKey::read).transpose()?;
    if let Some(file) = &server.store.key_file {
        info!(key_file = %file.display(), "private keys are sealed in the store");
    }
    let folder = &server.store.directory;
    let opened = match has_old {
        true => SqliteStorage::open_beside(folder, key).await,
        false => SqliteStorage::open(folder, key).await,
    };
    opened.map_err(|e| StartError::Store(folder.clone(), e))
}

/// The configured resolver. Where the system names none, this host is asked, as the C library does:
/// serving does not depend on DNS, so neither does the start.
///
/// With `dns.second_servers`, those are asked, too.
fn resolver(server: &Server, lookups: &dns::Lookups) -> Result<Arc<dyn Lookup>, StartError> {
    let dns = &server.dns;
    let mut settings = dns::Settings {
        servers: dns.servers.clone(),
        timeout: dns.timeout,
        retries: dns.retries,
        lookups_at_once: dns.lookups_at_once,
        trust_ad: dns.trust_ad,
    };
    let first = HickoryLookup::new(&settings).or_else(|error| {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT));
        let error = chain(&error);
        warn!(%error, asked = %host, "no system resolver, this host is asked; dns.servers names others");
        settings.servers.push(host);
        HickoryLookup::new(&settings).map_err(part("the resolver"))
    })?;
    let first = lookups.count("first", Arc::new(first));
    if dns.second_servers.is_empty() {
        return Ok(first);
    }
    settings.servers.clone_from(&dns.second_servers);
    let second = HickoryLookup::new(&settings).map_err(part("the second resolver"))?;
    Ok(Arc::new(TwoResolvers::new(first, lookups.count("second", Arc::new(second)))))
}

/// How orders are placed; the budgets stand for the limits of others, and the internal authority has none.
fn order_settings(server: &Server) -> Acme {
    let mut acme = server.acme.clone();
    if acme.is_internal() {
        acme.budgets = Budgets::without_limits();
    }
    acme
}

/// What is compared with DNS: not STS records under the internal authority, where none is safe to publish.
fn cross_check_settings(wanted: &config::CrossCheck, internal: bool) -> config::CrossCheck {
    config::CrossCheck { records: wanted.records && !internal, ..wanted.clone() }
}

/// The look at DNS before orders; none for the internal authority, which asks nobody.
fn preflight(
    server: &Server,
    lookup: &Arc<dyn Lookup>,
    snapshot: &SharedSnapshot,
    bound: Vec<SocketAddr>,
) -> Option<Arc<dyn Readiness>> {
    let acme = &server.acme;
    if !acme.preflight.enabled || acme.authorities.iter().any(|one| one.directory == Directory::Internal) {
        return None;
    }
    let (preflight, _) = preflight_of(server, lookup, snapshot, bound);
    preflight.say_what_is_unknown();
    Some(Arc::new(preflight))
}

/// A preflight, and how we show authorities that a host is ours.
fn preflight_of(
    server: &Server,
    lookup: &Arc<dyn Lookup>,
    snapshot: &SharedSnapshot,
    bound: Vec<SocketAddr>,
) -> (DnsPreflight, Vec<Method>) {
    let acme = &server.acme;
    let offered = [(acme.tls_alpn_01, Method::TlsAlpn01), (acme.http_01, Method::Http01)];
    let methods: Vec<Method> =
        offered.into_iter().filter_map(|(offered, method)| offered.then_some(method)).collect();
    let (lookup, snapshot, settings) = (Arc::clone(lookup), snapshot.clone(), acme.preflight.clone());
    (DnsPreflight::new(lookup, snapshot, settings, bound, methods.clone()), methods)
}

/// After a start whose files have faults: what they hold back is served as it was before.
async fn resume(reloader: &mut Reloader, report: ReloadReport, storage: &Arc<dyn Storage>) -> ReloadReport {
    match last_served(&**storage).await {
        Ok(kept) if kept.is_empty() => report,
        Ok(kept) => reloader.resume(kept),
        Err(error) => {
            warn!(error = %chain(&error), "what was served before could not be read");
            report
        }
    }
}

/// The configured authorities in their order (none where no certificates are ordered and none is named), and where the root of the internal one is.
async fn authorities(
    server: &Server,
    storage: &Arc<dyn Storage>,
    clock: Clock,
) -> Result<(Vec<Arc<dyn Authority>>, Option<PathBuf>), StartError> {
    let mut authorities: Vec<Arc<dyn Authority>> = Vec::new();
    let mut internal_root = None;
    if !server.orders_certificates() && server.acme.is_internal() {
        return Ok((authorities, internal_root));
    }
    for settings in &server.acme.authorities {
        match &settings.directory {
            Directory::Url(url) => {
                let acme = AcmeAuthority::new(url, settings, &server.acme, Arc::clone(storage), clock)
                    .map_err(part("an authority's trusted roots (root_file)"))?;
                authorities.push(Arc::new(acme));
            }
            Directory::Internal => {
                let lifetime = server.acme.internal_lifetime;
                let internal = InternalAuthority::open(Arc::clone(storage), lifetime, clock)
                    .await
                    .map_err(part("the internal authority"))?;
                let file = server.store.directory.join(INTERNAL_ROOT_FILE);
                if let Err(error) = write_if_other(&file, internal.root_pem()) {
                    warn!(%error, file = %file.display(), "internal root not written");
                }
                internal_root = Some(file);
                authorities.push(Arc::new(internal));
            }
        }
    }
    Ok((authorities, internal_root))
}

/// Writes a public file unless it already says the same. On a full disk what stood there stays.
fn write_if_other(file: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let beside = file.with_extension("new");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
    written.inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests;
