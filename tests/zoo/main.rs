//! A zoo of mail domains, each with one thing wrong, and what is found there.
//!
//! This process starts itself again in network, mount and process namespaces of its own and opens the
//! zoo in there (README.md beside this file). Needs root: Postfix changes users.
//!
//! - `cargo test --test zoo` runs the audit over all exhibits, and the peers;
//! - `cargo test --test zoo -- shell [COMMAND…]` runs a command, else a shell, within the open zoo.

mod audit;
mod certificates;
mod exhibits;
mod mail_hosts;
mod network;
mod peers;
mod scripted_https;
mod scripted_smtp;
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

/// The test as `cargo test NAME` may choose it.
const NAME: &str = "every_exhibit_has_exactly_its_findings";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(folder) = env::var_os(FOLDER) {
        return inside(Path::new(&folder), &arguments);
    }
    let shell = arguments.first().is_some_and(|word| word == "shell");
    let chosen =
        arguments.iter().filter(|word| !word.starts_with('-')).all(|filter| NAME.contains(filter.as_str()));
    if !shell && (!chosen || arguments.iter().any(|word| word == "--list")) {
        println!("\nrunning 0 tests\n");
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("\n{NAME} was left out: Postfix needs root\n");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::TempDir::with_prefix("mta-stsd-zoo-").unwrap();
    // Postfix and Knot look in as other users.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args(arguments)
        .env(FOLDER, folder.path())
        .env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()))
        .status()
        .expect("setpriv and unshare are installed (Debian package util-linux)");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn inside(folder: &Path, arguments: &[String]) -> ExitCode {
    let zoo = Zoo::open(folder);
    if let Some((_, command)) = arguments.split_first().filter(|(word, _)| *word == "shell") {
        let (program, rest) =
            command.split_first().map_or(("bash", &[][..]), |(one, rest)| (one.as_str(), rest));
        let status = Command::new(program).args(rest).current_dir(folder).status().unwrap();
        return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut faults = audit::faults(&zoo.exhibits, &audit::run(&zoo));
    let verdicts = peers::ask(&zoo);
    let (table, disagreements) = peers::table(&zoo, &verdicts);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo-peers.md");
    fs::write(&kept, table).unwrap();
    faults.extend(peers::faults(&verdicts, &disagreements));
    println!("\n{} exhibits; all verdicts of the peers: {}", zoo.exhibits.len(), kept.display());
    for fault in &faults {
        eprintln!("{fault}");
    }
    println!("\ntest {NAME} ... {}\n", if faults.is_empty() { "ok" } else { "FAILED" });
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
