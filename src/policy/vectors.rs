//! The test vectors of `tests/vectors` that concern policies, records and matching.

use super::{
    report_record::{ReportOutcome, judge_report_records},
    *,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn vectors(file: &str, section: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(file).unwrap();
    let Value::Array(list) = file[section].take() else { panic!("{section} is not a list") };
    assert!(!list.is_empty());
    list
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn set(codes: &Value) -> BTreeSet<String> {
    strings(codes).into_iter().collect()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
    value.as_array().unwrap().iter().map(pair).collect()
}

pub(super) fn body(vector: &Value) -> Vec<u8> {
    if let Some(text) = vector["body"].as_str() {
        return text.into();
    }
    if let Some(encoded) = vector["body_b64"].as_str() {
        return BASE64_STANDARD.decode(encoded).unwrap();
    }
    let generator = &vector["body_generator"];
    let part = |name: &str| generator[name].as_str().unwrap();
    let repeated = (1..=generator["count"].as_u64().unwrap())
        .map(|n| part("repeat").replace("{n}", &n.to_string()))
        .collect::<String>();
    format!("{}{repeated}{}", part("prefix"), part("suffix")).into()
}

pub(super) fn rrset(vector: &Value) -> Vec<Vec<Vec<u8>>> {
    let records = vector["rrset"].as_array().unwrap().iter();
    records.map(|record| strings(record).into_iter().map(String::into_bytes).collect()).collect()
}

#[test]
fn every_policy_vector_is_judged_as_expected() {
    for vector in vectors(include_str!("../../tests/vectors/policy.json"), "vectors") {
        let (id, expect) = (&vector["id"], &vector["expect"]);
        let read = parse_body(&body(&vector));
        assert_eq!(read.is_valid(), expect["rfc8461"] == "valid", "{id}: {read:?}");
        let reason = read.defects.first().map(|defect| defect.code.code());
        assert_eq!(reason, expect["reason"].as_str(), "{id}: {read:?}");
        assert_eq!(read.audit().as_str(), expect["audit"], "{id}: {read:?}");
        let codes: BTreeSet<_> = read.remarks.iter().map(|remark| remark.code.code().to_owned()).collect();
        assert_eq!(codes, set(&expect["audit_codes"]), "{id}");
        if expect["parsed"].is_object() {
            check_parsed(&read, &expect["parsed"], id);
        }
    }
}

fn check_parsed(read: &ParsedPolicy, expect: &Value, id: &Value) {
    assert_eq!(read.mode.map(Mode::as_str), expect["mode"].as_str(), "{id}");
    assert_eq!(read.max_age.map(|age| age.seconds().into()), expect["max_age"].as_u64(), "{id}");
    assert_eq!(read.extensions, pairs(&expect["extensions"]), "{id}");
    match expect["mx_count"].as_u64() {
        Some(count) => assert_eq!(read.mx.len() as u64, count, "{id}"),
        None => assert_eq!(read.mx, strings(&expect["mx"]), "{id}"),
    }
}

#[test]
fn every_record_vector_is_judged_as_expected() {
    for vector in vectors(include_str!("../../tests/vectors/txt.json"), "mta_sts") {
        let (id, expect) = (&vector["id"], &vector["expect"]);
        let records = rrset(&vector);
        let seen = match vector["dns"]["rcode"].as_str() {
            Some("SERVFAIL") => TxtSeen::Unanswered,
            _ => TxtSeen::Answer { records: &records, beside_cname: vector["dns"]["cname_coexists"] == true },
        };
        let judged = judge_records(seen);
        let (outcome, found, extensions, reason) = match &judged.outcome {
            RecordOutcome::Indicated(record) => {
                ("policy_indicated", Some(record.id.as_str()), record.extensions.clone(), None)
            }
            RecordOutcome::NoPolicy(defect) => ("no_policy", None, vec![], Some(defect.code())),
            RecordOutcome::Undetermined => ("undetermined", None, vec![], Some("DNS_FAILURE")),
        };
        assert_eq!(outcome, expect["outcome"], "{id}");
        assert_eq!(found, expect["id"].as_str(), "{id}");
        assert_eq!(extensions, pairs(&expect["extensions"]), "{id}");
        assert_eq!(reason, expect["reason"].as_str(), "{id}");
        assert_eq!(judged.audit().as_str(), expect["audit"], "{id}");
        let codes: BTreeSet<_> = judged.remarks.iter().map(|remark| remark.code().to_owned()).collect();
        assert_eq!(codes, set(&expect["audit_codes"]), "{id}");
    }
}

#[test]
fn every_report_record_vector_is_judged_as_expected() {
    for vector in vectors(include_str!("../../tests/vectors/txt.json"), "tlsrpt") {
        let (id, expect) = (&vector["id"], &vector["expect"]);
        let seen = TxtSeen::Answer { records: &rrset(&vector), beside_cname: false };
        let judged = judge_report_records(seen);
        let (outcome, rua, extensions, reason) = match &judged.outcome {
            ReportOutcome::Asked(record) => ("tlsrpt", Some(&record.rua), record.extensions.clone(), None),
            ReportOutcome::NoReports(defect) => ("no_tlsrpt", None, vec![], Some(defect.code())),
            ReportOutcome::Undetermined => ("undetermined", None, vec![], Some("DNS_FAILURE")),
        };
        assert_eq!(outcome, expect["outcome"], "{id}");
        assert_eq!(rua.cloned(), expect["rua"].is_array().then(|| strings(&expect["rua"])), "{id}");
        assert_eq!(extensions, pairs(&expect["extensions"]), "{id}");
        assert_eq!(reason, expect["reason"].as_str(), "{id}");
        assert_eq!(judged.audit().as_str(), expect["audit"], "{id}");
        let codes: BTreeSet<_> = judged.remarks.iter().map(|remark| remark.code().to_owned()).collect();
        assert_eq!(codes, set(&expect["audit_codes"]), "{id}");
    }
}

#[test]
fn every_match_vector_is_matched_as_expected() {
    for vector in vectors(include_str!("../../tests/vectors/mx_match.json"), "vectors") {
        let (id, expect) = (&vector["id"], &vector["expect"]);
        let patterns = strings(&vector["patterns"]);
        let mx = vector["mx"].as_str().unwrap();
        let found = patterns.iter().find(|pattern| text_allows(pattern, mx));
        assert_eq!(found.map(String::as_str), expect["pattern"].as_str(), "{id}");
        assert_eq!(found.is_some(), expect["match"] == true, "{id}");
        for pattern in patterns.iter().filter_map(|text| MxPattern::from_ascii(text).ok()) {
            assert_eq!(pattern.allows(mx), text_allows(&pattern.to_string(), mx), "{id}");
        }
    }
}
