//! The schedule in SQLite.

use super::{
    Budget, Next, OrderFailures, Renewal, ScheduleStorage, Scheduled, SqliteStorage, StorageError,
    pools::{LIST, READ, WRITE, read_error, within, write_error},
    rows::{Cause, policy_host, readable},
};
use crate::{
    certificate::{Certificate, Validity},
    name::PolicyHost,
};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqlitePool, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};

/// Tenants with the fewest due hosts first, the longest waiting among equals. The inner question is answered from the index alone.
pub(super) const SELECT_FIRST: &str =
    "WITH waiting AS (SELECT tenant, count(*) AS hosts, min(next_at) AS since
                      FROM schedule WHERE next = ?1 AND next_at <= ?2 GROUP BY tenant)
     SELECT schedule.* FROM schedule JOIN waiting USING (tenant)
     WHERE next = ?1 AND next_at <= ?2
     ORDER BY waiting.hosts, waiting.since, tenant, next_at, host LIMIT ?3";

pub(super) const SELECT_RENEWALS: &str = "SELECT * FROM schedule
     WHERE next = ?1 AND next_at <= ?2 ORDER BY not_after, host LIMIT ?3";

pub(super) const SELECT_DUE: &str = "SELECT * FROM schedule
     WHERE next = ?1 AND next_at <= ?2 ORDER BY next_at LIMIT ?3";

const SELECT_NEXT_DUE: &str = "SELECT min(next_at) FROM schedule WHERE next = ?1 AND next_at > ?2";

const INSERT: &str = "INSERT OR REPLACE INTO schedule (host, tenant, next, next_at, not_before, not_after,
     authority, window_start, window_end, explanation, renew_at, asked_at, ask_at, asks_failed, attempts,
     failed_at, retry_at, kind, detail, validations_failed, astray_since, parked_for, detour, trouble,
     trouble_since, placed_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

#[async_trait::async_trait]
impl ScheduleStorage for SqliteStorage {
    async fn due(&self, next: Next, now: Timestamp, limit: usize) -> Result<Vec<Scheduled>, StorageError> {
        let statement = match next {
            Next::First => SELECT_FIRST,
            Next::Renew => SELECT_RENEWALS,
            _ => SELECT_DUE,
        };
        let query = sqlx::query(statement).bind(next.word()).bind(now.as_second()).bind(count(limit));
        self.rows(query).await
    }

    async fn next_due(&self, next: Next, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_scalar(SELECT_NEXT_DUE).bind(next.word()).bind(now.as_second());
        let at: Option<i64> = within(READ, query.fetch_one(&pools.readers)).await.map_err(read_error)?;
        Ok(at.map(moment))
    }

    async fn scheduled(&self, host: &PolicyHost) -> Result<Option<Scheduled>, StorageError> {
        read_scheduled(&self.readers().await.readers, host).await
    }

    async fn schedule_after(
        &self,
        after: Option<&PolicyHost>,
        limit: usize,
    ) -> Result<Vec<Scheduled>, StorageError> {
        let query = sqlx::query("SELECT * FROM schedule WHERE host > ? ORDER BY host LIMIT ?");
        self.rows(query.bind(after.map_or("", PolicyHost::as_str)).bind(count(limit))).await
    }

    async fn save_schedule(&self, rows: &[Scheduled], budgets: &[Budget]) -> Result<(), StorageError> {
        let mut change = self.begin().await?;
        let work = async {
            for row in rows {
                keep(change.on(), row).await?;
            }
            for budget in budgets {
                sqlx::query("INSERT OR REPLACE INTO budgets (key, full_at) VALUES (?, ?)")
                    .bind(&budget.key)
                    .bind(budget.full_at.as_millisecond())
                    .execute(change.on())
                    .await?;
            }
            change.commit().await
        };
        within(WRITE, work).await.map_err(write_error)
    }

    async fn save_issued(&self, certificate: &Certificate, row: &Scheduled) -> Result<(), StorageError> {
        let mut change = self.begin().await?;
        let work = async {
            self.keep_certificate(change.on(), certificate).await?;
            keep(change.on(), row).await?;
            change.commit().await
        };
        within(WRITE, work).await.map_err(write_error)?;
        self.unusable.forget(&row.host);
        Ok(())
    }

    async fn budgets(&self, keys: &[String]) -> Result<Vec<Budget>, StorageError> {
        let pools = self.readers().await;
        let work = async {
            let mut budgets = Vec::with_capacity(keys.len());
            for key in keys {
                let query = sqlx::query_scalar("SELECT full_at FROM budgets WHERE key = ?").bind(key);
                let full_at: Option<i64> = query.fetch_optional(&pools.readers).await?;
                budgets.extend(full_at.map(|at| Budget { key: key.clone(), full_at: precise_moment(at) }));
            }
            Ok(budgets)
        };
        within(READ, work).await.map_err(read_error)
    }

    fn take_unusable(&self) -> Vec<PolicyHost> {
        self.unusable.take()
    }

