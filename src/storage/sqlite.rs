//! The embedded store: one SQLite database in a folder that is ours alone.
//!
//! Every write is a transaction that is on the disk (WAL, `synchronous = FULL`) when it returns.
//! Reads and writes use different connections, so a full or read-only disk stops writes and nothing
//! else; a store that could only be opened for reading tries again at every write.

use super::unusable::Unusable;
use super::{
    FindingRow, Held, ScheduleStorage, Scheduled, ServedTenant, Storage, StorageError, audits,
    folder::Folder,
    history_rows::{self, remember_certificate},
    metrics::counted,
    pools::{Change, LIST, Pools, READ, WRITE, Writer, probe, read_error, within, write_error},
    rows::{Cause, CertificateRow, certificate, held, readable},
    seal::{MasterKey, PLAIN, Purpose, Seal, SealError},
    served,
};
use crate::{
    certificate::{Certificate, CertificateSource, SourceError},
    logging::chain,
    name::{DomainName, PolicyHost},
};
use jiff::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};
use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{RwLock, RwLockReadGuard},
    time::Instant,
};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

/// The least time between two tries to open for writing what could only be read.
const OPEN_AGAIN: Duration = Duration::from_secs(30);

/// The least time between two log lines about certificates that cannot be read.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why nothing is written after [`SqliteStorage::hand_over`].
const HANDED_OVER: &str = "another daemon takes over";

/// The store on disk.
pub struct SqliteStorage {
    pub(super) folder: Folder,
    seal: Seal,
    pub(super) pools: RwLock<Pools>,
    asking: Arc<tokio::sync::Mutex<()>>,
    told_at: Mutex<Option<Instant>>,
    pub(super) unusable: Unusable,
}

impl SqliteStorage {
    /// Opens the store in `directory`, making it (0700) where there is none.
    ///
    /// With a key every secret that stands there unsealed is sealed now; without one, secrets are
    /// kept as they are. A store that cannot be written but holds something is opened for reading.
    ///
    /// # Errors
    ///
    /// Each says what to do about it: [`StorageError::Refused`] when others can reach the folder or it
    /// is not ours, [`StorageError::NotWritable`] when nothing is there and nothing can be made,
    /// [`StorageError::Unreadable`] when it is damaged, of another version, or sealed with another
    /// key. Nothing is ever deleted or overwritten to make it open.
    pub async fn open(directory: &Path, key: Option<MasterKey>) -> Result<Self, StorageError> {
        let store = Self::open_as_it_is(directory, key).await?;
        match &store.pools.read().await.writer {
            Writer::Open(writer) => seal_what_is_plain(writer, &store.seal).await?,
            Writer::Refused { .. } | Writer::HandedOver { .. } => {}
        }
        Ok(store)
    }

    /// As [`Self::open`], while another daemon reads from the store and may have it back: secrets that are
    /// not sealed are not sealed now, because that daemon may not have the key.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and [`StorageError::Refused`] when there is a key and something is not sealed.
    pub async fn open_beside(directory: &Path, key: Option<MasterKey>) -> Result<Self, StorageError> {
        let store = Self::open_as_it_is(directory, key).await?;
        if store.seal.0.is_some() && has_plain(&store.pools.read().await.readers).await? {
            let text = "it has secrets that are not sealed yet, and sealed ones may be of no use to the daemon that \
                        runs: stop that one, then start this one without --take-over";
            return Err(StorageError::Refused(text.into()));
        }
        Ok(store)
    }

    async fn open_as_it_is(directory: &Path, key: Option<MasterKey>) -> Result<Self, StorageError> {
        let path = directory.to_owned();
        let prepared = tokio::task::spawn_blocking(move || Folder::prepare(&path)).await;
        let folder = prepared.map_err(failed)??;
        let seal = Seal(key);
        let pools = Pools::open(&folder).await?;
        check_seal(&pools.readers, &seal).await?;
        if let Writer::Refused { why, .. } = &pools.writer {
            warn!(error = %why, "store opened for reading only");
        }
        let pools = RwLock::new(pools);
        Ok(Self {
            folder,
            seal,
            pools,
            asking: Arc::default(),
            told_at: Mutex::default(),
            unusable: Unusable::default(),
        })
    }

    /// Ends the connections, which also empties the write-ahead log into the database. Everything is
    /// durable without it; afterwards every call fails.
    pub async fn close(&self) {
        self.pools.write().await.close().await;
        self.folder.release();
    }

