//! The files of a configuration, each kept as parsed until it changes.
//!
//! A reload looks at the stamp of every file and parses only those that are new or other than before,
//! so its cost follows the edit. `kept` knows when a stamp can be trusted.

use super::{
    Server, TenantId,
    check::MAIN_FILE_OCTETS_MAX,
    fault::Fault,
    file::{Reading, Written},
    kept::{Kept, Recipe, refresh},
    list::ListFile,
    server,
    source::Source,
    tenants::{Draft, Interner, NamedPolicy, TenantFile, TenantReader, belongs_to_a_tenant},
};
use crate::{config::Limits, name::PolicyHost};
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The main file as read.
#[derive(Debug)]
pub(super) struct MainFile {
    /// `None` when the server's part, or the file as a whole, is faulty.
    pub(super) server: Option<Server>,
    /// Where the status socket and the store are, as far as can be told; `None` when the file cannot
    /// be read at all.
    places: Option<Places>,
    /// The pattern of the drop-ins, relative to the file's folder.
    pub(super) pattern: Option<Written<String>>,
    pub(super) policies: HashMap<String, NamedPolicy>,
    /// Its own tenants, and every fault of the file.
    pub(super) tenants: TenantFile,
}

/// What commands need of a main file however faulty it is.
#[derive(Debug)]
struct Places {
    socket: PathBuf,
    store: PathBuf,
}

impl Places {
    fn of(server: &Server) -> Self {
        Self { socket: server.admin.socket.clone(), store: server.store.directory.clone() }
    }
}

impl MainFile {
    /// Reads the main file; paths in it are relative to `folder`.
    pub(super) fn read(source: Source, folder: &Path, interner: &mut Interner) -> Self {
        let source = Arc::new(source);
        let reading = Reading::new(&source);
        let mut file = Self::read_with(&reading, folder, interner);
        file.tenants.source = Arc::clone(&source);
        file.tenants.faults = reading.finish();
        file
    }

    /// Reads the main file, leaving its faults with `reading`.
    pub(super) fn read_with(reading: &Reading<'_>, folder: &Path, interner: &mut Interner) -> Self {
        let nothing = Source::new(Path::new("").into(), String::new());
        let tenants = TenantFile {
            source: Arc::new(nothing),
            drafts: Vec::new(),
            incomplete: true,
            faults: Vec::new(),
        };
        let mut file = Self { server: None, places: None, pattern: None, policies: HashMap::new(), tenants };
        let Some(mut root) = reading.parse() else {
            // An operator asks what is wrong just when the file is broken.
            let aside = reading.aside();
            file.places = Some(Places::of(&server::read(&mut aside.what_is_toml(), &aside, folder)));
            return file;
        };
        let server = server::read(&mut root, reading, folder);
        file.pattern = root.text("tenants");
        let tables = (root.tables("tenant"), root.table("policies"));
        root.finish_with(belongs_to_a_tenant);
        file.places = Some(Places::of(&server));
        file.server = (reading.faults_so_far() == 0).then_some(server);
        let mut tenants = TenantReader { reading, interner, folder: Some(folder) };
        let (mut drafts, all_tenants) = tenants.read(tables.0);
        let (policies, listing, all_policies) = tenants.policies(tables.1);
        drafts.extend(listing);
        file.policies = policies;
        file.tenants.drafts = drafts;
        file.tenants.incomplete = !(all_tenants && all_policies);
        file
    }

    fn unreadable(path: &Arc<Path>, fault: Fault) -> Self {
        Self {
            server: None,
            places: None,
            pattern: None,
            policies: HashMap::new(),
            tenants: TenantFile::unreadable(path, fault),
        }
    }
}

/// All files of a configuration, kept as parsed between reloads.
#[derive(Debug)]
pub struct Files {
    main: Arc<Path>,
    kept_main: Option<Kept<MainFile>>,
    kept_drop_ins: HashMap<Arc<Path>, Kept<TenantFile>>,
    kept_lists: HashMap<Arc<Path>, Kept<ListFile>>,
    interner: Interner,
    last: Option<Loaded>,
}

impl Files {
    /// The configuration whose main file is `main`; nothing is read yet.
    pub fn new(main: PathBuf) -> Self {
        Self {
            main: main.into(),
            kept_main: None,
            kept_drop_ins: HashMap::new(),
            kept_lists: HashMap::new(),
            interner: Interner::default(),
            last: None,
        }
    }

