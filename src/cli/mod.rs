//! The command line: what each command prints and with which code it ends.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done; `audit`: nothing found at or above `--fail-on`, and all of it could be seen |
//! | 1 | `audit`: at least one finding at or above `--fail-on`; `records --verify`: something differs; `health`: not well, or with `--ready` not ready |
//! | 2 | `audit`: no such finding, and not all of it could be seen, so nothing is promised; `records --verify`: likewise |
//! | 64 | the command line was not understood |
//! | 69 | the running daemon could not be asked |
//! | 70 | the daemon could not start, or a part of it failed, or a command could not be carried out; trying again may help |
//! | 78 | the configuration, or what it names, was refused: only a person can mend it |

mod account;
mod asking;
mod audit;
mod backup;
mod certificate;
mod certificates;
mod check;
mod generate;
mod health;
mod identities;
mod import;
mod log;
mod looking;
mod plan;
mod quickstart;
mod records;
#[cfg(test)]
mod reference;
mod serve;
mod standing;
mod status;

use crate::{
    config::{DEFAULT_FILE, Fault},
    name::{DomainName, NameError, PolicyHost},
};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The version with the commit it was built from, as far as the build knew it (`build.rs`).
const VERSION: &str = env!("MTA_STSD_VERSION");

/// Ended well.
const DONE: u8 = 0;
/// What was looked at is not as expected.
const DIFFERENT: u8 = 1;
/// What was to be looked at could not be seen.
const UNKNOWN: u8 = 2;
/// `EX_USAGE` of sysexits(3).
const USAGE: u8 = 64;
/// `EX_UNAVAILABLE` of sysexits(3).
const UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE` of sysexits(3).
const FAILED: u8 = 70;
/// `EX_CONFIG` of sysexits(3).
const CONFIG: u8 = 78;

/// Hosts MTA-STS policies (RFC 8461) for many mail domains, with automatic certificates.
#[derive(Debug, Parser)]
#[command(name = "mta-stsd", version = VERSION, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: serve policies, get certificates, watch the configuration and MX records
    Serve(serve::ServeArgs),
    /// Read the configuration as a reload would, and show everything that is wrong with it
    Check(check::CheckArgs),
    /// Ask the running daemon what it serves and what troubles it
    Status(status::StatusArgs),
    /// Ask the running daemon whether it is well, for probes: 0 yes, 1 no, 69 no answer
    Health(health::HealthArgs),
    /// Print the DNS records to publish for domains, or look whether they are there
    Records(records::RecordsArgs),
    /// Write a first configuration for domains, from the MX records they have
    Quickstart(quickstart::QuickstartArgs),
    /// Write tenants that continue the policies which domains are served elsewhere today
    Import(import::ImportArgs),
    /// Show, export, renew or revoke the certificate held for a policy host
    Certificate(certificate::CertificateArgs),
    /// List every host with its certificate, what is next, and what went wrong
    Certificates(certificates::CertificatesArgs),
    /// Say what will be done about certificates in the next 24 hours
    Plan(plan::PlanArgs),
    /// Show what the running daemon logs, or change it
    Log(log::LogArgs),
    /// Copy the store to a file, whole, while the daemon runs
    Backup(backup::BackupArgs),
    /// Make a store from such a copy
    Restore(backup::RestoreArgs),
    /// Write man pages and shell completions, for packages
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    /// Show our account at an authority, give it a new key, or close it
    Account(account::AccountArgs),
    /// Look at any domain's MTA-STS as senders do, and say what stands in the way
    Audit(audit::AuditArgs),
}

/// Where the main configuration file is.
#[derive(Debug, Args)]
struct ConfigArg {
    /// Main configuration file
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = DEFAULT_FILE)]
    path: PathBuf,
}

impl ConfigArg {
    /// A command as an operator may repeat it, with the configuration of this one.
    fn command(&self, rest: &str) -> String {
        match self.path == Path::new(DEFAULT_FILE) {
            true => format!("`mta-stsd {rest}`"),
            false => format!("`mta-stsd {rest} --config {}`", self.path.display()),
        }
    }
}

/// Runs the command line of this process and returns its exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { DONE };
            // Printing can only fail when nobody reads; the exit code says the rest.
            let _ = error.print();
            return code.into();
        }
    };
    let code = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Records(args) => records::run(&args),
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Certificate(args) => certificate::run(&args),
        Command::Certificates(args) => certificates::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Audit(args) => audit::run(&args),
    };
    code.into()
}

/// Faults as a person reads them; coloured when standard error is a terminal.
fn rendered(faults: &[Fault]) -> String {
    let colour = std::io::stderr().is_terminal();
    faults.iter().map(|fault| fault.render(colour) + "\n").collect()
}

/// `1 domain`, `2 domains`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// People and their scripts read these times; nobody is helped by fractions.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Takes a policy host, or the policy domain behind it.
fn policy_host(text: &str) -> Result<PolicyHost, NameError> {
    let name = DomainName::from_user(text)?;
    PolicyHost::from_full_name(name.as_str()).map_or_else(|| PolicyHost::of(&name), Ok)
}

/// Prints an answer for programs.
fn print_json(answer: &impl Serialize) {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("mta-stsd: {error}"),
    }
}

/// A runtime for one question on the local socket.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_takes_its_configuration_by_c() {
        for command in [&["serve"][..], &["check"], &["status"], &["records", "a.example"]] {
            let line = [&["mta-stsd"], command, &["-c", "here.toml"]].concat();
            assert!(Cli::try_parse_from(&line).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn how_to_look_is_refused_where_nothing_is_looked_at() {
        let parse =
            |rest: &[&str]| Cli::try_parse_from([&["mta-stsd", "records", "a.example"], rest].concat());
        for how in [&["--resolver", "192.0.2.53"][..], &["--ca", "roots.pem"], &["--allow-private"]] {
            assert!(parse(how).is_err(), "{how:?}");
            assert!(parse(&[how, &["--verify"]].concat()).is_ok(), "{how:?}");
        }
        assert!(parse(&[]).is_ok());
    }

    #[test]
    fn a_policy_host_is_taken_for_its_domain() {
        for text in ["meadow.example", "mta-sts.meadow.example", "MTA-STS.Meadow.example."] {
            assert_eq!(policy_host(text).unwrap().as_str(), "mta-sts.meadow.example", "{text}");
        }
    }

    #[test]
    fn a_hint_names_the_configuration_that_was_given() {
        let command = |path: &str| ConfigArg { path: path.into() }.command("check");
        assert_eq!(command(DEFAULT_FILE), "`mta-stsd check`");
        assert_eq!(command("here.toml"), "`mta-stsd check --config here.toml`");
    }
}
