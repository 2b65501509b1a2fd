//! From files as written to tenants that can be served: what needs a look at all files at once.
//!
//! Pure: the files as loaded and the tenants last known good go in, the tenants to serve and every
//! fault come out. A fault holds back as little as it can:
//!
//! - A fault in the **server's part** of the main file, or one that makes it no TOML at all, keeps
//!   everything as it was.
//! - A fault inside a **tenant** keeps that tenant as it was last good, with all its domains; a tenant
//!   that was never good is not served.
//! - A faulty **named policy** does so for each tenant that uses it.
//! - A **drop-in** that cannot be read, or holds a tenant that cannot be told by name, keeps those
//!   last loaded from it that are found nowhere else.
//! - A bad line of a **list file** holds back that line, and while there is one, domains that were
//!   served stay although the list has them no more: the bad line may be what became of them. A list
//!   that cannot be read or has no domain left keeps its tenant.
//! - **Two owners** of one domain: the tenant that owned it last keeps it, else the first in reading
//!   order (the main file's tenants, its policies with lists, the drop-ins by name). The newcomer is
//!   refused, from a list only the domain is. Whoever is kept still owns the domains it had.
//! - **One name twice**: the tenant of the file it was last loaded from keeps it, else the first.

use super::{
    Server, Tenant, TenantId,
    contest::Contest,
    fault::{Fault, Severity},
    files::Loaded,
};
use crate::name::PolicyHost;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// The largest main file while its own limit is not known, in octets.
pub(super) const MAIN_FILE_OCTETS_MAX: u64 = 16 << 20;

/// Tenants by name.
pub type Tenants = HashMap<TenantId, Arc<Tenant>>;

/// What was good before this edit.
pub struct Previous<'a> {
    /// Every tenant that is served.
    pub tenants: &'a Tenants,
    /// Which of them owns a policy host.
    pub owner_of: &'a dyn Fn(&PolicyHost) -> Option<TenantId>,
}

/// What a configuration comes to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The server's part; `None` when it is faulty, and then `tenants` are those from before.
    pub server: Option<Server>,
    /// The tenants to serve.
    pub tenants: Tenants,
    /// The same in reading order, which is also how they lie in memory: of a hundred thousand, a walk
    /// in this order is far quicker. Empty when `server` is.
    pub in_order: Vec<Arc<Tenant>>,
    /// Tenants among them that were not served before.
    pub added: Vec<TenantId>,
    /// Tenants among them whose domains or policy are other than before.
    pub changed: Vec<TenantId>,
    /// Tenants that are not served any more.
    pub removed: Vec<TenantId>,
    /// The tenants that are not served as written, whether or not an older self of theirs is.
    pub refused: BTreeSet<TenantId>,
    /// Everything wrong, warnings among it, file by file.
    pub faults: Vec<Fault>,
}

/// Checks the files against each other and against what was good before.
pub fn check(loaded: &Loaded, previous: &Previous<'_>) -> Outcome {
    let mut faults: Vec<Fault> = loaded.main.tenants.faults.clone();
    faults.extend(loaded.pattern_fault.clone());
    faults.extend(loaded.pattern_warning.clone());
    faults.extend(loaded.drop_ins.iter().flat_map(|file| file.faults.iter().cloned()));
    let mut lists: Vec<_> = loaded.lists.iter().collect();
    lists.sort_by_key(|(path, _)| *path);
    for (_, list) in lists {
        // A list that is not there is spoken of where it is named.
        faults.extend(list.faults.iter().filter(|fault| list.readable || fault.line > 0).cloned());
    }

    if !loaded.has_tenants() && loaded.pattern_warning.is_none() && !faults.iter().any(Fault::holds_back) {
        let remedy = "write a [[tenant]], or name a folder of them with tenants = \"tenants.d/*.toml\"";
        let (path, problem) = (loaded.main.tenants.source.path(), "there is no tenant: nothing is served");
        faults.push(Fault::of_file(Severity::Warning, path, problem.into(), remedy.into()));
    }
    let mut outcome = Contest::settle(loaded, previous);
    faults.append(&mut outcome.faults);
    outcome.server = loaded.main.server.clone().filter(|_| loaded.pattern_fault.is_none());
    if outcome.server.is_none() {
        outcome = Outcome { tenants: previous.tenants.clone(), ..Outcome::default() };
    }
    Outcome { faults, ..outcome }
}
