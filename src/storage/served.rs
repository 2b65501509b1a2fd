//! The SQL of what was last served; see [`super::ServedTenant`].

use super::{
    ServedTenant, StorageError,
    pools::{Change, LIST, WRITE, read_error, within, write_error},
    rows::{policy_host, readable},
};
use crate::name::PolicyHost;
use sqlx::SqlitePool;
use std::collections::HashSet;

/// Written only where something is other than it was: most of a fleet is as it was at a start.
const UPSERT: &str = "INSERT INTO served_tenants (tenant, file, body, hosts) VALUES (?, ?, ?, ?)
     ON CONFLICT (tenant) DO UPDATE SET file = excluded.file, body = excluded.body, hosts = excluded.hosts
     WHERE file <> excluded.file OR body <> excluded.body OR hosts <> excluded.hosts";

pub(super) async fn read(readers: &SqlitePool) -> Result<Vec<ServedTenant>, StorageError> {
    let query = sqlx::query_as("SELECT tenant, file, body, hosts FROM served_tenants");
    let rows: Vec<(String, String, String, String)> =
        within(LIST, query.fetch_all(readers)).await.map_err(read_error)?;
    Ok(readable("served tenant", rows, |(tenant, file, body, hosts)| {
        let hosts = hosts.lines().map(policy_host).collect::<Result<Vec<PolicyHost>, _>>()?;
        Ok(ServedTenant { tenant, file, body, hosts })
    }))
}

pub(super) async fn write(
    mut change: Change,
    tenants: &[ServedTenant],
    removed: &[String],
) -> Result<(), StorageError> {
    let work = async {
        upsert(&mut change, tenants).await?;
        for tenant in removed {
            remove(&mut change, tenant).await?;
        }
        change.commit().await
    };
    within(WRITE, work).await.map_err(write_error)
}

pub(super) async fn replace(mut change: Change, tenants: &[ServedTenant]) -> Result<(), StorageError> {
    let work = async {
        let kept: HashSet<&str> = tenants.iter().map(|served| served.tenant.as_str()).collect();
        let query = sqlx::query_scalar("SELECT tenant FROM served_tenants");
        let there: Vec<String> = query.fetch_all(change.on()).await?;
        for tenant in there.iter().filter(|tenant| !kept.contains(tenant.as_str())) {
            remove(&mut change, tenant).await?;
        }
        upsert(&mut change, tenants).await?;
        change.commit().await
    };
    within(LIST, work).await.map_err(write_error)
}

async fn upsert(change: &mut Change, tenants: &[ServedTenant]) -> sqlx::Result<()> {
    for served in tenants {
        let hosts = served.hosts.iter().map(PolicyHost::as_str).collect::<Vec<_>>().join("\n");
        let query = sqlx::query(UPSERT).bind(&served.tenant).bind(&served.file).bind(&served.body);
        query.bind(hosts).execute(change.on()).await?;
    }
    Ok(())
}

async fn remove(change: &mut Change, tenant: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM served_tenants WHERE tenant = ?").bind(tenant).execute(change.on()).await?;
    Ok(())
}
