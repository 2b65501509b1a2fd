//! `[access_log]`: whether requests are written down, where, and how much of them.

use super::Reader;
use crate::config::{
    fault::quoted,
    file::{Table, Written},
};
use std::path::PathBuf;

/// `[access_log]`: one line for each request to a host that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub to: AccessLogTo,
    /// How a line looks.
    pub format: AccessLogFormat,
    /// How much of an address is written.
    pub addresses: AccessLogAddresses,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogTo {
    /// There is none.
    #[default]
    Nowhere,
    /// Standard error, between the lines of our own log.
    Stderr,
    /// A file of its own.
    File(PathBuf),
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// For people: words with spaces between them.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// How much of an address the access log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogAddresses {
    /// Its network: an IPv4 /24, an IPv6 /48.
    #[default]
    Prefix,
    /// All of it.
    Full,
}

impl Reader<'_, '_> {
    /// No access log where nothing is written.
    pub(super) fn access_log(&self, table: Option<Table<'_, '_>>) -> AccessLog {
        let mut log = AccessLog::default();
        let Some(mut table) = table else { return log };
        if let Some(Written { value, span }) = table.text("to") {
            match value.as_str() {
                "off" => {}
                "stderr" => log.to = AccessLogTo::Stderr,
                path if path.is_empty() || path.contains('\0') => {
                    let remedy = "write \"off\", \"stderr\", or the path of a file";
                    self.reading.fault(span, "access_log.to", "this is not a path", remedy);
                }
                path => log.to = AccessLogTo::File(self.folder.join(path)),
            }
        }
        let formats = [("text", AccessLogFormat::Text), ("json", AccessLogFormat::Json)];
        self.one_of(&mut table, "format", formats, &mut log.format);
        let addresses = [("prefix", AccessLogAddresses::Prefix), ("full", AccessLogAddresses::Full)];
        self.one_of(&mut table, "addresses", addresses, &mut log.addresses);
        table.finish();
        log
    }

    fn one_of<T>(
        &self,
        table: &mut Table<'_, '_>,
        key: &'static str,
        [one, other]: [(&str, T); 2],
        chosen: &mut T,
    ) {
        let Some(Written { value, span }) = table.text(key) else { return };
        if value == one.0 {
            *chosen = one.1;
        } else if value == other.0 {
            *chosen = other.1;
        } else {
            let problem = format!("{key} {} is not known", quoted(&value));
            let remedy = format!("write \"{}\" or \"{}\"", one.0, other.0);
            self.reading.fault(span, &table.key(key), problem, remedy);
        }
    }
}
