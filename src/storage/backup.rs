//! A copy of the store that is whole, made while the daemon works; and its way back.
//!
//! SQLite writes the copy itself (`VACUUM INTO`), inside one read transaction: it is the store of one
//! moment, without a log beside it. Secrets stay sealed or plain as they are. Neither way overwrites
//! anything, and a file that has its final name is complete.

use super::{
    StorageError,
    folder::{DATABASE, Folder},
    pools::{LIST, options_at, pool, read_error},
};
use sqlx::SqlitePool;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest a copy may take: a million certificates on a slow disk.
const COPY: Duration = Duration::from_secs(3_600);

/// Copies the store in `directory` to the new file `to` (0600), whether or not a daemon works with it.
/// The copy is checked before it gets its name.
///
/// # Errors
///
/// [`BackupError`]; nothing is left behind then.
pub async fn back_up(directory: &Path, to: &Path) -> Result<(), BackupError> {
    let database = directory.join(DATABASE);
    check_there(&database)?;
    let part = Part::create(to)?;
    let readers = read_only(&database).await?;
    let copied = tokio::time::timeout(COPY, copy_into(&readers, &part.path)).await;
    readers.close().await;
    copied.map_err(|_| part.failed(io::ErrorKind::TimedOut.into()))??;
    check_copy(&part.path).await?;
    part.finish(to)
}

/// Puts the copy `from` in place as the store in `directory`, which is made if it is not there. The
/// next start brings it up to the daemon's version.
///
/// # Errors
///
/// [`BackupError`]: when a daemon works with the folder, when there is a store already, or when the
/// copy is not whole; nothing has changed then.
pub async fn restore(from: &Path, directory: &Path) -> Result<(), BackupError> {
    check_there(from)?;
    check_copy(from).await?;
    // Held until the end, so that no daemon starts in between.
    let folder = Folder::prepare(directory).map_err(StorageError::from)?;
    let database = folder.database();
    if folder.database_bytes() > 0 || folder.has_write_ahead_log() {
        return Err(BackupError::StoreThere(database));
    }
    let part = Part::create(&directory.join("restored.db"))?;
    let mut source = File::open(from).map_err(|error| failed(from, error))?;
    let mut target = OpenOptions::new().write(true).open(&part.path).map_err(|e| part.failed(e))?;
    io::copy(&mut source, &mut target).map_err(|error| part.failed(error))?;
    check_copy(&part.path).await?;
    // Only the empty file that `prepare` makes is replaced.
    part.replace(&database)
}

/// Why there is no copy, or why it was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists; a copy never overwrites another.
    #[error("{path} exists: name a new file", path = .0.display())]
    FileThere(PathBuf),
    /// There is a store where the copy should go.
    #[error(
        "{path} is a store already: move the folder away if the copy is to take its place",
        path = .0.display()
    )]
    StoreThere(PathBuf),
    /// The file is no copy of a store.
    #[error("{path} is not a copy of a store of mta-stsd", path = .0.display())]
    NotAStore(PathBuf),
    /// The file is not what was written once, or no database at all.
    #[error("{path} is no whole copy of a store: take another", path = .path.display())]
    NotWhole {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{path} cannot be read or written", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the store itself said.
    #[error("the store was not copied")]
    Store(#[from] StorageError),
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), source }
}

/// A file on its way to a final name; removed when it does not get there.
struct Part {
    path: PathBuf,
}

impl Part {
    /// An empty file of ours alone beside `target`.
    fn create(target: &Path) -> Result<Self, BackupError> {
        if target.exists() {
            return Err(BackupError::FileThere(target.to_owned()));
        }
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Self { path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::FileThere(path)),
            Err(error) => Err(failed(&path, error)),
        }
    }

    fn failed(&self, source: io::Error) -> BackupError {
        failed(&self.path, source)
    }

    /// Gives the file its name, unless that is taken by now.
    fn finish(self, target: &Path) -> Result<(), BackupError> {
        self.sync()?;
        fs::hard_link(&self.path, target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::FileThere(target.to_owned()),
            _ => failed(target, error),
        })?;
        sync_folder(target)
    }

    /// Gives the file the name of another, which is gone then.
    fn replace(self, target: &Path) -> Result<(), BackupError> {
        self.sync()?;
        fs::rename(&self.path, target).map_err(|error| failed(target, error))?;
        sync_folder(target)
    }

    fn sync(&self) -> Result<(), BackupError> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(|error| self.failed(error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After `replace` there is none; a part that stays is refused by name the next time.
        let _ = fs::remove_file(&self.path);
    }
}

/// The new name has to outlive a power cut as well.
fn sync_folder(of: &Path) -> Result<(), BackupError> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, error))
}

async fn read_only(database: &Path) -> Result<SqlitePool, StorageError> {
    pool(1, LIST).connect_with(options_at(database).read_only(true)).await.map_err(read_error)
}

