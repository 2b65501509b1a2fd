//! Leaving the store to another daemon while this one goes on serving from it, and taking it back.
//!
//! The lock on the folder says who may write, and the system takes it from a process that is gone, so
//! there are never two writers, whatever becomes of either daemon. Reading goes on all the time:
//! SQLite's log keeps readers of one process and the writer of another out of each other's way.

use super::{
    SqliteStorage, StorageError,
    pools::{Pools, WRITE, Writer},
};
use std::time::Duration;
use tokio::time::timeout;
use tracing::debug;

/// The wait for writes that have begun; those that wait for them are refused.
const WRITES_END: Duration = Duration::from_secs(2 * WRITE.as_secs());

impl SqliteStorage {
    /// Ends writing as soon as what has begun is durable, and lets another daemon have the folder. Every
    /// write after this is refused; reading goes on.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotWritable`] when a write does not come to an end; then nothing is handed over,
    /// and [`Self::take_back`] makes writing possible again.
    pub async fn hand_over(&self) -> Result<(), StorageError> {
        let mut pools = self.pools.write().await;
        let could_write = matches!(pools.writer, Writer::Open(_) | Writer::HandedOver { could_write: true });
        let writer = std::mem::replace(&mut pools.writer, Writer::HandedOver { could_write });
        drop(pools);
        if let Writer::Open(writer) = writer {
            let ended = async {
                // With an empty log the next daemon need not look whether we came to a bad end.
                if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&writer).await {
                    debug!(%error, "log not emptied");
                }
                writer.close().await;
            };
            if timeout(WRITES_END, ended).await.is_err() {
                return Err(StorageError::NotWritable("a write does not come to an end".into()));
            }
        }
        self.folder.release();
        Ok(())
    }

    /// Makes this the daemon that writes again, when the other one is gone.
    ///
    /// # Errors
    ///
    /// [`StorageError`] while another daemon has the folder, or when it left a database that we cannot
    /// write; reading goes on, and it may be tried again.
    pub async fn take_back(&self) -> Result<(), StorageError> {
        self.folder.lock_again()?;
        let mut pools = self.pools.write().await;
        match pools.writer {
            Writer::HandedOver { could_write: true } => {}
            // Opened again by the next write: SQLite's two ways of opening a file must not meet.
            Writer::HandedOver { could_write: false } => {
                let why = "it could not be written before".to_owned();
                pools.writer = Writer::Refused { why, tried_at: None };
                return Ok(());
            }
            Writer::Open(_) | Writer::Refused { .. } => return Ok(()),
        }
        let opened = Pools::open_beside(&self.folder).await?;
        std::mem::replace(&mut *pools, opened).close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MasterKey, SqliteStorage, Storage, durability::open};

    #[tokio::test]
    async fn who_hands_over_reads_on_and_writes_again_when_the_other_is_gone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("store");
        let old = open(&path).await;
        old.save_credential("a", b"first").await.unwrap();
        old.hand_over().await.unwrap();
        assert!(old.save_credential("a", b"refused").await.is_err());
        assert!(old.check_writable().await.is_err(), "no order is placed");

        let new = open(&path).await;
        new.save_credential("a", b"second").await.unwrap();
        assert_eq!(old.credential("a").await.unwrap().unwrap().as_slice(), b"second");
        assert!(old.take_back().await.is_err(), "never two writers");
        assert!(old.save_credential("a", b"refused").await.is_err());

        new.close().await;
        old.take_back().await.unwrap();
        assert!(super::super::SqliteStorage::open(&path, None).await.is_err(), "the folder is ours again");
        old.save_credential("a", b"third").await.unwrap();
        assert_eq!(old.credential("a").await.unwrap().unwrap().as_slice(), b"third");
        old.hand_over().await.unwrap();
        old.take_back().await.unwrap();
        old.save_credential("a", b"fourth").await.unwrap();
        old.close().await;
    }

    #[tokio::test]
    async fn who_takes_over_with_a_new_key_leaves_readable_what_the_other_reads() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("store");
        let key = || Some(MasterKey::new(&[7; 32]));
        let old = open(&path).await;
        old.save_credential("a", b"plain").await.unwrap();
        old.hand_over().await.unwrap();
        let refused = SqliteStorage::open_beside(&path, key()).await.unwrap_err();
        assert!(refused.needs_a_person(), "{refused}");
        assert_eq!(old.credential("a").await.unwrap().unwrap().as_slice(), b"plain");
        old.take_back().await.unwrap();
        old.close().await;

        let sealed = SqliteStorage::open(&path, key()).await.unwrap();
        sealed.hand_over().await.unwrap();
        let new = SqliteStorage::open_beside(&path, key()).await.unwrap();
        assert_eq!(new.credential("a").await.unwrap().unwrap().as_slice(), b"plain");
        new.close().await;
    }
}
