//! What the process asks of the operating system before it does anything else.

use rustix::{
    param::page_size,
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    time::{ClockId, clock_gettime},
};
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tracing::{debug, info};

/// File descriptors kept back from connections: store, sockets, DNS, the authority.
const DESCRIPTORS_KEPT_BACK: u64 = 256;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts every panic from now on, those among them that end one connection or one order only.
pub fn count_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Relaxed);
        tell(panic);
    }));
}

/// Panics since [`count_panics`].
pub fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// What the process uses up.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Memory, without what is swapped out; 0 where `/proc` does not say.
    pub resident_bytes: u64,
    /// File descriptors open; 0 where `/proc` does not say.
    pub open_descriptors: usize,
    /// File descriptors that may be open.
    pub most_descriptors: u64,
}

impl Usage {
    /// As of now.
    pub fn of_now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        // Pages in all, then those in memory (proc_pid_statm(5)).
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        Self {
            cpu: cpu.try_into().unwrap_or_default(),
            resident_bytes: pages.saturating_mul(page_size() as u64),
            open_descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            most_descriptors: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        }
    }
}

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
