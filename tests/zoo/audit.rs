//! Runs `mta-stsd audit` over all exhibits at once and holds what it finds against the table.

use crate::{
    exhibits::{Exhibit, Zone},
    network::Zoo,
    ours, scripted_dns,
};
use mta_stsd::audit::FindingCode;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
};

/// Says how long a server took: on a slow machine it may be said of any.
const ABOUT_SPEED: &str = "POLICY_SLOW";

/// The codes found for each domain.
pub type Found = BTreeMap<String, BTreeSet<String>>;

/// Codes without an exhibit, and why.
const NOT_SHOWN: [(&str, &str); 2] = [
    (
        "MX_PATTERN_UNUSED_LONG",
        "the continuous check alone says it, after a month: src/cross_check/cycle/tests.rs lets one pass",
    ),
    ("MX_HOST_OURS", "the daemon alone knows which addresses are its own: src/audit/tests.rs gives some"),
];

/// An audit under way.
pub struct Running {
    name: &'static str,
    process: Child,
}

/// Begins the audit of all exhibits, and one of each that is another thing alone.
pub fn begin(zoo: &Zoo) -> Vec<Running> {
    // Those that keep us waiting come first, so that they wait together.
    let slow = |exhibit: &&Exhibit| exhibit.expected.iter().any(|code| code.ends_with("_TIMEOUT"));
    let (slow, others): (Vec<_>, Vec<_>) = zoo.exhibits.iter().partition(slow);
    let domains: String = slow.iter().chain(&others).map(|exhibit| exhibit.domain() + "\n").collect();
    fs::write(zoo.folder.join("domains"), domains).unwrap();
    let alone = zoo.exhibits.iter().filter(|exhibit| exhibit.expected_alone.is_some());
    let mut running = vec![start(zoo, ALL, Ipv4Addr::LOCALHOST, &["--from", "domains"])];
    running.extend(alone.map(|exhibit| {
        let odd = exhibit.cuts.iter().any(|(_, zone)| *zone == Zone::Odd);
        let resolver = if odd { scripted_dns::RESOLVER } else { Ipv4Addr::LOCALHOST };
        start(zoo, exhibit.name, resolver, &[&exhibit.domain()])
    }));
    running
}

/// The name of the audit of all exhibits.
const ALL: &str = "all";

fn start(zoo: &Zoo, name: &'static str, resolver: Ipv4Addr, which: &[&str]) -> Running {
    let file = |kind: &str| fs::File::create(zoo.folder.join(format!("audit-{name}.{kind}"))).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_mta-stsd"))
        .args(["audit", "--json", "--ca", "root.pem", "--config", ours::FILE])
        .args(["--resolver", &resolver.to_string()])
        .args(which)
        .current_dir(&zoo.folder)
        .stdin(Stdio::null())
        .stdout(file("json"))
        .stderr(file("log"))
        .spawn()
        .unwrap();
    Running { name, process }
}

/// Waits for the audits and says where they do not find exactly what the table has.
pub fn end(zoo: &Zoo, running: Vec<Running>) -> Vec<String> {
    let mut faults = vec![];
    for Running { name, mut process } in running {
        let status = process.wait().unwrap();
        let text = |kind: &str| fs::read_to_string(zoo.folder.join(format!("audit-{name}.{kind}"))).unwrap();
        let (found, errors) = (text("json"), text("log"));
        let lists: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&found).into_iter().collect();
        let lists = lists.unwrap_or_else(|error| panic!("{error} in {found}\n--- stderr\n{errors}"));
        let reports = lists.iter().flat_map(|list| list.as_array().into_iter().flatten());
        let found: Found = reports.map(codes).collect();
        assert!(!found.is_empty(), "ended with {status} and no report\n--- stderr\n{errors}");
        for exhibit in &zoo.exhibits {
            let expected = match name {
                ALL => Some(&exhibit.expected),
                _ => exhibit.expected_alone.as_ref().filter(|_| exhibit.name == name),
            };
            faults.extend(expected.and_then(|codes| fault(exhibit, codes, found.get(&exhibit.domain()))));
        }
    }
    faults
}

fn codes(report: &Value) -> (String, BTreeSet<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} in {report}")).to_owned();
    let topics = report["topics"].as_array().unwrap_or_else(|| panic!("no topics in {report}"));
    let findings = topics.iter().flat_map(|topic| topic["findings"].as_array().unwrap());
    (text(&report["domain"]), findings.map(|finding| text(&finding["code"])).collect())
}

/// A line for an exhibit that does not have exactly its findings.
fn fault(exhibit: &Exhibit, expected: &[&str], found: Option<&BTreeSet<String>>) -> Option<String> {
    let (name, wrong) = (exhibit.name, exhibit.wrong);
    let Some(found) = found else { return Some(format!("{name} ({wrong}): no report")) };
    let expected: BTreeSet<String> = expected.iter().map(|code| (*code).to_owned()).collect();
    let missing: Vec<&String> = expected.difference(found).collect();
    let surplus: Vec<&String> = found.difference(&expected).filter(|code| *code != ABOUT_SPEED).collect();
    let differs = !missing.is_empty() || !surplus.is_empty();
    differs.then(|| format!("{name} ({wrong}): missing {missing:?}, not expected {surplus:?}"))
}

/// A line for each code of the catalogue that no exhibit has and no reason is given for, and for each
/// code that is in no catalogue.
pub fn codes_without_exhibit(exhibits: &[Exhibit]) -> Vec<String> {
    let shown: BTreeSet<&str> = exhibits
        .iter()
        .flat_map(|one| one.expected.iter().chain(one.expected_alone.iter().flatten()))
        .copied()
        .collect();
    let excused: BTreeSet<&str> = NOT_SHOWN.iter().map(|(code, _)| *code).collect();
    let known: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
    let told = shown.union(&excused).copied().collect();
    let line =
        |what: &str, codes: Vec<&&str>| codes.into_iter().map(|code| format!("{code}: {what}")).collect();
    let faults: [Vec<String>; 3] = [
        line("no exhibit shows it, and NOT_SHOWN gives no reason", known.difference(&told).collect()),
        line("the catalogue does not have it", told.difference(&known).collect()),
        line("NOT_SHOWN has it, and an exhibit shows it", shown.intersection(&excused).collect()),
    ];
    faults.concat()
}
