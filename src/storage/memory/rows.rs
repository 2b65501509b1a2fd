//! The schedule in memory, with the same index as on disk.

use super::super::{Next, Scheduled};
use crate::name::PolicyHost;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Excluded, Included, Unbounded},
};

#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<PolicyHost, Scheduled>,
    hosts: BTreeSet<PolicyHost>,
    due: BTreeMap<(Next, Timestamp), BTreeSet<PolicyHost>>,
}

impl Rows {
    pub fn of(&self, host: &PolicyHost) -> Option<Scheduled> {
        self.rows.get(host).cloned()
    }

    pub fn save(&mut self, row: &Scheduled) {
        if let Some(old) = self.rows.get(&row.host) {
            let key = (old.next, old.next_at);
            self.is_not_due(&row.host, key);
        }
        self.due.entry((row.next, row.next_at)).or_default().insert(row.host.clone());
        if self.rows.insert(row.host.clone(), row.clone()).is_none() {
            self.hosts.insert(row.host.clone());
        }
    }

    pub fn remove(&mut self, host: &PolicyHost) {
        let Some(old) = self.rows.remove(host) else { return };
        self.hosts.remove(host);
        self.is_not_due(host, (old.next, old.next_at));
    }

    fn is_not_due(&mut self, host: &PolicyHost, key: (Next, Timestamp)) {
        let Some(hosts) = self.due.get_mut(&key) else { return };
        hosts.remove(host);
        if hosts.is_empty() {
            self.due.remove(&key);
        }
    }

    pub fn after(&self, after: Option<&PolicyHost>, limit: usize) -> Vec<Scheduled> {
        let begin = after.map_or(Unbounded, Excluded);
        let page = self.hosts.range::<PolicyHost, _>((begin, Unbounded)).take(limit);
        page.filter_map(|host| self.rows.get(host)).cloned().collect()
    }

    pub fn due(&self, next: Next, now: Timestamp, limit: usize) -> Vec<Scheduled> {
        let keys = self.due.range((Included((next, Timestamp::MIN)), Included((next, now))));
        let due = keys.flat_map(|(_, hosts)| hosts).filter_map(|host| self.rows.get(host));
        match next {
            Next::First => {
                let due: Vec<_> = due.collect();
                // The first that is met waits longest.
                let mut waiting = HashMap::<&str, (usize, Timestamp)>::new();
                due.iter().for_each(|row| waiting.entry(&row.tenant).or_insert((0, row.next_at)).0 += 1);
                let rank = |row: &&Scheduled| waiting.get(row.tenant.as_str()).copied();
                least(due, limit, |row| (rank(row), row.tenant.as_str(), row.next_at, row.host.as_str()))
            }
            Next::Renew => {
                least(due.collect(), limit, |row| (row.held.map(|held| held.not_after), row.host.as_str()))
            }
            _ => due.take(limit).cloned().collect(),
        }
    }

    pub fn next_due(&self, next: Next, now: Timestamp) -> Option<Timestamp> {
        let mut keys = self.due.range((Excluded((next, now)), Included((next, Timestamp::MAX))));
        keys.next().map(|((_, at), _)| *at)
    }
}

/// The `limit` least by `rank`, in order, without sorting the rest.
fn least<'a, K: Ord>(
    mut rows: Vec<&'a Scheduled>,
    limit: usize,
    rank: impl Fn(&&'a Scheduled) -> K,
) -> Vec<Scheduled> {
    if rows.len() > limit {
        rows.select_nth_unstable_by_key(limit, &rank);
        rows.truncate(limit);
    }
    rows.sort_by_key(rank);
    rows.into_iter().cloned().collect()
}
