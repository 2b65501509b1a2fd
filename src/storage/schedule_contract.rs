//! What every store promises of the schedule, and how one made before there was a schedule opens.

use super::{
    Budget, HistoryStorage, MemoryStorage, Next, Renewal, ScheduleStorage, Scheduled, SqliteStorage, Storage,
    contract::{certificate, failures, host, time},
    schedule_rows::{SELECT_DUE, SELECT_FIRST, SELECT_RENEWALS},
};
use crate::certificate::{CertificateSource, Validity};
use jiff::Timestamp;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn newcomer(n: usize, tenant: &str, second: i64) -> Scheduled {
    Scheduled::newcomer(host(n), tenant, at(second))
}

fn renewal(n: usize, due: i64, not_after: i64) -> Scheduled {
    let held = Some(Validity { not_before: at(-1000), not_after: at(not_after) });
    Scheduled { next: Next::Renew, held, ..newcomer(n, "a", due) }
}

/// Every field differs from a newcomer's.
fn full(n: usize) -> Scheduled {
    Scheduled {
        next: Next::Ask,
        authority: Some("https://ca.example/directory".to_owned()),
        renewal: Renewal {
            window: Some((at(10), at(20))),
            explanation_url: Some("https://ca.example/why".to_owned()),
            at: Some(at(15)),
            asked_at: Some(at(1)),
            ask_at: Some(at(2)),
            asks_failed: 3,
        },
        failures: Some(super::OrderFailures { last_at: at(3), ..failures(n, 4) }),
        validations_failed: 5,
        astray_since: Some(at(6)),
        parked_for: Some("another name".to_owned()),
        detour: 1,
        trouble: 2,
        trouble_since: Some(at(7)),
        placed_at: Some(at(8)),
        ..renewal(n, 100, 1000)
    }
}

async fn hosts(store: &dyn ScheduleStorage, next: Next, now: i64, limit: usize) -> Vec<String> {
    let rows = store.due(next, at(now), limit).await.unwrap();
    rows.into_iter().map(|row| row.host.domain().as_str().replace(".example", "")).collect()
}

async fn rows_come_back_as_they_were(store: &dyn ScheduleStorage) {
    assert_eq!(store.scheduled(&host(1)).await.unwrap(), None);
    assert_eq!(store.next_due(Next::Ask, at(0)).await.unwrap(), None);
    let rows = [full(1), newcomer(2, "b", 0)];
    store.save_schedule(&rows, &[]).await.unwrap();
    assert_eq!(store.scheduled(&host(1)).await.unwrap().as_ref(), Some(&rows[0]));
    assert_eq!(store.schedule_after(None, 10).await.unwrap(), rows);
    assert_eq!(store.schedule_after(None, 1).await.unwrap(), rows[..1]);
    assert_eq!(store.schedule_after(Some(&host(1)), 10).await.unwrap(), rows[1..]);
    assert_eq!(store.next_due(Next::Ask, at(0)).await.unwrap(), Some(at(100)));
    assert_eq!(store.next_due(Next::First, at(-1)).await.unwrap(), Some(at(0)));
    store.remove_certificates(&[host(1), host(2)]).await.unwrap();
    assert_eq!(store.schedule_after(None, 10).await.unwrap(), []);
}

async fn small_tenants_come_first_and_expiring_renewals_too(store: &dyn ScheduleStorage) {
    let mut rows: Vec<_> = (10..20).map(|n| newcomer(n, "bulk", -100)).collect();
    rows.extend([newcomer(20, "self", -1), newcomer(21, "two", -5), newcomer(22, "two", -9)]);
    rows.push(newcomer(24, "a later one", 0));
    rows.extend([newcomer(23, "later", 1), renewal(30, -1, 50), renewal(31, -5, 90), renewal(32, 5, 10)]);
    store.save_schedule(&rows, &[]).await.unwrap();
    assert_eq!(hosts(store, Next::First, 0, 4).await, ["d20", "d24", "d22", "d21"]);
    assert_eq!(hosts(store, Next::First, 0, 100).await.len(), 14);
    assert_eq!(hosts(store, Next::Renew, 0, 9).await, ["d30", "d31"]);
    assert_eq!(hosts(store, Next::Renew, 0, 1).await, ["d30"]);
    assert_eq!(hosts(store, Next::Ask, 0, 9).await, [""; 0]);
}

async fn a_certificate_and_its_row_are_kept_together(store: &dyn ScheduleStorage) {
    let row = Scheduled { host: host(40), ..full(40) };
    store.save_issued(&certificate(40, 1), &row).await.unwrap();
    assert_eq!(store.certificate(&host(40)).await.unwrap(), Some(certificate(40, 1)));
    assert_eq!(store.scheduled(&host(40)).await.unwrap(), Some(row));
}

