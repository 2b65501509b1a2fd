//! `mta-stsd serve`: the daemon, from the first log line to the exit code.

use super::{CONFIG, ConfigArg, DONE, FAILED};
use crate::{
    daemon::{Beginning, Daemon, Ended, Signals, StandIns, StartError, process},
    listening::{PassedSocket, sockets_of_environment},
    logging::{self, Format, chain},
};
use clap::Args;
use std::time::Duration;
use tracing::{error, info};

/// How long blocking work (a slow disk) may hold the end up.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// How log lines look on standard error; journal where that leads there, and text otherwise, unless given
    #[arg(long, value_enum)]
    log_format: Option<Format>,
    /// What is logged: a level, or levels by module (info,mta_stsd::acme=debug)
    #[arg(long, value_name = "FILTER", env = "MTA_STSD_LOG", default_value = "info")]
    log_level: String,
    /// Take the place of the daemon that runs with this configuration, without losing a connection; start
    /// as usual where none does
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(args: &ServeArgs) -> u8 {
    process::harden();
    process::count_panics();
    if let Err(error) = logging::init(args.log_format.unwrap_or_else(Format::fitting), &args.log_level) {
        eprintln!("mta-stsd: {error}");
        return super::USAGE;
    }
    // Before there are threads, because it changes the environment.
    let passed = match sockets_of_environment() {
        Ok(passed) => passed,
        Err(error) => {
            error!(%error, "sockets not taken in; the socket units must have Accept=no and ListenStream=");
            return CONFIG;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "threads could not be started");
            return FAILED;
        }
    };
    let code = runtime.block_on(serve(args, passed));
    runtime.shutdown_timeout(BLOCKING_GRACE);
    if let Some(log) = logging::current() {
        log.tell_left_out();
    }
    code
}

async fn serve(args: &ServeArgs, passed: Vec<PassedSocket>) -> u8 {
    info!(version = super::VERSION, config = %args.config.path.display(), "starting");
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "signals could not be handled");
            return FAILED;
        }
    };
    let beginning = Beginning { passed, take_over: args.take_over };
    let started = tokio::select! {
        started = Daemon::start_from(&args.config.path, StandIns::default(), beginning) => started,
        signal = signals.next_stop() => {
            info!(signal, "stop requested during the start");
            return DONE;
        }
    };
    let daemon = match started {
        Ok(daemon) => daemon,
        Err(StartError::Refused(refused)) => {
            eprint!("{}", super::rendered(&refused.faults));
            error!(file = %args.config.path.display(), "config refused");
            return CONFIG;
        }
        Err(error) => {
            error!(error = %chain(&error), "daemon not started");
            return if error.needs_a_person() { CONFIG } else { FAILED };
        }
    };
    if let Some(line) = daemon.curl_line() {
        println!("Fetch a policy as a sender does:\n{line}");
    }
    match daemon.run(&mut signals).await {
        Ended::Stopped => {
            info!("stopped");
            DONE
        }
        Ended::Replaced => {
            info!("stopped, another daemon runs");
            DONE
        }
        Ended::Failed | Ended::AtOnce => FAILED,
    }
}
