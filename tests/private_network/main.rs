//! The real binary in a world of its own: real ports, a real DNS server and sender, a real small disk.
//!
//! Each scenario runs in network, mount and process namespaces of its own: ports 443 and 53 of a
//! loopback that nobody else sees, a resolv.conf and disks of its own, nothing left behind. Needs root
//! (as continuous integration has) or user namespaces.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

fn run(scenario: &str) {
    run_with(scenario, &["--map-root-user"]);
}

/// For servers that change users, which a lone mapped root cannot.
fn run_as_root(scenario: &str) {
    if rustix::process::geteuid().is_root() {
        run_with(scenario, &[]);
    } else {
        println!("{scenario} was left out: Postfix needs root");
    }
}

fn run_with(scenario: &str, user: &[&str]) {
    let folder = tempfile::TempDir::with_prefix("mta-stsd-net-").unwrap();
    // Servers that change users look in, too.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("{}/tests/private_network/{scenario}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("unshare")
        .args(user)
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["bash", &script, env!("CARGO_BIN_EXE_mta-stsd")])
        .arg(folder.path())
        .output()
        .expect("unshare is installed (Debian package util-linux)");
    let shown = format!(
        "{}\n--- stderr\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("scenario passed"), "{shown}");
}

#[test]
fn a_real_sender_accepts_our_policy_and_moved_mx_records_are_found() {
    run("scenario.sh");
}

#[test]
fn a_full_or_read_only_disk_stops_orders_and_nothing_else() {
    run("unwell_disk.sh");
}

#[test]
fn an_authority_that_is_not_pebble_issues_by_both_challenges() {
    run("other_authority.sh");
}

#[test]
fn a_mail_host_that_loses_starttls_is_found_raised_and_forgiven_when_mended() {
    run_as_root("daily_audit.sh");
}
