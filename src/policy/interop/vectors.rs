//! Every column of the test vectors: what each deployed sender was seen to do.

use super::*;
use crate::policy::vectors::{body, rrset, strings, vectors};
use serde_json::Value;

const POLICY: &str = include_str!("../../../tests/vectors/policy.json");
const TXT: &str = include_str!("../../../tests/vectors/txt.json");
const MX: &str = include_str!("../../../tests/vectors/mx_match.json");

fn shown(reading: PolicyReading) -> String {
    match reading {
        PolicyReading::Reject => "reject".into(),
        PolicyReading::Accept { mode, max_age, mx, warned } => {
            format!("accept {mode} {max_age} mx={mx}{}", if warned { " warn" } else { "" })
        }
    }
}

/// The sender of a column; some columns carry the name of a sender's part.
fn sender(column: &str) -> Sender {
    let name = if column == "mail-auth" { "stalwart" } else { column };
    Sender::ALL.into_iter().find(|sender| sender.name() == name).unwrap_or_else(|| panic!("who is {column}?"))
}

fn columns(vector: &Value) -> Vec<(&str, &Value)> {
    vector["interop"].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

#[test]
fn every_sender_reads_every_policy_vector_as_it_was_seen_to() {
    let mut wrong = vec![];
    for vector in vectors(POLICY, "vectors") {
        let readings = read_policy(&body(&vector), None);
        let columns = columns(&vector);
        assert_eq!(columns.len(), Sender::ALL.len(), "{}", vector["id"]);
        for (column, expect) in columns {
            let (_, reading) = readings.iter().find(|(who, _)| *who == sender(column)).unwrap();
            if shown(*reading) != *expect {
                wrong.push(format!("{} {column}: {} is not {expect}", vector["id"], shown(*reading)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sender_matches_every_vector_as_it_was_seen_to() {
    let mut wrong = vec![];
    for vector in vectors(MX, "vectors") {
        let (patterns, host) = (strings(&vector["patterns"]), vector["mx"].as_str().unwrap());
        for (column, expect) in columns(&vector) {
            let senders = match column {
                "postfix-match" => vec![Sender::PostfixMtaStsResolver, Sender::PostfixTlspol],
                _ => vec![sender(column)],
            };
            for who in senders {
                let found = patterns.iter().any(|pattern| allows(who, pattern, host));
                if found != *expect {
                    wrong.push(format!("{} {who}: {found}", vector["id"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sender_reads_every_record_vector_as_it_was_seen_to() {
    let mut wrong = vec![];
    for vector in vectors(TXT, "mta_sts") {
        let readings = read_record(&rrset(&vector));
        for (column, expect) in columns(&vector) {
            let (_, reading) = readings.iter().find(|(who, _)| *who == sender(column)).unwrap();
            let shown = match reading {
                RecordReading::None => "none".into(),
                RecordReading::Policy => "policy".into(),
                RecordReading::Id(id) => format!("id={id}"),
            };
            if shown != *expect {
                wrong.push(format!("{} {column}: {shown} is not {expect}", vector["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sender_reads_every_report_record_vector_as_it_was_seen_to() {
    let mut wrong = vec![];
    for vector in vectors(TXT, "tlsrpt") {
        let readings = read_report_record(&rrset(&vector));
        for (column, expect) in columns(&vector) {
            let (_, reading) = readings.iter().find(|(who, _)| *who == sender(column)).unwrap();
            let shown = match reading {
                ReportReading::None => "none".into(),
                ReportReading::Rua(rua) => format!("rua={}", rua.join(",")),
            };
            if shown != *expect {
                wrong.push(format!("{} {column}: {shown} is not {expect}", vector["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
