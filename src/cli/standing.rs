//! The configuration as a reload or a restart would take it, for commands that only look.
//!
//! A clash over a domain is settled for its present owner, and a refused tenant stays as it was last
//! good. So what the daemon keeps in its store is the beginning here too; a store that is not there, or
//! that we may not read, is as good as an empty one.

use super::ConfigArg;
use crate::{
    clock::Clock,
    config::Tenants,
    reload::{ReloadReport, Reloader, served_of},
    snapshot::{SharedSnapshot, Snapshot},
    storage::read_served_tenants,
};
use std::{path::Path, sync::Arc};

/// What would be served, and what would be said of it.
pub(super) struct Standing {
    pub(super) reloader: Reloader,
    pub(super) snapshot: Arc<Snapshot>,
    /// The same, for whoever works with what changes.
    pub(super) shared: SharedSnapshot,
    pub(super) report: ReloadReport,
}

impl Standing {
    pub(super) fn of(config: &ConfigArg) -> Self {
        let shared = SharedSnapshot::default();
        let mut reloader = Reloader::new(config.path.clone(), shared.clone(), Clock::System);
        let mut report = reloader.reload();
        // Without a fault nothing is kept back, so what was before makes no difference.
        if !report.is_good() {
            let kept = reloader.store_directory().map(last_served).unwrap_or_default();
            if !kept.is_empty() {
                report = reloader.resume(kept);
            }
        }
        Self { reloader, snapshot: shared.load_full(), shared, report }
    }
}

fn last_served(directory: &Path) -> Tenants {
    let Ok(runtime) = super::small_runtime() else { return Tenants::new() };
    runtime.block_on(read_served_tenants(directory)).map(served_of).unwrap_or_default()
}
