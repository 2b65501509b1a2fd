//! Hosts whose certificate was found to be unusable, until the scheduler asks for them.
//!
//! Handshakes and orders find them by the way, which costs nothing for a fleet that is well. What is
//! forgotten at a restart is found again by the next handshake.

use crate::name::PolicyHost;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// More are found again later.
const MOST: usize = 1_000;

/// A bounded set of hosts.
#[derive(Debug, Default)]
pub(super) struct Unusable(Mutex<HashSet<PolicyHost>>);

impl Unusable {
    pub fn note(&self, host: &PolicyHost) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() < MOST {
            hosts.insert(host.clone());
        }
    }

    /// Another certificate was kept for `host`.
    pub fn forget(&self, host: &PolicyHost) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }

    pub fn take(&self) -> Vec<PolicyHost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
