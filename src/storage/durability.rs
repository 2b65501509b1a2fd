//! What the store on disk promises beyond the contract: it survives restarts and a full disk, refuses
//! folders open to others, seals, and says what to do when it cannot open.

use super::{
    MasterKey, ScheduleStorage, Scheduled, SqliteStorage, Storage, StorageError,
    contract::{certificate, failures, host, sorted_held, time},
    pools::Change,
};
use crate::{certificate::CertificateSource, logging::chain};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) fn store_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("store")
}

pub(super) async fn open(directory: &Path) -> SqliteStorage {
    SqliteStorage::open(directory, None).await.unwrap()
}

async fn open_sealed(directory: &Path, key: u8) -> Result<SqliteStorage, StorageError> {
    SqliteStorage::open(directory, Some(MasterKey::new(&[key; 32]))).await
}

/// A connection of our own to the database, as an operator's would be.
async fn connect(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join("mta-stsd.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

fn words(error: StorageError) -> String {
    chain(&error).to_string()
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&store_in(&folder)).await;
    first.save_certificate(&certificate(1, 1)).await.unwrap();
    first.save_credential("account", b"secret").await.unwrap();
    let row = Scheduled {
        failures: Some(failures(2, 3)),
        ..Scheduled::newcomer(host(2), "a", time("2027-01-01T00:00:00Z"))
    };
    first.save_schedule(std::slice::from_ref(&row), &[]).await.unwrap();
    first.close().await;
    let again = open(&store_in(&folder)).await;
    assert_eq!(again.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    assert_eq!(again.credential("account").await.unwrap().unwrap().as_slice(), b"secret");
    assert_eq!(again.scheduled(&host(2)).await.unwrap(), Some(row));
}

#[tokio::test]
async fn every_file_of_the_store_is_for_us_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    let files: Vec<_> = fs::read_dir(store_in(&folder)).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "the database, its log and its index: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn a_folder_open_to_others_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&store_in(&folder)).await.close().await;
    fs::set_permissions(store_in(&folder), fs::Permissions::from_mode(0o750)).unwrap();
    let error = words(SqliteStorage::open(&store_in(&folder), None).await.unwrap_err());
    assert!(error.contains("chmod 700"), "{error}");
}

#[tokio::test]
async fn a_handshake_costs_one_indexed_read_and_the_list_reads_an_index_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(&store_in(&folder)).await.close().await;
    let mut connection = connect(&store_in(&folder)).await;
    let mut plan = async |statement: &'static str| {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).bind("x").fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    };
    let read = plan(super::sqlite::SELECT_CERTIFICATE).await;
    assert!(read.starts_with("SEARCH certificates USING INDEX") && !read.contains(';'), "{read}");
    let list = plan(super::sqlite::SELECT_HELD).await;
    assert_eq!(list, "SCAN certificates USING COVERING INDEX certificates_held");
    let plain = plan(super::sqlite::SELECT_PLAIN_KEYS).await;
    assert!(plain.starts_with("SEARCH certificates USING INDEX certificates_seal"), "{plain}");
    let seals = plan(super::sqlite::SELECT_SEALS).await;
    assert!(seals.contains("certificates USING COVERING INDEX certificates_seal"), "{seals}");
}

#[tokio::test]
async fn a_hundred_thousand_certificates_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    let mut connection = connect(&store_in(&folder)).await;
    sqlx::query(
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO certificates SELECT 'mta-sts.d' || i || '.example', '2026-11-21T00:00:00Z',
         '2027-02-19T00:00:00Z', 'internal', 'chain', x'00' FROM n",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let asked = tokio::time::Instant::now();
    let held = store.held().await.unwrap();
    println!("listed in {:?}", asked.elapsed());
    assert_eq!(held.len(), 100_000);
}

