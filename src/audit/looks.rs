//! One look at a mail host serves everybody for a while (S-17): ten thousand domains behind one MX host
//! cause one probe. And whatever names lead to an address, one look at a time goes there, and as far
//! apart as [`Pace::apart`] says.
//!
//! What is kept is lean and bounded.

mod kept;
mod lines;

use self::{
    kept::{Kept, Key},
    lines::{Lines, NoTurn},
};
use crate::{
    dns::DnsName,
    starttls::{Outcome, Probe, Prober},
};
use jiff::Timestamp;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long looks serve, and how far apart they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a look serves that found nothing to object to.
    pub good: Duration,
    /// How long any other serves, when the one before it was good.
    pub doubtful: Duration,
    /// How long it serves when the one before it was doubtful, too.
    pub doubtful_again: Duration,
    /// The least time between two looks at one address, under whatever names (threat 29).
    pub apart: Duration,
    /// As many wait for their turn at an address, in all lines together; who comes after them does
    /// without. Whoever waits keeps an audit under way that could be another domain's.
    pub waiting_max: usize,
}

impl Pace {
    /// For one run over some domains: ten minutes, whatever was seen.
    pub const ONE_RUN: Self = {
        let ten = Duration::from_secs(600);
        Self { good: ten, doubtful: ten, doubtful_again: ten, apart: Duration::ZERO, waiting_max: usize::MAX }
    };

    /// For domains that are audited once in `every`, and again `recheck` after a doubtful look. A good
    /// look serves a little less than the period, so that each period has one of its own; a doubtful one
    /// ten minutes at first, so that the second audit looks anew, and then an hour. Of `at_once` audits
    /// a quarter may wait for their turn somewhere.
    pub fn continuous(every: Duration, recheck: Duration, at_once: usize) -> Self {
        let doubtful = recheck.mul_f64(2.0 / 3.0);
        let apart = Duration::from_secs(60).min(doubtful);
        let waiting_max = at_once / 4;
        Self { good: every.mul_f64(0.85), doubtful, doubtful_again: recheck * 4, apart, waiting_max }
    }
}

/// What whoever asks can use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The chain as sent, to hold TLSA records against it.
    pub chain: bool,
    /// Nothing seen before this.
    pub since: Option<Timestamp>,
}

/// A look that was taken, and how long it serves.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    pub probe: Arc<Probe>,
    pub until: Timestamp,
    /// Whether there is something to object to, or nothing was proven.
    pub doubtful: bool,
}

/// A prober that remembers.
pub(super) struct Looks {
    prober: Prober,
    pace: Pace,
    kept: Mutex<Kept>,
    lines: Lines,
}

impl Looks {
    pub fn new(prober: Prober, pace: Pace) -> Self {
        Self { prober, pace, kept: Mutex::default(), lines: Lines::new(pace) }
    }

    /// What `host` shows at `address`, seen lately or now; who comes while somebody looks waits for the
    /// same answer, and who looks at the address under another name waits first. `None`: too many wait.
    pub async fn look(
        &self,
        host: &DnsName,
        address: IpAddr,
        wanted: Wanted,
        now: Timestamp,
    ) -> Option<Glance> {
        let key = (host.clone(), address.to_canonical());
        let began = Instant::now();
        let look = self.look_once(&key, wanted, (now, began)).await?;
        // Whom it was made for may have had no use for the chain.
        match !wanted.chain || look.probe.has_chain() {
            true => Some(look),
            false => self.look_once(&key, wanted, (now, began)).await,
        }
    }

    /// What was seen after this is as good as seen now.
    pub fn lately(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.pace.doubtful).unwrap_or(now)
    }

    async fn look_once(&self, key: &Key, wanted: Wanted, began: (Timestamp, Instant)) -> Option<Glance> {
        let (cell, doubtful_before) = self.kept().place(key, wanted, began.0, self.pace);
        let go = || self.go(key, wanted.chain, began, doubtful_before);
        let look = cell.get_or_try_init(go).await.ok()?.clone();
        self.kept().weigh(key, &cell, look.probe.octets());
        Some(look)
    }

    async fn go(
        &self,
        (host, address): &Key,
        with_chain: bool,
        (now, began): (Timestamp, Instant),
        doubtful_before: bool,
    ) -> Result<Glance, NoTurn> {
        let look = async {
            let at = now.saturating_add(began.elapsed()).unwrap_or(now);
            self.prober.probe(host, *address, at).await.lean(with_chain)
        };
        let probe = self.lines.in_turn(*address, look).await?;
        let doubtful = !is_good(&probe);
        let serves = match (doubtful, doubtful_before) {
            (false, _) => self.pace.good,
            (true, false) => self.pace.doubtful,
            (true, true) => self.pace.doubtful_again,
        };
        let until = probe.at.saturating_add(serves).unwrap_or(probe.at);
        Ok(Glance { probe: Arc::new(probe), until, doubtful })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while the lock was held leaves a whole map behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// Whether TLSA records can be held against it, or there is nothing to hold them against.
    fn has_chain(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.certificates.is_empty())
    }
}

/// Whether a strict sender has nothing to object to.
fn is_good(probe: &Probe) -> bool {
    probe.outcome == Outcome::Secured && probe.tls.as_ref().is_some_and(|tls| tls.chain.is_accepted())
}

#[cfg(test)]
mod tests;
