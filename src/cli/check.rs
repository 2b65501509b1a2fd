//! `mta-stsd check`: what a reload would say of the configuration.

use super::{CONFIG, ConfigArg, DONE, counted};
use crate::{clock::Clock, config::Fault, reload::Reloader, snapshot::SharedSnapshot};
use clap::Args;
use serde::Serialize;

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
    /// Domains that would be served by a daemon that starts with these files.
    domains: usize,
    /// What holds something back.
    faults: &'a [Fault],
    /// What is unwise.
    warnings: &'a [Fault],
}

pub(super) fn run(args: &CheckArgs) -> u8 {
    let snapshot = SharedSnapshot::default();
    let mut reloader = Reloader::new(args.config.path.clone(), snapshot.clone(), Clock::System);
    let report = reloader.reload();
    let accepted = report.faults.is_empty() && (report.warnings.is_empty() || !args.deny_warnings);
    let domains = snapshot.load().len();
    if args.json {
        let verdict = Verdict { accepted, domains, faults: &report.faults, warnings: &report.warnings };
        match serde_json::to_string_pretty(&verdict) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("mta-stsd: {error}"),
        }
    } else {
        eprint!("{}{}", super::rendered(&report.faults), super::rendered(&report.warnings));
        let (faults, warnings) = (report.faults.len(), report.warnings.len());
        eprintln!(
            "{}: {} to serve, {}, {}",
            args.config.path.display(),
            counted(domains, "domain"),
            counted(faults, "fault"),
            counted(warnings, "warning")
        );
    }
    if accepted { DONE } else { CONFIG }
}
