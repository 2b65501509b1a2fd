//! Runs `mta-stsd audit` over all exhibits at once and holds what it finds against the table.

use crate::{exhibits::Exhibit, network::Zoo};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

/// Says how long a server took, which on a slow machine means nothing.
const ABOUT_SPEED: &str = "POLICY_SLOW";

/// The codes found for each domain.
pub type Found = BTreeMap<String, BTreeSet<String>>;

/// What the audit finds.
pub fn run(zoo: &Zoo) -> Found {
    let domains: String = zoo.exhibits.iter().map(|exhibit| exhibit.domain() + "\n").collect();
    fs::write(zoo.folder.join("domains"), domains).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mta-stsd"))
        .args(["audit", "--json", "--resolver", "127.0.0.1:53", "--ca", "root.pem", "--from", "domains"])
        .current_dir(&zoo.folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let lists: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    let lists = lists.unwrap_or_else(|error| panic!("{error} in {text}\n--- stderr\n{errors}"));
    let reports: Vec<&Value> = lists.iter().flat_map(|list| list.as_array().into_iter().flatten()).collect();
    assert!(!reports.is_empty(), "ended with {} and no report\n--- stderr\n{errors}", output.status);
    fs::write(zoo.folder.join("audit.json"), output.stdout).unwrap();
    reports.into_iter().map(codes).collect()
}

fn codes(report: &Value) -> (String, BTreeSet<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} in {report}")).to_owned();
    let topics = report["topics"].as_array().unwrap_or_else(|| panic!("no topics in {report}"));
    let findings = topics.iter().flat_map(|topic| topic["findings"].as_array().unwrap());
    let codes = findings.map(|finding| text(&finding["code"])).filter(|code| code != ABOUT_SPEED);
    (text(&report["domain"]), codes.collect())
}

/// A line for each exhibit that does not have exactly its findings.
pub fn faults(exhibits: &[Exhibit], found: &Found) -> Vec<String> {
    exhibits.iter().filter_map(|exhibit| fault(exhibit, found.get(&exhibit.domain()))).collect()
}

fn fault(exhibit: &Exhibit, found: Option<&BTreeSet<String>>) -> Option<String> {
    let (name, wrong) = (exhibit.name, exhibit.wrong);
    let Some(found) = found else { return Some(format!("{name} ({wrong}): no report")) };
    let expected: BTreeSet<String> = exhibit.expected.iter().map(|code| (*code).to_owned()).collect();
    let missing: Vec<&String> = expected.difference(found).collect();
    let surplus: Vec<&String> = found.difference(&expected).collect();
    let differs = !missing.is_empty() || !surplus.is_empty();
    differs.then(|| format!("{name} ({wrong}): missing {missing:?}, not expected {surplus:?}"))
}
