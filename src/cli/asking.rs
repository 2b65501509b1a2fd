//! How commands reach the running daemon, and what they print when it does not do as told.

use super::{CONFIG, ConfigArg, DONE, FAILED, UNAVAILABLE, small_runtime};
use crate::{
    admin::{Answer, client::AskError},
    clock::Clock,
    config::{Admin, Files, Store},
    logging::chain,
};
use clap::Args;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// After this, somebody who waits is told that we do.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// Where the daemon is.
#[derive(Debug, Args)]
pub(super) struct DaemonArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Unix socket of the daemon; the configuration's admin.socket unless given
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl DaemonArgs {
    /// Runs `question` against the daemon's socket, and returns its code or that of what went wrong,
    /// which is printed.
    pub fn ask(&self, question: impl AsyncFnOnce(&Path) -> Result<u8, AskError>) -> u8 {
        let socket = self.socket();
        let runtime = match small_runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("mta-stsd: {}", chain(&error));
                return FAILED;
            }
        };
        match runtime.block_on(question(&socket)) {
            Ok(code) => code,
            Err(AskError::Unknown(why)) => {
                eprintln!("mta-stsd: {why}");
                CONFIG
            }
            Err(AskError::Refused(why)) => {
                eprintln!("mta-stsd: {why}");
                FAILED
            }
            Err(error) => {
                eprintln!("mta-stsd: {} (socket {}); is it running?", chain(&error), socket.display());
                UNAVAILABLE
            }
        }
    }

    fn socket(&self) -> PathBuf {
        if let Some(socket) = self.socket.clone().or_else(|| configured_socket(&self.config)) {
            return socket;
        }
        let socket = Path::new(Store::DEFAULT_DIRECTORY).join(Admin::SOCKET_NAME);
        eprintln!(
            "mta-stsd: {} does not tell the socket ({} says why), so {} is tried; --socket names another",
            self.config.path.display(),
            self.config.command("check"),
            socket.display()
        );
        socket
    }
}

/// A faulty configuration tells it as well: that is when an operator asks.
fn configured_socket(config: &ConfigArg) -> Option<PathBuf> {
    Files::new(config.path.clone()).admin_socket(Clock::System.now())
}

/// Waits for an authority's or an order's sake, and says so when it takes long.
pub(super) async fn patiently<T>(asked: impl Future<Output = T>) -> T {
    tokio::pin!(asked);
    tokio::select! {
        answer = &mut asked => return answer,
        () = tokio::time::sleep(TELL_AFTER) => {
            eprintln!("mta-stsd: waiting for the authority, and for orders under way …");
        }
    }
    asked.await
}

/// Prints what became of a command.
pub(super) fn tell(answer: &Answer) -> u8 {
    answer.told.iter().for_each(|line| println!("{line}"));
    DONE
}

/// Asks whoever sits at the terminal whether to go on. Without one nobody can be asked: `otherwise`.
pub(super) fn is_confirmed(question: &str, otherwise: bool) -> bool {
    if !io::stdin().is_terminal() {
        return otherwise;
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    // What cannot be read is no consent.
    let _ = io::stderr().flush();
    let _ = io::stdin().lock().read_line(&mut answer);
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}
