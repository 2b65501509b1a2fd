//! The status socket on a disk that is not well.
//!
//! By default the socket lies in the store's folder. A read-only or full disk must not keep us from
//! serving, so there the socket is made as soon as the disk takes it; every other reason ends the start.

use crate::{
    admin::{AdminServer, Sources},
    logging::chain,
};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The wait before the socket is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// A status socket that is bound, or will be.
#[derive(Debug)]
pub(super) struct StatusSocket {
    path: PathBuf,
    bound: Option<AdminServer>,
    /// Whether another daemon's socket stands there, which ours takes the place of.
    replaces: bool,
}

impl StatusSocket {
    /// Binds the socket at `path`; leaves it for later when the disk takes no new files.
    ///
    /// # Errors
    ///
    /// As [`AdminServer::bind`], the state of the disk aside.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let bound = match AdminServer::bind(path) {
            Err(error) if is_disks(&error) => {
                error!(error = %chain(&error), "status socket not made, will be tried again");
                None
            }
            bound => Some(bound?),
        };
        Ok(Self { path: path.to_owned(), bound, replaces: false })
    }

    /// A socket that takes the place of another daemon's when it is run.
    pub(super) fn replace(path: &Path) -> Self {
        Self { path: path.to_owned(), bound: None, replaces: true }
    }

    /// Answers until `stop`, from when the socket could be made.
    pub(super) async fn run(mut self, sources: Sources, stop: CancellationToken) {
        if self.replaces {
            let replaced = AdminServer::replace(&self.path);
            self.bound = replaced
                .inspect_err(
                    |error| error!(error = %chain(error), "status socket not replaced, will be tried again"),
                )
                .ok();
        }
        let server = loop {
            if let Some(server) = self.bound.take().or_else(|| AdminServer::bind(&self.path).ok()) {
                break server;
            }
            let waited = stop.run_until_cancelled(tokio::time::sleep(TRY_AGAIN)).await;
            if waited.is_none() {
                return;
            }
        };
        server.run(sources, stop).await;
    }
}

/// Whether the disk is the reason, which may pass by itself.
fn is_disks(error: &io::Error) -> bool {
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}
