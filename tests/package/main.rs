//! The Debian package and the image, made and used for real: built, installed, upgraded, removed, purged by
//! dpkg; the image's files alone, on a read-only root.
//!
//! Each scenario works on a copy of this machine's files that is thrown away (an overlay), in mount, network
//! and process namespaces of its own, so nothing on the machine changes. Needs root (as continuous
//! integration has), or user namespaces with subordinate ids.

use std::{path::Path, process::Command};

fn run(scenario: &str) {
    let folder = tempfile::TempDir::with_prefix("mta-stsd-package-").unwrap();
    let house = env!("CARGO_MANIFEST_DIR");
    let root = Path::new("/proc/self").metadata().map(|me| std::os::unix::fs::MetadataExt::uid(&me));
    let user: &[&str] = if root.unwrap() == 0 { &[] } else { &["--map-root-user", "--map-auto"] };
    let output = Command::new("unshare")
        .args(user)
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg("bash")
        .arg(format!("{house}/tests/package/{scenario}"))
        .args([env!("CARGO_BIN_EXE_mta-stsd"), house])
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
fn the_package_installs_serves_upgrades_and_goes_without_losing_what_is_the_operators() {
    run("debian.sh");
}

#[test]
fn the_image_serves_from_its_own_files_alone_on_a_read_only_root() {
    run("image.sh");
}

#[test]
fn the_kubernetes_manifests_are_valid_and_make_a_pod_that_becomes_ready() {
    run("kubernetes.sh");
}
