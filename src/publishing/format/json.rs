//! JSON; fields are added, never renamed.

use crate::publishing::{Holder, PublishedRecord, RecordData, Role};
use serde::Serialize;

#[derive(Serialize)]
struct Shown<'a> {
    /// Owner name without a final dot.
    name: &'a str,
    /// Type.
    r#type: &'static str,
    /// Time to live in seconds.
    ttl: u32,
    /// The value itself: an address, a name without a final dot, the text unquoted and in one piece,
    /// of a CAA record the value of its property `issue`.
    value: String,
    /// The same as a zone file has it.
    data: String,
    /// The policy domain, or the name of ours where a CNAME leads.
    zone: &'a str,
    /// Who publishes it.
    published_by: &'static str,
    /// What it is for.
    purpose: &'static str,
}

pub(super) fn render(records: &[&PublishedRecord]) -> String {
    let shown: Vec<Shown<'_>> = records.iter().map(|record| Shown::of(record)).collect();
    // Strings and numbers: there is nothing in them that could fail.
    serde_json::to_string_pretty(&shown).map(|text| text + "\n").unwrap_or_default()
}

impl<'a> Shown<'a> {
    fn of(record: &'a PublishedRecord) -> Self {
        Self {
            name: &record.name,
            r#type: record.data.kind(),
            ttl: record.ttl,
            value: match &record.data {
                RecordData::Cname(text) | RecordData::Txt(text) | RecordData::CaaIssue(text) => text.clone(),
                address @ (RecordData::A(_) | RecordData::Aaaa(_)) => address.to_string(),
            },
            data: record.data.to_string(),
            zone: &record.zone,
            published_by: match record.holder {
                Holder::Customer => "customer",
                Holder::Provider => "provider",
            },
            purpose: match record.role {
                Role::PolicyHost => "policy_host",
                Role::Authorization => "authorization",
                Role::Indicator => "indicator",
                Role::Reports => "reports",
            },
        }
    }
}
