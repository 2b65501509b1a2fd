//! Tenants as one file writes them, checked as far as one file goes; `policies` has their policies.
//!
//! What needs a look at other files (who owns a domain, what a policy's name stands for) is left to
//! `check`. So a file's drafts can be kept for as long as the file does not change.

use super::{
    TenantId,
    fault::{Fault, quoted},
    file::{Reading, Table, Written},
    policies::MAX_AGE,
    source::{Source, Span},
};
use crate::{
    name::{DomainName, NameError, PolicyHost},
    policy::{MxPattern, Policy, RenderedPolicy},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Equal policies are one: a provider's customers share their MX hosts, so a million domains cost a
/// million pointers.
#[derive(Debug, Default)]
pub(super) struct Interner {
    known: HashMap<Policy, Arc<RenderedPolicy>>,
}

impl Interner {
    /// The rendered form of `policy`, made on first sight.
    pub(super) fn rendered(
        &mut self,
        policy: Policy,
    ) -> Result<Arc<RenderedPolicy>, crate::policy::Unfaithful> {
        if let Some(rendered) = self.known.get(&policy) {
            return Ok(Arc::clone(rendered));
        }
        let rendered = Arc::new(RenderedPolicy::of(policy.clone())?);
        self.known.insert(policy, Arc::clone(&rendered));
        Ok(rendered)
    }

    /// Forgets what nobody uses any more.
    pub(super) fn sweep(&mut self) {
        self.known.retain(|_, rendered| Arc::strong_count(rendered) > 1);
    }
}

/// A policy domain as one file writes it.
#[derive(Clone, Debug)]
pub(super) struct WrittenHost {
    pub(super) host: PolicyHost,
    pub(super) span: Span,
}

/// Where a tenant's policy comes from.
#[derive(Clone, Debug)]
pub(super) enum DraftPolicy {
    /// Written in place.
    Own(Arc<RenderedPolicy>),
    /// `[policies.x]`, by name.
    Named(Written<String>),
    /// Written in place, and wrong.
    Faulty,
}

/// A tenant as one file writes it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: TenantId,
    /// Where its name stands.
    pub(super) span: Span,
    pub(super) hosts: Vec<WrittenHost>,
    pub(super) list: Option<Written<PathBuf>>,
    pub(super) policy: DraftPolicy,
    /// Whether this file alone has nothing against it.
    pub(super) good: bool,
}

/// `[policies.x]`.
#[derive(Clone, Debug)]
pub(super) struct NamedPolicy {
    pub(super) span: Span,
    /// `None` when it is faulty.
    pub(super) policy: Option<Arc<RenderedPolicy>>,
}

/// The tenants of one file: the main file's, or a drop-in's.
#[derive(Debug)]
pub(super) struct TenantFile {
    pub(super) source: Arc<Source>,
    pub(super) drafts: Vec<Draft>,
    /// Some tenant cannot be told by name: it could be any of those last loaded from here.
    pub(super) incomplete: bool,
    pub(super) faults: Vec<Fault>,
}

impl TenantFile {
    /// Reads a drop-in: `[[tenant]]` and nothing else, so that who may write tenants cannot reach
    /// paths, listeners or the authority.
    pub(super) fn read_drop_in(source: Source, interner: &mut Interner) -> Self {
        let source = Arc::new(source);
        let reading = Reading::new(&source);
        if source.text().trim().is_empty() {
            let problem = "the file is empty";
            let remedy = "take it away if its tenants are to go; a comment in it is enough to keep it";
            reading.fault(Span::default(), "", problem, remedy);
        }
        let mut tenants = TenantReader { reading: &reading, interner, folder: None };
        let read = reading.parse().map(|mut root| {
            let read = tenants.read(root.tables("tenant"));
            root.finish_with(|key| belongs_to_a_tenant(key).or_else(|| belongs_to_the_main_file(key)));
            read
        });
        let parsed = read.is_some();
        let (drafts, complete) = read.unwrap_or_default();
        let faults = reading.finish();
        // An empty file may be half of an edit; a key out of place may be a tenant's whole table, misspelt.
        let misspelt = faults.iter().any(|fault| fault.holds_back() && fault.tenant.is_none());
        Self { drafts, incomplete: !parsed || !complete || misspelt, faults, source }
    }

