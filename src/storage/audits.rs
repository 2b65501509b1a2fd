//! The SQL of when domains were last audited; see [`super::Storage::audits`].

use super::{
    SqliteStorage, StorageError,
    pools::{LIST, WRITE, read_error, within, write_error},
    rows::readable,
};
use crate::name::DomainName;
use jiff::Timestamp;

pub(super) async fn read(store: &SqliteStorage) -> Result<Vec<(DomainName, Timestamp)>, StorageError> {
    let pools = store.readers().await;
    let query = sqlx::query_as("SELECT domain, at FROM audits");
    let rows: Vec<(String, String)> =
        within(LIST, query.fetch_all(&pools.readers)).await.map_err(read_error)?;
    Ok(readable("audit", rows, |(domain, at)| Ok((DomainName::from_ascii(&domain)?, at.parse()?))))
}

pub(super) async fn save(
    store: &SqliteStorage,
    domain: &DomainName,
    at: Timestamp,
) -> Result<(), StorageError> {
    let query = sqlx::query("INSERT OR REPLACE INTO audits (domain, at) VALUES (?, ?)")
        .bind(domain.as_str())
        .bind(at.to_string());
    within(WRITE, query.execute(&store.writer().await?)).await.map_err(write_error)?;
    Ok(())
}

pub(super) async fn forget(store: &SqliteStorage, domains: &[DomainName]) -> Result<(), StorageError> {
    let mut change = store.begin().await?;
    let work = async {
        for domain in domains {
            let query = sqlx::query("DELETE FROM audits WHERE domain = ?").bind(domain.as_str());
            query.execute(change.on()).await?;
        }
        change.commit().await
    };
    within(WRITE, work).await.map_err(write_error)
}
