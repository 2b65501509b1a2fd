//! The look itself: what is said to the host, in which order, and what is made of the answers.

use super::{Probe, Settings, Why};
use crate::{dialing::Reach, dns::DnsName};
use jiff::Timestamp;
use std::{net::IpAddr, time::Duration};

/// Looks at MX hosts. Keeps nothing between looks; see [`super::pace`] for how often to look.
#[derive(Clone)]
pub struct Prober {
    settings: Settings,
    reach: Reach,
}

impl Prober {
    /// A prober that connects within `reach`.
    pub fn new(settings: Settings, reach: Reach) -> Self {
        Self { settings, reach }
    }

    /// Looks at `host` at `address`.
    pub async fn probe(&self, _host: &DnsName, address: IpAddr, _now: Timestamp) -> Probe {
        let _ = (&self.settings, &self.reach);
        Probe {
            address,
            outcome: Why::NoRouteHere.outcome(),
            evidence: None,
            banner: None,
            ehlo: vec![],
            elapsed: Duration::ZERO,
            tls: None,
            without_sni: None,
            unknown_sni: None,
            old_tls_accepted: None,
            ehlo_after_tls: None,
        }
    }
}
