//! A configuration whose tenants are some of the exhibits, so that the audit has something to hold the
//! world against, and a store that knows an account at an authority.

use crate::exhibits::{Exhibit, PARENT, WEB};
use mta_stsd::{
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    storage::{SqliteStorage, Storage},
};
use std::{fs, path::Path};

/// The configuration's file in the zoo's folder.
pub const FILE: &str = "ours.toml";

/// The authority; nobody calls it.
const DIRECTORY: &str = "https://ca.zoo.example/directory";

/// By what CAA records know it, and us.
pub const ISSUER: &str = "ca.zoo.example";
pub const ACCOUNT: &str = "https://ca.zoo.example/account/1";

/// What we serve for each of our domains.
pub fn policy() -> RenderedPolicy {
    let mx = vec![MxPattern::from_user("mx.zoo.example").unwrap()];
    RenderedPolicy::of(Policy::new(Mode::Enforce, mx, MaxAge::from_seconds(1_209_600).unwrap()).unwrap())
        .unwrap()
}

/// Writes both below `folder`.
pub fn write(folder: &Path, exhibits: &[Exhibit]) {
    let ours = exhibits.iter().filter(|exhibit| exhibit.ours);
    let domains: Vec<String> = ours.map(|exhibit| format!("\"{}\"", exhibit.domain())).collect();
    fs::write(
        folder.join(FILE),
        format!(
            "[store]\ndirectory = \"state\"\n\
             [acme]\ndirectory = \"{DIRECTORY}\"\nterms_of_service_agreed = true\n\
             [publish]\naddresses = [\"{}\"]\n\
             [[tenant]]\nname = \"{PARENT}\"\ndomains = [{}]\n\
             mode = \"enforce\"\nmx = [\"mx.zoo.example\"]\nmax_age = \"2w\"\n",
            WEB[0],
            domains.join(", ")
        ),
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStorage::open(&folder.join("state"), None).await.unwrap();
        // As the daemon keeps them once it has opened the account.
        for (name, value) in [("acme-account-url", ACCOUNT), ("acme-caa-identities", ISSUER)] {
            store.save_credential(&format!("{name}:{DIRECTORY}"), value.as_bytes()).await.unwrap();
        }
    });
}
