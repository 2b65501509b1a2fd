//! Where looks wait for one another: one at a time goes to an address, and as far apart as
//! [`Pace::apart`] says.

use super::Pace;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::{Mutex as Turn, MutexGuard},
    time::{Instant, sleep_until},
};

/// As many wait for their turn at one address; who comes after them does without. A provider with one
/// address and a name of its own for each customer must not hold up the rest of the fleet.
const WAITING_MAX: usize = 2;

/// All lines. Whoever waits or looks holds the line; one that nobody holds is forgotten when its next
/// look need not wait, so there are few of them.
pub(super) struct Lines {
    pace: Pace,
    by_address: Mutex<HashMap<IpAddr, Arc<Line>>>,
    /// How many wait, in all lines together.
    waiting: AtomicUsize,
}

/// The looks at one address, one after the other.
#[derive(Default)]
struct Line {
    /// When the last look began or ended.
    turn: Turn<Option<Instant>>,
    present: AtomicUsize,
}

/// Somebody in a line; leaves it however this ends.
struct InLine(Arc<Line>);

impl Drop for InLine {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who waits, counted until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Too many wait.
pub(super) struct NoTurn;

impl Lines {
    pub fn new(pace: Pace) -> Self {
        Self { pace, by_address: Mutex::default(), waiting: AtomicUsize::default() }
    }

    /// Looks at `address` when its turn has come.
    ///
    /// # Errors
    ///
    /// [`NoTurn`] at once where too many wait already.
    pub async fn in_turn<T>(&self, address: IpAddr, look: impl Future<Output = T>) -> Result<T, NoTurn> {
        let line = self.line(address)?;
        let mut last = self.turn(&line.0).await?;
        *last = Some(Instant::now());
        let seen = look.await;
        *last = Some(Instant::now());
        Ok(seen)
    }

    async fn turn<'a>(&self, line: &'a Line) -> Result<MutexGuard<'a, Option<Instant>>, NoTurn> {
        let last = line.turn.try_lock();
        if let Ok(last) = last
            && self.is_free(*last)
        {
            return Ok(last);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.pace.waiting_max {
            return Err(NoTurn);
        }
        let last = line.turn.lock().await;
        if let Some(last) = *last {
            sleep_until(last + self.pace.apart).await;
        }
        Ok(last)
    }

    fn line(&self, address: IpAddr) -> Result<InLine, NoTurn> {
        // A panic while the lock was held leaves a whole map behind.
        let mut lines = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|_, line| {
            // Who cannot take the turn now holds it, or has just let it go.
            Arc::strong_count(line) > 1 || line.turn.try_lock().is_ok_and(|last| !self.is_free(*last))
        });
        let line = Arc::clone(lines.entry(address.to_canonical()).or_default());
        let before = line.present.fetch_add(1, Ordering::Relaxed);
        let in_line = InLine(line);
        // In one run everybody waits; the deadline of the host is what bounds it.
        if before > WAITING_MAX && !self.pace.apart.is_zero() { Err(NoTurn) } else { Ok(in_line) }
    }

    fn is_free(&self, last: Option<Instant>) -> bool {
        last.is_none_or(|last| Instant::now() >= last + self.pace.apart)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_address.lock().unwrap().len()
    }

    /// Has a look at the lines as somebody does who comes to `address`.
    #[cfg(test)]
    pub fn pass(&self, address: IpAddr) {
        drop(self.line(address));
    }
}
