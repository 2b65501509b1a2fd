//! `mta-stsd health`: asks the running daemon whether it is well; for probes that run a command.

use super::{DIFFERENT, DONE, asking::DaemonArgs};
use crate::admin::client;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Ask whether connections should be sent here, too: not while it starts or drains
    #[arg(long)]
    ready: bool,
}

pub(super) fn run(args: &HealthArgs) -> u8 {
    args.daemon.ask(async |socket| {
        let health = client::health(socket, args.ready).await?;
        match health {
            Ok(word) => {
                println!("{word}");
                Ok(DONE)
            }
            Err(why) => {
                eprintln!("mta-stsd: {why}");
                Ok(DIFFERENT)
            }
        }
    })
}