    /// The main file.
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// Reads what is new or has changed. `limits` bounds the files; the main file itself is bounded
    /// by the default where it is not known yet.
    pub fn load(&mut self, limits: Option<&Limits>, now: Timestamp) -> Loaded {
        self.interner.sweep();
        let main = self.load_main(limits, now);
        let folder = self.main.parent().unwrap_or(Path::new("")).to_owned();
        let own = main.server.as_ref().map(|server| server.limits.clone());
        let limits = limits.cloned().or(own).unwrap_or_default();

        let mut loaded = Loaded {
            main,
            drop_ins: Vec::new(),
            lists: HashMap::new(),
            pattern_fault: None,
            pattern_warning: None,
            folders: BTreeSet::from([folder]),
        };
        match loaded.expand() {
            Ok(paths) => loaded.drop_ins = self.drop_ins(paths, &limits, now),
            Err(fault) => {
                // Which tenants there should be is not known, so what is kept stays kept.
                loaded.pattern_fault = Some(*fault);
                loaded.drop_ins = self.last.as_ref().map(|last| last.drop_ins.clone()).unwrap_or_default();
            }
        }
        loaded.lists = self.lists(&loaded.main.tenants.drafts, &limits, now);
        self.last = Some(loaded.clone());
        loaded
    }

    /// Where the daemon of this configuration answers status questions, be the rest as faulty as it may;
    /// `None` when the main file cannot be read at all. Reads no other file: probes ask every few seconds.
    pub fn admin_socket(&mut self, now: Timestamp) -> Option<PathBuf> {
        self.load_main(None, now).places.as_ref().map(|places| places.socket.clone())
    }

    fn load_main(&mut self, limits: Option<&Limits>, now: Timestamp) -> Arc<MainFile> {
        let Self { main, interner, .. } = self;
        let folder = main.parent().unwrap_or(Path::new(""));
        let kept_main = refresh(
            main,
            self.kept_main.take(),
            Recipe {
                octets_max: limits.map_or(MAIN_FILE_OCTETS_MAX, |limits| limits.config_file_bytes),
                if_missing: "create it, or name yours with --config",
                now,
                parse: |source| MainFile::read(source, folder, interner),
                unreadable: MainFile::unreadable,
            },
        );
        let main = Arc::clone(&kept_main.parsed);
        self.kept_main = Some(kept_main);
        main
    }

    fn drop_ins(&mut self, paths: Vec<Arc<Path>>, limits: &Limits, now: Timestamp) -> Vec<Arc<TenantFile>> {
        let mut kept = HashMap::with_capacity(paths.len());
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let file = refresh(
                &path,
                self.kept_drop_ins.remove(&path),
                Recipe {
                    octets_max: limits.config_file_bytes,
                    if_missing: "mend the link, or take it away",
                    now,
                    parse: |source| TenantFile::read_drop_in(source, &mut self.interner),
                    unreadable: TenantFile::unreadable,
                },
            );
            files.push(Arc::clone(&file.parsed));
            kept.insert(path, file);
        }
        self.kept_drop_ins = kept;
        files
    }

    fn lists(
        &mut self,
        drafts: &[Draft],
        limits: &Limits,
        now: Timestamp,
    ) -> HashMap<PathBuf, Arc<ListFile>> {
        let mut kept = HashMap::new();
        let mut files = HashMap::new();
        for list in drafts.iter().filter_map(|draft| draft.list.as_ref()) {
            if files.contains_key(&list.value) {
                continue;
            }
            let path: Arc<Path> = list.value.as_path().into();
            let file = refresh(
                &path,
                self.kept_lists.remove(&path),
                Recipe {
                    octets_max: limits.list_file_bytes,
                    if_missing: "put it back, or take the domains_file key out",
                    now,
                    parse: ListFile::read,
                    unreadable: ListFile::unreadable,
                },
            );
            files.insert(list.value.clone(), Arc::clone(&file.parsed));
            kept.insert(path, file);
        }
        self.kept_lists = kept;
        files
    }
}

/// A configuration as it stood in its files at one moment.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub(super) main: Arc<MainFile>,
    /// In the order of their names.
    pub(super) drop_ins: Vec<Arc<TenantFile>>,
    pub(super) lists: HashMap<PathBuf, Arc<ListFile>>,
    /// Why it is not known which drop-ins there are.
    pub(super) pattern_fault: Option<Fault>,
    /// What is unwise about the pattern.
    pub(super) pattern_warning: Option<Fault>,
    folders: BTreeSet<PathBuf>,
}

