//! The command line: what each command prints and with which code it ends.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done; `audit`: nothing found at or above `--fail-on`, and all of it could be seen |
//! | 1 | `audit`: at least one finding at or above `--fail-on` |
//! | 2 | `audit`: no such finding, and not all of it could be seen, so nothing is promised |
//! | 64 | the command line was not understood |
//! | 69 | the running daemon could not be asked |
//! | 70 | the daemon could not start, or a part of it failed, or a command could not be carried out; trying again may help |
//! | 78 | the configuration, or what it names, was refused: only a person can mend it |

mod account;
mod asking;
mod audit;
mod certificate;
mod certificates;
mod check;
mod plan;
mod records;
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

/// Ended well.
const DONE: u8 = 0;
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
#[command(name = "mta-stsd", version, about)]
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
    /// Print the DNS records that a domain's owner publishes
    Records(records::RecordsArgs),
    /// Show, export, renew or revoke the certificate held for a policy host
    Certificate(certificate::CertificateArgs),
    /// List every host with its certificate, what is next, and what went wrong
    Certificates(certificates::CertificatesArgs),
    /// Say what will be done about certificates in the next 24 hours
    Plan(plan::PlanArgs),
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
        Command::Records(args) => records::run(&args),
        Command::Certificate(args) => certificate::run(&args),
        Command::Certificates(args) => certificates::run(&args),
        Command::Plan(args) => plan::run(&args),
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
