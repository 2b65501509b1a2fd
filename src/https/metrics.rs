//! What became of connections and requests; all that a stranger can move above debug.
//!
//! Every counter is made at start, so that counting is one atomic addition, and that a figure stands at 0
//! before its first event.

use crate::{
    metrics::{Counter, Family, Histogram, LOCAL_SECONDS, Labels, NETWORK_SECONDS, Registry, Unit},
    policy::Mode,
};
use http::StatusCode;
use std::{fmt, time::Duration};

/// Outcomes since the start of the process, over all listeners.
pub struct Counters {
    /// TLS handshakes finished with a policy host's certificate.
    pub finished: Counter,
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
    /// Connections of proxies that have ended TLS.
    pub backend: Counter,
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
    /// Handshakes aborted: TLS 1.1 or older.
    pub old_tls: Counter,
    /// Handshakes that failed in TLS itself: nothing in common, garbage, gone.
    pub tls_error: Counter,
    /// Handshakes that did not end in time.
    pub handshake_timeout: Counter,
    /// Unfinished handshakes given up to make room for newer ones.
    pub handshake_shed: Counter,
    /// Handshakes that a stop did not wait for.
    pub stopped: Counter,
    /// HTTP-01 answers given.
    pub http_01: Counter,
    /// Requests on plain HTTP answered with another status.
    pub plain_not_found: Counter,
    /// HTTP connections dropped because no new request came, or the answer was not read.
    pub idle: Counter,
    /// HTTP connections that ended with a fault of the peer's.
    pub http_error: Counter,
    /// Connection tasks that panicked. Anything but 0 is a bug.
    pub panics: Counter,
    requests: Requests,
    handshake_seconds: Histogram,
    first_answer_seconds: Histogram,
    request_seconds: Histogram,
    connections: Family<Labels<1>, Counter>,
    plain_requests: Family<Labels<1>, Counter>,
    dropped: Family<Labels<1>, Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        let (connections, plain_requests, dropped) =
            <(Family<Labels<1>, Counter>, Family<_, _>, Family<_, _>)>::default();
        let connection = |outcome| connections.get_or_create_owned(&[("outcome", outcome)]);
        let plain = |answer| Family::get_or_create_owned(&plain_requests, &[("answer", answer)]);
        let drop_for = |reason| Family::get_or_create_owned(&dropped, &[("reason", reason)]);
        Self {
            finished: connection("served"),
            tls_alpn_01: connection("challenge"),
            refused_total: connection("refused_total"),
            refused_address: connection("refused_address"),
            refused_network: connection("refused_network"),
            proxy_header: connection("proxy_header"),
            proxy_checks: connection("proxy_check"),
            backend: connection("backend"),
            refused_rate: connection("refused_rate"),
            no_sni: connection("no_sni"),
            unknown_name: connection("unknown_name"),
            no_certificate: connection("no_certificate"),
            no_challenge: connection("no_challenge"),
            store_error: connection("store_error"),
            old_tls: connection("old_tls"),
            tls_error: connection("tls_error"),
            handshake_timeout: connection("timeout"),
            handshake_shed: connection("shed"),
            stopped: connection("stopped"),
            http_01: plain("http_01"),
            plain_not_found: plain("not_found"),
            idle: drop_for("idle"),
            http_error: drop_for("fault"),
            panics: Counter::default(),
            requests: Requests::default(),
            handshake_seconds: Histogram::new(NETWORK_SECONDS),
            first_answer_seconds: Histogram::new(NETWORK_SECONDS),
            request_seconds: Histogram::new(LOCAL_SECONDS),
            connections,
            plain_requests,
            dropped,
        }
    }
}

impl Counters {
    /// Policies served: status 200 over HTTPS or to a proxy, whatever their mode.
    pub fn policies_served(&self) -> u64 {
        self.requests.of(StatusCode::OK).iter().map(Counter::get).sum()
    }

    /// A handshake that took this long from accept to its end was finished.
    pub(super) fn handshake_finished(&self, took: Duration) {
        self.finished.inc();
        self.handshake_seconds.observe(took.as_secs_f64());
    }

