//! Which keys of an edit only a restart can change.

use super::{
    AccessLog, Acme, Admin, AuthoritySettings, CrossCheck, Directory, Dns, Listen, Preflight,
    ProxyProtocolOn, Server, Store, duration::duration_shown, fault::shown,
};
use std::path::{Path, PathBuf};

/// One server key with its value as people read it.
struct Setting {
    key: &'static str,
    value: String,
    secret: bool,
}

impl Server {
    /// The keys in which `running` differs from `self` and that only a restart changes, each with its
    /// old and new value; secrets are named, not shown. `[publish]` is not among them.
    pub fn needs_restart(&self, running: &Self) -> Vec<String> {
        let pairs = running.settings().into_iter().zip(self.settings());
        pairs
            .filter(|(old, new)| old.value != new.value)
            .map(|(old, new)| match new.secret {
                true => format!("{} (changed)", new.key),
                false => format!("{}: {} → {}", new.key, old.value, new.value),
            })
            .collect()
    }

    #[cfg(test)]
    pub(super) fn settings_keys(&self) -> Vec<&'static str> {
        self.settings().into_iter().map(|setting| setting.key).collect()
    }

    /// Every key but those of `[publish]`; a test holds them against the keys that are read.
    fn settings(&self) -> Vec<Setting> {
        let Self { listen, store, acme, dns, cross_check, alerts, limits: l, admin, access_log, publish: _ } =
            self;
        let Listen { https, http, backend, backend_from, proxy_protocol_from, proxy_protocol_on } = listen;
        let ProxyProtocolOn { https: on_https, http: on_http, backend: on_backend } = proxy_protocol_on;
        let AccessLog { to, format, addresses } = access_log;
        let Store { directory: store_directory, key_file } = store;
        let Dns { servers, second_servers, timeout, retries, lookups_at_once, trust_ad } = dns;
        let CrossCheck { enabled, period, recheck, records, audit, audit_every, .. } = cross_check;
        let CrossCheck { audit_recheck, audits_at_once, probe_mx, ehlo_name, .. } = cross_check;
        let CrossCheck { root_file: trusted, dial_private, .. } = cross_check;
        let Admin { socket, listen: page, names, token_file, certificate } = admin;
        let setting = |key, value: String| Setting { key, value, secret: false };
        let secret = |key, value: String| Setting { key, value, secret: true };
        let path = |path: &Path| shown(&path.to_string_lossy());
        let file = |file: Option<&PathBuf>| file.map_or("none".to_owned(), |file| path(file));
        let mut settings = vec![
            setting("listen.https", format!("{https:?}")),
            setting("listen.http", format!("{http:?}")),
            setting("listen.backend", format!("{backend:?}")),
            setting("listen.backend_from", format!("{backend_from:?}")),
            setting("listen.proxy_protocol_from", format!("{proxy_protocol_from:?}")),
            setting(
                "listen.proxy_protocol_on",
                format!("https {on_https}, http {on_http}, backend {on_backend}"),
            ),
            setting("access_log.to", shown(&format!("{to:?}"))),
            setting("access_log.format", format!("{format:?}")),
            setting("access_log.addresses", format!("{addresses:?}")),
            setting("store.directory", path(store_directory)),
            secret("store.key_file", format!("{key_file:?}")),
            setting("dns.servers", format!("{servers:?}")),
            setting("dns.second_servers", format!("{second_servers:?}")),
            setting("dns.timeout", duration_shown(*timeout)),
            setting("dns.retries", retries.to_string()),
            setting("dns.lookups_at_once", lookups_at_once.to_string()),
            setting("dns.trust_ad", trust_ad.to_string()),
            setting("cross_check.enabled", enabled.to_string()),
            setting("cross_check.period", duration_shown(*period)),
            setting("cross_check.records", records.to_string()),
            setting("cross_check.recheck", duration_shown(*recheck)),
            setting("cross_check.audit", audit.to_string()),
            setting("cross_check.audit_every", duration_shown(*audit_every)),
            setting("cross_check.audit_recheck", duration_shown(*audit_recheck)),
            setting("cross_check.audits_at_once", audits_at_once.to_string()),
            setting("cross_check.probe_mx", probe_mx.to_string()),
            setting("cross_check.ehlo_name", ehlo_name.clone().unwrap_or("none".into())),
            setting("cross_check.root_file", trusted.as_deref().map_or("none".into(), path)),
            setting("cross_check.dial_private", dial_private.to_string()),
            // Arguments and addresses may be secrets as well.
            secret("alerts", format!("{alerts:?}")),
            setting("admin.socket", path(socket)),
            setting("admin.listen", format!("{page:?}")),
            setting("admin.names", format!("{names:?}")),
            setting("admin.token_file", file(token_file.as_ref())),
            setting("admin.certificate_file", file(certificate.as_ref().map(|tls| &tls.certificate_file))),
            setting("admin.key_file", file(certificate.as_ref().map(|tls| &tls.key_file))),
        ];
        let Acme { authorities, tls_alpn_01, http_01, orders_at_once, order_deadline, .. } = acme;
        let Preflight { enabled: preflight, auto, addresses } = &acme.preflight;
        let Acme { request_timeout, requests_per_second, internal_lifetime, .. } = acme;
        let (first, others) = authorities.split_first().expect("there is always an authority");
        let AuthoritySettings { directory, contact, terms_of_service_agreed, .. } = first;
        let AuthoritySettings { root_file, external_account: _, profile, .. } = first;
        let binding = |one: &AuthoritySettings| {
            one.external_account.as_ref().map(|a| (a.key_id.clone(), a.mac_key_file.clone()))
        };
        settings.extend([
            setting(
                "acme.directory",
                match directory {
                    Directory::Internal => "internal".to_owned(),
                    Directory::Url(url) => shown(url),
                },
            ),
            setting("acme.contact", format!("{contact:?}")),
            setting("acme.terms_of_service_agreed", terms_of_service_agreed.to_string()),
            setting("acme.root_file", root_file.as_deref().map_or("none".into(), path)),
            secret("acme.external_account", format!("{:?}", binding(first))),
            setting("acme.profile", profile.clone().unwrap_or("none".into())),
            setting("acme.challenges", format!("tls-alpn-01 {tls_alpn_01}, http-01 {http_01}")),
            setting("acme.preflight", format!("enabled {preflight}, auto {auto}, addresses {addresses:?}")),
            setting("acme.orders_at_once", orders_at_once.to_string()),
            setting("acme.order_deadline", duration_shown(*order_deadline)),
            // Named, not shown: bindings are among them.
            secret(
                "acme.authority",
                format!("{others:?} {:?}", others.iter().map(binding).collect::<Vec<_>>()),
            ),
            setting("acme.requests_per_second", requests_per_second.to_string()),
            setting("acme.request_timeout", duration_shown(*request_timeout)),
            setting("acme.internal_lifetime", duration_shown(*internal_lifetime)),
        ]);
        let number = |key, number: u64| setting(key, number.to_string());
        let time = |key, duration| setting(key, duration_shown(duration));
        let b = acme.budgets;
        settings.extend([
            number("acme.budgets.account_orders", b.account.amount.into()),
            time("acme.budgets.account_period", b.account.period),
            number("acme.budgets.domain_certificates", b.domain.amount.into()),
            time("acme.budgets.domain_period", b.domain.period),
            number("acme.budgets.same_name_certificates", b.same_name.amount.into()),
            time("acme.budgets.same_name_period", b.same_name.period),
            number("acme.budgets.name_failures", b.failures.amount.into()),
            time("acme.budgets.name_failures_period", b.failures.period),
            number("acme.budgets.renewals_percent", b.renewals_percent.into()),
        ]);
        settings.extend([
            number("limits.connections", l.connections as u64),
            number("limits.connections_per_address", l.connections_per_address as u64),
            number("limits.handshakes", l.handshakes as u64),
            number("limits.handshakes_per_address", l.handshakes_per_address.into()),
            number("limits.handshake_burst_per_address", l.handshake_burst_per_address.into()),
            time("limits.handshake_timeout", l.handshake_timeout),
            time("limits.header_timeout", l.header_timeout),
            time("limits.idle_timeout", l.idle_timeout),
            time("limits.connection_age", l.connection_age),
            number("limits.requests_per_connection", l.requests_per_connection.into()),
            number("limits.header_bytes", l.header_bytes as u64),
            number("limits.header_count", l.header_count as u64),
            number("limits.uri_bytes", l.uri_bytes as u64),
            number("limits.http2_streams", l.http2_streams.into()),
            number("limits.http2_header_bytes", l.http2_header_bytes.into()),
            time("limits.drain_timeout", l.drain_timeout),
            number("limits.certificates_in_memory", l.certificates_in_memory as u64),
            number("limits.config_file_bytes", l.config_file_bytes),
            number("limits.list_file_bytes", l.list_file_bytes),
        ]);
        settings
    }
}