    /// Stands for a drop-in that cannot be read.
    pub(super) fn unreadable(path: &Arc<Path>, fault: Fault) -> Self {
        let source = Arc::new(Source::new(Arc::clone(path), String::new()));
        Self { source, drafts: Vec::new(), incomplete: true, faults: vec![fault] }
    }
}

/// What to do with a tenant's key that stands above every `[[tenant]]`.
pub(super) fn belongs_to_a_tenant(key: &str) -> Option<&'static str> {
    let known = ["name", "domains", "domains_file", "policy", "mode", "mx", "max_age"].contains(&key);
    known.then_some("write a line [[tenant]] above it")
}

/// What to do with a key of the main file that stands in a drop-in.
fn belongs_to_the_main_file(key: &str) -> Option<&'static str> {
    const KEYS: [&str; 11] = [
        "tenants",
        "policies",
        "listen",
        "store",
        "acme",
        "dns",
        "cross_check",
        "alerts",
        "limits",
        "admin",
        "publish",
    ];
    KEYS.contains(&key).then_some("write it in the main file: a drop-in has [[tenant]] tables only")
}

/// Reads tenants and policies of one file.
pub(super) struct TenantReader<'a, 's> {
    pub(super) reading: &'a Reading<'s>,
    pub(super) interner: &'a mut Interner,
    /// The main file's folder; only the main file may name list files.
    pub(super) folder: Option<&'a Path>,
}

impl TenantReader<'_, '_> {
    /// The drafts of `[[tenant]]`, and whether every tenant could be told by name.
    pub(super) fn read(&mut self, tables: Vec<Table<'_, '_>>) -> (Vec<Draft>, bool) {
        let written = tables.len();
        let drafts: Vec<Draft> = tables.into_iter().filter_map(|table| self.tenant(table)).collect();
        let complete = drafts.len() == written;
        (drafts, complete)
    }

    fn tenant(&mut self, mut table: Table<'_, '_>) -> Option<Draft> {
        let before = self.reading.faults_so_far();
        let id = self.tenant_name(&mut table);
        self.reading.about(id.as_ref().map(|id| id.value.clone()));
        let draft = self.tenant_of(id, table, before);
        self.reading.about(None);
        draft
    }

    fn tenant_of(
        &mut self,
        id: Option<Written<TenantId>>,
        mut table: Table<'_, '_>,
        before: usize,
    ) -> Option<Draft> {
        let domains_span = table.span_of("domains");
        let misspelt = table.is_misspelt("domains");
        let hosts = self.hosts(&mut table);
        let list = self.folder.and_then(|folder| self.list(&mut table, folder));
        if hosts.is_empty() && list.is_none() && !misspelt && self.reading.faults_so_far() == before {
            let remedy = "write domains = [\"example.com\"]";
            self.reading.fault(domains_span, "tenant.domains", "the tenant has no domain", remedy);
        }
        let policy = self.tenant_policy(&mut table);
        table.finish_with(|key| {
            (key == "domains_file").then_some("write it in the main file: only that may name list files")
        });
        let id = id?;
        let good = self.reading.faults_so_far() == before;
        if let DraftPolicy::Own(policy) = &policy {
            warn_of_own_subdomains(self.reading, policy, &hosts);
        }
        Some(Draft { id: id.value, span: id.span, hosts, list, policy, good })
    }

    fn tenant_name(&self, table: &mut Table<'_, '_>) -> Option<Written<TenantId>> {
        const REMEDY: &str = "write name = \"…\": 1 to 64 of A-Z a-z 0-9 . _ -";
        if !table.has("name") {
            if !table.is_misspelt("name") {
                self.reading.fault(table.span(), "tenant.name", "the tenant has no name", REMEDY);
            }
            let _ = table.text("name");
            return None;
        }
        let text = table.text("name")?;
        match TenantId::parse(&text.value) {
            Some(value) => Some(Written { value, span: text.span }),
            None => {
                let problem = format!("{} is not a tenant's name", quoted(&text.value));
                self.reading.fault(text.span, "tenant.name", problem, REMEDY);
                None
            }
        }
    }

