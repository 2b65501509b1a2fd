//! Connections to the database: one that writes, a few that read.
//!
//! Each connection has a thread of its own in the library, so a stuck disk blocks threads there and
//! never the runtime; callers wait no longer than [`READ`], [`LIST`] or [`WRITE`].

use super::{StorageError, folder::Folder, metrics::counted};
use crate::logging::chain;
use sqlx::{
    ConnectOptions, Sqlite, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    pool::{PoolConnection, PoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{error::Error, io, path::Path, time::Duration};
use tokio::time::Instant;

/// The longest one row may take: handshakes wait for it.
pub(super) const READ: Duration = Duration::from_secs(5);
/// The longest a list may take: a million rows from a cold disk.
pub(super) const LIST: Duration = Duration::from_secs(60);
/// The longest a write may take, waiting for other writes included.
pub(super) const WRITE: Duration = Duration::from_secs(30);

/// Reads at once; each is microseconds long, so a few suffice for any number of handshakes.
const READERS: u32 = 4;

/// Up to this size the whole database is checked at start (about 0.1 s); above it only after an
/// unclean stop, because a start should not take minutes.
const ALWAYS_CHECKED_BYTES: u64 = 64 * 1024 * 1024;

static MIGRATIONS: Migrator = sqlx::migrate!("src/storage/migrations");

/// The connections to one database.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) readers: SqlitePool,
    pub(super) writer: Writer,
}

/// The connection that writes, or why there is none.
#[derive(Debug)]
pub(super) enum Writer {
    Open(SqlitePool),
    Refused {
        why: String,
        /// When it was last tried again, after the start.
        tried_at: Option<Instant>,
    },
    /// Another daemon writes now.
    HandedOver {
        /// Whether we could write before.
        could_write: bool,
    },
}

impl Pools {
    /// Opens for writing, or for reading alone when nothing can be written but there is something to
    /// read: serving what we hold does not depend on the disk being well.
    pub(super) async fn open(folder: &Folder) -> Result<Self, StorageError> {
        let check = folder.has_write_ahead_log() || folder.database_bytes() <= ALWAYS_CHECKED_BYTES;
        match Self::open_writable(folder, check).await {
            Err(StorageError::NotWritable(why)) if folder.database_bytes() > 0 => {
                Self::open_read_only(folder, why, None, true).await
            }
            opened => opened,
        }
    }

    /// Opens for writing what could only be read so far, or for reading again. Everything was
    /// checked at start, and handshakes wait meanwhile.
    pub(super) async fn open_again(folder: &Folder) -> Result<Self, StorageError> {
        match Self::open_writable(folder, false).await {
            Err(StorageError::NotWritable(why)) => {
                Self::open_read_only(folder, why, Some(Instant::now()), false).await
            }
            opened => opened,
        }
    }

    async fn open_writable(folder: &Folder, check: bool) -> Result<Self, StorageError> {
        let options = options(folder)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What is deleted or replaced may have been a key.
            .pragma("secure_delete", "ON")
            .pragma("journal_size_limit", "16777216")
            // In KiB; what a change touches is small, and a larger one goes to the log a little sooner.
            .pragma("cache_size", "-512");
        let writer = pool(1, WRITE).connect_with(options).await.map_err(write_error)?;
        if let Err(error) = make_ready(&writer, check).await {
            // Gone before anybody opens the file in another way.
            writer.close().await;
            return Err(error);
        }
        let readers = pool(READERS, LIST).connect_lazy_with(options_for_reading(folder));
        Ok(Self { readers, writer: Writer::Open(writer) })
    }

    async fn open_read_only(
        folder: &Folder,
        why: Box<dyn Error + Send + Sync>,
        tried_at: Option<Instant>,
        check: bool,
    ) -> Result<Self, StorageError> {
        // Without a log the file is the whole truth, and with this word SQLite needs no other files.
        let options = options_for_reading(folder).immutable(!folder.has_write_ahead_log());
        let readers = pool(READERS, LIST).connect_with(options).await.map_err(read_error)?;
        if check {
            check_whole(&readers).await?;
        }
        let applied: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&readers)
            .await
            .map_err(read_error)?;
        if applied != MIGRATIONS.iter().map(|migration| migration.version).max() {
            return Err(StorageError::NotWritable(why));
        }
        Ok(Self { readers, writer: Writer::Refused { why: chain(&*why).to_string(), tried_at } })
    }

    /// Opens for writing while others still read what was opened for writing before.
    pub(super) async fn open_beside(folder: &Folder) -> Result<Self, StorageError> {
        Self::open_writable(folder, folder.has_write_ahead_log()).await
    }

    /// Ends the connections; the writer last, so that it can empty the log into the database.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        if let Writer::Open(writer) = &self.writer {
            writer.close().await;
        }
    }
}

