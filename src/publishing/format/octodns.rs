//! YAML for octoDNS: one document for each zone, which belongs into the file named above it.
//!
//! octoDNS wants a semicolon in text written as `\;`.

use super::{Set, double_quoted, owner, zones};
use crate::publishing::{PublishedRecord, RecordData};

pub(super) fn render(records: &[&PublishedRecord]) -> String {
    let mut text = String::new();
    for zone in zones(records) {
        text.push_str(&format!("---\n# {}.yaml, {}\n", zone.name, owner(zone.holder)));
        // octoDNS wants the names sorted, and a list where one name has several types.
        let mut sets: Vec<&Set<'_>> = zone.sets.iter().collect();
        sets.sort_by_key(|set| (set.within, set.kind));
        for (i, set) in sets.iter().enumerate() {
            let begins = i == 0 || sets.get(i - 1).is_none_or(|before| before.within != set.within);
            if begins {
                text.push_str(&format!("{}:\n", string(set.within)));
            }
            text.push_str(&entry(set));
        }
    }
    text
}

fn entry(set: &Set<'_>) -> String {
    let values: Vec<String> = set.records.iter().map(|record| value(&record.data)).collect();
    let mut entry = format!("  - ttl: {}\n    type: {}\n", set.ttl, set.kind);
    match values.as_slice() {
        [one] => entry.push_str(&format!("    value: {one}\n")),
        several => {
            entry.push_str("    values:\n");
            several.iter().for_each(|value| entry.push_str(&format!("      - {value}\n")));
        }
    }
    entry
}

fn value(data: &RecordData) -> String {
    match data {
        RecordData::A(_) | RecordData::Aaaa(_) => string(&data.to_string()),
        RecordData::Cname(target) => string(&format!("{target}.")),
        RecordData::Txt(text) => string(&text.replace(';', "\\;")),
        RecordData::CaaIssue(value) => format!("{{flags: 0, tag: issue, value: {}}}", string(value)),
    }
}

/// A double-quoted scalar (YAML 1.2 §7.3.1).
fn string(text: &str) -> String {
    double_quoted(text, |c| format!("\\U{:08x}", u32::from(c)))
}