async fn copy_into(readers: &SqlitePool, path: &Path) -> Result<(), BackupError> {
    let name = path.to_str().ok_or_else(|| failed(path, io::ErrorKind::InvalidFilename.into()))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(readers).await;
    copied.map(drop).map_err(|error| BackupError::Store(super::pools::write_error(error)))
}

/// Refuses what is no file, before SQLite says so in words that name no file.
fn check_there(path: &Path) -> Result<(), BackupError> {
    let found = fs::metadata(path).map_err(|error| failed(path, error))?;
    if found.is_file() { Ok(()) } else { Err(BackupError::NotAStore(path.to_owned())) }
}

/// Refuses what is damaged, and what no daemon of ours has made.
async fn check_copy(path: &Path) -> Result<(), BackupError> {
    // SQLite would look for a log beside it, and a copy has none.
    let options = options_at(path).read_only(true).immutable(true);
    let not_whole =
        |source: sqlx::Error| BackupError::NotWhole { path: path.to_owned(), source: source.into() };
    let copy = pool(1, LIST).connect_with(options).await.map_err(not_whole)?;
    let whole = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)").fetch_one(&copy).await;
    let tables = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('_sqlx_migrations', 'certificates', 'credentials')",
    );
    let tables = tables.fetch_one(&copy).await;
    copy.close().await;
    match whole.map_err(not_whole)?.as_str() {
        "ok" if tables.map_err(not_whole)? == 3 => Ok(()),
        "ok" => Err(BackupError::NotAStore(path.to_owned())),
        damage => Err(BackupError::NotWhole { path: path.to_owned(), source: damage.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{SqliteStorage, Storage};
    use std::os::unix::fs::MetadataExt;

    async fn store(directory: &Path) -> SqliteStorage {
        SqliteStorage::open(directory, None).await.unwrap()
    }

    async fn secret(storage: &SqliteStorage) -> Option<Vec<u8>> {
        storage.credential("account").await.unwrap().map(|secret| secret.to_vec())
    }

    #[tokio::test]
    async fn a_copy_made_while_the_store_is_in_use_brings_everything_back() {
        let outer = tempfile::tempdir().unwrap();
        let (first, copy, second) =
            (outer.path().join("a"), outer.path().join("copy"), outer.path().join("b"));
        let storage = store(&first).await;
        storage.save_credential("account", b"precious").await.unwrap();
        back_up(&first, &copy).await.unwrap();
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
        assert!(!outer.path().join("copy.part").exists());
        storage.save_credential("account", b"later").await.unwrap();

        restore(&copy, &second).await.unwrap();
        let restored = store(&second).await;
        assert_eq!(secret(&restored).await.as_deref(), Some(&b"precious"[..]));
        assert_eq!(secret(&storage).await.as_deref(), Some(&b"later"[..]));
        let mut files = fs::read_dir(&second).unwrap().map(|file| file.unwrap().file_name());
        assert!(files.all(|name| name.to_string_lossy().starts_with("mta-stsd.db")));
    }

    #[tokio::test]
    async fn neither_way_overwrites_anything() {
        let outer = tempfile::tempdir().unwrap();
        let (first, copy) = (outer.path().join("a"), outer.path().join("copy"));
        store(&first).await.close().await;
        fs::write(&copy, "another's").unwrap();
        assert!(matches!(back_up(&first, &copy).await, Err(BackupError::FileThere(_))));
        assert_eq!(fs::read(&copy).unwrap(), b"another's");
        fs::remove_file(&copy).unwrap();
        back_up(&first, &copy).await.unwrap();
        assert!(matches!(restore(&copy, &first).await, Err(BackupError::StoreThere(_))));
        let running = store(&first).await;
        assert!(matches!(restore(&copy, &first).await, Err(BackupError::Store(_))), "a daemon has it");
        drop(running);
    }

    #[tokio::test]
    async fn what_is_no_whole_copy_is_refused_before_anything_changes() {
        let outer = tempfile::tempdir().unwrap();
        let (first, copy, second) =
            (outer.path().join("a"), outer.path().join("copy"), outer.path().join("b"));
        let storage = store(&first).await;
        for n in 0..200 {
            storage.save_credential(&format!("name {n}"), &[7; 200]).await.unwrap();
        }
        back_up(&first, &copy).await.unwrap();
        let whole = fs::read(&copy).unwrap();
        for damaged in
            [&b"not a database, however long it may be".repeat(100)[..], &whole[..whole.len() / 2], b""]
        {
            fs::write(&copy, damaged).unwrap();
            let error = restore(&copy, &second).await.unwrap_err();
            assert!(error.to_string().contains("copy of a store"), "{} octets: {error}", damaged.len());
            assert!(!second.exists());
        }
        let none = restore(&outer.path().join("none"), &second).await.unwrap_err();
        assert!(none.to_string().contains("/none cannot be read"), "{none}");
        assert!(back_up(&outer.path().join("nowhere"), &outer.path().join("none")).await.is_err());
        assert!(!outer.path().join("none").exists() && !outer.path().join("none.part").exists());
    }
}
