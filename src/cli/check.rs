//! `mta-stsd check`: what a reload would say of the configuration.

use super::{CONFIG, ConfigArg, DONE};
use crate::{clock::Clock, reload::Reloader, snapshot::SharedSnapshot};
use clap::Args;

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

pub(super) fn run(_args: &CheckArgs) -> u8 {
    let _ = (CONFIG, DONE);
    let _ = (Clock::System, SharedSnapshot::default());
    let _ = Reloader::new;
    todo!("joined with the reload room")
}
