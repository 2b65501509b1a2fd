//! Terraform's language: a map of record sets, for `for_each` of any provider's record resource.

use super::zones;
use crate::publishing::{PublishedRecord, RecordData};

pub(super) fn render(records: &[&PublishedRecord]) -> String {
    let mut text = String::from(
        "# resource \"aws_route53_record\" \"mta_sts\" {\n\
         #   for_each = local.mta_sts_records\n\
         #   zone_id  = local.zone_ids[each.value.zone]\n\
         #   name     = each.value.name\n\
         #   type     = each.value.type\n\
         #   ttl      = each.value.ttl\n\
         #   records  = each.value.records\n\
         # }\n\
         locals {\n  mta_sts_records = {\n",
    );
    for zone in zones(records) {
        for set in &zone.sets {
            let values: Vec<String> = set.records.iter().map(|record| string(&value(&record.data))).collect();
            text.push_str(&format!(
                "    {} = {{\n      zone    = {}\n      name    = {}\n      type    = {}\n      ttl     = {}\n      \
                 records = [{}]\n    }}\n",
                string(&format!("{} {}", set.name, set.kind)),
                string(zone.name),
                string(set.name),
                string(set.kind),
                set.ttl,
                values.join(", ")
            ));
        }
    }
    text.push_str("  }\n}\n");
    text
}

/// What providers' resources take: text without quotes of its own, everything else as in a zone file.
fn value(data: &RecordData) -> String {
    match data {
        RecordData::Txt(text) => text.clone(),
        RecordData::Cname(target) => format!("{target}."),
        other => other.to_string(),
    }
}

/// A quoted template without a template in it: `${` and `%{` stand for themselves when doubled.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '$' | '%' if rest.peek() == Some(&'{') => {
                quoted.push(c);
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
