//! The listeners of the policy server: bound, with what stands in front of each, and started.

use super::{StartError, say_left, supervisor::Supervisor};
use crate::{
    clock::Clock,
    config::{Listen, Server},
    https::{AccessLog, Entrance, PolicyServer},
    listening::{Front, Networks, bind_all},
};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tracing::info;

/// Listeners that are bound and do not accept yet.
pub(super) struct Entrances {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    backend: Vec<TcpListener>,
}

/// Where each kind of listener is, with the ports that the system chose.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) https: Vec<SocketAddr>,
    pub(super) http: Vec<SocketAddr>,
    pub(super) backend: Vec<SocketAddr>,
}

impl Addresses {
    /// Says in the log where we listen.
    pub(super) fn log(&self) {
        for address in &self.https {
            info!(%address, "listening for https");
        }
        for address in &self.http {
            info!(%address, "listening for http");
        }
        for address in &self.backend {
            info!(%address, "listening for proxies");
        }
    }
}

impl Entrances {
    /// Binds every address of `listen`.
    pub(super) fn bind(listen: &Listen) -> Result<Self, StartError> {
        Ok(Self {
            https: bind_all("listen.https", &listen.https)?,
            http: bind_all("listen.http", &listen.http)?,
            backend: bind_all("listen.backend", &listen.backend)?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let of = |listeners: &[TcpListener]| {
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
        };
        Addresses { https: of(&self.https), http: of(&self.http), backend: of(&self.backend) }
    }

    /// Lets `policies` serve on all of them.
    pub(super) fn open(self, policies: &PolicyServer, server: &Server, supervisor: &mut Supervisor) {
        let listen = &server.listen;
        let (access_log, writer) = AccessLog::new(&server.access_log, Clock::System).unzip();
        let entrance = |listener, speaks_proxy, only_from| {
            let front = front(listen, speaks_proxy, only_from);
            Entrance { listener, front, access_log: access_log.clone() }
        };
        let on = listen.proxy_protocol_on;
        for listener in self.https {
            let (policies, stop) = (policies.clone(), supervisor.stop_token());
            let entrance = entrance(listener, on.https, None);
            supervisor.start("https", async move { say_left(policies.run_https(entrance, stop).await.left) });
        }
        for listener in self.http {
            let (policies, stop) = (policies.clone(), supervisor.stop_token());
            let entrance = entrance(listener, on.http, None);
            supervisor.start("http", async move { say_left(policies.run_http(entrance, stop).await.left) });
        }
        for listener in self.backend {
            let (policies, stop) = (policies.clone(), supervisor.stop_token());
            let entrance = entrance(listener, on.backend, Some(listen.backend_from.clone()));
            supervisor
                .start("backend", async move { say_left(policies.run_backend(entrance, stop).await.left) });
        }
        if let Some(writer) = writer {
            // It ends when the last listener has drained and dropped its end.
            supervisor.start("access_log", writer.run());
        }
    }
}

/// What stands in front of a listener. A listed proxy is one on every listener.
fn front(listen: &Listen, speaks_proxy: bool, only_from: Option<Networks>) -> Front {
    let mut proxies = listen.proxy_protocol_from.clone();
    if !listen.backend.is_empty() {
        proxies = proxies.with(&listen.backend_from);
    }
    let proxy_protocol = if speaks_proxy { listen.proxy_protocol_from.clone() } else { Networks::default() };
    Front { proxy_protocol, proxies, only_from }
}
