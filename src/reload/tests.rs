//! Edits as people and programs make them, and what is served afterwards.

use super::{watch::folders_of, *};
use crate::{
    clock::Clock,
    snapshot::{SharedSnapshot, Snapshot},
    storage::MemoryStorage,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

const MAIN: &str = "tenants = \"d/*.toml\"\n[acme]\ndirectory = \"internal\"\n";

fn tenant(name: &str, mx: &str) -> String {
    format!("[[tenant]]\nname = \"{name}\"\ndomains = [\"{name}.example\"]\nmx = [\"{mx}\"]\n")
}

/// A configuration in a folder of its own and its reloader.
struct Site {
    folder: tempfile::TempDir,
    snapshot: SharedSnapshot,
    reloader: Reloader,
}

impl Site {
    fn new(main: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("main.toml"), main).unwrap();
        let snapshot = SharedSnapshot::default();
        let reloader = Reloader::new(folder.path().join("main.toml"), snapshot.clone(), Clock::System);
        Self { folder, snapshot, reloader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn serves(&self, name: &str, mx: &str) -> bool {
        serves(&self.snapshot.load(), name, mx)
    }
}

fn serves(snapshot: &Snapshot, name: &str, mx: &str) -> bool {
    snapshot
        .find(&format!("mta-sts.{name}.example"))
        .is_some_and(|hosted| hosted.policy.policy().mx()[0].to_string() == mx)
}

#[test]
fn a_start_with_a_faulty_servers_part_is_refused_with_all_faults() {
    let mut site = Site::new("listen = 5\n[acme]\ndirectory = \"x\"\n");
    site.write("d/a.toml", &tenant("a", "mx.a.example"));
    let refused = site.reloader.first().unwrap_err();
    assert_eq!(refused.faults.len(), 2, "{:?}", refused.faults);
    assert!(site.snapshot.load().is_empty());
    assert!(site.reloader.status().load().server_refused);
}

#[test]
fn a_start_leaves_faulty_tenants_out() {
    let mut site = Site::new(MAIN);
    site.write("d/a.toml", &(tenant("a", "mx.a.example") + &tenant("b", "mx")));
    let (_, report) = site.reloader.first().unwrap();
    assert!(site.serves("a", "mx.a.example"));
    assert_eq!(site.snapshot.load().len(), 1);
    assert_eq!((report.generation, report.replaced), (1, true));
    assert_eq!(report.refused.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(!report.is_good());
}

#[test]
fn a_bad_edit_leaves_the_old_policy_served() {
    let mut site = Site::new(MAIN);
    site.write("d/a.toml", &tenant("a", "mx.a.example"));
    site.reloader.first().unwrap();
    site.write("d/a.toml", &tenant("a", "10.0.0.1"));
    let report = site.reloader.reload();
    assert!(site.serves("a", "mx.a.example"));
    assert!(!report.replaced && !report.server_refused);
    let state = site.reloader.status().load();
    assert_eq!((state.generation, state.domains, state.refused_count), (1, 1, 1));
    assert_eq!(state.refused, ["a"]);
    assert!(state.faults[0].render(false).contains("4 | mx = [\"10.0.0.1\"]"));
    site.write("d/a.toml", &tenant("a", "mx2.a.example"));
    assert!(site.reloader.reload().mended);
    assert!(!site.reloader.reload().mended, "that is said once");
    assert!(site.serves("a", "mx2.a.example"));
    assert_eq!(site.reloader.status().load().faults_count, 0);
}

#[test]
fn a_report_says_what_was_added_changed_and_removed() {
    let mut site = Site::new(MAIN);
    for name in ["a", "b", "c"] {
        site.write(&format!("d/{name}.toml"), &tenant(name, "mx.example.net"));
    }
    site.reloader.first().unwrap();
    fs::remove_file(site.path("d/a.toml")).unwrap();
    site.write("d/b.toml", &tenant("b", "mx2.example.net"));
    site.write("d/e.toml", &tenant("e", "mx.example.net"));
    fs::rename(site.path("d/c.toml"), site.path("d/f.toml")).unwrap();
    let report = site.reloader.reload();
    let names =
        |tenants: &[crate::config::TenantId]| tenants.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&report.added), ["e"]);
    assert_eq!(names(&report.changed), ["b"]);
    assert_eq!(names(&report.removed), ["a"]);
    assert_eq!((report.generation, site.snapshot.load().generation()), (2, 2));
}

#[test]
fn the_snapshot_is_replaced_only_when_something_served_changed() {
    let mut site = Site::new(MAIN);
    site.write("d/a.toml", &tenant("a", "mx.a.example"));
    site.reloader.first().unwrap();
    assert!(site.reloader.reload_if_changed().is_none(), "no file has changed");
    site.write("d/a.toml", &format!("# a comment\n{}", tenant("a", "MX.a.example")));
    let report = site.reloader.reload_if_changed().unwrap();
    assert!(!report.replaced);
    site.write("main.toml", &format!("{MAIN}[publish]\ncname = \"p.example\"\n"));
    let report = site.reloader.reload_if_changed().unwrap();
    assert!(report.replaced && report.needs_restart.is_empty());
    assert_eq!(site.snapshot.load().publish().cname.as_deref(), Some("p.example"));
}

#[test]
fn what_needs_a_restart_is_said_until_it_is_taken_back() {
    let mut site = Site::new(MAIN);
    let (server, _) = site.reloader.first().unwrap();
    site.write("main.toml", &format!("{MAIN}[dns]\nretries = 3\n"));
    let said = ["dns.retries: 1 → 3"];
    assert_eq!(site.reloader.reload().needs_restart, said);
    assert_eq!(site.reloader.reload().needs_restart, said, "it is still so");
    site.write("main.toml", "= no toml");
    assert!(site.reloader.reload().needs_restart.is_empty(), "a restart would end at the fault");
    assert!(site.reloader.status().load().needs_restart.is_empty());
    site.write("main.toml", &format!("{MAIN}[dns]\nretries = 3\n"));
    assert_eq!(site.reloader.reload().needs_restart, said);
    site.write("main.toml", MAIN);
    assert!(site.reloader.reload().needs_restart.is_empty());
    assert_eq!(server.dns.retries, 1);
}

#[test]
fn every_folder_in_which_a_link_could_be_swapped_is_watched() {
    let site = Site::new(MAIN);
    let root = site.folder.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("v1/real")).unwrap();
    fs::write(root.join("v1/real/a.toml"), "").unwrap();
    symlink("v1", root.join("current")).unwrap();
    symlink("../current/real/a.toml", root.join("d/a.toml")).unwrap();
    let expected = ["", "d", "v1/real"].map(|name| root.join(name).components().collect::<PathBuf>());
    assert_eq!(folders_of(&root.join("d/a.toml")), BTreeSet::from(expected));
    symlink("loop", root.join("loop")).unwrap();
    assert!(folders_of(&root.join("loop/a.toml")).contains(&root), "a loop of links ends");
}

