//! `[admin]`: the status socket and the admin page.
//!
//! Whoever reads the page learns every customer's name, and whoever may act spends the authority's
//! budgets. So what other hosts can reach is refused without TLS and a token, and not merely warned of.

use super::Reader;
use crate::{
    config::{Admin, AdminCertificate, Store, fault::quoted, file::Table},
    name::DomainName,
};
use std::net::{IpAddr, SocketAddr};

/// The longest label of a name in DNS (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

impl Reader<'_, '_> {
    pub(super) fn admin(&self, table: Option<Table<'_, '_>>, store: &Store) -> Admin {
        let mut admin = Admin {
            socket: store.directory.join(Admin::SOCKET_NAME),
            listen: Vec::new(),
            names: Vec::new(),
            token_file: None,
            certificate: None,
        };
        let Some(mut table) = table else { return admin };
        let t = &mut table;
        if let Some(socket) = self.path(t, "socket") {
            admin.socket = socket;
        }
        let span = t.span_of("listen");
        admin.listen = self.addresses(t, "listen", None, &mut Vec::new()).unwrap_or_default();
        let names_span = t.span_of("names");
        admin.names = self.page_names(t);
        let has_token = t.has("token_file");
        admin.token_file = self.path(t, "token_file");
        let has_certificate = t.has("certificate_file") && t.has("key_file");
        admin.certificate = self.page_certificate(t);
        table.finish();
        let open = admin.listen.iter().find(|address| !is_loopback(address));
        if let Some(open) = open.filter(|_| !(has_token && has_certificate)) {
            let missing: Vec<&str> = [(has_certificate, "TLS"), (has_token, "a token")]
                .into_iter()
                .filter_map(|(there, what)| (!there).then_some(what))
                .collect();
            let problem = format!("other hosts can reach {open}, without {}", missing.join(" and "));
            let remedy = "write admin.certificate_file, admin.key_file and admin.token_file, or listen on \
                          \"127.0.0.1:8460\" and reach it through ssh -L";
            self.reading.fault(span, "admin.listen", problem, remedy);
        }
        if !admin.names.is_empty() && !has_token {
            let problem = "who asks for the page by a name comes from elsewhere, through a proxy at least";
            let remedy = "write admin.token_file, or take the names out";
            self.reading.fault(names_span, "admin.names", problem, remedy);
        }
        admin
    }

    fn page_certificate(&self, table: &mut Table<'_, '_>) -> Option<AdminCertificate> {
        let (span, key_span) = (table.span_of("certificate_file"), table.span_of("key_file"));
        let written = (table.has("certificate_file"), table.has("key_file"));
        let lonely = |span, key: &str, other: &str| {
            let remedy = format!("write {other} as well, or take it out");
            self.reading.fault(span, key, format!("it stands without {other}"), remedy);
        };
        match written {
            (true, false) => lonely(span, "admin.certificate_file", "admin.key_file"),
            (false, true) => lonely(key_span, "admin.key_file", "admin.certificate_file"),
            _ => {}
        }
        let certificate_file = self.path(table, "certificate_file");
        let key_file = self.path(table, "key_file");
        Some(AdminCertificate { certificate_file: certificate_file?, key_file: key_file? })
    }

    fn page_names(&self, table: &mut Table<'_, '_>) -> Vec<String> {
        let mut names = Vec::new();
        for text in table.texts("names").map(|texts| texts.value).unwrap_or_default() {
            match page_name(&text.value) {
                Some(name) => names.push(name),
                None => {
                    let problem = format!("{} is neither a name nor an address", quoted(&text.value));
                    let remedy = "write it as \"mta-stsd.example.net\" or \"192.0.2.1\", without a port";
                    self.reading.fault(text.span, "admin.names", problem, remedy);
                }
            }
        }
        names
    }
}

/// A domain name, a single label (as in a local network) or an address, in the form it is compared in.
fn page_name(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    if let Ok(name) = DomainName::from_user(text) {
        return Some(name.as_str().to_owned());
    }
    let is_label = (1..=LABEL_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    is_label.then(|| text.to_ascii_lowercase())
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
