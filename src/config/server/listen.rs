//! `[listen]`: where connections come in.

use super::Reader;
use crate::config::{Listen, file::Table};
use std::net::SocketAddr;

impl Reader<'_, '_> {
    /// Every address of both families where nothing else is written.
    pub(super) fn listen(&self, table: Option<Table<'_, '_>>) -> Listen {
        let everywhere = |port| vec![SocketAddr::from(([0u16; 8], port))];
        let Some(mut table) = table else { return Listen { https: everywhere(443), http: everywhere(80) } };
        let mut seen = Vec::new();
        let https_span = table.span_of("https");
        let https = self.addresses(&mut table, "https", None, &mut seen).unwrap_or_else(|| everywhere(443));
        let http = self.addresses(&mut table, "http", None, &mut seen).unwrap_or_else(|| everywhere(80));
        if https.is_empty() {
            let remedy = "write at least one address, such as \"[::]:443\"";
            self.reading.fault(https_span, "listen.https", "there is no HTTPS address to listen on", remedy);
        }
        table.finish();
        Listen { https, http }
    }
}