    /// A request to a host whose policy has `mode` was answered; working the answer out took this long.
    pub(super) fn answered(&self, status: StatusCode, mode: Option<Mode>, took: Duration) {
        let [enforce, testing, none, gone] = self.requests.of(status);
        let counter = match mode {
            Some(Mode::Enforce) => enforce,
            Some(Mode::Testing) => testing,
            Some(Mode::None) => none,
            None => gone,
        };
        counter.inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// The first answer of a connection was ready this long after accept.
    pub(super) fn first_answer(&self, took: Duration) {
        self.first_answer_seconds.observe(took.as_secs_f64());
    }

    /// Shows all of them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Connections for policies, and those refused at any listener, by what became of them; served: the \
             TLS handshake was finished; backend: from a proxy that has ended TLS; proxy_check: a proxy's own",
            self.connections.clone(),
        );
        registry.register(
            "requests",
            "Requests answered over HTTPS or to a proxy by status, and by the mode of the host's policy (empty: \
             there is none)",
            self.requests.family.clone(),
        );
        registry.register("plain_requests", "Requests on plain HTTP by answer", self.plain_requests.clone());
        registry.register(
            "dropped",
            "HTTP connections that did not end in order; idle: no new request came, or the answer was not \
             read; fault: the peer broke the protocol or vanished",
            self.dropped.clone(),
        );
        registry.register("panics", "Connections that ended in a panic of ours", self.panics.clone());
        let mut seconds = |name: &str, help: &str, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        seconds("handshake", "From accept to a finished TLS handshake", &self.handshake_seconds);
        seconds(
            "first_answer",
            "From accept to the first answer; senders wait for 2 to 60 s in all",
            &self.first_answer_seconds,
        );
        seconds("request", "From a whole request head to its answer", &self.request_seconds);
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

/// One counter for each status we answer with and each mode.
struct Requests {
    /// Enforce, testing, none, and no policy any more.
    by_status: Vec<(StatusCode, [Counter; 4])>,
    other: [Counter; 4],
    family: Family<Labels<2>, Counter>,
}

impl Default for Requests {
    fn default() -> Self {
        let family = Family::<Labels<2>, Counter>::default();
        let by_mode = |status| {
            ["enforce", "testing", "none", ""]
                .map(|mode| family.get_or_create_owned(&[("status", status), ("mode", mode)]))
        };
        // What `respond` and the limits of a connection answer; most often first.
        let statuses = [
            (StatusCode::OK, "200"),
            (StatusCode::NOT_FOUND, "404"),
            (StatusCode::BAD_REQUEST, "400"),
            (StatusCode::METHOD_NOT_ALLOWED, "405"),
            (StatusCode::MISDIRECTED_REQUEST, "421"),
            (StatusCode::URI_TOO_LONG, "414"),
            (StatusCode::NOT_IMPLEMENTED, "501"),
        ];
        Self {
            by_status: statuses.into_iter().map(|(status, word)| (status, by_mode(word))).collect(),
            other: by_mode("other"),
            family,
        }
    }
}

impl Requests {
    fn of(&self, status: StatusCode) -> &[Counter; 4] {
        self.by_status
            .iter()
            .find(|(known, _)| *known == status)
            .map_or(&self.other, |(_, counters)| counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, written};

    #[test]
    fn a_request_is_counted_by_status_and_mode() {
        let counters = Counters::default();
        let took = Duration::from_micros(3);
        counters.answered(StatusCode::OK, Some(Mode::Enforce), took);
        counters.answered(StatusCode::OK, Some(Mode::Testing), took);
        counters.answered(StatusCode::NOT_FOUND, None, took);
        counters.answered(StatusCode::IM_A_TEAPOT, Some(Mode::None), took);
        assert_eq!(counters.policies_served(), 2);
        let mut registry = Registry::default();
        counters.register(&mut registry);
        let text = written(&registry, Format::Text);
        for line in [
            "requests_total{status=\"200\",mode=\"enforce\"} 1",
            "requests_total{status=\"200\",mode=\"testing\"} 1",
            "requests_total{status=\"404\",mode=\"\"} 1",
            "requests_total{status=\"other\",mode=\"none\"} 1",
            "requests_total{status=\"421\",mode=\"enforce\"} 0",
            "connections_total{outcome=\"no_sni\"} 0",
            "request_seconds_count 4",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing:\n{text}");
        }
    }
}
