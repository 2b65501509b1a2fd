//! Which records stand in DNS: asked when somebody presses the button, kept for a while.

use crate::{
    dns::{Lookup, MxAnswer},
    name::PolicyHost,
    publishing::{PublishedRecord, Seen, compare, look_up},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// Domains whose last look is kept, some KB each.
const KEPT_MAX: usize = 500;
/// Looks at once; others wait.
const AT_ONCE: usize = 4;
/// The longest one look may take; what is not answered by then is not known.
const LOOK_MAX: Duration = Duration::from_secs(12);

/// What was seen of one domain's records.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// When.
    pub at: Timestamp,
    /// Each record to publish, what stands in its place, and where that was found.
    pub records: Vec<(PublishedRecord, Seen, String)>,
    /// The mail hosts by preference; `None` when DNS did not answer.
    pub mx: Option<Vec<(u16, String)>>,
}

/// Who looks, and the last look at each of some domains.
pub(super) struct Looks {
    lookup: Arc<dyn Lookup>,
    turns: Semaphore,
    kept: Mutex<HashMap<PolicyHost, Arc<Look>>>,
}

impl Looks {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, turns: Semaphore::new(AT_ONCE), kept: Mutex::default() }
    }

    /// The last look at the domain of `host`, if it is still kept.
    pub(super) fn last(&self, host: &PolicyHost) -> Option<Arc<Look>> {
        self.kept().get(host).cloned()
    }

    /// Asks DNS for `records` and the MX records of `host`'s domain; keeps what it said. Without an answer
    /// in time the last look stays.
    pub(super) async fn look(&self, host: &PolicyHost, records: Vec<PublishedRecord>, now: Timestamp) {
        let Ok(Ok(look)) = timeout(LOOK_MAX, self.look_all(host, records, now)).await else { return };
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX && !kept.contains_key(host) {
            let oldest = kept.iter().min_by_key(|(_, look)| look.at).map(|(host, _)| host.clone());
            oldest.into_iter().for_each(|oldest| drop(kept.remove(&oldest)));
        }
        kept.insert(host.clone(), Arc::new(look));
    }

    async fn look_all(
        &self,
        host: &PolicyHost,
        records: Vec<PublishedRecord>,
        at: Timestamp,
    ) -> Result<Look, tokio::sync::AcquireError> {
        let _turn = self.turns.acquire().await?;
        let mut seen = Vec::new();
        for record in &records {
            let (found, place) = compare(record, &records, &look_up(&*self.lookup, record).await);
            seen.push((record.clone(), found, place.to_string()));
        }
        let mx = self.lookup.mx(&host.domain()).await.ok().map(|answer| match answer.data {
            MxAnswer::Records(mut records) => {
                records.sort_unstable();
                records.into_iter().map(|record| (record.preference, record.host.to_string())).collect()
            }
            MxAnswer::NoRecords | MxAnswer::NoSuchDomain => Vec::new(),
        });
        Ok(Look { at, records: seen, mx })
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<PolicyHost, Arc<Look>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
