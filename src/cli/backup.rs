//! `mta-stsd backup FILE` and `mta-stsd restore FILE`: the store as one file, and back.

use super::{CONFIG, ConfigArg, DONE, FAILED, small_runtime};
use crate::{
    clock::Clock,
    config,
    logging::chain,
    reload::Reloader,
    snapshot::SharedSnapshot,
    storage::{self, BackupError, MasterKey, StoreReader},
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
        match (opens(store).await, &store.key_file) {
            (Ok(()), Some(key)) => {
                println!("its keys open with {} alone: keep that elsewhere", key.display());
            }
            (Ok(()), None) => println!("the private keys in it are not sealed: keep it as safe as the store"),
            (Err(why), _) => eprintln!("mta-stsd: keep the right master key, too, for {why}"),
        }
        Ok(DONE)
    })
}

pub(super) fn restore(args: &RestoreArgs) -> u8 {
    with_store(&args.config, async |store| {
        storage::restore(&args.file, &store.directory).await?;
        println!("{} has what is in {}", store.directory.display(), args.file.display());
        Ok(match opens(store).await {
            Ok(()) => {
                println!("start the daemon");
                DONE
            }
            Err(why) => {
                eprintln!("mta-stsd: the daemon will not start with it: {why}");
                CONFIG
            }
        })
    })
}

/// Whether the store opens with the configured master key, or with none; what stands in the way.
async fn opens(store: &config::Store) -> Result<(), String> {
    let key = store.key_file.as_deref().map(MasterKey::read).transpose();
    let key = key.map_err(|error| chain(&error).to_string())?;
    StoreReader::open(&store.directory, key).await.map(drop).map_err(|error| chain(&error).to_string())
}

/// Does `work` with the store that the configuration names, and prints what went wrong.
fn with_store(config: &ConfigArg, work: impl AsyncFnOnce(&config::Store) -> Result<u8, BackupError>) -> u8 {
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
        Ok(code) => code,
        Err(error) => {
            eprintln!("mta-stsd: {}", chain(&error));
            match error {
                BackupError::Store(error) if error.needs_a_person() => CONFIG,
                _ => FAILED,
            }
        }
    }
}
