//! The real binary behind real proxies, with the configurations of `contrib/`, and real curl as the client.
//!
//! The proxy connects from 127.0.0.1; clients are other loopback addresses, so that what the daemon takes
//! for the client shows whether the proxy's word was heard.

#![allow(clippy::disallowed_methods, reason = "these tests wait for other processes, in their time")]

mod documented;
mod pass_through;
#[path = "../support/pebble.rs"]
mod pebble;
mod proxies;
#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "shared with tests/daemon, which uses all of it")]
mod support;
mod terminating;
