//! What became of connections and requests; all that a stranger can move above debug.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub(super) fn add(&self) {
        // Counts are read for people; they order nothing.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Outcomes since the start of the process, over all listeners.
#[derive(Debug, Default)]
pub struct Counters {
    /// Policies served (status 200, over HTTPS or to a proxy).
    pub served: Counter,
    /// Requests over HTTPS or from a proxy answered with another status.
    pub not_served: Counter,
    /// HTTP-01 answers given.
    pub http_01: Counter,
    /// Requests on plain HTTP answered with another status.
    pub plain_not_found: Counter,
    /// TLS-ALPN-01 handshakes finished.
    pub tls_alpn_01: Counter,
    /// Connections closed for want of a permit: too many in all.
    pub refused_total: Counter,
    /// Connections closed for want of a permit: too many from one address.
    pub refused_address: Counter,
    /// Connections closed because nobody from their address may connect to that listener.
    pub refused_network: Counter,
    /// Connections from listed proxies that did not begin with a PROXY header in time.
    pub proxy_header: Counter,
    /// Connections that proxies made for themselves and left again, as health checks do.
    pub proxy_checks: Counter,
    /// Handshakes given up before they were signed: too many in a while from one address.
    pub refused_rate: Counter,
    /// Handshakes aborted: no server name.
    pub no_sni: Counter,
    /// Handshakes aborted: a name that is not in the snapshot.
    pub unknown_name: Counter,
    /// Handshakes aborted: a known host without a certificate yet.
    pub no_certificate: Counter,
    /// Handshakes aborted: a challenge protocol without a pending challenge.
    pub no_challenge: Counter,
    /// Handshakes aborted: the store could not say whether there is a certificate.
    pub store_error: Counter,
    /// Handshakes that failed in TLS itself: old versions, nothing in common, garbage, gone.
    pub tls_error: Counter,
    /// Handshakes that did not end in time.
    pub handshake_timeout: Counter,
    /// Unfinished handshakes given up to make room for newer ones.
    pub handshake_shed: Counter,
    /// HTTP connections dropped because no new request came, or the answer was not read.
    pub idle: Counter,
    /// HTTP connections that ended with a fault of the peer's.
    pub http_error: Counter,
    /// Connection tasks that panicked. Anything but 0 is a bug.
    pub panics: Counter,
}
