//! Asking for a check now, without waiting for its turn.

use crate::name::PolicyHost;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// The least time between two checks of one domain that were asked for.
const ASKED_EVERY: Duration = Duration::from_secs(60);
/// As many requests wait for the loop; it takes them at once unless the store is slow.
const WAITING_MAX: usize = 64;

/// Asks the cross-check for a domain's turn; cheap to clone.
#[derive(Clone, Debug)]
pub struct CrossCheckHandle {
    requests: mpsc::Sender<PolicyHost>,
    /// Who was asked for within [`ASKED_EVERY`].
    lately: Arc<Mutex<HashMap<PolicyHost, Instant>>>,
}

/// Why a domain is not checked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It was asked for a moment ago.
    #[error("it was checked a moment ago; ask again in {} s", wait.as_secs().max(1))]
    TooSoon {
        /// How long until it may be asked for again.
        wait: Duration,
    },
    /// Too many wait already.
    #[error("too many checks wait already; ask again in a moment")]
    Busy,
    /// The cross-check is switched off.
    #[error("policies are not compared with DNS: cross_check.enabled is false")]
    Off,
}

impl CrossCheckHandle {
    /// A handle, and where the loop hears it.
    pub(super) fn new() -> (Self, mpsc::Receiver<PolicyHost>) {
        let (requests, heard) = mpsc::channel(WAITING_MAX);
        (Self { requests, lately: Arc::default() }, heard)
    }

    /// Compares `host`'s policy with DNS now and audits its domain as soon as ten minutes have passed
    /// since its last audit. Returns at once; what is found stands in the status when it is there. A host
    /// that is not served is passed over.
    ///
    /// # Errors
    ///
    /// [`NotNow`]: once a minute is enough, for what strangers' servers are asked here.
    pub fn check_now(&self, host: &PolicyHost) -> Result<(), NotNow> {
        let now = Instant::now();
        // A panic while the lock was held leaves a whole map behind.
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, asked| now.duration_since(*asked) < ASKED_EVERY);
        if let Some(asked) = lately.get(host) {
            return Err(NotNow::TooSoon { wait: ASKED_EVERY.saturating_sub(now.duration_since(*asked)) });
        }
        self.requests.try_send(host.clone()).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NotNow::Busy,
            mpsc::error::TrySendError::Closed(_) => NotNow::Off,
        })?;
        lately.insert(host.clone(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_domain_is_asked_for_once_a_minute_and_others_do_not_wait_for_it() {
        let (handle, mut heard) = CrossCheckHandle::new();
        let [one, two] = ["mta-sts.one.example", "mta-sts.two.example"]
            .map(|name| PolicyHost::from_full_name(name).unwrap());
        handle.check_now(&one).unwrap();
        tokio::time::advance(Duration::from_secs(20)).await;
        let wait = Duration::from_secs(40);
        assert_eq!(handle.clone().check_now(&one), Err(NotNow::TooSoon { wait }));
        handle.check_now(&two).unwrap();
        tokio::time::advance(wait).await;
        handle.check_now(&one).unwrap();
        for expected in [&one, &two, &one] {
            assert_eq!(heard.recv().await.as_ref(), Some(expected));
        }
        drop(heard);
        tokio::time::advance(ASKED_EVERY).await;
        assert_eq!(handle.check_now(&two), Err(NotNow::Off));
    }
}
