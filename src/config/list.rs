//! List files: the domains of one policy or tenant, one a line.
//!
//! A provider with a hundred thousand customers has exactly that, written by a program. A bad line
//! holds back that line only; and because nobody can tell which domain it was meant to be, no domain
//! is taken for removed while there is one.

use super::{
    fault::{Fault, quoted},
    file::{Reading, Written},
    source::{Source, Span},
    tenants::{WrittenHost, read_host},
};
use std::{collections::HashMap, path::Path, sync::Arc};

/// A list file: one domain a line.
#[derive(Debug)]
pub(super) struct ListFile {
    pub(super) source: Arc<Source>,
    pub(super) hosts: Vec<WrittenHost>,
    /// Whether it was read at all; a bad line holds back that line only.
    pub(super) readable: bool,
    /// Whether some line is not a domain: what is missing may then be missing by mistake.
    pub(super) has_bad_line: bool,
    pub(super) faults: Vec<Fault>,
}

impl ListFile {
    /// Reads a list: blank lines and what follows `#` do not count.
    pub(super) fn read(source: Source) -> Self {
        let source = Arc::new(source);
        let reading = Reading::new(&source);
        let mut hosts: Vec<WrittenHost> = Vec::new();
        let mut first = HashMap::new();
        let mut start = 0;
        let mut has_bad_line = false;
        for line in source.text().split_inclusive('\n') {
            let content = line.split_once('#').map_or(line, |(content, _)| content);
            let domain = content.trim();
            let at = start + content.len() - content.trim_start().len();
            start += line.len();
            // A byte order mark is no part of a name; editors of another world put it there.
            let domain = domain.strip_prefix('\u{feff}').unwrap_or(domain);
            if domain.is_empty() {
                continue;
            }
            let span = Span::from(at..at + domain.len());
            let Some(host) = read_host(&reading, &Written { value: domain, span }, "") else {
                has_bad_line = true;
                continue;
            };
            if let Some(other) = first.get(&host) {
                let problem = format!("the domain {} is listed twice", quoted(domain));
                let remedy = format!("take this line out; {} has it already", source.place(*other));
                reading.fault(span, "", problem, remedy);
                continue;
            }
            first.insert(host.clone(), span.start);
            hosts.push(WrittenHost { host, span });
        }
        let faults = reading.finish();
        Self { hosts, readable: true, has_bad_line, faults, source }
    }

    /// Stands for a list that cannot be read.
    pub(super) fn unreadable(path: &Arc<Path>, fault: Fault) -> Self {
        let source = Arc::new(Source::new(Arc::clone(path), String::new()));
        Self { source, hosts: Vec::new(), readable: false, has_bad_line: false, faults: vec![fault] }
    }
}
