//! The entrances of the policy server: what stands in front of each, and who notes what is asked.

use super::{say_left, supervisor::Supervisor};
use crate::{
    clock::Clock,
    config::{Listen, Server},
    https::{AccessLog, PolicyListener, PolicyServer},
    listening::{Entrance, Front, Listeners, Networks},
};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tracing::info;

/// Where each entrance is, with the ports that the system chose.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) https: Vec<SocketAddr>,
    pub(super) http: Vec<SocketAddr>,
    pub(super) backend: Vec<SocketAddr>,
}

impl Addresses {
    pub(super) fn of(listeners: &Listeners) -> Self {
        let of = |listeners: &[TcpListener]| {
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
        };
        Self { https: of(&listeners.https), http: of(&listeners.http), backend: of(&listeners.backend) }
    }

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

/// Lets `policies` serve on all of `listeners`.
pub(super) fn open(
    listeners: Listeners,
    policies: &PolicyServer,
    server: &Server,
    supervisor: &mut Supervisor,
) {
    let (access_log, writer) = AccessLog::new(&server.access_log, Clock::System).unzip();
    let behind = |entrance, listener| PolicyListener {
        listener,
        front: front(&server.listen, entrance),
        access_log: access_log.clone(),
    };
    for listener in listeners.https {
        let (policies, stop) = (policies.clone(), supervisor.stop_token());
        let listener = behind(Entrance::Https, listener);
        supervisor.start("https", async move { say_left(policies.run_https(listener, stop).await.left) });
    }
    for listener in listeners.http {
        let (policies, stop) = (policies.clone(), supervisor.stop_token());
        let listener = behind(Entrance::Http, listener);
        supervisor.start("http", async move { say_left(policies.run_http(listener, stop).await.left) });
    }
    for listener in listeners.backend {
        let (policies, stop) = (policies.clone(), supervisor.stop_token());
        let listener = behind(Entrance::Backend, listener);
        supervisor.start("backend", async move { say_left(policies.run_backend(listener, stop).await.left) });
    }
    if let Some(writer) = writer {
        // It ends when the last listener has drained and dropped its end.
        supervisor.start("access_log", writer.run());
    }
}

/// What stands in front of an entrance. A listed proxy is one at every entrance.
fn front(listen: &Listen, entrance: Entrance) -> Front {
    let on = listen.proxy_protocol_on;
    let (speaks_proxy, only_from) = match entrance {
        Entrance::Https => (on.https, None),
        Entrance::Http => (on.http, None),
        Entrance::Backend => (on.backend, Some(listen.backend_from.clone())),
        // It does not lead to policies.
        Entrance::Page => (false, None),
    };
    let mut proxies = listen.proxy_protocol_from.clone();
    if !listen.backend.is_empty() {
        proxies = proxies.with(&listen.backend_from);
    }
    let proxy_protocol = if speaks_proxy { listen.proxy_protocol_from.clone() } else { Networks::default() };
    Front { proxy_protocol, proxies, only_from }
}