    /// The connections for writing; opens the database again when it could only be read so far.
    pub(super) async fn writer(&self) -> Result<SqlitePool, StorageError> {
        let why = match &self.pools.read().await.writer {
            Writer::Open(writer) => return Ok(writer.clone()),
            Writer::HandedOver { .. } => return Err(not_writable(HANDED_OVER)),
            Writer::Refused { why, tried_at } if tried_at.is_some_and(|at| at.elapsed() < OPEN_AGAIN) => {
                return Err(not_writable(why.clone()));
            }
            Writer::Refused { why, .. } => why.clone(),
        };
        // Handshakes wait while it is opened, so first what can be asked beside them.
        self.ask_disk(&why, |folder| folder.check_rights().and_then(|()| folder.check_room())).await?;
        let mut pools = self.pools.write().await;
        if let Writer::Refused { .. } = &pools.writer {
            // First closed, because SQLite's two ways of opening a file must not meet.
            pools.close().await;
            *pools = Pools::open_again(&self.folder).await?;
        }
        match &pools.writer {
            Writer::Refused { why, .. } => Err(not_writable(why.clone())),
            Writer::HandedOver { .. } => Err(not_writable(HANDED_OVER)),
            Writer::Open(writer) => {
                info!("store opened for writing");
                seal_what_is_plain(writer, &self.seal).await?;
                Ok(writer.clone())
            }
        }
    }

    pub(super) async fn begin(&self) -> Result<Change, StorageError> {
        within(WRITE, Change::begin(&self.writer().await?)).await.map_err(write_error)
    }

    pub(super) async fn readers(&self) -> RwLockReadGuard<'_, Pools> {
        self.pools.read().await
    }

    /// Asks the folder beside the runtime; `why` explains when the disk does not answer.
    async fn ask_disk(
        &self,
        why: &str,
        question: impl FnOnce(&Folder) -> io::Result<()> + Send + 'static,
    ) -> Result<(), StorageError> {
        let asked = tokio::time::timeout(WRITE, async {
            // One at a time: a stuck disk keeps a thread, and must not get another with every question.
            let turn = Arc::clone(&self.asking).lock_owned().await;
            let folder = self.folder.clone();
            let answer = tokio::task::spawn_blocking(move || (question(&folder), turn).0);
            answer.await
        });
        match asked.await {
            Ok(Ok(answer)) => answer.map_err(not_writable),
            Ok(Err(panicked)) => Err(failed(panicked)),
            Err(_) => Err(not_writable(why.to_owned())),
        }
    }

    /// Our own trouble, but told as often as handshakes ask: so once in a while.
    fn tell_unread(&self, host: &PolicyHost, error: &StorageError) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            error!(%host, error = %chain(error), "certificate not read from the store");
            *told_at = Some(Instant::now());
        }
    }

    pub(super) async fn keep_certificate(
        &self,
        connection: &mut SqliteConnection,
        certificate: &Certificate,
    ) -> Result<(), sqlx::Error> {
        let host = certificate.host.as_str();
        let key = self.seal.close(Purpose::CertificateKey, host, certificate.key.pkcs8());
        sqlx::query(
            "INSERT OR REPLACE INTO certificates
             (host, not_before, not_after, authority, chain, private_key) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(host)
        .bind(certificate.validity.not_before.to_string())
        .bind(certificate.validity.not_after.to_string())
        .bind(&certificate.authority)
        .bind(certificate.chain_pem())
        .bind(key.as_slice())
        .execute(&mut *connection)
        .await?;
        remember_certificate(connection, certificate).await
    }
}

pub(super) async fn read_certificate(
    readers: &SqlitePool,
    seal: &Seal,
    host: &PolicyHost,
) -> Result<Option<Certificate>, StorageError> {
    let query = sqlx::query_as(SELECT_CERTIFICATE).bind(host.as_str());
    let row: Option<CertificateRow> =
        within(READ, query.fetch_optional(readers)).await.map_err(read_error)?;
    row.map(|row| certificate(host, row, seal))
        .transpose()
        .map_err(|source| counted(StorageError::Unreadable { what: certificate_of(host), source }))
}

pub(super) async fn read_credential(
    readers: &SqlitePool,
    seal: &Seal,
    name: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
    let query = sqlx::query_scalar("SELECT secret FROM credentials WHERE name = ?").bind(name);
    let stored: Option<Vec<u8>> = within(READ, query.fetch_optional(readers)).await.map_err(read_error)?;
    let Some(stored) = stored.map(Zeroizing::new) else { return Ok(None) };
    let opened = seal.open(Purpose::Credential, name, &stored);
    opened.map(Some).map_err(|error| sealed(format!("the credential {name:?}"), error))
}

