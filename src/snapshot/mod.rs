//! The waist of the hourglass: everything we promise to serve at one moment.
//!
//! A [`Snapshot`] is never changed, only replaced as a whole. Bodies are rendered before it is
//! built, so serving from it cannot fail, and no request ever sees half of an edit.

mod records;
mod shared;

pub use records::{DnsRecord, records_to_publish, target_is_known};
pub use shared::SharedSnapshot;

use crate::{
    config::{Publish, Tenant, TenantId},
    name::PolicyHost,
    policy::RenderedPolicy,
};
use std::{collections::HashMap, sync::Arc};

/// What is served for one policy host.
#[derive(Clone, Debug)]
pub struct HostedPolicy {
    /// Who owns the host.
    pub tenant: TenantId,
    /// What it serves.
    pub policy: Arc<RenderedPolicy>,
}

/// Everything served at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    generation: u64,
    hosts: HashMap<PolicyHost, HostedPolicy>,
    publish: Publish,
}

impl Snapshot {
    /// Builds the snapshot of `tenants`. Two owners of one host were refused by the configuration
    /// check; should it ever happen here, the first one keeps it.
    pub fn build<'a>(
        generation: u64,
        tenants: impl IntoIterator<Item = &'a Arc<Tenant>>,
        publish: Publish,
    ) -> Self {
        let mut hosts = HashMap::new();
        for tenant in tenants {
            for host in &tenant.hosts {
                hosts.entry(host.clone()).or_insert_with(|| HostedPolicy {
                    tenant: tenant.id.clone(),
                    policy: Arc::clone(&tenant.policy),
                });
            }
        }
        Self { generation, hosts, publish }
    }

    /// How many snapshots this process has served before, plus one; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is served for `host`: a full, lower-case name without trailing dot.
    pub fn find(&self, host: &str) -> Option<&HostedPolicy> {
        self.hosts.get(host)
    }

    /// The policy host's own entry, with the shared name in it.
    pub fn find_host(&self, host: &str) -> Option<(&PolicyHost, &HostedPolicy)> {
        self.hosts.get_key_value(host)
    }

    /// Every host, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&PolicyHost, &HostedPolicy)> {
        self.hosts.iter()
    }

    /// How many hosts are served.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// What customers are told to publish.
    pub fn publish(&self) -> &Publish {
        &self.publish
    }
}
