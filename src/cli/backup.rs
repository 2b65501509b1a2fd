//! `mta-stsd backup FILE` and `mta-stsd restore FILE`: the store as one file, and back.

use super::{CONFIG, ConfigArg, DONE, FAILED, small_runtime};
use crate::{
    clock::Clock,
    config,
    logging::chain,
    reload::Reloader,
    snapshot::SharedSnapshot,
    storage::{self, BackupError},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// New file for the copy; it has the private keys in it, so it is readable by its owner alone
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A copy that `mta-stsd backup` made
    file: PathBuf,
}

pub(super) fn back_up(args: &BackupArgs) -> u8 {
    with_store(&args.config, async |store| {
        storage::back_up(&store.directory, &args.file).await?;
        println!("{} is a whole copy of {}", args.file.display(), store.directory.display());
        match &store.key_file {
            Some(key) => println!("its keys open with {} alone: keep that elsewhere", key.display()),
            None => println!("the private keys in it are not sealed: keep it as safe as the store"),
        }
        Ok(())
    })
}

pub(super) fn restore(args: &RestoreArgs) -> u8 {
    with_store(&args.config, async |store| {
        storage::restore(&args.file, &store.directory).await?;
        println!("{} has what is in {}; start the daemon", store.directory.display(), args.file.display());
        Ok(())
    })
}

/// Does `work` with the store that the configuration names, and prints what went wrong.
fn with_store(config: &ConfigArg, work: impl AsyncFnOnce(&config::Store) -> Result<(), BackupError>) -> u8 {
    let mut reloader = Reloader::new(config.path.clone(), SharedSnapshot::default(), Clock::System);
    let server = match reloader.first() {
        Ok((server, _)) => server,
        Err(refused) => {
            eprint!("{}", super::rendered(&refused.faults));
            return CONFIG;
        }
    };
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mta-stsd: {}", chain(&error));
            return FAILED;
        }
    };
    match runtime.block_on(work(&server.store)) {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("mta-stsd: {}", chain(&error));
            FAILED
        }
    }
}
