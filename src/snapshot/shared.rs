//! The one place where the current snapshot lives: read without a lock, replaced as a whole.

use super::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use tokio::sync::watch;

/// The current [`Snapshot`]; cheap to clone, all clones show the same one.
#[derive(Clone, Debug)]
pub struct SharedSnapshot {
    current: Arc<ArcSwap<Snapshot>>,
    notice: watch::Sender<u64>,
}

impl Default for SharedSnapshot {
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl SharedSnapshot {
    /// Starts with `first`.
    pub fn new(first: Snapshot) -> Self {
        let notice = watch::Sender::new(first.generation());
        Self { current: Arc::new(ArcSwap::from_pointee(first)), notice }
    }

    /// The snapshot of this moment, for a look inside one request. Do not hold it across an await.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The snapshot of this moment, to keep.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the snapshot and tells every subscriber. Requests under way keep the old one until
    /// they end; the last of them drops it, off the request path where it is large.
    pub fn replace(&self, next: Snapshot) {
        let generation = next.generation();
        let old = self.current.swap(Arc::new(next));
        self.notice.send_replace(generation);
        // Dropping a million entries takes time; whoever called replace pays, not a request.
        drop(old);
    }

    /// Wakes its holder whenever the snapshot was replaced; the value is the generation.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.notice.subscribe()
    }
}
