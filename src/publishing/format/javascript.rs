//! JavaScript for dnscontrol: `D_EXTEND` adds to a domain that stands elsewhere in `dnsconfig.js`, and
//! takes names below it too.

use super::{double_quoted, owner, zones};
use crate::publishing::{PublishedRecord, RecordData};

pub(super) fn render(records: &[&PublishedRecord]) -> String {
    let mut text = String::new();
    for zone in zones(records) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("// {}, {}\n", zone.name, owner(zone.holder)));
        text.push_str(&format!("D_EXTEND({}", string(zone.name)));
        for set in &zone.sets {
            let label = string(if set.within.is_empty() { "@" } else { set.within });
            for record in &set.records {
                text.push_str(&format!(",\n    {}", call(&label, set.ttl, &record.data)));
            }
        }
        text.push_str("\n);\n");
    }
    text
}

fn call(label: &str, ttl: u32, data: &RecordData) -> String {
    let kind = data.kind();
    let value = match data {
        RecordData::A(_) | RecordData::Aaaa(_) => string(&data.to_string()),
        RecordData::Cname(target) => string(&format!("{target}.")),
        // dnscontrol cuts long text into character-strings itself.
        RecordData::Txt(content) => string(content),
        RecordData::CaaIssue(value) => format!("\"issue\", {}", string(value)),
    };
    format!("{kind}({label}, {value}, TTL({ttl}))")
}

/// A string of JavaScript (ECMA-262 §12.9.4).
fn string(text: &str) -> String {
    double_quoted(text, |c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect())
}
