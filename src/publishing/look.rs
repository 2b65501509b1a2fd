//! Asks DNS what stands in the place of a record.

use super::{Looked, PublishedRecord, RecordData, Role};
use crate::dns::{DnsName, Lookup};

/// What DNS says about the name of `record`, asked for what could stand there.
pub async fn look_up(lookup: &dyn Lookup, record: &PublishedRecord) -> Looked {
    let name = DnsName::new(&record.name);
    match (record.role, &record.data) {
        (_, RecordData::CaaIssue(_)) => Looked::Caa(lookup.caa(&name).await),
        (Role::PolicyHost | Role::Authorization, _) => Looked::Addresses(lookup.addresses(&name).await),
        (Role::Indicator | Role::Reports, _) => {
            Looked::Txt(lookup.txt(&name).await.map(|answer| answer.data))
        }
    }
}