impl Loaded {
    /// Whether both stand for the same texts; then there is nothing to do.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.main, &other.main)
            && self.pattern_fault == other.pattern_fault
            && self.drop_ins.len() == other.drop_ins.len()
            && self.drop_ins.iter().zip(&other.drop_ins).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.lists.len() == other.lists.len()
            && self.lists.iter().all(|(path, a)| other.lists.get(path).is_some_and(|b| Arc::ptr_eq(a, b)))
    }

    /// Where the store of this configuration is, be the rest as faulty as it may; `None` when the main
    /// file cannot be read at all.
    pub fn store_directory(&self) -> Option<&Path> {
        self.main.places.as_ref().map(|places| &*places.store)
    }

    /// Whether any tenant is written, or at least a policy for one.
    pub(super) fn has_tenants(&self) -> bool {
        let mut drop_ins = self.drop_ins.iter();
        !self.main.tenants.drafts.is_empty()
            || !self.main.policies.is_empty()
            || drop_ins.any(|file| !file.drafts.is_empty())
    }

    /// The tenants that write `host`, in reading order.
    pub fn claimants(&self, host: &PolicyHost) -> Vec<TenantId> {
        let files = std::iter::once(&self.main.tenants).chain(self.drop_ins.iter().map(|file| &**file));
        let writes = |draft: &&Draft| {
            let list = draft.list.as_ref().and_then(|list| self.lists.get(&list.value));
            let listed = list.map(|list| &*list.hosts).unwrap_or_default();
            draft.hosts.iter().chain(listed).any(|written| written.host == *host)
        };
        files.flat_map(|file| &file.drafts).filter(writes).map(|draft| draft.id.clone()).collect()
    }

    /// Every file read, so that its changes can be watched.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let drop_ins = self.drop_ins.iter().map(|file| &**file.source.path());
        std::iter::once(&**self.main.tenants.source.path())
            .chain(drop_ins)
            .chain(self.lists.keys().map(PathBuf::as_path))
    }

    /// The folders in which new files may appear.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(PathBuf::as_path)
    }

    /// The drop-ins that there are, in the order of their names; notes the folders they may be in.
    fn expand(&mut self) -> Result<Vec<Arc<Path>>, Box<Fault>> {
        let main = Arc::clone(&self.main);
        let Some(Written { value: pattern, span }) = &main.pattern else { return Ok(Vec::new()) };
        let fault = |problem: String, remedy: &str| {
            let (severity, source) = (super::Severity::Fault, &main.tenants.source);
            Box::new(Fault::at(severity, source, *span, "tenants", problem, remedy))
        };
        let front = literal_front(Path::new(pattern));
        let base = main.tenants.source.path().parent().unwrap_or(Path::new("")).join(&front);
        // Even one that is not there: it is looked for until it is.
        self.folders.insert(base.clone());
        let listed = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
        if let Err(error) = std::fs::read_dir(listed) {
            let folder = super::fault::quoted(&listed.to_string_lossy());
            let problem = format!("the folder {folder} cannot be read: {error}");
            let remedy = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "let the service's user read the folder",
                _ => "make the folder, or take the key out",
            };
            return Err(fault(problem, remedy));
        }
        // Editors and Kubernetes keep their own things behind a leading dot.
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let rest = Path::new(pattern).strip_prefix(&front).unwrap_or(Path::new(pattern));
        let escaped = glob::Pattern::escape(&base.to_string_lossy());
        let whole = PathBuf::from(escaped).join(rest);
        let found = glob::glob_with(&whole.to_string_lossy(), options).map_err(|error| {
            fault(format!("this is not a pattern: {}", error.msg), "write it as \"tenants.d/*.toml\"")
        })?;
        let mut paths: Vec<Arc<Path>> = Vec::new();
        for path in found {
            let path = path.map_err(|error| {
                fault(
                    format!("the drop-ins cannot be listed: {}", error.error()),
                    "let the service read the folders",
                )
            })?;
            // A drop-in may not be the main file itself under another name in the pattern.
            if *path == **main.tenants.source.path() {
                continue;
            }
            self.folders.extend(path.parent().map(Path::to_owned));
            paths.push(path.into());
        }
        paths.sort();
        if paths.is_empty() {
            let (problem, remedy) =
                ("no file is found here", "check the pattern, or put the first one there");
            let source = &main.tenants.source;
            let warning = Fault::at(super::Severity::Warning, source, *span, "tenants", problem, remedy);
            self.pattern_warning = Some(warning);
        }
        Ok(paths)
    }
}

/// The folders of `pattern` up to the first one with a wildcard.
fn literal_front(pattern: &Path) -> PathBuf {
    let folders = pattern.parent().unwrap_or(Path::new(""));
    let plain =
        |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    folders.components().take_while(plain).collect()
}