    async fn remove_budgets(&self, full_since: Timestamp, limit: usize) -> Result<usize, StorageError> {
        let query = sqlx::query(
            "DELETE FROM budgets WHERE key IN (SELECT key FROM budgets WHERE full_at <= ? LIMIT ?)",
        );
        let query = query.bind(full_since.as_millisecond()).bind(count(limit));
        let done = within(WRITE, query.execute(&self.writer().await?)).await.map_err(write_error)?;
        Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
    }

    async fn budgets_with(&self, prefix: &str, now: Timestamp) -> Result<Vec<Budget>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as(
            "SELECT key, full_at FROM budgets WHERE full_at > ? AND substr(key, 1, length(?2)) = ?2",
        );
        let query = query.bind(now.as_millisecond()).bind(prefix);
        let rows: Vec<(String, i64)> =
            within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(rows.into_iter().map(|(key, at)| Budget { key, full_at: precise_moment(at) }).collect())
    }
}

impl SqliteStorage {
    async fn rows(
        &self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
    ) -> Result<Vec<Scheduled>, StorageError> {
        let pools = self.readers().await;
        let rows = within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(readable("schedule", rows, |row| scheduled(&row)))
    }
}

/// The row of `host`.
pub(super) async fn read_scheduled(
    readers: &SqlitePool,
    host: &PolicyHost,
) -> Result<Option<Scheduled>, StorageError> {
    let query = sqlx::query("SELECT * FROM schedule WHERE host = ?").bind(host.as_str());
    let row = within(READ, query.fetch_optional(readers)).await.map_err(read_error)?;
    Ok(readable("schedule", row.into_iter().collect(), |row| scheduled(&row)).pop())
}

async fn keep(connection: &mut SqliteConnection, row: &Scheduled) -> Result<(), sqlx::Error> {
    let Scheduled { host, tenant, next, next_at, held, authority, renewal, failures, .. } = row;
    let failed = failures.as_ref();
    sqlx::query(INSERT)
        .bind(host.as_str())
        .bind(tenant)
        .bind(next.word())
        .bind(second(*next_at))
        .bind(held.map(|held| held.not_before.as_second()))
        .bind(held.map(|held| held.not_after.as_second()))
        .bind(authority)
        .bind(renewal.window.map(|(start, _)| second(start)))
        .bind(renewal.window.map(|(_, end)| second(end)))
        .bind(&renewal.explanation_url)
        .bind(renewal.at.map(second))
        .bind(renewal.asked_at.map(second))
        .bind(renewal.ask_at.map(second))
        .bind(renewal.asks_failed)
        .bind(failed.map_or(0, |failures| failures.attempts))
        .bind(failed.map(|failures| second(failures.last_at)))
        .bind(failed.map(|failures| second(failures.retry_at)))
        .bind(failed.map(|failures| failures.kind.as_str()))
        .bind(failed.map(|failures| failures.detail.as_str()))
        .bind(row.validations_failed)
        .bind(row.astray_since.map(second))
        .bind(&row.parked_for)
        .bind(row.detour)
        .bind(row.trouble)
        .bind(row.trouble_since.map(second))
        .bind(row.placed_at.map(second))
        .execute(connection)
        .await
        .map(drop)
}

fn scheduled(row: &SqliteRow) -> Result<Scheduled, Cause> {
    let host = policy_host(row.try_get("host")?)?;
    let time = |column| Ok::<_, Cause>(row.try_get::<Option<i64>, _>(column)?.map(moment));
    let word: &str = row.try_get("next")?;
    let next = Next::ALL.into_iter().find(|next| next.word() == word);
    let failures = match (time("failed_at")?, time("retry_at")?) {
        (Some(last_at), Some(retry_at)) => Some(OrderFailures {
            host: host.clone(),
            attempts: row.try_get("attempts")?,
            last_at,
            retry_at,
            kind: row.try_get("kind")?,
            detail: row.try_get("detail")?,
        }),
        _ => None,
    };
    Ok(Scheduled {
        host,
        tenant: row.try_get("tenant")?,
        next: next.ok_or_else(|| format!("{word:?} is nothing to do"))?,
        next_at: moment(row.try_get("next_at")?),
        held: time("not_before")?
            .zip(time("not_after")?)
            .map(|(not_before, not_after)| Validity { not_before, not_after }),
        authority: row.try_get("authority")?,
        renewal: Renewal {
            window: time("window_start")?.zip(time("window_end")?),
            explanation_url: row.try_get("explanation")?,
            at: time("renew_at")?,
            asked_at: time("asked_at")?,
            ask_at: time("ask_at")?,
            asks_failed: row.try_get("asks_failed")?,
        },
        failures,
        validations_failed: row.try_get("validations_failed")?,
        astray_since: time("astray_since")?,
        parked_for: row.try_get("parked_for")?,
        detour: row.try_get("detour")?,
        trouble: row.try_get("trouble")?,
        trouble_since: time("trouble_since")?,
        placed_at: time("placed_at")?,
    })
}

/// Whole seconds, rounded up: nothing becomes due sooner than was decided.
fn second(moment: Timestamp) -> i64 {
    moment.as_second() + i64::from(moment.subsec_nanosecond() > 0)
}

/// Beyond the calendar means never.
fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

fn precise_moment(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
