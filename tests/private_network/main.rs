//! The real binary on the real ports, with a real DNS server and a real sender.
//!
//! Runs `scenario.sh` in network, mount and process namespaces of its own: port 443 and 53 of a
//! loopback that nobody else sees, a resolv.conf of its own, nothing left behind. Needs root (as
//! continuous integration has) or user namespaces.

use std::process::Command;

#[test]
fn a_real_sender_accepts_our_policy_and_moved_mx_records_are_found() {
    let folder = tempfile::TempDir::with_prefix("mta-stsd-net-").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/private_network/scenario.sh");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["bash", script, env!("CARGO_BIN_EXE_mta-stsd")])
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