    fn hosts(&self, table: &mut Table<'_, '_>) -> Vec<WrittenHost> {
        let mut hosts: Vec<WrittenHost> = Vec::new();
        let mut first: HashMap<PolicyHost, u32> = HashMap::new();
        for text in table.texts("domains").map(|texts| texts.value).unwrap_or_default() {
            let written = Written { value: text.value.as_str(), span: text.span };
            let Some(host) = read_host(self.reading, &written, "tenant.domains") else { continue };
            if first.insert(host.clone(), text.span.start).is_some() {
                let problem = format!("the domain {} is listed twice", quoted(&text.value));
                self.reading.fault(text.span, "tenant.domains", problem, "write it once");
                continue;
            }
            hosts.push(WrittenHost { host, span: text.span });
        }
        hosts
    }

    pub(super) fn list(&self, table: &mut Table<'_, '_>, folder: &Path) -> Option<Written<PathBuf>> {
        let text = table.text("domains_file")?;
        if text.value.is_empty() || text.value.contains('\0') {
            let remedy = "write the path of a file with one domain a line, relative to this file";
            self.reading.fault(text.span, &table.key("domains_file"), "this is not a path", remedy);
            return None;
        }
        Some(Written { value: folder.join(text.value), span: text.span })
    }

    fn tenant_policy(&mut self, table: &mut Table<'_, '_>) -> DraftPolicy {
        if !table.has("policy") {
            let _ = table.text("policy");
            return self.policy(table).map_or(DraftPolicy::Faulty, DraftPolicy::Own);
        }
        let named = table.text("policy");
        for key in ["mode", "mx", "max_age"] {
            if table.has(key) {
                let problem = format!("the tenant has a named policy and its own {key}");
                let remedy = "keep one of the two: policy = \"…\", or mode, mx and max_age";
                self.reading.fault(table.span_of(key), &table.key(key), problem, remedy);
            }
        }
        let _ = (table.text("mode"), table.texts("mx"), table.duration("max_age", MAX_AGE));
        named.map_or(DraftPolicy::Faulty, DraftPolicy::Named)
    }
}

/// Reads a policy domain; leaves a fault when it is none.
pub(super) fn read_host(reading: &Reading<'_>, text: &Written<&str>, key: &str) -> Option<PolicyHost> {
    let host = DomainName::from_user(text.value).and_then(|domain| Ok((PolicyHost::of(&domain)?, domain)));
    let (host, domain) = match host {
        Ok(host) => host,
        Err(error) => {
            let remedy = match error {
                NameError::IpAddress => "write the domain behind the @ of mail addresses, not an address",
                NameError::Character('*') => "write each policy domain out: a policy covers no sub-domains",
                NameError::Character('@') => "write only what stands behind the @",
                _ => "write the domain as it stands behind the @ of mail addresses",
            };
            reading.fault(text.span, key, format!("domain {} {error}", quoted(text.value)), remedy);
            return None;
        }
    };
    if domain.as_str().starts_with("mta-sts.") {
        let problem = format!("domain {} looks like a policy host", quoted(text.value));
        let remedy = "write the mail domain; \"mta-sts.\" is put in front of it by itself";
        reading.warning(text.span, key, problem, remedy);
    }
    if domain.is_public_suffix() {
        let problem = format!("domain {} is a public suffix: nobody's own", quoted(text.value));
        reading.warning(text.span, key, problem, "check the spelling");
    }
    Some(host)
}

/// Warns where a wildcard covers every sub-domain of a policy domain itself: whoever gets a host
/// there may then take its mail (P-19).
fn warn_of_own_subdomains(reading: &Reading<'_>, policy: &RenderedPolicy, hosts: &[WrittenHost]) {
    for WrittenHost { host, span } in hosts {
        if let Some(problem) = own_subdomains(policy, host) {
            reading.warning(*span, "tenant.domains", problem, "name the MX hosts one by one");
        }
    }
}

/// What is unwise about `policy` for `host`, if anything.
pub(super) fn own_subdomains(policy: &RenderedPolicy, host: &PolicyHost) -> Option<String> {
    let domain = host.as_str().get("mta-sts.".len()..)?;
    let covers = |pattern: &&MxPattern| pattern.is_wildcard() && pattern.name().as_str() == domain;
    let pattern = policy.policy().mx().iter().find(covers)?;
    Some(format!("mx \"{pattern}\" covers every host below the policy domain itself"))
}