/// A reloader that runs.
struct Running {
    site: Site,
    requests: mpsc::Sender<ReloadRequest>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    status: ReloadStatus,
}

impl Running {
    fn start(mut site: Site) -> Self {
        site.reloader.first().unwrap();
        let idle = Reloader::new(site.path("main.toml"), site.snapshot.clone(), Clock::System);
        let reloader = std::mem::replace(&mut site.reloader, idle);
        let status = reloader.status();
        let (requests, inbox) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let task = tokio::spawn(reloader.run(inbox, Arc::new(MemoryStorage::new()), stop.clone()));
        Self { site, requests, stop, task, status }
    }

    /// Waits until the snapshot is as wished; half of what the slow look takes.
    async fn until(&self, wish: impl Fn(&Snapshot) -> bool) {
        let mut changes = self.site.snapshot.subscribe();
        let waiting = async {
            while !wish(&self.site.snapshot.load()) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the edit is served");
    }

    /// Asks for a reload and waits for its report.
    async fn hup(&self) -> ReloadReport {
        let (answer, report) = oneshot::channel();
        self.requests.send(answer).await.unwrap();
        report.await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn write_beside_and_rename(path: &Path, text: &str) {
    let beside = path.with_extension("toml~");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn an_edit_is_served_however_it_is_written() {
    let site = Site::new(MAIN);
    site.write("d/a.toml", &tenant("a", "mx1.a.example"));
    let running = Running::start(site);
    let path = running.site.path("d/a.toml");

    fs::write(&path, tenant("a", "mx2.a.example")).unwrap();
    running.until(|snapshot| serves(snapshot, "a", "mx2.a.example")).await;

    write_beside_and_rename(&path, &tenant("a", "mx3.a.example"));
    running.until(|snapshot| serves(snapshot, "a", "mx3.a.example")).await;

    // vim: the old file becomes a backup, a new one takes its name.
    fs::rename(&path, path.with_extension("toml~")).unwrap();
    fs::write(&path, tenant("a", "mx4.a.example")).unwrap();
    running.until(|snapshot| serves(snapshot, "a", "mx4.a.example")).await;

    let elsewhere = running.site.path("elsewhere.toml");
    fs::write(&elsewhere, tenant("b", "mx.b.example")).unwrap();
    fs::rename(elsewhere, running.site.path("d/b.toml")).unwrap();
    running.until(|snapshot| serves(snapshot, "b", "mx.b.example")).await;

    fs::remove_file(running.site.path("d/b.toml")).unwrap();
    running.until(|snapshot| snapshot.len() == 1).await;
    running.end().await;
}

#[tokio::test]
async fn a_folder_that_kubernetes_swaps_is_followed() {
    let site = Site::new(MAIN);
    let version = |name: &str, mx: &str| {
        fs::create_dir(site.path(&format!("d/..{name}"))).unwrap();
        site.write(&format!("d/..{name}/a.toml"), &tenant("a", mx));
    };
    version("1", "mx1.a.example");
    version("2", "mx2.a.example");
    version("3", "mx3.a.example");
    symlink("..1", site.path("d/..data")).unwrap();
    symlink("..data/a.toml", site.path("d/a.toml")).unwrap();
    let running = Running::start(site);
    assert!(running.site.serves("a", "mx1.a.example"));
    for n in ["2", "3"] {
        let next = running.site.path("d/..data_tmp");
        symlink(format!("..{n}"), &next).unwrap();
        fs::rename(next, running.site.path("d/..data")).unwrap();
        running.until(|snapshot| serves(snapshot, "a", &format!("mx{n}.a.example"))).await;
    }
    // And an edit behind the links.
    running.site.write("d/..3/a.toml", &tenant("a", "mx4.a.example"));
    running.until(|snapshot| serves(snapshot, "a", "mx4.a.example")).await;
    running.end().await;
}

#[tokio::test]
async fn a_thousand_drop_ins_copied_at_once_are_all_served() {
    let running = Running::start(Site::new(MAIN));
    let folder = running.site.path("d");
    tokio::task::spawn_blocking(move || {
        for n in 0..1_000 {
            fs::write(folder.join(format!("{n}.toml")), tenant(&format!("t{n}"), "mx.example.net")).unwrap();
        }
    })
    .await
    .unwrap();
    running.until(|snapshot| snapshot.len() == 1_000).await;
    assert_eq!(running.hup().await.faults, []);
    running.end().await;
}

#[tokio::test]
async fn a_half_written_file_keeps_what_was_good_until_it_is_whole() {
    let site = Site::new(MAIN);
    site.write("d/a.toml", &(tenant("a", "mx1.a.example") + &tenant("b", "mx1.b.example")));
    let running = Running::start(site);
    let whole = tenant("a", "mx2.a.example") + &tenant("b", "mx2.b.example");
    for cut in [0, 5, 20, whole.len() / 2 + 3, whole.len() - 2] {
        running.site.write("d/a.toml", &whole[..cut]);
        running.hup().await;
        assert_eq!(running.site.snapshot.load().len(), 2, "{:?}", &whole[..cut]);
        assert!(running.status.load().faults_count > 0);
    }
    running.site.write("d/a.toml", &whole);
    running.until(|s| serves(s, "a", "mx2.a.example") && serves(s, "b", "mx2.b.example")).await;
    running.end().await;
}

#[tokio::test]
async fn a_list_in_another_folder_is_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let list = elsewhere.path().join("list.txt");
    fs::write(&list, "a.example\n").unwrap();
    let policy = format!("[policies.hosted]\nmx = [\"mx.example.net\"]\ndomains_file = {list:?}\n");
    let running = Running::start(Site::new(&format!("{MAIN}{policy}")));
    assert_eq!(running.site.snapshot.load().len(), 1);
    fs::write(&list, "a.example\nb.example\n").unwrap();
    running.until(|snapshot| serves(snapshot, "b", "mx.example.net")).await;
    running.end().await;
}

#[tokio::test]
async fn a_request_is_answered_although_nothing_changed() {
    let running = Running::start(Site::new(MAIN));
    let report = running.hup().await;
    assert_eq!((report.generation, report.replaced), (1, false));
    running.end().await;
}

#[tokio::test]
async fn nobody_left_to_ask_is_no_reason_to_end() {
    let mut running = Running::start(Site::new(MAIN));
    running.requests = mpsc::channel(1).0;
    running.site.write("d/a.toml", &tenant("a", "mx.a.example"));
    running.until(|snapshot| serves(snapshot, "a", "mx.a.example")).await;
    running.end().await;
}