fn certificate_of(host: &PolicyHost) -> String {
    format!("the certificate of {host}")
}

/// One indexed read; handshakes wait for it.
pub(super) const SELECT_CERTIFICATE: &str =
    "SELECT not_before, not_after, authority, chain, private_key FROM certificates WHERE host = ?";

/// Answered from an index alone, without touching chains and keys.
pub(super) const SELECT_HELD: &str = "SELECT host, not_before, not_after, authority FROM certificates";

/// Exactly the expression of an index, so that no row is read at start.
pub(super) const SELECT_SEALS: &str = "SELECT DISTINCT substr(private_key, 1, 5) FROM certificates
     UNION SELECT substr(secret, 1, 5) FROM credentials";

/// Exactly the expression of an index, so that only what is plain is read at start.
pub(super) const SELECT_PLAIN_KEYS: &str = "SELECT host, private_key FROM certificates
     WHERE substr(private_key, 1, 5) >= x'00' AND substr(private_key, 1, 5) < x'01'";

#[async_trait::async_trait]
impl CertificateSource for SqliteStorage {
    async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError> {
        let pools = self.readers().await;
        read_certificate(&pools.readers, &self.seal, host).await.map_err(|error| {
            self.tell_unread(host, &error);
            // Not so when the database as a whole cannot be read: another certificate would not help.
            if matches!(&error, StorageError::Unreadable { what, .. } if *what == certificate_of(host)) {
                self.unusable.note(host);
            }
            SourceError(error.into())
        })
    }

    fn note_unusable(&self, host: &PolicyHost) {
        self.unusable.note(host);
    }
}

#[async_trait::async_trait]
impl Storage for SqliteStorage {
    async fn credential(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        read_credential(&self.readers().await.readers, &self.seal, name).await
    }

    async fn save_credential(&self, name: &str, secret: &[u8]) -> Result<(), StorageError> {
        let stored = self.seal.close(Purpose::Credential, name, secret);
        let query = sqlx::query("INSERT OR REPLACE INTO credentials (name, secret) VALUES (?, ?)")
            .bind(name)
            .bind(stored.as_slice());
        within(WRITE, query.execute(&self.writer().await?)).await.map_err(write_error)?;
        Ok(())
    }

    async fn save_certificate(&self, certificate: &Certificate) -> Result<(), StorageError> {
        self.save_issued(certificate, &Scheduled::holding(certificate)).await
    }

    async fn held(&self) -> Result<Vec<Held>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as(SELECT_HELD).fetch_all(&pools.readers);
        let rows = within(LIST, query).await.map_err(read_error)?;
        Ok(readable("certificate", rows, held))
    }

    async fn remove_certificates(&self, hosts: &[PolicyHost]) -> Result<(), StorageError> {
        let mut change = self.begin().await?;
        let work = async {
            for host in hosts {
                let query = sqlx::query("DELETE FROM certificates WHERE host = ?").bind(host.as_str());
                query.execute(change.on()).await?;
                let query = sqlx::query("DELETE FROM certificate_history WHERE host = ?").bind(host.as_str());
                query.execute(change.on()).await?;
                let query = sqlx::query("DELETE FROM schedule WHERE host = ?").bind(host.as_str());
                query.execute(change.on()).await?;
            }
            change.commit().await
        };
        within(WRITE, work).await.map_err(write_error)
    }

    async fn findings(&self) -> Result<Vec<FindingRow>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as("SELECT domain, code, subject, severity, since, raised FROM findings");
        let rows: Vec<(String, String, String, String, String, bool)> =
            within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(readable("finding", rows, |(domain, code, subject, severity, since, raised)| {
            let domain = DomainName::from_ascii(&domain)?;
            Ok(FindingRow { domain, code, subject, severity, since: since.parse()?, raised })
        }))
    }

    async fn replace_findings(
        &self,
        domain: &DomainName,
        findings: &[FindingRow],
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let mut change = self.begin().await?;
        let work = async {
            history_rows::follow(&mut change, domain, findings, now).await?;
            let old = sqlx::query("DELETE FROM findings WHERE domain = ?").bind(domain.as_str());
            old.execute(change.on()).await?;
            for finding in findings {
                sqlx::query(
                    "INSERT INTO findings (domain, code, subject, severity, since, raised)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(domain.as_str())
                .bind(&finding.code)
                .bind(&finding.subject)
                .bind(&finding.severity)
                .bind(finding.since.to_string())
                .bind(finding.raised)
                .execute(change.on())
                .await?;
            }
            change.commit().await
        };
        within(WRITE, work).await.map_err(write_error)
    }

    async fn audits(&self) -> Result<Vec<(DomainName, Timestamp)>, StorageError> {
        audits::read(self).await
    }

    async fn save_audit(&self, domain: &DomainName, at: Timestamp) -> Result<(), StorageError> {
        audits::save(self, domain, at).await
    }

    async fn forget_audits(&self, domains: &[DomainName]) -> Result<(), StorageError> {
        audits::forget(self, domains).await
    }

    async fn served_tenants(&self) -> Result<Vec<ServedTenant>, StorageError> {
        served::read(&self.readers().await.readers).await
    }

    async fn save_served_tenants(
        &self,
        tenants: &[ServedTenant],
        removed: &[String],
    ) -> Result<(), StorageError> {
        served::write(self.begin().await?, tenants, removed).await
    }

    async fn replace_served_tenants(&self, tenants: &[ServedTenant]) -> Result<(), StorageError> {
        served::replace(self.begin().await?, tenants).await
    }

    async fn check_writable(&self) -> Result<(), StorageError> {
        self.ask_disk("the disk does not answer", Folder::check_room).await?;
        within(WRITE, probe(&self.writer().await?)).await.map_err(write_error)
    }
}

