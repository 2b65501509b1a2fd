//! Restarts and take-overs of the real binary under a load of new connections: none is refused, none is
//! reset, and every answer is right.
//!
//! Sockets are real here, so time is too; nothing is timed, everything is waited for.

#![allow(clippy::disallowed_methods, reason = "these tests wait for other processes, in their time")]

mod activation;
mod issuance;
mod load;
#[allow(dead_code, reason = "tests/daemon needs more of it")]
#[path = "../support/pebble.rs"]
mod pebble;
#[allow(dead_code, reason = "tests/daemon needs more of it")]
#[path = "../daemon/rig.rs"]
mod rig;
#[allow(dead_code, reason = "tests/daemon needs more of it")]
#[path = "../daemon/support.rs"]
mod support;
mod take_over;

use load::{Kind, Target};
use support::{Daemon, Home};

/// What comes in at the same time.
const CLIENTS: [Kind; 5] = [Kind::Http1, Kind::Http2, Kind::Plain, Kind::Http1, Kind::Http2];
/// Answers of one daemon before the next one comes.
const ANSWERS: usize = 30;
const UPGRADES: usize = 10;

/// A home of four tenants, with limits that one busy address does not meet.
fn home() -> (Home, Vec<String>) {
    let home = Home::new(
        "[limits]\nhandshakes_per_address = 1000000\nhandshake_burst_per_address = 1000000\n\
         connections_per_address = 10000\n",
    );
    let domains: Vec<_> = ["meadow", "brook", "grove", "heath"].map(|name| format!("{name}.example")).into();
    for domain in &domains {
        home.tenant(domain, domain.trim_end_matches(".example"), domain, &format!("mx.{domain}"));
    }
    (home, domains)
}

/// Waits until every tenant is served.
fn target(daemon: &Daemon, domains: &[String]) -> Target {
    domains.iter().for_each(|domain| drop(daemon.wait_for_policy(domain, "mx.")));
    Target::new(daemon.https, daemon.http, &daemon.root)
}
