//! The configuration as a whole: from texts in a folder to tenants and faults.

mod admin;
mod alerts;
mod continued;
mod example;
mod faults;
mod isolation;
mod properties;
mod reference;
mod restart;
mod server;
mod shown;

use super::*;
use jiff::Timestamp;
use std::collections::HashMap;

/// The server's part that every test file needs.
const ACME: &str = "\n[acme]\ndirectory = \"internal\"\n";

/// A configuration in a folder of its own, with what was good before.
struct Config {
    folder: tempfile::TempDir,
    files: Files,
    before: Tenants,
    owners: HashMap<PolicyHost, TenantId>,
}

impl Config {
    fn new(main: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().join("main.toml"));
        let config = Self { folder, files, before: Tenants::new(), owners: HashMap::new() };
        config.write("main.toml", main);
        config
    }

    /// Writes a file into the folder; the main file gets the server's part it needs.
    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let needs_acme = name == "main.toml" && !text.contains("[acme]") && !text.contains("https = []");
        std::fs::write(path, format!("{text}{}", if needs_acme { ACME } else { "" })).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn load(&mut self) -> Loaded {
        self.files.load(None, "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap())
    }

    /// Checks the files as they stand; what comes out is good from then on.
    fn check(&mut self) -> Outcome {
        let loaded = self.load();
        let owners = &self.owners;
        let owner_of = |host: &PolicyHost| owners.get(host).cloned();
        let outcome = check(&loaded, &Previous { tenants: &self.before, owner_of: &owner_of });
        self.before = outcome.tenants.clone();
        self.owners = self
            .before
            .values()
            .flat_map(|tenant| tenant.hosts.iter().map(|host| (host.clone(), tenant.id.clone())))
            .collect();
        let owned: usize = self.before.values().map(|tenant| tenant.hosts.len()).sum();
        assert_eq!(self.owners.len(), owned, "no domain has two owners");
        outcome
    }

    /// The faults as `file:line:column: problem; remedy`, without the folder.
    fn faults(&mut self) -> Vec<String> {
        let outcome = self.check();
        self.shown(&outcome)
    }

    fn shown(&self, outcome: &Outcome) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        outcome.faults.iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }
}

/// What is served, as `tenant: domain domain: first mx pattern`, sorted.
fn served(outcome: &Outcome) -> Vec<String> {
    let mut served: Vec<String> = outcome
        .tenants
        .values()
        .map(|tenant| {
            let domains: Vec<String> = tenant.hosts.iter().map(|h| h.domain().to_string()).collect();
            let mx = tenant.policy.policy().mx().first().map(ToString::to_string).unwrap_or_default();
            format!("{}: {}: {mx}", tenant.id, domains.join(" "))
        })
        .collect();
    served.sort();
    served
}

/// A tenant as text.
fn tenant(name: &str, domains: &[&str], mx: &str) -> String {
    format!("[[tenant]]\nname = \"{name}\"\ndomains = {domains:?}\nmx = [\"{mx}\"]\n")
}
