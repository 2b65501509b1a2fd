//! The unit file and the image agree with the binary: paths, arguments, ports, folders.

#[path = "../build.rs"]
#[allow(dead_code, reason = "its main is cargo's to call")]
mod build;

use mta_stsd::{
    config::{DEFAULT_FILE, Store},
    listening::Entrance,
};
use std::{path::Path, process::Command};

const UNIT: &str = include_str!("../systemd/mta-stsd.service");
const HTTPS_SOCKET: &str = include_str!("../systemd/mta-stsd.socket");
const HTTP_SOCKET: &str = include_str!("../systemd/mta-stsd-http.socket");
const IMAGE: &str = include_str!("../Dockerfile");
const CARGO: &str = include_str!("../Cargo.toml");

/// What the unit sets `key` to, the last time it does.
fn unit(key: &str) -> &'static str {
    let value = UNIT.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit does not set {key}"))
}

/// The arguments of an instruction in the image's last stage.
fn image(instruction: &str) -> &'static str {
    let last = IMAGE.rsplit("\nFROM ").next().unwrap();
    let arguments = last.lines().find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    arguments.unwrap_or_else(|| panic!("the last stage has no {instruction}"))
}

fn binary() -> &'static str {
    let name = CARGO.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
    name.trim_matches('"')
}

#[test]
fn the_unit_and_the_image_start_the_daemon_the_same_way() {
    let path = format!("/usr/bin/{}", binary());
    assert_eq!(unit("ExecStart"), format!("{path} serve"));
    assert_eq!(image("ENTRYPOINT"), format!("[{path:?}]"));
    assert_eq!(image("CMD"), "[\"serve\"]");
    let copied =
        format!("cp target/dist/{} /image{}/ ", binary(), Path::new(&path).parent().unwrap().display());
    assert!(IMAGE.contains(&copied) && IMAGE.contains("/image/ /\n"), "the binary is where it is run");
}

#[test]
fn the_folders_are_those_the_binary_looks_for() {
    let state = Path::new(Store::DEFAULT_DIRECTORY);
    assert_eq!(Path::new("/var/lib").join(unit("StateDirectory")), state);
    assert_eq!(unit("StateDirectoryMode"), "0700", "the store refuses more");
    assert_eq!(Path::new(image("VOLUME")), state);
    assert!(IMAGE.contains(&format!("mkdir -m 0700 /state/{}\n", unit("StateDirectory"))));
    assert!(IMAGE.contains(&format!("/state/ {}/\n", state.parent().unwrap().display())));
    let configuration = Path::new("/etc").join(unit("ConfigurationDirectory"));
    assert_eq!(Path::new(DEFAULT_FILE).parent(), Some(&*configuration));
    assert_eq!(unit("RuntimeDirectory"), unit("StateDirectory"));
}

#[test]
fn the_image_runs_as_a_number_that_is_not_root_and_owns_the_store() {
    let user = image("USER");
    let numbers: Vec<u32> = user.split(':').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| *number > 0), "{user}");
    assert!(IMAGE.contains(&format!("--chown={user} /state/")));
    assert_eq!(image("EXPOSE"), "443 80");
}

#[test]
fn the_image_is_built_with_the_compiler_and_the_profile_of_the_tree() {
    let version = CARGO.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(IMAGE.contains(&format!("FROM rust:{}-", version.trim_matches('"'))));
    assert!(IMAGE.contains("--locked --profile dist") && CARGO.contains("\n[profile.dist]\n"));
}

#[test]
fn systemd_waits_for_the_drain_and_does_not_repeat_a_refused_start() {
    let wait: u32 = unit("TimeoutStopSec").parse().unwrap();
    assert!(wait > 15 + 5 + 5, "limits.drain_timeout (15 s by default), then the parts, then the store");
    assert_eq!(
        unit("StartLimitIntervalSec"),
        "0",
        "a disk that comes late must not end the service for good"
    );
    assert_eq!(unit("Type"), "notify-reload");
    // An older systemd ignores that one and keeps the one before it.
    assert!(UNIT.contains("\nType=notify\nType=notify-reload\n"));
    assert_eq!(unit("RestartPreventExitStatus"), "64 78");
}

#[test]
fn a_drain_does_not_look_like_a_hang() {
    let (watchdog, stop): (u32, u32) =
        (unit("WatchdogSec").parse().unwrap(), unit("TimeoutStopSec").parse().unwrap());
    assert!(watchdog / 2 >= stop, "no word is sent while the daemon drains");
}

#[test]
fn the_units_only_capability_is_to_bind_low_ports() {
    assert_eq!(unit("CapabilityBoundingSet"), "CAP_NET_BIND_SERVICE");
    assert_eq!(unit("AmbientCapabilities"), "CAP_NET_BIND_SERVICE");
    assert_eq!(unit("DynamicUser"), "yes");
}

// The tool counts in tenths.
#[test]
fn the_units_exposure_is_at_most_one_and_a_half() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/mta-stsd.service");
    let judge = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", "--threshold=15"])
        .arg(file)
        .output()
        .expect("systemd-analyze is installed (Debian package systemd)");
    let said = String::from_utf8_lossy(&judge.stdout) + String::from_utf8_lossy(&judge.stderr);
    assert!(judge.status.success() && said.contains("exposure level"), "{said}");
}

#[test]
fn the_package_is_of_the_version_of_the_tree() {
    let version = CARGO.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let changelog = include_str!("../contrib/debian/changelog");
    assert!(changelog.starts_with(&format!("{} ({version}-1) ", binary())), "{changelog}");
    let kubernetes = include_str!("../contrib/kubernetes/kustomization.yaml");
    assert!(kubernetes.contains(&format!("newTag: {version}\n")), "{kubernetes}");
}

// The builder sees only what is named there; a build script that it does not see is a build without it.
#[test]
fn what_the_build_reads_is_sent_to_the_images_builder() {
    let sent = include_str!("../.dockerignore");
    for part in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "templates"] {
        assert!(sent.lines().any(|line| line == format!("!{part}")), "{part}");
    }
    assert!(IMAGE.contains("MTA_STSD_COMMIT=\"$COMMIT\" cargo build"));
    assert!(IMAGE.contains(&format!("CMD [\"/usr/bin/{}\", \"health\"]", binary())));
}

#[test]
fn the_version_names_the_commit_it_was_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(build::of_repository(folder), None, "a tarball has no repository");
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"];
        let output = Command::new("git").current_dir(folder).args(who).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    std::fs::write(folder.join("file"), "one").unwrap();
    git(&["add", "file"]);
    git(&["commit", "--quiet", "--message", "one"]);
    // A tag of somebody's is no commit.
    git(&["tag", "--annotate", "--message", "mine", "mine"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(build::of_repository(folder), Some(commit.clone()));
    std::fs::write(folder.join("file"), "two").unwrap();
    assert_eq!(build::of_repository(folder), Some(format!("{commit}-dirty")));
    assert_eq!(build::shown("1.2.3", Some(&commit)), format!("1.2.3 ({commit})"));
    assert_eq!(build::shown("1.2.3", None), "1.2.3");
}
