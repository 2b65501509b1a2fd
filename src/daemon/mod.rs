//! Assembly: builds every part, hands each what it needs, and stops them in order.
//!
//! Nothing here decides anything about policies or certificates. A new room on floor 4 costs one
//! block in [`Daemon::start`].

pub mod process;
mod signals;
mod supervisor;
mod systemd;

pub use signals::Signals;

use crate::{
    acme::{AcmeAuthority, InternalAuthority, Scheduler, SchedulerParts, authority::Authority},
    admin::{AdminServer, Sources},
    certificate::{CertificateTable, ChallengeTable},
    clock::Clock,
    config::{Directory, Server},
    cross_check::CrossCheck,
    dns::{HickoryLookup, Lookup},
    https::PolicyServer,
    listening::{BindError, bind},
    reload::{Refused, Reloader, Watch},
    snapshot::SharedSnapshot,
    storage::{MasterKey, SqliteStorage, Storage, StorageError},
};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use supervisor::Supervisor;
use tokio::{net::TcpListener, sync::Notify};
use tracing::{error, info};

/// The file in the store's folder that holds the internal authority's root, for clients to trust.
const INTERNAL_ROOT_FILE: &str = "internal-root.pem";

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server part of the configuration has faults.
    #[error("the configuration was refused")]
    Refused(Box<Refused>),
    /// The store cannot be used.
    #[error("the store in {} cannot be used", .0.display())]
    Store(PathBuf, #[source] StorageError),
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
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

/// Stand-ins for the world, for tests; a `None` takes the real thing.
#[derive(Default)]
pub struct StandIns {
    /// Who signs.
    pub authority: Option<Arc<dyn Authority>>,
    /// Who resolves.
    pub lookup: Option<Arc<dyn Lookup>>,
}

/// A running daemon.
pub struct Daemon {
    supervisor: Supervisor,
    server: Server,
    policy_server: PolicyServer,
    /// Addresses bound, with the ports the system chose.
    addresses: Addresses,
    /// What is served.
    snapshot: SharedSnapshot,
    reload_wanted: Arc<Notify>,
    /// Where clients find the internal authority's root, when it signs.
    internal_root: Option<PathBuf>,
}

/// Where the daemon listens.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// HTTPS.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP.
    pub http: Vec<SocketAddr>,
}

impl Daemon {
    /// Reads the configuration at `main_file` and starts every part. Needs neither the authority
    /// nor DNS to be well.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the configuration's server part, the store, or a socket.
    pub async fn start(main_file: &Path, stand_ins: StandIns) -> Result<Self, StartError> {
        let clock = Clock::System;
        let snapshot = SharedSnapshot::default();
        let reload_wanted = Arc::new(Notify::new());
        let mut reloader = Reloader::new(main_file.to_owned(), snapshot.clone(), clock);
        let server = reloader.first().map_err(|refused| StartError::Refused(Box::new(refused)))?;

        let storage: Arc<dyn Storage> = Arc::new(open_store(&server).await?);
        let certificates = CertificateTable::new(
            Arc::clone(&storage) as Arc<dyn crate::certificate::CertificateSource>,
            server.limits.certificates_in_memory,
        );
        let challenges = ChallengeTable::default();
        let (authority, internal_root) = match stand_ins.authority {
            Some(authority) => (authority, None),
            None => authority(&server, &storage, clock).await?,
        };
        let lookup = match stand_ins.lookup {
            Some(lookup) => lookup,
            None => Arc::new(HickoryLookup::new(&dns_settings(&server)).map_err(part("the resolver"))?),
        };

        let https = bind_all(&server.listen.https, "listen.https")?;
        let http = bind_all(&server.listen.http, "listen.http")?;
        let admin = AdminServer::bind(&server.admin.socket).map_err(part("the status socket"))?;
        let addresses = Addresses { https: local_addresses(&https), http: local_addresses(&http) };

        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop_token();
        let mut limits = server.limits.clone();
        limits.connections = process::connections_that_fit(limits.connections);
        let policy_server =
            PolicyServer::new(snapshot.clone(), certificates.clone(), challenges.clone(), limits);
        for listener in https {
            let (policy_server, stop) = (policy_server.clone(), stop.clone());
            supervisor.start("https", async move { policy_server.run_https(listener, stop).await });
        }
        for listener in http {
            let (policy_server, stop) = (policy_server.clone(), stop.clone());
            supervisor.start("http", async move { policy_server.run_http(listener, stop).await });
        }

        let scheduler = Scheduler::new(SchedulerParts {
            snapshot: snapshot.clone(),
            certificates,
            challenges,
            storage: Arc::clone(&storage),
            authority,
            clock,
            settings: server.acme.clone(),
        });
        let acme_status = scheduler.status();
        supervisor.start("acme", scheduler.run(stop.clone()));

        let cross_check = CrossCheck::new(
            snapshot.clone(),
            lookup,
            Arc::clone(&storage),
            clock,
            server.cross_check.clone(),
            server.dns.lookups_at_once,
        );
        let cross_check_status = cross_check.status();
        if server.cross_check.enabled {
            supervisor.start("cross_check", cross_check.run(stop.clone()));
        }

        let reload_status = reloader.status();
        let watch = Watch::new(reloader, Arc::clone(&reload_wanted));
        supervisor.start("reload", watch.run(stop.clone()));

        let sources = Sources {
            snapshot: snapshot.clone(),
            acme: acme_status,
            cross_check: cross_check_status,
            reload: reload_status,
            clock,
        };
        supervisor.start("admin", admin.run(sources, stop));
        supervisor.start("systemd", systemd::follow(snapshot.subscribe(), snapshot.clone()));

        for address in &addresses.https {
            info!(%address, "listening for https");
        }
        for address in &addresses.http {
            info!(%address, "listening for http");
        }
        Ok(Self { supervisor, server, policy_server, addresses, snapshot, reload_wanted, internal_root })
    }
}
