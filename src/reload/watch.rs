//! Notices that configuration files settled on new content, or that somebody asks for a reload.
//!
//! Folders are watched, not files: editors rename, Kubernetes swaps a link, and both leave a watch on
//! the file behind. Every folder on the way to a file in which a link could be swapped is watched.
//! A slow look at all stamps heals a lost notice, and where inotify is not to be had a quick one
//! takes its place. A network mount is not seen by inotify at all: there it is the slow look, or
//! SIGHUP.

use super::{ReloadReport, Reloader, kept::Keeper};
use crate::storage::Storage;
use notify::{
    EventKind, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Files count as settled when nothing happened to them for this long: `cp -r` pauses less.
const SETTLED_AFTER: Duration = Duration::from_millis(300);
/// An edit is read after this long even if something writes all the time: a log or a store in the
/// same folder must not hold edits up for longer than the second that is promised.
const SETTLED_AT_LAST: Duration = Duration::from_millis(600);
/// How often stamps are looked at although inotify works: a lost notice costs no more.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often stamps are looked at where inotify does not work.
const LOOK_OFTEN: Duration = Duration::from_secs(2);
/// Links followed on the way to one file; the kernel follows as many.
const LINKS_MAX: usize = 40;

/// Asks a running [`Reloader`] for a reload; the report comes back.
pub type ReloadRequest = oneshot::Sender<ReloadReport>;

impl Reloader {
    /// Follows the files until `stop`, logging each reload. [`Self::first`] came before.
    ///
    /// `requests` are SIGHUPs and the like: they are answered even when no file has changed. What is
    /// served is kept in `storage`.
    ///
    /// # Panics
    ///
    /// When reading the configuration panics: the supervisor must hear of it.
    pub async fn run(
        mut self,
        mut requests: mpsc::Receiver<ReloadRequest>,
        storage: Arc<dyn Storage>,
        stop: CancellationToken,
    ) {
        let mut keeper = Keeper::new(storage);
        let notice = Arc::new(Notify::new());
        let mut watcher = Watcher::new(Arc::clone(&notice));
        watcher.follow(self.folders());
        // What was edited between the first look and the watch.
        notice.notify_one();
        loop {
            let look = if watcher.complete { LOOK_EVERY } else { LOOK_OFTEN };
            let request = tokio::select! {
                () = stop.cancelled() => return,
                Some(request) = requests.recv() => Some(request),
                () = notice.notified() => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = settle(&notice) => None,
                    }
                }
                () = tokio::time::sleep(look) => None,
            };
            let asked = request.is_some();
            let read = tokio::task::spawn_blocking(move || {
                let report = if asked { Some(self.reload()) } else { self.reload_if_changed() };
                (self, report)
            });
            let report = match read.await {
                Ok((reloader, report)) => {
                    self = reloader;
                    report
                }
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return,
            };
            watcher.follow(self.folders());
            let Some(report) = report else {
                if keeper.is_behind() {
                    keeper.keep(self.tenants(), &ReloadReport::default()).await;
                }
                continue;
            };
            report.log();
            keeper.keep(self.tenants(), &report).await;
            if let Some(request) = request {
                // Whoever asked may have gone; the reload is done all the same.
                let _ = request.send(report);
            }
        }
    }
}

/// Waits until nothing was noticed for a while, but not for ever.
async fn settle(notice: &Notify) {
    let last = Instant::now() + SETTLED_AT_LAST;
    loop {
        let quiet = (Instant::now() + SETTLED_AFTER).min(last);
        if tokio::time::timeout_at(quiet, notice.notified()).await.is_err() || Instant::now() >= last {
            return;
        }
    }
}

/// Watches folders and notifies of what happens in them.
struct Watcher {
    inotify: Option<notify::RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Whether every folder is watched.
    complete: bool,
}

impl Watcher {
    fn new(notice: Arc<Notify>) -> Self {
        let tell = move |event: notify::Result<notify::Event>| match event {
            Ok(event) if !is_change(&event.kind) => {}
            // An error, such as an overflow, may hide a change.
            Ok(_) | Err(_) => notice.notify_one(),
        };
        let inotify = notify::recommended_watcher(tell)
            .inspect_err(|error| warn!(%error, "inotify is not to be had, files are looked at every 2 s"))
            .ok();
        Self { complete: inotify.is_some(), inotify, watched: BTreeSet::new() }
    }

    /// Watches `folders` and nothing else. Each is watched anew every time, because a folder may have
    /// been replaced by another of its name.
    fn follow(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(inotify) = &mut self.inotify else { return };
        for gone in self.watched.difference(&folders) {
            let _ = inotify.unwatch(gone);
        }
        let mut complete = true;
        for folder in &folders {
            if let Err(error) = inotify.watch(folder, RecursiveMode::NonRecursive) {
                debug!(folder = %folder.display(), %error, "folder not watched");
                complete = false;
            }
        }
        if self.complete && !complete {
            warn!("some folders cannot be watched, files are looked at every 2 s");
        }
        self.complete = complete;
        self.watched = folders;
    }
}

/// Whether an event may mean new content; our own reading is none.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// The folders in which something changes when `path` comes to stand for another file: the one it is
/// in, and those of the links on the way to it.
pub(super) fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut ahead: VecDeque<OsString> = absolute.iter().map(OsString::from).collect();
    let mut reached = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => reached = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                reached.pop();
            }
            Some(Component::Normal(name)) => {
                let next = reached.join(name);
                match std::fs::read_link(&next) {
                    Ok(target) if links < LINKS_MAX => {
                        links += 1;
                        folders.insert(reached.clone());
                        target.iter().rev().for_each(|part| ahead.push_front(part.to_owned()));
                    }
                    _ => reached = next,
                }
            }
            _ => {}
        }
    }
    folders.extend(reached.parent().map(Path::to_owned));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn files_are_settled_after_a_pause_and_at_last_in_any_case() {
        let notice = Arc::new(Notify::new());
        let start = Instant::now();
        settle(&notice).await;
        assert_eq!(start.elapsed(), SETTLED_AFTER);

        let writer = Arc::clone(&notice);
        let writing = tokio::spawn(async move {
            loop {
                writer.notify_one();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let start = Instant::now();
        settle(&notice).await;
        assert_eq!(start.elapsed(), SETTLED_AT_LAST);
        writing.abort();
    }

    #[test]
    fn our_own_reading_is_no_change() {
        use notify::event::{CreateKind, ModifyKind, RemoveKind};
        assert!(!is_change(&EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(&EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_change(&EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(&EventKind::Create(CreateKind::Any)));
        assert!(is_change(&EventKind::Modify(ModifyKind::Any)));
        assert!(is_change(&EventKind::Remove(RemoveKind::Any)));
    }

    #[test]
    fn a_folder_that_is_not_there_makes_us_look_often() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new(Arc::new(Notify::new()));
        watcher.follow(BTreeSet::from([folder.path().to_owned()]));
        assert!(watcher.complete);
        watcher.follow(BTreeSet::from([folder.path().to_owned(), folder.path().join("none")]));
        assert!(!watcher.complete);
        watcher.follow(BTreeSet::from([folder.path().to_owned()]));
        assert!(watcher.complete);
    }
}
