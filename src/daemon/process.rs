//! What the process asks of the operating system before it does anything else.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tracing::{debug, info};

/// File descriptors kept back from connections: store, sockets, DNS, the authority.
const DESCRIPTORS_KEPT_BACK: u64 = 256;

/// Makes files private by default and keeps key material out of core dumps (limits: threats 8, 9).
pub fn harden() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        debug!(%error, "process stays dumpable");
    }
}

/// Raises the descriptor limit as far as allowed and says how many connections fit under it;
/// `wanted` when that is less.
pub fn connections_that_fit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        debug!(%error, "descriptor limit not raised");
    }
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return wanted };
    let fit = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_KEPT_BACK)).unwrap_or(wanted).max(1);
    if fit < wanted {
        info!(
            key = "limits.connections",
            wanted, fit, descriptors, "fewer connections than configured, the descriptor limit is lower"
        );
    }
    fit.min(wanted)
}
