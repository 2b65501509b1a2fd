//! The waist of the hourglass: everything we promise to serve at one moment.
//!
//! A [`Snapshot`] is never changed, only replaced as a whole. Bodies are rendered before it is
//! built, so serving from it cannot fail, and no request ever sees half of an edit.

pub mod metrics;
mod shared;

pub use shared::SharedSnapshot;

use crate::{
    config::{Publish, Tenant, TenantId},
    name::PolicyHost,
    policy::RenderedPolicy,
};
use metrics::ByMode;
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
    tenants: ByMode,
    domains: ByMode,
}

impl Snapshot {
    /// Builds the snapshot of `tenants`. Two owners of one host were refused by the configuration
    /// check; should it ever happen here, the first one keeps it.
    pub fn build<'a>(
        generation: u64,
        tenants: impl IntoIterator<Item = &'a Arc<Tenant>>,
        publish: Publish,
    ) -> Self {
        let tenants = tenants.into_iter();
        // Most tenants have at least one host, so this saves most of the growing.
        let mut hosts = HashMap::with_capacity(tenants.size_hint().0);
        let (mut by_tenant, mut by_domain) = (ByMode::default(), ByMode::default());
        for tenant in tenants {
            let mode = tenant.policy.policy().mode();
            by_tenant.count(mode);
            for host in &tenant.hosts {
                hosts.entry(host.clone()).or_insert_with(|| {
                    by_domain.count(mode);
                    HostedPolicy { tenant: tenant.id.clone(), policy: Arc::clone(&tenant.policy) }
                });
            }
        }
        Self { generation, hosts, publish, tenants: by_tenant, domains: by_domain }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        name::DomainName,
        policy::{MaxAge, Mode, MxPattern, Policy},
    };
    use std::path::Path;

    fn tenant(name: &str, domains: &[&str], mx: &str) -> Arc<Tenant> {
        let host = |domain: &&str| PolicyHost::of(&DomainName::from_user(domain).unwrap()).unwrap();
        let mx = vec![MxPattern::from_user(mx).unwrap()];
        let policy = Policy::new(Mode::Testing, mx, MaxAge::WEEK).unwrap();
        Arc::new(Tenant {
            id: TenantId::parse(name).unwrap(),
            hosts: domains.iter().map(host).collect(),
            policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
            file: Path::new("a.toml").into(),
        })
    }

    /// A snapshot of one tenant with these domains.
    pub(crate) fn hosts(domains: &[&str]) -> Snapshot {
        Snapshot::build(1, [&tenant("a", domains, "mx.a.example")], Publish::default())
    }

    #[test]
    fn tenants_and_domains_are_counted_by_mode() {
        let snapshot = hosts(&["a.example", "b.example", "b.example"]);
        assert_eq!(snapshot.tenants, ByMode { testing: 1, ..ByMode::default() });
        assert_eq!(snapshot.domains, ByMode { testing: 2, ..ByMode::default() });
    }

    #[test]
    fn a_host_is_found_by_its_full_name_only() {
        let a = tenant("a", &["a.example"], "mx.a.example");
        let snapshot = Snapshot::build(1, [&a], Publish::default());
        assert_eq!(snapshot.find("mta-sts.a.example").unwrap().tenant, a.id);
        for other in ["a.example", "mta-sts.b.example", "MTA-STS.a.example", "mta-sts.a.example.", ""] {
            assert!(snapshot.find(other).is_none(), "{other}");
        }
        assert_eq!(snapshot.find_host("mta-sts.a.example").unwrap().0, &a.hosts[0]);
        assert_eq!((snapshot.len(), snapshot.is_empty(), snapshot.iter().count()), (1, false, 1));
    }

    #[test]
    fn a_host_has_one_policy_even_if_two_own_it() {
        let tenants =
            [tenant("a", &["x.example"], "mx.a.example"), tenant("b", &["x.example"], "mx.b.example")];
        let snapshot = Snapshot::build(1, &tenants, Publish::default());
        assert_eq!(snapshot.find("mta-sts.x.example").unwrap().tenant.as_str(), "a");
    }

    #[test]
    fn who_has_begun_with_a_snapshot_ends_with_it() {
        let shared = SharedSnapshot::default();
        let mut changes = shared.subscribe();
        assert_eq!(shared.load().generation(), 0);
        let before = shared.load_full();
        let a = tenant("a", &["a.example"], "mx.a.example");
        shared.clone().replace(Snapshot::build(1, [&a], Publish::default()));
        assert!(before.is_empty(), "never changed, only replaced");
        assert_eq!(shared.load().len(), 1, "all clones show the same one");
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), 1);
    }
}
