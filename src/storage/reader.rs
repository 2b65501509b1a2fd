//! Reading a store beside the daemon that works with it.
//!
//! The daemon has its folder for itself, so that no second one orders what the first one holds. A
//! command that only looks opens the database read-only instead, and takes nothing from anybody.

use super::{
    Scheduled, ServedTenant, StorageError,
    folder::DATABASE,
    pools::{LIST, options_at, pool, read_error},
    schedule_rows::read_scheduled,
    seal::{MasterKey, Seal},
    served,
    sqlite::{check_seal, read_certificate, read_credential},
};
use crate::{certificate::Certificate, name::PolicyHost};
use sqlx::SqlitePool;
use std::path::Path;
use zeroize::Zeroizing;

/// A store that is read and nothing else, whether or not a daemon works with it.
pub struct StoreReader {
    readers: SqlitePool,
    seal: Seal,
}

impl StoreReader {
    /// Whether there is a database in `directory`, as far as we may see.
    pub fn is_in(directory: &Path) -> bool {
        // What cannot be looked at may be there; opening it tells why not.
        directory.join(DATABASE).try_exists().unwrap_or(true)
    }

    /// Opens the database in `directory`; `key` is the daemon's master key, if it has one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Failed`] when there is no database or it cannot be opened,
    /// [`StorageError::Unreadable`] when it is sealed with another key.
    pub async fn open(directory: &Path, key: Option<MasterKey>) -> Result<Self, StorageError> {
        let readers = connect(directory).await?;
        let seal = Seal(key);
        check_seal(&readers, &seal).await?;
        Ok(Self { readers, seal })
    }

    /// Whether there is a database in `directory`, as far as this user may see.
    pub fn is_there(directory: &Path) -> bool {
        directory.join(DATABASE).exists()
    }

    /// The certificate held for `host`, if any.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it cannot be read.
    pub async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, StorageError> {
        read_certificate(&self.readers, &self.seal, host).await
    }

    /// What is kept under `name`, as [`Storage::credential`](super::Storage::credential) says.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it cannot be read.
    pub async fn credential(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        read_credential(&self.readers, &self.seal, name).await
    }

    /// The row of `host` in the schedule, if any.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it cannot be read; also for a store that no daemon of this version opened.
    pub async fn scheduled(&self, host: &PolicyHost) -> Result<Option<Scheduled>, StorageError> {
        read_scheduled(&self.readers, host).await
    }
}

/// Every tenant as the daemon whose store is in `directory` served it last; these are not sealed, so
/// no key is needed.
///
/// # Errors
///
/// [`StorageError`] when there is no database, or it cannot be read.
pub async fn read_served_tenants(directory: &Path) -> Result<Vec<ServedTenant>, StorageError> {
    let readers = connect(directory).await?;
    let tenants = served::read(&readers).await;
    readers.close().await;
    tenants
}

async fn connect(directory: &Path) -> Result<SqlitePool, StorageError> {
    let options = options_at(&directory.join(DATABASE)).read_only(true);
    pool(1, LIST).connect_with(options).await.map_err(read_error)
}
