//! A zoo of mail domains, each with one thing wrong, and what is found there.
//!
//! This process starts itself again in network, mount and process namespaces of its own and opens the
//! zoo in there (README.md beside this file). Needs root: Postfix changes users.
//!
//! - `cargo test --test zoo` runs the audit over all exhibits, and the peers;
//! - `cargo test --test zoo -- serve` leaves the zoo open until Enter is pressed;
//! - `cargo test --test zoo -- shell [COMMAND…]` runs a command, else a shell, within the open zoo.

mod audit;
mod certificates;
mod exhibits;
mod mail_hosts;
mod network;
mod ours;
mod peers;
mod scripted_dns;
mod scripted_https;
mod scripted_smtp;
mod visitors;
mod web;
mod zones;

use network::Zoo;
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, ExitCode},
};

/// Set within the namespaces: where the zoo keeps its files.
const FOLDER: &str = "MTA_STSD_ZOO_FOLDER";

/// The tests as `cargo test NAME` may choose them; the second needs root.
const CATALOGUE: &str = "every_code_has_an_exhibit_or_a_reason";
const FINDINGS: &str = "every_exhibit_has_exactly_its_findings";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(folder) = env::var_os(FOLDER) {
        return inside(Path::new(&folder), &arguments);
    }
    let visit = arguments.first().is_some_and(|word| ["shell", "serve"].contains(&word.as_str()));
    let listed = arguments.iter().any(|word| word == "--list");
    let filters = arguments.iter().filter(|word| !word.starts_with('-'));
    let chosen =
        |name: &str| !visit && !listed && filters.clone().all(|filter| name.contains(filter.as_str()));
    let mut good = true;
    if chosen(CATALOGUE) {
        good = tell(CATALOGUE, &audit::codes_without_exhibit(&exhibits::all()));
    }
    if !visit && !chosen(FINDINGS) {
        return code(good);
    }
    if !rustix::process::geteuid().is_root() {
        println!("\n{FINDINGS} was left out: Postfix needs root\n");
        return code(good);
    }
    let folder = tempfile::TempDir::with_prefix("mta-stsd-zoo-").unwrap();
    // Postfix and Knot look in as other users.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut process = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args(&arguments)
        .env(FOLDER, folder.path())
        .env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()))
        .spawn()
        .expect("setpriv and unshare are installed (Debian package util-linux)");
    if visit {
        visitors::say_the_way_in(process.id());
    }
    code(process.wait().unwrap().success() && good)
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints how a test ended; whether it held.
fn tell(name: &str, faults: &[String]) -> bool {
    for fault in faults {
        eprintln!("{fault}");
    }
    println!("\ntest {name} ... {}\n", if faults.is_empty() { "ok" } else { "FAILED" });
    faults.is_empty()
}

fn inside(folder: &Path, arguments: &[String]) -> ExitCode {
    let zoo = Zoo::open(folder);
    match arguments.split_first() {
        Some((word, command)) if word == "shell" => return code(visitors::shell(&zoo, command)),
        Some((word, _)) if word == "serve" => {
            visitors::serve(&zoo);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    // Both wait for most of their time, so they wait together.
    let audits = audit::begin(&zoo);
    let verdicts = peers::ask(&zoo);
    let mut faults = audit::end(&zoo, audits);
    let (table, disagreements) = peers::table(&zoo, &verdicts);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo-peers.md");
    fs::write(&kept, table).unwrap();
    faults.extend(peers::faults(&verdicts, &disagreements));
    println!("\n{} exhibits; all verdicts of the peers: {}", zoo.exhibits.len(), kept.display());
    code(tell(FINDINGS, &faults))
}
