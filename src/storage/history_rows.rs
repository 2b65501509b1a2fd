//! The SQL of the history of findings; see [`super::HistoryStorage`].

use super::{
    FindingEvent, FindingRow, Held, HistoryStorage, SqliteStorage, StorageError,
    history::{CERTIFICATES_OF_HOST_MAX, CLOSED_EVENTS_MAX, CLOSED_EVENTS_OF_DOMAIN_MAX},
    pools::{Change, LIST, WRITE, read_error, within, write_error},
    rows::{Cause, held, readable},
};
use crate::{
    certificate::Certificate,
    name::{DomainName, PolicyHost},
};
use jiff::Timestamp;
use sqlx::SqliteConnection;

type EventRow = (i64, String, String, String, String, String, Option<String>);

const INSERT: &str = "INSERT INTO finding_events (domain, code, subject, severity, since, until)
     VALUES (?, ?, ?, ?, ?, ?)";

/// Brings the open events of `domain` in line with what is raised among `findings`.
pub(super) async fn follow(
    change: &mut Change,
    domain: &DomainName,
    findings: &[FindingRow],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let open: Vec<EventRow> = sqlx::query_as(
        "SELECT number, domain, code, subject, severity, since, until FROM finding_events
         WHERE domain = ? AND until IS NULL ORDER BY number",
    )
    .bind(domain.as_str())
    .fetch_all(change.on())
    .await?;
    let open = readable("finding event", open, event);
    let mut closed = false;
    for event in open.iter().filter(|event| !findings.iter().any(|row| row.raised && event.says(row))) {
        // A row of its own number each time: numbers are never used again.
        sqlx::query("DELETE FROM finding_events WHERE number = ?")
            .bind(event.number)
            .execute(change.on())
            .await?;
        if event.is_over(findings) {
            closed = true;
            insert(change, &FindingEvent { until: Some(now), ..event.clone() }).await?;
        }
    }
    for row in findings.iter().filter(|row| row.raised && !open.iter().any(|event| event.says(row))) {
        insert(change, &FindingEvent::opened(0, row)).await?;
    }
    if closed {
        sqlx::query(
            "DELETE FROM finding_events WHERE number IN (
                 SELECT number FROM finding_events WHERE domain = ? AND until IS NOT NULL
                 ORDER BY number DESC LIMIT -1 OFFSET ?)",
        )
        .bind(domain.as_str())
        .bind(rows(CLOSED_EVENTS_OF_DOMAIN_MAX))
        .execute(change.on())
        .await?;
    }
    Ok(())
}

/// Takes `certificate` into the history of its host.
pub(super) async fn remember_certificate(
    connection: &mut SqliteConnection,
    certificate: &Certificate,
) -> Result<(), sqlx::Error> {
    let host = certificate.host.as_str();
    sqlx::query(
        "INSERT OR REPLACE INTO certificate_history (host, not_before, not_after, authority) VALUES (?, ?, ?, ?)",
    )
    .bind(host)
    .bind(certificate.validity.not_before.to_string())
    .bind(certificate.validity.not_after.to_string())
    .bind(&certificate.authority)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM certificate_history WHERE host = ?1 AND not_before IN (
             SELECT not_before FROM certificate_history WHERE host = ?1
             ORDER BY not_before DESC LIMIT -1 OFFSET ?2)",
    )
    .bind(host)
    .bind(rows(CERTIFICATES_OF_HOST_MAX))
    .execute(connection)
    .await
    .map(drop)
}

async fn insert(change: &mut Change, event: &FindingEvent) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(event.domain.as_str())
        .bind(&event.code)
        .bind(&event.subject)
        .bind(&event.severity)
        .bind(event.since.to_string())
        .bind(event.until.map(|until| until.to_string()))
        .execute(change.on())
        .await
        .map(drop)
}

fn event((number, domain, code, subject, severity, since, until): EventRow) -> Result<FindingEvent, Cause> {
    let domain = DomainName::from_ascii(&domain)?;
    let until = until.map(|until| until.parse()).transpose()?;
    Ok(FindingEvent { number, domain, code, subject, severity, since: since.parse()?, until })
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait::async_trait]
impl HistoryStorage for SqliteStorage {
    async fn events_after(&self, number: i64, limit: usize) -> Result<Vec<FindingEvent>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as(
            "SELECT number, domain, code, subject, severity, since, until FROM finding_events
             WHERE number > ? ORDER BY number LIMIT ?",
        )
        .bind(number)
        .bind(rows(limit));
        let found: Vec<EventRow> = within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(readable("finding event", found, event))
    }

    async fn events_of(&self, domain: &DomainName, limit: usize) -> Result<Vec<FindingEvent>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as(
            "SELECT number, domain, code, subject, severity, since, until FROM finding_events
             WHERE domain = ? ORDER BY number DESC LIMIT ?",
        )
        .bind(domain.as_str())
        .bind(rows(limit));
        let found: Vec<EventRow> = within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(readable("finding event", found, event))
    }

    async fn forget_events(&self, before: Timestamp, limit: usize) -> Result<usize, StorageError> {
        let query = sqlx::query(
            "DELETE FROM finding_events WHERE number IN (
                 SELECT number FROM finding_events WHERE until IS NOT NULL AND (until < ?
                     OR number <= (SELECT coalesce(max(number), 0) FROM finding_events) - ?) LIMIT ?)",
        )
        .bind(before.to_string())
        .bind(i64::try_from(CLOSED_EVENTS_MAX).unwrap_or(i64::MAX))
        .bind(rows(limit));
        let done = within(WRITE, query.execute(&self.writer().await?)).await.map_err(write_error)?;
        Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
    }

    async fn certificates_of(&self, host: &PolicyHost) -> Result<Vec<Held>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_as(
            "SELECT host, not_before, not_after, authority FROM certificate_history
             WHERE host = ? ORDER BY not_before DESC",
        )
        .bind(host.as_str());
        let rows = within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
        Ok(readable("certificate", rows, held))
    }

    async fn alert_position(&self, alert: &str) -> Result<Option<i64>, StorageError> {
        let pools = self.readers().await;
        let query = sqlx::query_scalar("SELECT number FROM alert_positions WHERE alert = ?").bind(alert);
        within(LIST, query.fetch_optional(&pools.readers)).await.map_err(read_error)
    }

    async fn save_alert_position(&self, alert: &str, number: i64) -> Result<(), StorageError> {
        let query = sqlx::query("INSERT OR REPLACE INTO alert_positions (alert, number) VALUES (?, ?)")
            .bind(alert)
            .bind(number);
        within(WRITE, query.execute(&self.writer().await?)).await.map_err(write_error)?;
        Ok(())
    }
}
