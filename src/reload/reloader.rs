//! Files to snapshot: read, check, build, replace; and what is said about it.
//!
//! The one way from an edit to what is served, taken by the daemon at start, by the daemon at each
//! reload, and by `mta-stsd check`.

use super::{
    metrics::Reloads,
    status::{ReloadState, ReloadStatus},
};
use crate::{
    clock::Clock,
    config::{Fault, Files, Loaded, Previous, Server, TenantId, Tenants, check},
    name::PolicyHost,
    snapshot::{SharedSnapshot, Snapshot},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use tracing::{info, warn};

/// Tenants named in one log line; more are counted only.
const NAMES_LOGGED_MAX: usize = 20;
/// Faults logged for one reload; the rest are in the status.
const FAULTS_LOGGED_MAX: usize = 20;

/// Keeps the snapshot true to the configuration files. The only writer of the snapshot.
#[derive(Debug)]
pub struct Reloader {
    files: Files,
    snapshot: SharedSnapshot,
    clock: Clock,
    status: ReloadStatus,
    reloads: Reloads,
    /// The server's part that is running, and that of the last good edit.
    server: Option<(Server, Server)>,
    /// The tenants served.
    tenants: Tenants,
    generation: u64,
    last: Option<Loaded>,
}

/// A configuration whose server's part cannot be used, found at start.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is refused")]
pub struct Refused {
    /// Everything wrong with it, warnings among them.
    pub faults: Vec<Fault>,
}

/// What one look at the files came to.
#[derive(Debug, Default)]
pub struct ReloadReport {
    /// Generation of the snapshot that is served now.
    pub generation: u64,
    /// Whether this reload put it in place.
    pub replaced: bool,
    /// Whether the server's part is refused: then nothing was applied.
    pub server_refused: bool,
    /// Tenants that were not served before.
    pub added: Vec<TenantId>,
    /// Tenants whose domains or policy are other than before.
    pub changed: Vec<TenantId>,
    /// Tenants that are not served any more.
    pub removed: Vec<TenantId>,
    /// Tenants that are not served as written; an older self may be.
    pub refused: Vec<TenantId>,
    /// Keys that a restart would change, each with its old and new value; none while the server's part
    /// is refused, since a restart would end there.
    pub needs_restart: Vec<String>,
    /// What holds something back.
    pub faults: Vec<Fault>,
    /// Whether the look before this one found something that holds back, and this one nothing.
    pub mended: bool,
    /// What is applied, but unwise.
    pub warnings: Vec<Fault>,
}

impl Reloader {
    /// A reloader of the configuration whose main file is `main`; nothing is read yet.
    pub fn new(main: PathBuf, snapshot: SharedSnapshot, clock: Clock) -> Self {
        Self {
            files: Files::new(main),
            snapshot,
            clock,
            status: ReloadStatus::default(),
            reloads: Reloads::default(),
            server: None,
            tenants: Tenants::new(),
            generation: 0,
            last: None,
        }
    }

    /// What came of the last look, for whoever asks later.
    pub fn status(&self) -> ReloadStatus {
        self.status.clone()
    }

    /// Looks by what came of them.
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// The main file.
    pub fn main(&self) -> &Path {
        self.files.main()
    }

    /// Reads the configuration at start. Tenants with a fault are left out.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the server's part is faulty: there is nothing to fall back on.
    pub fn first(&mut self) -> Result<(Server, ReloadReport), Refused> {
        let report = self.reload();
        match &self.server {
            Some((server, _)) => Ok((server.clone(), report)),
            None => Err(Refused { faults: [report.faults, report.warnings].concat() }),
        }
    }

    /// Puts what was served by the process before in the place of what a faulty start left out, and
    /// reads the files again. A first look came before; nobody has been served yet.
    pub fn resume(&mut self, kept: Tenants) -> ReloadReport {
        let publish = self.snapshot.load().publish().clone();
        self.generation += 1;
        self.snapshot.replace(Snapshot::build(self.generation, kept.values(), publish));
        self.tenants = kept;
        self.reload()
    }

    /// Where the store of this configuration is, be the rest as faulty as it may; `None` before the
    /// first look, or when the main file cannot be read at all.
    pub fn store_directory(&self) -> Option<&Path> {
        self.last.as_ref().and_then(Loaded::store_directory)
    }

    /// The server's part of the last good look.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref().map(|(_, written)| written)
    }

    /// The tenants of the last look that write `host`, whether or not they are served as written.
    pub fn claimants(&self, host: &PolicyHost) -> Vec<TenantId> {
        self.last.as_ref().map(|last| last.claimants(host)).unwrap_or_default()
    }

    /// The tenants served.
    pub(super) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Reads the files again and applies what can be applied. What cannot stays as it was last good;
    /// `config::check` has the rules.
    pub fn reload(&mut self) -> ReloadReport {
        let loaded = self.load();
        self.apply(loaded)
    }

    /// As [`Self::reload`], but without a word when no file has changed.
    pub fn reload_if_changed(&mut self) -> Option<ReloadReport> {
        let loaded = self.load();
        if self.last.as_ref().is_some_and(|last| last.is_same(&loaded)) {
            return None;
        }
        Some(self.apply(loaded))
    }

    /// The folders that show every change of the files of the last look.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let Some(last) = &self.last else { return super::watch::folders_of(self.files.main()) };
        let mut folders: BTreeSet<PathBuf> = last.files().flat_map(super::watch::folders_of).collect();
        folders.extend(last.folders().flat_map(|folder| super::watch::folders_of(&folder.join("*"))));
        folders
    }

    fn load(&mut self) -> Loaded {
        let limits = self.server.as_ref().map(|(running, _)| &running.limits);
        self.files.load(limits, self.clock.now())
    }

    fn apply(&mut self, loaded: Loaded) -> ReloadReport {
        let served = self.snapshot.load_full();
        let owner_of = |host: &PolicyHost| served.find(host.as_str()).map(|p| p.tenant.clone());
        let outcome = check(&loaded, &Previous { tenants: &self.tenants, owner_of: &owner_of });
        self.last = Some(loaded);

        let (faults, warnings) = outcome.faults.into_iter().partition(Fault::holds_back);
        let mut report = ReloadReport {
            server_refused: outcome.server.is_none(),
            added: outcome.added,
            changed: outcome.changed,
            removed: outcome.removed,
            refused: outcome.refused.into_iter().collect(),
            faults,
            warnings,
            ..ReloadReport::default()
        };
        if let Some(written) = outcome.server {
            let first = self.server.is_none();
            let republished = self.server.as_ref().is_none_or(|(_, last)| last.publish != written.publish);
            let publish = written.publish.clone();
            let running = match self.server.take() {
                Some((running, _)) => running,
                None => written.clone(),
            };
            report.needs_restart = written.needs_restart(&running);
            self.server = Some((running, written));
            let served_changed = report.added.len() + report.changed.len() + report.removed.len() > 0;
            if served_changed || republished || first {
                self.generation += 1;
                self.snapshot.replace(Snapshot::build(self.generation, &outcome.in_order, publish));
                report.replaced = true;
            }
            self.tenants = outcome.tenants;
        }
        report.generation = self.generation;
        report.mended = report.is_good() && self.status.load().held_back > 0;
        self.note(&report);
        self.reloads.count(&report);
        report
    }

    fn note(&self, report: &ReloadReport) {
        let now = self.clock.now();
        let since = if report.replaced { Some(now) } else { self.status.load().since };
        let mut state = ReloadState {
            generation: self.generation,
            since,
            read_at: Some(now),
            domains: self.snapshot.load().len(),
            tenants: self.tenants.len(),
            server_refused: report.server_refused,
            needs_restart: report.needs_restart.clone(),
            held_back: report.faults.len(),
            ..ReloadState::default()
        };
        state.name_refused(report.refused.iter());
        state.show_faults(&[&report.faults[..], &report.warnings[..]].concat());
        self.status.store(state);
    }
}

