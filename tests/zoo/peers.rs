//! What other implementations make of the exhibits, held against ours and against docs/peers.md.
//!
//! postfix-mta-sts-resolver comes from Debian. checkdmarc, mailauth and mx-connect are installed by
//! `tests/run` below `target/zoo-peers`; without them their columns are left out.

use crate::{
    exhibits::{Answer, Exhibit, Web, Zone},
    network::Zoo,
};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Findings with which RFC 8461 lets a sender have no policy of the domain.
const WITHOUT_POLICY: &[&str] = &[
    "DNSSEC_BOGUS",
    "NO_MTA_STS",
    "POLICY_BAD_HTTP",
    "POLICY_CERT_EXPIRED",
    "POLICY_CERT_INCOMPLETE_CHAIN",
    "POLICY_CERT_NAME",
    "POLICY_CERT_UNTRUSTED",
    "POLICY_CONTENT_TYPE",
    "POLICY_HOST_LOOKUP_FAILED",
    "POLICY_HOST_MISSING",
    "POLICY_HOST_PRIVATE_ADDRESS",
    "POLICY_HTTP1_FAILED",
    "POLICY_INVALID",
    "POLICY_REDIRECT",
    "POLICY_STATUS",
    "POLICY_TIMEOUT",
    "POLICY_TLS_FAILED",
    "POLICY_TOO_LARGE",
    "POLICY_UNREACHABLE",
    "STS_RECORD_CNAME_LOOP",
    "STS_RECORD_LOOKUP_FAILED",
    "STS_RECORD_MALFORMED",
    "STS_RECORD_MISSING",
    "STS_RECORD_MULTIPLE",
    "STS_RECORD_NBSP",
    "STS_RECORD_QUOTED",
    "STS_RECORD_SPACE_BEFORE_SEMICOLON",
    "STS_RECORD_WRONG_PLACE",
];

/// Findings with which no MX host can be reached.
const WITHOUT_HOST: &[&str] = &[
    "MX_HOST_LOOKUP_FAILED",
    "MX_HOST_NOT_FOUND",
    "MX_HOST_NO_ADDRESS",
    "MX_HOST_PRIVATE_ADDRESS",
    "MX_IS_IP",
    "MX_LOOKUP_FAILED",
    "MX_UNREACHABLE",
    "NO_MAIL_HOST",
    "NO_SUCH_DOMAIN",
    "NULL_MX_WITH_POLICY",
];

/// One other implementation.
struct Peer {
    name: &'static str,
    program: PathBuf,
    script: &'static str,
    tells: Tells,
}

/// What a peer's verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// The mode of the policy, `no` without one.
    Policy,
    /// Whether it connects to any MX host.
    Connects,
}

/// Each peer's verdicts by domain.
pub struct Verdicts {
    peers: Vec<Peer>,
    by_domain: BTreeMap<String, Vec<String>>,
}

fn peers() -> Vec<Peer> {
    let tools = tools();
    let python = tools.join("venv/bin/python");
    let mut peers = vec![Peer {
        name: "mta-sts-query",
        program: "/usr/bin/python3".into(),
        script: "mta_sts_query.py",
        tells: Tells::Policy,
    }];
    if python.exists() {
        peers.push(Peer {
            name: "checkdmarc",
            program: python,
            script: "checkdmarc_verdict.py",
            tells: Tells::Policy,
        });
    }
    if tools.join("node_modules").exists() {
        let node = |name, script, tells| Peer { name, program: "node".into(), script, tells };
        peers.push(node("mailauth", "mailauth_verdict.js", Tells::Policy));
        peers.push(node("mx-connect", "mx_connect_verdict.js", Tells::Connects));
    }
    peers
}

/// Where `tests/run` installs what Debian does not have.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("zoo-peers")
}

/// Asks all peers about all exhibits that have one policy host address: with more it is a matter of
/// which one is asked first.
pub fn ask(zoo: &Zoo) -> Verdicts {
    let lone: Vec<&Exhibit> = zoo.exhibits.iter().filter(|exhibit| has_one_address(exhibit)).collect();
    let domains: String = lone.iter().map(|exhibit| exhibit.domain() + "\n").collect();
    fs::write(zoo.folder.join("peers-domains"), domains).unwrap();
    let peers = peers();
    // All at once: what they do is to wait.
    let running: Vec<Child> = peers.iter().map(|peer| start(zoo, peer)).collect();
    let mut by_domain: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (peer, process) in peers.iter().zip(running) {
        let output = process.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {errors}", peer.name);
        let text = String::from_utf8(output.stdout).unwrap();
        for (domain, verdict) in text.lines().filter_map(|line| line.split_once('\t')) {
            let verdict = if ["error", "no policy"].contains(&verdict) { "no" } else { verdict };
            by_domain.entry(domain.to_owned()).or_default().push(verdict.to_owned());
        }
    }
    assert!(by_domain.values().all(|verdicts| verdicts.len() == peers.len()), "{by_domain:?}");
    assert_eq!(by_domain.len(), lone.len());
    Verdicts { peers, by_domain }
}