/// Refuses a key that does not fit what is there: serving with it would fail host by host.
pub(super) async fn check_seal(readers: &SqlitePool, seal: &Seal) -> Result<(), StorageError> {
    let prefixes: Vec<Vec<u8>> =
        sqlx::query_scalar(SELECT_SEALS).fetch_all(readers).await.map_err(read_error)?;
    let refused = prefixes.iter().find_map(|prefix| seal.accepts(prefix).err());
    refused.map_or(Ok(()), |error| Err(sealed("a secret".to_owned(), error)))
}

/// Whether something was kept before there was a key.
async fn has_plain(readers: &SqlitePool) -> Result<bool, StorageError> {
    let prefixes: Vec<Vec<u8>> =
        sqlx::query_scalar(SELECT_SEALS).fetch_all(readers).await.map_err(read_error)?;
    Ok(prefixes.iter().any(|prefix| prefix.first() == Some(&PLAIN)))
}

/// Seals what was kept before there was a key: all of it or none.
async fn seal_what_is_plain(writer: &SqlitePool, seal: &Seal) -> Result<(), StorageError> {
    if seal.0.is_none() {
        return Ok(());
    }
    let work = async {
        let mut change = Change::begin(writer).await?;
        let mut entries = 0;
        for (purpose, select, update) in [
            (
                Purpose::CertificateKey,
                SELECT_PLAIN_KEYS,
                "UPDATE certificates SET private_key = ? WHERE host = ?",
            ),
            (
                Purpose::Credential,
                "SELECT name, secret FROM credentials WHERE substr(secret, 1, 1) = x'00'",
                "UPDATE credentials SET secret = ? WHERE name = ?",
            ),
        ] {
            let plain: Vec<(String, Vec<u8>)> = sqlx::query_as(select).fetch_all(change.on()).await?;
            for (name, stored) in plain {
                let stored = Zeroizing::new(stored);
                let Some((_, secret)) = stored.split_first() else { continue };
                let now_sealed = seal.close(purpose, &name, secret);
                let query = sqlx::query(update).bind(now_sealed.as_slice()).bind(&name);
                query.execute(change.on()).await?;
                entries += 1;
            }
        }
        change.commit().await?;
        if entries > 0 {
            // The log still has the old pages; emptied, no file shows a key any more.
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(writer).await?;
            info!(entries, "secrets sealed");
        }
        Ok(())
    };
    work.await.map_err(write_error)
}

fn failed(error: impl Into<Cause>) -> StorageError {
    counted(StorageError::Failed(error.into()))
}

fn not_writable(error: impl Into<Cause>) -> StorageError {
    counted(StorageError::NotWritable(error.into()))
}

fn sealed(what: String, error: SealError) -> StorageError {
    counted(StorageError::Unreadable { what, source: error.into() })
}

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStorage")
            .field("folder", &self.folder)
            .field("seal", &self.seal)
            .finish_non_exhaustive()
    }
}
