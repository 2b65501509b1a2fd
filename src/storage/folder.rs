//! The folder on disk: ours alone, and with room to write.

use rustix::{
    fs::{Access, FlockOperation, access, flock, statvfs},
    io::Errno,
    process::geteuid,
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The database's name in the folder.
pub(super) const DATABASE: &str = "mta-stsd.db";

/// Free octets that have to be left before something is ordered whose result must be kept.
const ROOM: u64 = 1024 * 1024;

/// The folder of a store and the names of what is in it; ours alone until [`Folder::release`], or
/// until the last clone and the process are gone, however they go.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: Arc<File>,
}

impl Folder {
    /// Makes the folder (0700) and an empty database (0600) where there are none, or checks that
    /// nobody but us can reach what stands there and that no other daemon works with it: two would
    /// order every certificate twice and answer each other's challenges wrongly.
    ///
    /// SQLite gives its other files the permissions of the database, whatever the umask.
    pub(super) fn prepare(directory: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Failed { path: directory.to_owned(), source };
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !directory.exists() => {
                return Err(failed(error));
            }
            _ => check_private(directory)?,
        }
        let folder = Self { path: directory.to_owned(), lock: Arc::new(lock(directory)?) };
        folder.make_database().map_err(|source| FolderError::Failed { path: folder.database(), source })?;
        folder.check_readable()?;
        Ok(folder)
    }

    /// The database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Changes that are durable and not yet in the database file; there after an unclean stop.
    pub(super) fn has_write_ahead_log(&self) -> bool {
        fs::metadata(self.path.join("mta-stsd.db-wal")).is_ok_and(|log| log.len() > 0)
    }

    /// Octets of the database file.
    pub(super) fn database_bytes(&self) -> u64 {
        fs::metadata(self.database()).map_or(0, |file| file.len())
    }

    /// Lets another daemon have the folder.
    pub(super) fn release(&self) {
        // It cannot fail for a lock that we hold, and the end of the process does the same.
        let _ = flock(&*self.lock, FlockOperation::Unlock);
    }

    /// Refuses when rights or a read-only disk rule a write out. Looks without opening anything:
    /// SQLite's locks end with the first handle of the process on the file that is closed.
    pub(super) fn check_rights(&self) -> io::Result<()> {
        for path in [&self.path, &self.database()] {
            access(path, Access::WRITE_OK).map_err(|errno| {
                let error = io::Error::from(errno);
                io::Error::new(error.kind(), format!("{} cannot be written: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    /// Refuses when less than [`ROOM`] is free; waits for the disk.
    pub(super) fn check_room(&self) -> io::Result<()> {
        let system = statvfs(&self.path)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if free >= ROOM {
            return Ok(());
        }
        let text = format!("{free} octets are free at {}, {ROOM} are needed", self.path.display());
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    /// Takes the folder again after [`Self::release`], when no other daemon has it.
    pub(super) fn lock_again(&self) -> Result<(), FolderError> {
        flock(&*self.lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => FolderError::InUse { path: self.path.clone() },
            errno => FolderError::Failed { path: self.path.clone(), source: errno.into() },
        })
    }

    fn make_database(&self) -> io::Result<()> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.database()) {
            // The new name has to outlive a power cut as well.
            Ok(_) => self.lock.sync_all(),
            Err(_) if self.database().exists() => {
                self.tighten();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses a database that somebody else copied there, with the remedy; one that can be read but
    /// not written is served from.
    fn check_readable(&self) -> Result<(), FolderError> {
        let path = self.database();
        let failed = |source| FolderError::Failed { path: path.clone(), source };
        let (owner, us) = (fs::metadata(&path).map_err(failed)?.uid(), geteuid().as_raw());
        match access(&path, Access::READ_OK) {
            Err(Errno::ACCESS) if owner != us => Err(FolderError::NotOurs { path, owner, us }),
            Err(errno) => Err(failed(errno.into())),
            Ok(()) => Ok(()),
        }
    }

    /// Takes rights from others that a copying operator left; the folder shuts them out already, so
    /// a read-only disk is no reason to stop.
    fn tighten(&self) {
        for ending in ["", "-wal", "-shm"] {
            let path = self.path.join(format!("mta-stsd.db{ending}"));
            if fs::metadata(&path).is_ok_and(|file| file.mode() & 0o077 != 0) {
                let _ = fs::set_permissions(&path, Permissions::from_mode(0o600));
            }
        }
    }
}

fn check_private(directory: &Path) -> Result<(), FolderError> {
    let path = directory.to_owned();
    let found = match fs::metadata(directory) {
        Ok(found) => found,
        Err(source) => return Err(FolderError::Failed { path, source }),
    };
    if !found.is_dir() {
        return Err(FolderError::NotAFolder { path });
    }
    let (owner, us) = (found.uid(), geteuid().as_raw());
    if owner != us {
        return Err(FolderError::NotOurs { path, owner, us });
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FolderError::Exposed { path, mode });
    }
    Ok(())
}

/// Locks the folder itself, because that needs neither a file nor a disk that can be written.
fn lock(directory: &Path) -> Result<File, FolderError> {
    let failed = |source| FolderError::Failed { path: directory.to_owned(), source };
    let folder = File::open(directory).map_err(failed)?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => Err(FolderError::InUse { path: directory.to_owned() }),
        Err(errno) => Err(failed(errno.into())),
    }
}

impl From<FolderError> for super::StorageError {
    fn from(error: FolderError) -> Self {
        match &error {
            FolderError::NotAFolder { .. } | FolderError::NotOurs { .. } | FolderError::Exposed { .. } => {
                Self::Refused(error.into())
            }
            FolderError::Failed { .. } | FolderError::InUse { .. } => Self::Failed(error.into()),
        }
    }
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("could not prepare {path}", path = .path.display())]
    Failed { path: PathBuf, source: io::Error },
    #[error("{path} is not a folder: move it away or set store.directory", path = .path.display())]
    NotAFolder { path: PathBuf },
    #[error(
        "{path} belongs to user {owner} and we run as user {us}: chown -R {us} it, run as its owner, \
         or set store.directory to a new folder inside it",
        path = .path.display()
    )]
    NotOurs { path: PathBuf, owner: u32, us: u32 },
    #[error(
        "{path} has mode {mode:04o}, so others can reach the private keys in it: chmod 700 it",
        path = .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "another mta-stsd works with {path}: stop it, or give this one a folder of its own (store.directory)",
        path = .path.display()
    )]
    InUse { path: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_us_alone() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(&outer.path().join("a/store")).unwrap();
        assert_eq!(mode(&folder.path), 0o700);
        assert_eq!(mode(&folder.database()), 0o600);
    }

    #[test]
    fn a_folder_open_to_others_is_refused_with_the_remedy() {
        for open in [0o701, 0o710, 0o704, 0o755, 0o777] {
            let outer = tempfile::tempdir().unwrap();
            let path = outer.path().join("store");
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            let error = Folder::prepare(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {open:04o}")) && error.contains("chmod 700"), "{error}");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is written into it");
        }
    }

    #[test]
    fn a_folder_is_one_daemons_until_it_is_released() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("store");
        let first = Folder::prepare(&path).unwrap();
        let error = Folder::prepare(&path).unwrap_err();
        assert!(error.to_string().contains("another mta-stsd works with"), "{error}");
        first.release();
        let second = Folder::prepare(&path).unwrap();
        drop(second);
        assert!(Folder::prepare(&path).is_ok(), "a process that is gone holds nothing");
    }

    #[test]
    fn a_file_in_the_folders_place_is_refused_and_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("store");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Folder::prepare(&path), Err(FolderError::NotAFolder { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn rights_that_others_have_on_the_files_are_taken_away() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("store");
        let folder = Folder::prepare(&path).unwrap();
        folder.release();
        fs::set_permissions(folder.database(), Permissions::from_mode(0o644)).unwrap();
        fs::write(path.join("mta-stsd.db-wal"), "").unwrap();
        fs::set_permissions(path.join("mta-stsd.db-wal"), Permissions::from_mode(0o666)).unwrap();
        Folder::prepare(&path).unwrap();
        assert_eq!(mode(&folder.database()), 0o600);
        assert_eq!(mode(&path.join("mta-stsd.db-wal")), 0o600);
    }
}
