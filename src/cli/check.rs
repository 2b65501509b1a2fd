//! `mta-stsd check`: what a reload or a restart would say of the configuration.

use super::{CONFIG, ConfigArg, DONE, counted, small_runtime, standing::Standing};
use crate::{
    certificate::presented::Roots,
    config::{Fault, Server, Severity, Store},
    logging::chain,
    storage::{KeyFileError, MasterKey, StoreReader},
};
use clap::Args;
use serde::Serialize;
use std::{io, path::Path};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print faults and warnings as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Let warnings fail the check as faults do
    #[arg(long)]
    deny_warnings: bool,
}

/// `check --json`; fields are added, never renamed.
#[derive(Serialize)]
struct Verdict<'a> {
    /// Whether the check passed.
    accepted: bool,
    /// Whether the server's part is refused: then nothing is taken, and no daemon starts.
    server_refused: bool,
    /// Domains that would be served by a daemon that starts with these files.
    domains: usize,
    /// Whether no certificates are ordered for them, because a proxy in front ends TLS.
    certificates_elsewhere: bool,
    /// What holds something back.
    faults: &'a [Fault],
    /// What is unwise.
    warnings: &'a [Fault],
}

pub(super) fn run(args: &CheckArgs) -> u8 {
    let Standing { reloader, snapshot, mut report, .. } = Standing::of(&args.config);
    let key_file = reloader.server().and_then(|server| server.store.key_file.as_deref());
    let key_fault = key_file.and_then(key_file_fault);
    let store_fault = || reloader.server().and_then(|server| store_fault(&server.store));
    if let Some(fault) = key_fault.or_else(store_fault) {
        if fault.holds_back() { &mut report.faults } else { &mut report.warnings }.push(fault);
    }
    for fault in reloader.server().into_iter().flat_map(root_faults) {
        if fault.holds_back() { &mut report.faults } else { &mut report.warnings }.push(fault);
    }
    let accepted = report.faults.is_empty() && (report.warnings.is_empty() || !args.deny_warnings);
    let domains = if report.server_refused { 0 } else { snapshot.len() };
    let certificates_elsewhere = reloader.server().is_some_and(|server| !server.orders_certificates());
    if args.json {
        let (server_refused, faults, warnings) = (report.server_refused, &report.faults, &report.warnings);
        super::print_json(&Verdict {
            accepted,
            server_refused,
            domains,
            certificates_elsewhere,
            faults,
            warnings,
        });
    } else {
        eprint!("{}{}", super::rendered(&report.faults), super::rendered(&report.warnings));
        let outcome = match report.server_refused {
            true => "nothing of this would be taken, a running daemon keeps what it has".to_owned(),
            false if certificates_elsewhere => {
                format!("{} to serve to a proxy, which has the certificates", counted(domains, "domain"))
            }
            false => format!("{} to serve", counted(domains, "domain")),
        };
        eprintln!(
            "{}: {outcome}; {}, {}",
            args.config.path.display(),
            counted(report.faults.len(), "fault"),
            counted(report.warnings.len(), "warning")
        );
    }
    if accepted { DONE } else { CONFIG }
}

/// What a start would say of the store, when there is one: above all, whether the master key is the one
/// it is sealed with. It is read beside a daemon that works with it, and not written.
fn store_fault(store: &Store) -> Option<Fault> {
    if !StoreReader::is_there(&store.directory) {
        return None;
    }
    let key = store.key_file.as_deref().map(MasterKey::read).transpose().ok()?;
    let runtime = small_runtime().ok()?;
    let error = runtime.block_on(StoreReader::open(&store.directory, key)).err()?;
    let (severity, remedy) = match error.needs_a_person() {
        true => (
            Severity::Fault,
            "name the master key that it was sealed with (store.key_file), or restore a backup; until then no \
             daemon starts",
        ),
        false => (
            Severity::Warning,
            "make sure that the service can read it (store.directory); who checks may not be allowed to",
        ),
    };
    Some(Fault::of_file(severity, &store.directory, chain(&error).to_string(), remedy.to_owned()))
}

/// What a start would say of the files with roots to trust. One that is not there, or not for us, may well be
/// there for the service.
fn root_faults(server: &Server) -> Vec<Fault> {
    let authorities = server.acme.authorities.iter().filter_map(|authority| authority.root_file.as_deref());
    let named = authorities.map(|file| ("acme.root_file", file));
    let audits = server.cross_check.enabled && server.cross_check.audit;
    let audits = server.cross_check.root_file.as_deref().filter(|_| audits);
    let named = named.chain(audits.map(|file| ("cross_check.root_file", file)));
    let fault = |(key, file): (&str, &Path)| {
        let error = Roots::read(file).err()?;
        let (severity, remedy) = match error.kind() {
            io::ErrorKind::InvalidData => {
                (Severity::Fault, format!("put PEM certificates into it, or take the key out ({key})"))
            }
            _ => (
                Severity::Warning,
                format!("make sure that the service can read it ({key}): without it no daemon starts"),
            ),
        };
        Some(Fault::of_file(severity, file, error.to_string(), remedy))
    };
    named.filter_map(fault).collect()
}

/// What a start would say of the master key. A file that is not for us may well be for the service, or
/// be put there only when it starts.
fn key_file_fault(path: &Path) -> Option<Fault> {
    let error = MasterKey::read(path).err()?;
    let (severity, remedy) = match &error {
        KeyFileError::Failed { .. } => (
            Severity::Warning,
            "make sure that the service can read it (store.key_file): without it no daemon starts",
        ),
        KeyFileError::Exposed { .. } | KeyFileError::NotAKey(_) => {
            (Severity::Fault, "mend it before the next start (store.key_file)")
        }
    };
    Some(Fault::of_file(severity, path, chain(&error).to_string(), remedy.to_owned()))
}
