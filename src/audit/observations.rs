//! What was seen of a domain, before anybody judges it.

use crate::{
    dns::{
        Addresses, Answer, DnsName, MxAnswer, TlsaAnswer, TxtAnswer, Unanswered,
        caa::{CaaIdentity, Method, RelevantSet},
    },
    name::DomainName,
    policy::RenderedPolicy,
    policy_fetch::Fetch,
    starttls::Probe,
};
use jiff::Timestamp;
use std::{net::IpAddr, sync::Arc};

/// Everything that one look at a domain brought home. No answer is kept apart from an empty one.
#[derive(Clone, Debug)]
pub struct Observations {
    /// Whose mail it is about.
    pub domain: DomainName,
    /// When the look began.
    pub at: Timestamp,
    /// The TXT records at `_mta-sts`.
    pub record: Result<Answer<TxtAnswer>, Unanswered>,
    /// TXT records at names where people put an STS record by mistake.
    pub elsewhere: Vec<(DnsName, TxtAnswer)>,
    /// Whether a name that nobody made has an STS record, too; `None` without an answer.
    pub wildcard: Option<bool>,
    /// Where the policy host leads.
    pub policy_host: Result<Addresses, Unanswered>,
    /// Addresses of the policy host to which no way leads from here, so that nothing is known of them.
    pub no_way_to: Vec<IpAddr>,
    /// What its other addresses served; up to two fetches an address.
    pub fetches: Vec<Fetch>,
    /// The MX records.
    pub mx: Result<Answer<MxAnswer>, Unanswered>,
    /// Whether the domain itself has an address; asked when there are no MX records.
    pub own_address: bool,
    /// The MX hosts that were looked at, in order of preference.
    pub hosts: Vec<HostSeen>,
    /// MX hosts and addresses beyond the bounds, which were not looked at.
    pub left_out: usize,
    /// Whether the mail hosts were to be probed.
    pub smtp: bool,
    /// Whether anything answered at port 25 by now, for this domain or another of the run.
    pub port_25_answers: bool,
    /// The TXT records at `_smtp._tls`.
    pub report_record: Result<Answer<TxtAnswer>, Unanswered>,
    /// The CAA records that decide for the policy host; the error names whose question had no answer.
    pub caa: Result<Option<RelevantSet>, (DnsName, Unanswered)>,
    /// What we serve for the domain ourselves, if we do.
    pub expected: Option<Expected>,
}

impl Observations {
    /// Those of somebody who asked for nothing.
    pub(crate) fn of_nothing(domain: DomainName, at: Timestamp) -> Self {
        let nobody_asked = || Unanswered::failed("not asked");
        Self {
            domain,
            at,
            record: Err(nobody_asked()),
            elsewhere: vec![],
            wildcard: None,
            policy_host: Err(nobody_asked()),
            no_way_to: vec![],
            fetches: vec![],
            mx: Err(nobody_asked()),
            own_address: false,
            hosts: vec![],
            left_out: 0,
            smtp: false,
            port_25_answers: false,
            report_record: Err(nobody_asked()),
            caa: Ok(None),
            expected: None,
        }
    }
}

/// One MX host.
#[derive(Clone, Debug)]
pub struct HostSeen {
    /// As the MX record names it.
    pub host: DnsName,
    /// Lower is tried first.
    pub preference: u16,
    /// Where it leads.
    pub addresses: Result<Addresses, Unanswered>,
    /// Addresses that are never dialled, and their network.
    pub refused: Vec<(IpAddr, &'static str)>,
    /// What its addresses showed at port 25, now or a while ago: see [`Probe::at`].
    pub probes: Vec<Arc<Probe>>,
    /// Until when a look with something to object to serves others; an audit after that looks anew.
    pub doubted_until: Option<Timestamp>,
    /// The TLSA records at `_25._tcp`; `None` when they were not asked for.
    pub tlsa: Option<Result<Answer<TlsaAnswer>, Unanswered>>,
    /// Whether it has a report record of its own; asked only where it has TLSA records.
    pub has_report_record: Option<bool>,
}

/// How much of a domain is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The policy, from its host. Without it, nothing of what [`Observations`] say about the policy host
    /// means anything.
    pub policy: bool,
}

impl Scope {
    /// Everything.
    pub const ALL: Self = Self { policy: true };
}

/// What we serve for a domain and where, to hold against what the world sees.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The policy.
    pub policy: Arc<RenderedPolicy>,
    /// Where the policy host should lead; empty when that is not known.
    pub addresses: Vec<IpAddr>,
    /// Which authority should be able to issue for the policy host.
    pub issuer: Option<(CaaIdentity, Vec<Method>)>,
}
