//! The real binary on loopback: configuration, reload, fetches by real curl, restart, stop.
//!
//! Sockets are real here, so time is too; nothing is timed, everything is waited for.

#![allow(clippy::disallowed_methods, reason = "these tests wait for another process, in its time")]

mod authorities;
mod commands;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod issue;
mod kills;
mod logs;
mod looking;
mod metrics;
mod operator;
#[path = "../support/pebble.rs"]
mod pebble;
mod reload;
mod rig;
mod stop;
mod support;
mod systemd;
mod tries;
mod zone;
