//! Handshakes that have begun and not ended, oldest first.
//!
//! Those who connect and stay silent are the oldest; when there are too many they make room, so a
//! newcomer that answers promptly is served whatever the flood.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A bounded list of unfinished handshakes.
#[derive(Debug)]
pub(super) struct Unfinished {
    most: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Unfinished {
    /// At most `most` at once, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), queue: Mutex::default() }
    }

    /// Takes a place until the returned [`Place`] is dropped; the receiver resolves when the place
    /// is needed for somebody newer.
    pub(super) fn enter(&self) -> (Place<'_>, oneshot::Receiver<()>) {
        let (keep, shed) = oneshot::channel();
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.insert(number, keep);
        if queue.waiting.len() > self.most {
            // Dropping its sender tells the oldest.
            queue.waiting.pop_first();
        }
        (Place { unfinished: self, number }, shed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here can panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the unfinished.
#[derive(Debug)]
pub(super) struct Place<'a> {
    unfinished: &'a Unfinished,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.unfinished.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let unfinished = Unfinished::new(2);
        let (_a, mut first) = unfinished.enter();
        let (b, mut second) = unfinished.enter();
        assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
        let (_c, mut third) = unfinished.enter();
        assert_eq!(first.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
        drop(b);
        let (_d, _fourth) = unfinished.enter();
        assert_eq!(third.try_recv(), Err(TryRecvError::Empty), "one that ended has made room already");
    }
}
