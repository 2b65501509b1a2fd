//! Edits while the daemon runs: live when good, harmless when bad, never a mixture.

use crate::support::{Home, eventually};
use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[test]
fn an_edit_is_served_and_a_removed_tenant_is_not() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx: mx1.meadow.example\r\n");

    home.tenant("meadow", "meadow", "meadow.example", "mx2.meadow.example");
    home.tenant("brook", "brook", "brook.example", "mx.brook.example");
    daemon.wait_for_policy("meadow.example", "mx: mx2.meadow.example\r\n");
    daemon.wait_for_policy("brook.example", "mx: mx.brook.example\r\n");

    fs::remove_file(home.path("tenants.d/meadow.toml")).unwrap();
    eventually("meadow to be gone", || (daemon.fetch("meadow.example").exit == 35).then_some(()));
    assert_eq!(daemon.fetch("brook.example").status, 200);
}

#[test]
fn a_bad_edit_leaves_the_old_policy_served_and_lets_the_others_through() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    home.tenant("brook", "brook", "brook.example", "mx1.brook.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    daemon.wait_for_policy("brook.example", "mx1");

    home.tenant("meadow", "meadow", "meadow.example", "192.0.2.25");
    home.tenant("brook", "brook", "brook.example", "mx2.brook.example");
    daemon.wait_for_policy("brook.example", "mx2");
    assert!(daemon.fetch("meadow.example").body.contains("mx1.meadow.example"));
    let status = home.run(&["status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("192.0.2.25") && text.contains("meadow.toml:4"), "{text}");

    home.write("tenants.d/meadow.toml", "[[tenant]\nname = ");
    home.tenant("brook", "brook", "brook.example", "mx3.brook.example");
    daemon.wait_for_policy("brook.example", "mx3");
    assert!(daemon.fetch("meadow.example").body.contains("mx1.meadow.example"));

    home.tenant("meadow", "meadow", "meadow.example", "mx4.meadow.example");
    daemon.wait_for_policy("meadow.example", "mx4");
    let text = String::from_utf8(home.run(&["status"]).stdout).unwrap();
    assert!(!text.contains("192.0.2.25"), "{text}");
}

// A fault may lie in a file for weeks; the reboot in between must not turn it into an outage, nor
// hand a domain to whoever claims it first in reading order.
#[test]
fn what_was_last_good_stays_so_over_a_restart() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    home.tenant("brook", "brook", "brook.example", "mx1.brook.example");
    let mut daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    daemon.wait_for_policy("brook.example", "mx1");
    home.write("tenants.d/meadow.toml", "[[tenant]\nname = ");
    home.tenant("aaa", "thief", "brook.example", "mx.thief.example");
    home.tenant("hill", "hill", "hill.example", "mx.hill.example");
    daemon.wait_for_policy("hill.example", "mx.hill");
    assert_eq!(daemon.stop(), 0);

    for kill in [false, true] {
        let mut daemon = home.start();
        assert!(daemon.wait_for_policy("meadow.example", "mx1").contains("meadow"));
        assert!(daemon.wait_for_policy("brook.example", "mx1").contains("mx1.brook.example"));
        daemon.wait_for_policy("hill.example", "mx.hill");
        assert!(daemon.log().iter().any(|line| line.contains("tenants refused") && line.contains("thief")));
        if kill {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), 0);
        }
    }
    home.tenant("meadow", "meadow", "meadow.example", "mx2.meadow.example");
    fs::remove_file(home.path("tenants.d/brook.toml")).unwrap();
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx2");
    daemon.wait_for_policy("brook.example", "mx.thief.example");
}

#[test]
fn a_fault_in_the_server_part_keeps_everything_as_it_was() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let skip = daemon.log().len();
    home.write_main("[dns]\ntimeout = 5\n");
    home.tenant("meadow", "meadow", "meadow.example", "mx2.meadow.example");
    daemon.wait_for_log_after(skip, "config refused");
    assert!(daemon.fetch("meadow.example").body.contains("mx1"));
    home.write_main("");
    daemon.wait_for_policy("meadow.example", "mx2");
}

#[test]
fn a_changed_key_that_needs_a_restart_is_named() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    home.write_main("[limits]\nconnections = 1234\n");
    let line = daemon.wait_for_log("needs a restart");
    assert!(line.contains("limits.connections") && line.contains("1234"), "{line}");
    let text = String::from_utf8(home.run(&["status"]).stdout).unwrap();
    assert!(text.contains("limits.connections"), "{text}");
}

#[test]
fn hang_up_reloads() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    let skip = daemon.log().len();
    daemon.signal("HUP");
    daemon.wait_for_log_after(skip, "reload requested");
    daemon.wait_for_log_after(skip, "config read, nothing served has changed");
    daemon.wait_for_policy("meadow.example", "mx1");
}

#[test]
fn no_fetch_fails_or_sees_a_mixture_while_edits_rain() {
    // Two clients in a row of fetches are quicker than senders are expected to be.
    let home = Home::new("[limits]\nhandshakes_per_address = 10000\nhandshake_burst_per_address = 10000\n");
    let write = |round: usize| {
        let mx: Vec<_> = (0..20).map(|n| format!("\"mx{n}.round{round}.example\"")).collect();
        let text =
            format!("[[tenant]]\nname = \"m\"\ndomains = [\"meadow.example\"]\nmx = [{}]\n", mx.join(", "));
        home.write("tenants.d/meadow.toml", &text);
    };
    write(0);
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "round0");
    let (done, rounds_seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = String::new();
                while !done.load(Ordering::Relaxed) {
                    let fetched = daemon.fetch("meadow.example");
                    assert_eq!(fetched.status, 200, "{fetched:?}");
                    let rounds: std::collections::BTreeSet<_> =
                        fetched.body.lines().filter_map(|line| line.split('.').nth(1)).collect();
                    assert_eq!(rounds.len(), 1, "a mixture: {}", fetched.body);
                    assert_eq!(fetched.body.lines().count(), 23);
                    if fetched.body != last {
                        rounds_seen.fetch_add(1, Ordering::Relaxed);
                        last = fetched.body;
                    }
                }
            });
        }
        for round in 1..=60 {
            write(round);
            if round % 10 == 0 {
                daemon.wait_for_policy("meadow.example", &format!("round{round}"));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(rounds_seen.load(Ordering::Relaxed) > 4);
}