/// Changes that are made together or not at all; dropped without [`Change::commit`], they are not made.
///
/// Not the library's own transaction: SQLite ends one by itself when the disk is full, the library
/// does not notice, and no transaction could be begun on that connection again.
pub(super) struct Change(PoolConnection<Sqlite>);

impl Change {
    pub(super) async fn begin(writer: &SqlitePool) -> Result<Self, sqlx::Error> {
        let mut connection = writer.acquire().await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        Ok(Self(connection))
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self.0).await.map(drop)
    }

    /// What to run statements on.
    pub(super) fn on(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// A small durable write.
pub(super) async fn probe(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE probe SET count = count + 1").execute(writer).await.map(drop)
}

/// `work`, or an error when it takes longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let text = format!("the disk did not answer for {} s", limit.as_secs());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        }
    }
}

/// Sorts what happened to a read.
pub(super) fn read_error(error: sqlx::Error) -> StorageError {
    counted(match code(&error) {
        Some(Code::Damaged) => damaged(cause(error)),
        _ => StorageError::Failed(cause(error)),
    })
}

/// Sorts what happened to a write.
pub(super) fn write_error(error: sqlx::Error) -> StorageError {
    // A pool is closed when the store is handed over to another daemon, or at the end.
    let stuck = matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed);
    counted(match code(&error) {
        Some(Code::Damaged) => damaged(cause(error)),
        Some(Code::NotWritable) => StorageError::NotWritable(cause(error)),
        _ if stuck => StorageError::NotWritable(cause(error)),
        _ => StorageError::Failed(cause(error)),
    })
}

/// What SQLite said, without the library's sentence that says it a second time.
fn cause(error: sqlx::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        sqlx::Error::Database(error) => error.into_error(),
        error => error.into(),
    }
}

fn migrate_error(error: MigrateError) -> StorageError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => write_error(error),
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
            let text = "it was written by another version of mta-stsd: \
                        run that version, or restore the backup made before the upgrade";
            StorageError::Unreadable { what: "the database".to_owned(), source: text.into() }
        }
        error => StorageError::Failed(error.into()),
    }
}

enum Code {
    Damaged,
    NotWritable,
}

/// SQLite's primary result codes, as far as they change what the caller does.
fn code(error: &sqlx::Error) -> Option<Code> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    match extended & 0xff {
        11 | 26 => Some(Code::Damaged),                  // CORRUPT, NOTADB
        3 | 8 | 10 | 13 | 14 => Some(Code::NotWritable), // PERM, READONLY, IOERR, FULL, CANTOPEN
        _ => None,
    }
}

fn damaged(cause: Box<dyn Error + Send + Sync>) -> StorageError {
    let text = format!(
        "it is damaged ({}): stop the daemon, keep a copy of the folder, then restore a backup, \
         or move the folder away to begin anew (every certificate is then ordered again)",
        chain(&*cause)
    );
    StorageError::Unreadable { what: "the database".to_owned(), source: text.into() }
}

async fn make_ready(writer: &SqlitePool, check: bool) -> Result<(), StorageError> {
    if check {
        check_whole(writer).await?;
    }
    MIGRATIONS.run(writer).await.map_err(migrate_error)?;
    probe(writer).await.map_err(write_error)
}

async fn check_whole(pool: &SqlitePool) -> Result<(), StorageError> {
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await.map_err(read_error)?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict.into())) }
}

fn options(folder: &Folder) -> SqliteConnectOptions {
    options_at(&folder.database())
}

pub(super) fn options_at(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(READ)
        .foreign_keys(true)
        .row_buffer_size(512)
        .disable_statement_logging()
}

fn options_for_reading(folder: &Folder) -> SqliteConnectOptions {
    // In KiB. They read single rows, and pages that the system has in memory anyway.
    options(folder).read_only(true).pragma("cache_size", "-256")
}

pub(super) fn pool(connections: u32, wait: Duration) -> SqlitePoolOptions {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(wait)
        // The library would warn of every handshake that waits for a slow disk; ours are counted.
        .acquire_slow_threshold(Duration::MAX)
        // A local file does not go away between two uses.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // However its last user ended, a connection begins outside of a transaction.
        .after_release(|connection, _| {
            Box::pin(async move {
                let none_was_open = sqlx::query("ROLLBACK").execute(connection).await;
                drop(none_was_open);
                Ok(true)
            })
        })
}
