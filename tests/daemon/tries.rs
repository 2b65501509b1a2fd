//! What a stranger does first: the example configuration and the line it prints.

use crate::support::{Home, eventually, fetch};
use std::{fs, path::Path, process::Command};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The example with other ports and folders, everything else as shipped.
fn example_home() -> Home {
    let home = Home::new("");
    let example = fs::read_to_string(repository().join("config.example.toml")).unwrap();
    let moved = example.replace("127.0.0.1:8443", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0");
    assert_ne!(example, moved, "the example names its ports");
    home.write("mta-stsd.toml", &moved);
    home
}

#[test]
fn the_printed_curl_line_fetches_a_policy_from_the_example() {
    let home = example_home();
    let daemon = home.start();
    let line = daemon.wait_for_log("curl ");
    let body = eventually("the printed line to succeed", || {
        let output = Command::new("bash").args(["-c", line.trim()]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    assert!(body.starts_with("version: STSv1\r\nmode: "), "{body:?}");
}

#[test]
fn both_sample_tenants_are_served_and_nobody_else() {
    let home = example_home();
    let daemon = home.start();
    let json = home.run(&["status", "--json"]);
    let overview: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let domains: Vec<_> = overview["domains"].as_array().unwrap().iter().map(|d| &d["domain"]).collect();
    assert!(domains.len() >= 2, "{overview}");
    for domain in domains {
        daemon.wait_for_policy(domain.as_str().unwrap(), "max_age: ");
    }
    let stranger = fetch(daemon.https, &daemon.root, "stranger.example");
    assert_eq!((stranger.status, stranger.exit), (0, 35), "{stranger:?}");
}

// The budgets stand for the limits of public authorities: 250 orders in three hours, 40 names under one
// registered domain.
#[test]
fn the_internal_authority_limits_nobody() {
    let home =
        Home::new("[policies.hosted]\nmx = [\"mx.provider.example\"]\ndomains_file = \"hosted.txt\"\n");
    let domains: Vec<String> = (0..300).map(|n| format!("d{n}.provider.example")).collect();
    home.write("hosted.txt", &domains.join("\n"));
    let daemon = home.start();
    let waiting = || {
        let json = home.run(&["status", "--json"]);
        let overview: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        overview["summary"]["without_certificate"].as_u64().unwrap()
    };
    eventually("every name to have a certificate", || (waiting() == 0).then_some(()));
    daemon.wait_for_policy("d299.provider.example", "mx.provider.example");
}

#[test]
fn a_store_comes_back_from_a_copy_made_beside_the_running_daemon() {
    let home = Home::new("");
    home.tenant("meadow.toml", "meadow", "meadow.example", "mx.meadow.example");
    let mut daemon = home.start();
    let before = daemon.wait_for_policy("meadow.example", "mx.meadow.example");
    let copy = home.path("copy.db");
    let (copy, state) = (copy.to_str().unwrap(), home.path("state"));
    let backup = home.run(&["backup", copy]);
    assert!(backup.status.success(), "{backup:?}");
    assert_eq!(home.run(&["backup", copy]).status.code(), Some(70), "never over another file");
    assert_eq!(home.run(&["restore", copy]).status.code(), Some(70), "never under a running daemon");
    assert_eq!(daemon.stop(), 0);
    fs::rename(&state, home.path("away")).unwrap();
    let restore = home.run(&["restore", copy]);
    assert!(restore.status.success(), "{restore:?}");
    let daemon = home.start();
    let line = daemon.wait_for_log("certificates read from the store");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["held"], 1);
    assert_eq!(daemon.wait_for_policy("meadow.example", "mx.meadow.example"), before);
}
