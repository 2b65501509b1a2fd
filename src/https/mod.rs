//! The policy server: HTTPS for policies (RFC 8461 §3.3) and plain HTTP for challenges (RFC 8555 §8.3).
//!
//! `server` accepts and drains, `handshake` finds the certificate or aborts (within `rate`), `connection` speaks
//! HTTP within limits, `respond` and `plain` decide what is answered and are pure. A request waits
//! for nobody but its own sender: it reads the snapshot, the certificate table and its socket. Behind a proxy that
//! has ended TLS, the request's authority chooses the host, and `forwarded` tells on whose behalf it asks.
//! `access_log` writes requests down, for those who want that.

mod access_log;
mod connection;
mod forwarded;
mod handshake;
mod metrics;
mod plain;
mod rate;
mod respond;
mod server;
mod tls;
mod unfinished;

pub use access_log::{AccessLog, AccessLogWriter};
pub use metrics::Counters;
pub use respond::respond;
pub use server::{Drained, PolicyListener, PolicyServer};