fn has_one_address(exhibit: &Exhibit) -> bool {
    exhibit.host_lines().lines().count() <= 1
}

fn start(zoo: &Zoo, peer: &Peer) -> Child {
    let root = zoo.folder.join("root.pem");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo/peers").join(peer.script);
    Command::new(&peer.program)
        .arg(script)
        .arg("peers-domains")
        .current_dir(&zoo.folder)
        .env("SSL_CERT_FILE", &root)
        .env("REQUESTS_CA_BUNDLE", &root)
        .env("NODE_EXTRA_CA_CERTS", &root)
        .env("NODE_PATH", tools().join("node_modules"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {} for {}: {error}", peer.program.display(), peer.name))
}

/// What a sender that follows RFC 8461 has, by our findings.
fn policy(exhibit: &Exhibit) -> String {
    if exhibit.expected.iter().any(|code| WITHOUT_POLICY.contains(code)) {
        return "no".to_owned();
    }
    let body = match &exhibit.web {
        Web::Nginx(_, Answer::Body(_, body)) => String::from_utf8_lossy(body).into_owned(),
        _ => return "enforce".to_owned(),
    };
    // The first value counts (RFC 8461 §3.2).
    let mode = body.lines().find_map(|line| line.strip_prefix("mode:"));
    mode.map_or("no", str::trim).to_owned()
}

/// Whether a sender that follows RFC 8461 connects to one of the MX hosts.
fn connects(policy: &str, exhibit: &Exhibit) -> &'static str {
    let nowhere = !matches!(exhibit.zone, Zone::Parents | Zone::Unsigned)
        || exhibit.expected.iter().any(|code| WITHOUT_HOST.contains(code) && !exhibit.another_way);
    let forbidden = policy == "enforce" && exhibit.expected.contains(&"NO_MX_COVERED");
    if nowhere || forbidden { "refuses" } else { "connects" }
}

/// The table of all verdicts, and the rows in which somebody disagrees with us.
pub fn table(zoo: &Zoo, verdicts: &Verdicts) -> (String, BTreeMap<String, String>) {
    let names: Vec<&str> = verdicts.peers.iter().map(|peer| peer.name).collect();
    let mut text = format!("| exhibit | policy | connects | {} |\n", names.join(" | "));
    text += &"|---".repeat(names.len() + 3);
    text += "|\n";
    let mut disagreements = BTreeMap::new();
    for exhibit in &zoo.exhibits {
        let Some(theirs) = verdicts.by_domain.get(&exhibit.domain()) else { continue };
        let policy = policy(exhibit);
        let connects = connects(&policy, exhibit);
        let row = format!("{} | {policy} | {connects} | {}", exhibit.name, theirs.join(" | "));
        writeln!(text, "| {row} |").unwrap();
        let agrees = |(peer, theirs): (&Peer, &String)| match peer.tells {
            Tells::Policy => *theirs == policy,
            Tells::Connects => *theirs == connects,
        };
        if !verdicts.peers.iter().zip(theirs).all(agrees) {
            disagreements.insert(exhibit.name.to_owned(), row);
        }
    }
    (text, disagreements)
}

/// What docs/peers.md does not say, or says of disagreements that are none.
pub fn faults(verdicts: &Verdicts, disagreements: &BTreeMap<String, String>) -> Vec<String> {
    const ALL: usize = 4;
    if verdicts.peers.len() != ALL {
        println!("docs/peers.md is not checked: tests/run has not installed all peers");
        return vec![];
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/peers.md")).unwrap();
    // A row is `| exhibit | ours | theirs… | why |`, and has words in its last cell.
    let told: BTreeMap<String, String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "))
        .filter(|(row, _)| row.split(" | ").count() == ALL + 3 && !row.starts_with("exhibit"))
        .map(|(row, _)| (row.split(" | ").next().unwrap_or_default().to_owned(), row.to_owned()))
        .collect();
    let untold = disagreements.iter().filter(|(name, row)| told.get(*name) != Some(row));
    let stale = told.keys().filter(|name| !disagreements.contains_key(*name));
    untold
        .map(|(_, row)| format!("docs/peers.md lacks the row | {row} | why |"))
        .chain(stale.map(|name| format!("docs/peers.md tells of {name}, on which all agree")))
        .collect()
}
