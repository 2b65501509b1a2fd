//! `[listen]`: where connections come in, and what stands in front.

use super::Reader;
use crate::{
    config::{Listen, ProxyProtocolOn, fault::quoted, file::Table},
    listening::{BadNetwork, Network, Networks},
};
use std::net::SocketAddr;

/// Every address of both families.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0u16; 8], port))]
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            https: everywhere(443),
            http: everywhere(80),
            backend: Vec::new(),
            backend_from: Networks::loopback(),
            proxy_protocol_from: Networks::default(),
            proxy_protocol_on: ProxyProtocolOn { https: true, http: true, backend: false },
        }
    }
}

impl Reader<'_, '_> {
    /// Every address of both families where nothing else is written.
    pub(super) fn listen(&self, table: Option<Table<'_, '_>>) -> Listen {
        let mut listen = Listen::default();
        let Some(mut table) = table else { return listen };
        let mut seen = Vec::new();
        let (https_span, http_span) = (table.span_of("https"), table.span_of("http"));
        let (backend_span, from_span) = (table.span_of("backend"), table.span_of("backend_from"));
        let https = self.addresses(&mut table, "https", None, &mut seen);
        let http = self.addresses(&mut table, "http", None, &mut seen);
        listen.https = https.unwrap_or(listen.https);
        listen.backend = self.addresses(&mut table, "backend", None, &mut seen).unwrap_or_default();
        if let Some(networks) = self.networks(&mut table, "backend_from") {
            listen.backend_from = networks;
        }
        listen.proxy_protocol_from = self.networks(&mut table, "proxy_protocol_from").unwrap_or_default();
        self.proxy_protocol_on(&mut table, &mut listen.proxy_protocol_on);
        table.finish();

        if listen.https.is_empty() && listen.backend.is_empty() {
            let problem = "there is no address to serve policies at";
            let remedy = "write at least one address, such as \"[::]:443\", or listen.backend for a proxy that \
                          ends TLS";
            self.reading.fault(https_span, "listen.https", problem, remedy);
        }
        if !listen.backend.is_empty() && listen.backend_from.is_empty() {
            let remedy = "write the networks of the proxies, or take the key out for loopback addresses";
            self.reading.fault(
                from_span,
                "listen.backend_from",
                "nobody may connect to listen.backend",
                remedy,
            );
        }
        let is_beyond = listen.backend.iter().any(|at| !at.ip().is_loopback());
        if is_beyond && listen.backend_from == Networks::loopback() {
            let problem = "the backend listens beyond this machine, but only this machine may connect";
            let remedy = "write the proxies' networks as listen.backend_from, or listen on 127.0.0.1";
            self.reading.warning(backend_span, "listen.backend", problem, remedy);
        }
        listen.http = match http {
            // Without HTTPS no certificate is ordered, and the port is the proxy's.
            None if listen.https.is_empty() => Vec::new(),
            Some(http) if listen.https.is_empty() && !listen.backend.is_empty() && !http.is_empty() => {
                let problem =
                    "nothing will ever be asked here: without listen.https no certificates are ordered";
                self.reading.warning(http_span, "listen.http", problem, "take the key out");
                http
            }
            http => http.unwrap_or(listen.http),
        };
        listen
    }

    /// Networks of proxies; to believe everybody is unwise, and said.
    fn networks(&self, table: &mut Table<'_, '_>, key: &'static str) -> Option<Networks> {
        let texts = table.texts(key)?;
        let full = table.key(key);
        let mut networks: Vec<Network> = Vec::new();
        for text in texts.value {
            let network = match text.value.parse::<Network>() {
                Ok(network) => network,
                Err(bad) => {
                    let problem = format!("{} {bad}", quoted(&text.value));
                    self.reading.fault(text.span, &full, problem, remedy(bad));
                    continue;
                }
            };
            if networks.contains(&network) {
                let problem = format!("the network {network} is written twice");
                self.reading.fault(text.span, &full, problem, "write it once");
                continue;
            }
            if network.is_everybody() {
                let problem = format!("{network} is everybody, so everybody may say who he is");
                self.reading.warning(text.span, &full, problem, "write the networks of your proxies alone");
            }
            networks.push(network);
        }
        Some(networks.into_iter().collect())
    }

    fn proxy_protocol_on(&self, table: &mut Table<'_, '_>, on: &mut ProxyProtocolOn) {
        const KEY: &str = "proxy_protocol_on";
        let Some(texts) = table.texts(KEY) else { return };
        *on = ProxyProtocolOn::default();
        for text in texts.value {
            match text.value.as_str() {
                "https" => on.https = true,
                "http" => on.http = true,
                "backend" => on.backend = true,
                other => {
                    let problem = format!("{} is no listener", quoted(other));
                    let remedy = "write \"https\", \"http\" or \"backend\"";
                    self.reading.fault(text.span, &table.key(KEY), problem, remedy);
                }
            }
        }
    }
}

/// What would be right in place of a text that is no network.
fn remedy(bad: BadNetwork) -> String {
    match bad {
        BadNetwork::Malformed => {
            "write it as \"192.0.2.0/24\", \"2001:db8::/32\", or as one address".to_owned()
        }
        BadNetwork::Beyond(meant) => format!("write \"{meant}\", or the one address alone"),
        BadNetwork::Mapped => "write it as IPv4, such as \"192.0.2.0/24\"".to_owned(),
    }
}