// Disk full, as far as SQLite can tell: the database may not grow by a page.
#[tokio::test]
async fn a_full_disk_stops_writes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    let writer = store.writer().await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").execute(&writer).await.unwrap();
    let mut refused = None;
    for n in 2..50 {
        refused = refused.or(store.save_certificate(&certificate(n, 1)).await.err());
    }
    let refused = refused.expect("some page was one too many");
    assert!(matches!(refused, StorageError::NotWritable(_)), "{refused:?}");
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    sqlx::query("PRAGMA max_page_count = 1000000").execute(&writer).await.unwrap();
    store.save_certificate(&certificate(49, 1)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_is_given_up_half_way_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_credential("account", b"secret").await.unwrap();
    let mut change = Change::begin(&store.writer().await.unwrap()).await.unwrap();
    sqlx::query("DELETE FROM credentials").execute(change.on()).await.unwrap();
    drop(change);
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    assert!(store.credential("account").await.unwrap().is_some());
    assert!(store.certificate(&host(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn writes_from_many_at_once_all_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&store_in(&folder)).await);
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        writes.spawn(async move { store.save_certificate(&certificate(n, 1)).await.unwrap() });
    }
    writes.join_all().await;
    assert_eq!(store.held().await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_damaged_database_is_refused_with_what_to_do_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    for n in 0..50 {
        store.save_certificate(&certificate(n, 1)).await.unwrap();
    }
    store.close().await;
    let file = store_in(&folder).join("mta-stsd.db");
    let whole = fs::read(&file).unwrap();
    let torn_in_the_middle = {
        let mut octets = whole.clone();
        octets[8192..16384].fill(0xa5);
        octets
    };
    for broken in [whole[..whole.len() / 2].to_vec(), torn_in_the_middle, b"not a database ".repeat(999)] {
        fs::write(&file, &broken).unwrap();
        let error = SqliteStorage::open(&store_in(&folder), None).await.unwrap_err();
        assert!(matches!(error, StorageError::Unreadable { .. }), "{error:?}");
        let words = words(error);
        assert!(words.contains("damaged") && words.contains("restore a backup"), "{words}");
        assert_eq!(fs::read(&file).unwrap(), broken, "not touched");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(open(&store_in(&folder)).await.held().await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&store_in(&folder)).await.close().await;
    let mut connection = connect(&store_in(&folder)).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 1)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let error = words(SqliteStorage::open(&store_in(&folder), None).await.unwrap_err());
    assert!(error.contains("another version of mta-stsd"), "{error}");
}

#[tokio::test]
async fn one_row_that_is_not_understood_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.save_certificate(&certificate(2, 1)).await.unwrap();
    let mut connection = connect(&store_in(&folder)).await;
    let damage = sqlx::query("UPDATE certificates SET not_after = 'soon' WHERE host = ?");
    damage.bind(host(1).as_str()).execute(&mut connection).await.unwrap();
    assert_eq!(sorted_held(&store).await.len(), 1);
    assert!(store.certificate(&host(1)).await.is_err());
    assert!(store.certificate(&host(2)).await.unwrap().is_some());
    assert_eq!(store.take_unusable(), [host(1)], "the scheduler is told");
    assert_eq!(store.take_unusable(), [], "once");
    assert!(store.certificate(&host(1)).await.is_err());
    store.save_certificate(&certificate(1, 2)).await.unwrap();
    assert_eq!(store.take_unusable(), [], "another is kept");
}

/// Whether any file of the store has these octets.
fn shows(directory: &Path, octets: &[u8]) -> bool {
    fs::read_dir(directory)
        .unwrap()
        .any(|file| fs::read(file.unwrap().path()).unwrap().windows(octets.len()).any(|w| w == octets))
}

#[tokio::test]
async fn a_key_given_later_seals_all_that_was_plain() {
    let folder = tempfile::tempdir().unwrap();
    let plain = open(&store_in(&folder)).await;
    plain.save_certificate(&certificate(1, 0xc3)).await.unwrap();
    plain.save_credential("account", b"the account key").await.unwrap();
    let key = certificate(1, 0xc3).key;
    assert!(shows(&store_in(&folder), key.pkcs8()) && shows(&store_in(&folder), b"the account key"));
    plain.close().await;

    let sealed = open_sealed(&store_in(&folder), 7).await.unwrap();
    assert!(!shows(&store_in(&folder), key.pkcs8()), "a private key still stands in some file");
    assert!(!shows(&store_in(&folder), b"the account key"));
    assert_eq!(sealed.certificate(&host(1)).await.unwrap(), Some(certificate(1, 0xc3)));
    assert_eq!(sealed.credential("account").await.unwrap().unwrap().as_slice(), b"the account key");
    sealed.close().await;
    let again = open_sealed(&store_in(&folder), 7).await.unwrap();
    assert_eq!(again.certificate(&host(1)).await.unwrap(), Some(certificate(1, 0xc3)));
}

#[tokio::test]
async fn a_key_that_was_removed_stands_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 0xc3)).await.unwrap();
    store.remove_certificates(&[host(1)]).await.unwrap();
    store.close().await;
    assert!(!shows(&store_in(&folder), certificate(1, 0xc3).key.pkcs8()));
}

#[tokio::test]
async fn a_sealed_store_does_not_open_without_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sealed(&store_in(&folder), 7).await.unwrap();
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.close().await;
    let without = SqliteStorage::open(&store_in(&folder), None).await.unwrap_err();
    assert!(matches!(without, StorageError::Unreadable { .. }));
    assert!(words(without).contains("no key is given: set store.key_file"));
    assert!(words(open_sealed(&store_in(&folder), 8).await.unwrap_err()).contains("the key given is"));
    assert!(open_sealed(&store_in(&folder), 7).await.is_ok());
}

#[tokio::test]
async fn keys_swapped_between_two_hosts_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sealed(&store_in(&folder), 7).await.unwrap();
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.save_certificate(&certificate(2, 1)).await.unwrap();
    let mut connection = connect(&store_in(&folder)).await;
    let swap = sqlx::query(
        "UPDATE certificates SET private_key = (SELECT o.private_key FROM certificates o WHERE o.host = ?)
         WHERE host = ?",
    );
    let (one, two) = (host(1), host(2));
    swap.bind(two.as_str()).bind(one.as_str()).execute(&mut connection).await.unwrap();
    let error = store.certificate(&one).await.unwrap_err();
    assert!(chain(&error).to_string().contains("moved from another entry"), "{}", chain(&error));
    assert!(store.certificate(&two).await.unwrap().is_some());
}