impl ReloadReport {
    /// Whether the files say nothing wrong; warnings do not count.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// Says in the log what changed and what was held back.
    pub fn log(&self) {
        let generation = self.generation;
        if self.server_refused {
            warn!(generation, faults = self.faults.len(), "config refused, everything stays as it was");
        } else if self.replaced {
            info!(
                generation,
                added = self.added.len(),
                changed = self.changed.len(),
                removed = self.removed.len(),
                refused = self.refused.len(),
                "snapshot replaced"
            );
        } else {
            info!(generation, faults = self.faults.len(), "config read, nothing served has changed");
        }
        for (tenants, what) in [
            (&self.added, "tenants added"),
            (&self.changed, "tenants changed"),
            (&self.removed, "tenants removed"),
        ] {
            if !tenants.is_empty() {
                info!(generation, count = tenants.len(), tenants = %names(tenants), "{what}");
            }
        }
        if self.mended {
            info!(generation, "config has no faults any more");
        }
        if !self.refused.is_empty() {
            let tenants = names(&self.refused);
            warn!(generation, count = self.refused.len(), %tenants, "tenants refused");
        }
        for fault in self.faults.iter().take(FAULTS_LOGGED_MAX) {
            warn!(%fault, "config fault");
        }
        for fault in self.warnings.iter().take(FAULTS_LOGGED_MAX) {
            info!(%fault, "config warning");
        }
        for key in &self.needs_restart {
            warn!(%key, "changed key needs a restart");
        }
    }
}

/// The first names, and how many more there are.
fn names(tenants: &[TenantId]) -> String {
    let mut names: Vec<&str> = tenants.iter().take(NAMES_LOGGED_MAX).map(TenantId::as_str).collect();
    if tenants.len() > NAMES_LOGGED_MAX {
        names.push("…");
    }
    names.join(" ")
}
