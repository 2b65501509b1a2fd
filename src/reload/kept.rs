//! Every tenant as it was last good, kept beyond this process.
//!
//! A refused edit leaves a tenant as it was last good, and that must hold over a restart too: a fault
//! that lies in a file for a week would otherwise turn into an outage at the next reboot. So what is
//! served is kept in the store, and taken from there at a start whose files have faults.

use super::ReloadReport;
use crate::{
    config::{Tenant, TenantId, Tenants},
    logging::chain,
    policy::{MxPattern, Policy, RenderedPolicy, parse_body},
    storage::{ServedTenant, Storage, StorageError},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::{info, warn};

/// Keeps what is served in the store.
pub(super) struct Keeper {
    storage: Arc<dyn Storage>,
    /// Whether the store has all that is served; a start and a failed write say no.
    complete: bool,
    troubled: bool,
}

impl Keeper {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, complete: false, troubled: false }
    }

    /// Whether the store is behind what is served.
    pub(super) fn is_behind(&self) -> bool {
        !self.complete
    }

    /// Keeps what a reload changed, or everything where the store is behind. A store that cannot be
    /// written is told of once; serving does not depend on it.
    pub(super) async fn keep(&mut self, tenants: &Tenants, report: &ReloadReport) {
        let written = if self.complete {
            let changed = report.added.iter().chain(&report.changed);
            let changed: Vec<_> = changed.filter_map(|id| tenants.get(id)).map(|t| to_row(t)).collect();
            let removed: Vec<_> = report.removed.iter().map(ToString::to_string).collect();
            if changed.is_empty() && removed.is_empty() {
                return;
            }
            self.storage.save_served_tenants(&changed, &removed).await
        } else {
            let all: Vec<_> = tenants.values().map(|tenant| to_row(tenant)).collect();
            self.storage.replace_served_tenants(&all).await
        };
        self.complete = written.is_ok();
        match written {
            Ok(()) if std::mem::take(&mut self.troubled) => info!("served tenants kept in the store again"),
            Err(error) if !std::mem::replace(&mut self.troubled, true) => {
                warn!(error = %chain(&error), "served tenants not kept in the store");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn to_row(tenant: &Tenant) -> ServedTenant {
    ServedTenant {
        tenant: tenant.id.to_string(),
        file: tenant.file.to_string_lossy().into_owned(),
        // Bodies are ASCII (P-02).
        body: String::from_utf8_lossy(tenant.policy.body()).into_owned(),
        hosts: tenant.hosts.clone(),
    }
}

/// The tenants that were served when the last process ended.
///
/// # Errors
///
/// [`StorageError`] when the store cannot be read.
pub async fn last_served(storage: &dyn Storage) -> Result<Tenants, StorageError> {
    Ok(served_of(storage.served_tenants().await?))
}

/// The tenants that `rows` stand for. What is not understood is left out: it cannot be served, and the
/// files say what should be.
pub fn served_of(rows: Vec<ServedTenant>) -> Tenants {
    let mut policies: HashMap<String, Option<Arc<RenderedPolicy>>> = HashMap::new();
    let mut files: HashMap<String, Arc<Path>> = HashMap::new();
    let mut tenants = Tenants::new();
    for row in rows {
        let policy = policies.entry(row.body).or_insert_with_key(|body| read_policy(body).map(Arc::new));
        let (Some(policy), Some(id)) = (policy.clone(), TenantId::parse(&row.tenant)) else {
            warn!(tenant = %row.tenant.escape_debug(), "kept tenant not understood");
            continue;
        };
        let file = files.entry(row.file).or_insert_with_key(|file| PathBuf::from(file).into());
        let tenant = Tenant { id: id.clone(), hosts: row.hosts, policy, file: Arc::clone(file) };
        tenants.insert(id, Arc::new(tenant));
    }
    tenants
}

fn read_policy(body: &str) -> Option<RenderedPolicy> {
    let read = parse_body(body.as_bytes());
    let mx = read.mx.iter().map(|text| MxPattern::from_ascii(text).ok()).collect::<Option<Vec<_>>>()?;
    let policy = RenderedPolicy::of(Policy::new(read.mode?, mx, read.max_age?).ok()?).ok()?;
    // Word for word, or senders would see a change that nobody made.
    (policy.body() == body.as_bytes()).then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::PolicyHost,
        policy::{MaxAge, Mode},
        storage::MemoryStorage,
    };

    fn tenant(name: &str, mx: &str) -> Arc<Tenant> {
        let mx = vec![MxPattern::from_user(mx).unwrap()];
        let policy = Policy::new(Mode::Enforce, mx, MaxAge::WEEK).unwrap();
        Arc::new(Tenant {
            id: TenantId::parse(name).unwrap(),
            hosts: vec![PolicyHost::from_full_name(&format!("mta-sts.{name}.example")).unwrap()],
            policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
            file: Path::new("tenants.d/meadow.toml").into(),
        })
    }

    fn tenants(all: &[&Arc<Tenant>]) -> Tenants {
        all.iter().map(|tenant| (tenant.id.clone(), Arc::clone(tenant))).collect()
    }

    #[tokio::test]
    async fn what_was_served_comes_back_word_for_word() {
        let storage = Arc::new(MemoryStorage::new());
        let (a, b) = (tenant("a", "mx.a.example"), tenant("b", "*.b.example"));
        let mut keeper = Keeper::new(storage.clone());
        keeper.keep(&tenants(&[&a]), &ReloadReport::default()).await;
        let report = ReloadReport { added: vec![b.id.clone()], ..ReloadReport::default() };
        keeper.keep(&tenants(&[&a, &b]), &report).await;
        assert_eq!(last_served(&*storage).await.unwrap(), tenants(&[&a, &b]));
        let report = ReloadReport { removed: vec![a.id.clone()], ..ReloadReport::default() };
        keeper.keep(&tenants(&[&b]), &report).await;
        assert_eq!(last_served(&*storage).await.unwrap(), tenants(&[&b]));
    }

    #[tokio::test]
    async fn a_refused_write_is_made_up_for_by_the_next() {
        let storage = Arc::new(MemoryStorage::new());
        let (a, b) = (tenant("a", "mx.a.example"), tenant("b", "*.b.example"));
        let mut keeper = Keeper::new(storage.clone());
        keeper.keep(&tenants(&[&a]), &ReloadReport::default()).await;
        storage.refuse_writes(true);
        let report = ReloadReport { added: vec![b.id.clone()], ..ReloadReport::default() };
        keeper.keep(&tenants(&[&a, &b]), &report).await;
        assert!(keeper.is_behind());
        storage.refuse_writes(false);
        keeper.keep(&tenants(&[&a, &b]), &ReloadReport::default()).await;
        assert_eq!(last_served(&*storage).await.unwrap(), tenants(&[&a, &b]));
    }

    #[tokio::test]
    async fn what_cannot_be_served_word_for_word_is_left_out() {
        let storage = MemoryStorage::new();
        let mut row = to_row(&tenant("a", "mx.a.example"));
        row.body.push_str("mx: late.example\r\n");
        storage.replace_served_tenants(&[row]).await.unwrap();
        assert!(last_served(&storage).await.unwrap().is_empty());
    }
}
