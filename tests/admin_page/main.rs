//! The admin page of the real daemon: over HTTP as strangers and programs meet it, and in Debian's
//! Chromium as people do.
//!
//! The browser is driven by playwright-core, and axe-core looks for what shuts people out; `tests/run`
//! installs both below `target/admin-page-browser`. Pictures of every page are kept in `target/admin-page`.

#![allow(clippy::disallowed_methods, reason = "these tests wait for other processes, in their time")]

mod browser;
mod http;
#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "shared with tests/daemon, which uses all of it")]
mod support;
#[path = "../daemon/zone.rs"]
#[allow(dead_code, reason = "shared with tests/daemon, which uses all of it")]
mod zone;

use std::{fs, os::unix::fs::PermissionsExt};
use support::{Daemon, Home};

/// Lets in.
pub const TOKEN: &str = "a token of some length for tests alone";

/// Writes the token where `[admin]` of [`with_token`] looks for it.
pub fn write_token(home: &Home) {
    home.write("admin.token", &format!("{TOKEN}\n"));
    fs::set_permissions(home.path("admin.token"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// `[admin]` with a page on a free port and `rest`.
pub fn admin(rest: &str) -> String {
    format!("[admin]\nsocket = \"admin.sock\"\nlisten = [\"127.0.0.1:0\"]\n{rest}\n")
}

/// Where the page of `daemon` is, as `127.0.0.1:port`.
pub fn page_of(daemon: &Daemon) -> String {
    let line = daemon.wait_for_log("listening for the admin page");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    json["address"].as_str().unwrap().to_owned()
}