async fn budgets_are_kept_by_key(store: &dyn ScheduleStorage) {
    let budget = |key: &str, second| Budget { key: key.to_owned(), full_at: at(second) };
    let row = newcomer(41, "a", 0);
    store.save_schedule(&[row], &[budget("domain x", 5), budget("account", 1)]).await.unwrap();
    store.save_schedule(&[], &[budget("account", 9)]).await.unwrap();
    let keys = ["account", "domain x", "domain y"].map(str::to_owned);
    assert_eq!(store.budgets(&keys).await.unwrap(), [budget("account", 9), budget("domain x", 5)]);
    assert_eq!(store.budgets_with("domain ", at(0)).await.unwrap(), [budget("domain x", 5)]);
    assert_eq!(store.budgets_with("domain ", at(5)).await.unwrap(), []);
    assert_eq!(store.remove_budgets(at(4), 10).await.unwrap(), 0);
    assert_eq!(store.remove_budgets(at(9), 1).await.unwrap(), 1, "no more than asked for");
    store.save_schedule(&[], &[budget("account", 9), budget("domain x", 5)]).await.unwrap();
    assert_eq!(store.remove_budgets(at(5), 10).await.unwrap(), 1);
    assert_eq!(store.budgets(&keys).await.unwrap(), [budget("account", 9)]);
}

async fn keep_the_contract(store: &dyn ScheduleStorage) {
    rows_come_back_as_they_were(store).await;
    small_tenants_come_first_and_expiring_renewals_too(store).await;
    a_certificate_and_its_row_are_kept_together(store).await;
    budgets_are_kept_by_key(store).await;
}

#[tokio::test]
async fn the_schedule_in_memory_keeps_the_contract() {
    keep_the_contract(&MemoryStorage::new()).await;
}

#[tokio::test]
async fn the_schedule_on_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keep_the_contract(&SqliteStorage::open(&folder.path().join("s"), None).await.unwrap()).await;
}

#[tokio::test]
async fn what_is_due_is_found_by_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    SqliteStorage::open(&path, None).await.unwrap().close().await;
    let mut connection = connect(&path).await;
    for statement in [SELECT_DUE, SELECT_FIRST, SELECT_RENEWALS] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let query = sqlx::query(explain).bind("first").bind(0).bind(1);
        let plan: Vec<String> =
            query.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().all(|step| !step.starts_with("SCAN schedule")), "{plan:?}");
        assert!(plan.iter().any(|step| step.contains("schedule_due")), "{plan:?}");
    }
}

async fn connect(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path.join("mta-stsd.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn a_store_from_before_the_schedule_opens_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = SqliteStorage::open(&path, None).await.unwrap();
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.save_certificate(&certificate(2, 1)).await.unwrap();
    store.close().await;
    // Back to what the migrations before left.
    let mut connection = connect(&path).await;
    for statement in [
        "DROP TABLE schedule",
        "DROP TABLE budgets",
        "DROP TABLE served_tenants",
        "DROP TABLE finding_events",
        "DROP TABLE alert_positions",
        "DROP TABLE audits",
        "DROP TABLE certificate_history",
        "ALTER TABLE findings DROP COLUMN raised",
        "DELETE FROM _sqlx_migrations WHERE version > 1",
        "CREATE TABLE order_failures (host TEXT NOT NULL PRIMARY KEY, attempts INTEGER NOT NULL,
         last_at TEXT NOT NULL, retry_at TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL) STRICT",
        "INSERT INTO order_failures SELECT 'mta-sts.d' || n || '.example', 4, '2026-11-21T00:00:00Z',
         '2026-11-21T01:40:00Z', 'not_validated', 'why' FROM (SELECT 2 AS n UNION SELECT 3)",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = SqliteStorage::open(&path, None).await.unwrap();
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    let rows = store.schedule_after(None, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.host.clone()).collect::<Vec<_>>(), [host(1), host(2), host(3)]);
    assert_eq!(rows.iter().map(|row| row.next).collect::<Vec<_>>(), [Next::Ask, Next::Ask, Next::First]);
    assert_eq!(rows[0].held, Some(certificate(1, 1).validity));
    assert_eq!((&rows[0].authority, &rows[0].failures), (&Some(certificate(1, 1).authority), &None));
    let failed = rows[2].failures.as_ref().unwrap();
    assert_eq!((failed.attempts, failed.kind.as_str()), (4, "not_validated"));
    assert_eq!(rows[2].next_at, time("2026-11-21T01:40:00Z"));
    assert_eq!(rows[1].failures.as_ref().unwrap().retry_at, time("2026-11-21T01:40:00Z"));
    let known = store.certificates_of(&host(1)).await.unwrap();
    assert_eq!(known.len(), 1, "what is held begins the history");
}
