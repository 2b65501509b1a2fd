//! What came of the last look at the configuration, for those who ask.

use crate::config::{Fault, TenantId};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::sync::Arc;

/// Tenants and faults named in the status; more are counted only.
const NAMED_MAX: usize = 100;

/// The current [`ReloadState`]; cheap to clone, all clones show the same one.
#[derive(Clone, Debug, Default)]
pub struct ReloadStatus {
    current: Arc<ArcSwap<ReloadState>>,
}

impl ReloadStatus {
    /// The state of this moment.
    pub fn load(&self) -> Arc<ReloadState> {
        self.current.load_full()
    }

    pub(super) fn store(&self, state: ReloadState) {
        self.current.store(Arc::new(state));
    }
}

/// What is served since when, and what of the configuration is not applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReloadState {
    /// Generation of the snapshot that is served.
    pub generation: u64,
    /// When it was put in place; absent before the first.
    pub since: Option<Timestamp>,
    /// When the files were last read because something about them was new.
    pub read_at: Option<Timestamp>,
    /// Policy domains served.
    pub domains: usize,
    /// Tenants served.
    pub tenants: usize,
    /// Whether the server's part of the files is refused, so that nothing of them is applied.
    pub server_refused: bool,
    /// How many tenants are not served as written.
    pub refused_count: usize,
    /// Their names, the first hundred.
    pub refused: Vec<String>,
    /// Keys that a restart would change, each with its old and new value.
    pub needs_restart: Vec<String>,
    /// How many faults hold something back.
    pub held_back: usize,
    /// How many faults there are, warnings among them.
    pub faults_count: usize,
    /// The first hundred of them.
    pub faults: Vec<Fault>,
}

impl ReloadState {
    pub(super) fn name_refused<'a>(&mut self, refused: impl ExactSizeIterator<Item = &'a TenantId>) {
        self.refused_count = refused.len();
        self.refused = refused.take(NAMED_MAX).map(|id| id.as_str().to_owned()).collect();
    }

    pub(super) fn show_faults(&mut self, faults: &[Fault]) {
        self.faults_count = faults.len();
        self.faults = faults.iter().take(NAMED_MAX).cloned().collect();
    }
}
