//! Whether an order could succeed, asked of DNS before the authority is troubled.
//!
//! An order that DNS is not ready for costs a place in the account's budget and ends in a problem
//! document that speaks of the authority's view. The preflight costs a few questions and says to the
//! tenant which record is wrong. It only ever holds an order back: the authority still judges for
//! itself, from many places.
//!
//! [`judge_addresses`] and [`judge_caa`] are pure; [`examine`] asks what they need.

use super::{
    authority::{CaaIdentity, IssueError},
    order::Readiness,
};
use crate::{
    config,
    dns::{
        Addresses, DnsName, Lookup, Unanswered, UnansweredKind,
        caa::{self, Ground, Method, Objection, RelevantSet},
    },
    name::PolicyHost,
    snapshot::SharedSnapshot,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tracing::info;

/// All questions for one host together may take this long; a chain of slow servers is no answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Addresses that one preflight names one by one.
const ADDRESSES_NAMED: usize = 8;

/// One thing that stands against an order, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightFinding {
    /// Which sort of thing.
    pub code: PreflightCode,
    /// What is wrong, in plain words, with the record in question.
    pub problem: String,
    /// One sentence: what to do.
    pub remedy: String,
}

impl fmt::Display for PreflightFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

/// The sorts of findings. Their words are stable: scripts and metrics know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreflightCode {
    /// The policy host, or what its CNAME points to, does not exist.
    NoSuchName,
    /// The policy host has neither A nor AAAA records.
    NoAddress,
    /// An address of the policy host is not ours.
    ForeignAddress,
    /// Its CNAME records run in a circle, or through too many names.
    TooManyCnames,
    /// CAA records do not let the authority issue to us.
    CaaForbids,
    /// DNSSEC signatures do not hold, so that authorities take no answer.
    DnssecBogus,
    /// DNS did not answer. Nobody's fault yet: it delays, and says nothing of the tenant.
    Unanswered,
}

impl PreflightCode {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchName => "no_such_name",
            Self::NoAddress => "no_address",
            Self::ForeignAddress => "foreign_address",
            Self::TooManyCnames => "too_many_cnames",
            Self::CaaForbids => "caa_forbids",
            Self::DnssecBogus => "dnssec_bogus",
            Self::Unanswered => "unanswered",
        }
    }

    /// Whether it is the tenant's to mend; otherwise waiting may be all it takes.
    pub fn is_tenants(self) -> bool {
        self != Self::Unanswered
    }
}

/// The addresses at which policy hosts reach us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ours {
    /// These and no others.
    Known(Vec<IpAddr>),
    /// Nobody said, and the sockets do not tell: addresses are not judged.
    Unknown,
}

impl Ours {
    /// What was `said` counts, else what is `bound`. An unspecified address stands for all that the
    /// machine has, and a private or loopback one is reached by strangers under some other; with one
    /// of these among the bound ones nothing is known.
    pub fn of(said: &[IpAddr], bound: &[SocketAddr]) -> Self {
        if !said.is_empty() {
            return Self::Known(said.iter().map(IpAddr::to_canonical).collect());
        }
        let bound: Vec<_> = bound.iter().map(|address| address.ip().to_canonical()).collect();
        if bound.is_empty() || !bound.iter().all(is_reached_as_it_is) {
            return Self::Unknown;
        }
        Self::Known(bound)
    }

    fn hold(&self, address: IpAddr) -> bool {
        match self {
            Self::Known(addresses) => addresses.contains(&address.to_canonical()),
            Self::Unknown => true,
        }
    }
}

fn is_reached_as_it_is(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // Carriers translate 100.64.0.0/10 (RFC 6598).
            let carriers = first == 100 && (64..128).contains(&second);
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_private() || v4.is_link_local() || carriers)
        }
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// Asks DNS what an order for `host` depends on, and judges it. Nothing found: go.
///
/// Without an `issuer`, or with one that does not say by which names CAA records call it, those
/// records are still looked up, because an authority must get an answer, but not judged.
pub async fn examine(
    lookup: &dyn Lookup,
    host: &PolicyHost,
    ours: &Ours,
    issuer: Option<&CaaIdentity>,
    methods: &[Method],
) -> Vec<PreflightFinding> {
    let addresses = match lookup.addresses(&host.into()).await {
        Ok(addresses) => addresses,
        // The climb begins with the same name and would meet the same silence.
        Err(unanswered) => return vec![not_answered(&host.into(), &unanswered)],
    };
    let mut findings = judge_addresses(host, &addresses, ours);
    match caa::relevant(lookup, host).await {
        Ok(None) => {}
        Ok(Some(set)) => {
            // A CNAME has no records beside it, so its owner can only add where the set stands.
            let place = if addresses.chain.is_empty() { &DnsName::from(host) } else { &set.owner };
            findings.extend(issuer.and_then(|issuer| judge_caa(place, &set, issuer, methods)));
        }
        Err((name, unanswered)) => findings.push(not_answered(&name, &unanswered)),
    }
    findings
}

/// What the addresses of `host` say against an order.
pub fn judge_addresses(host: &PolicyHost, found: &Addresses, ours: &Ours) -> Vec<PreflightFinding> {
    let publish = format!("publish what `mta-stsd records {}` shows", host.domain());
    let end = match found.chain.last() {
        Some(target) => format!("{target}, where the CNAME of {host} leads,"),
        None => host.to_string(),
    };
    if !found.exists {
        let problem = format!("{end} does not exist");
        return vec![PreflightFinding { code: PreflightCode::NoSuchName, problem, remedy: publish }];
    }
    if found.iter().next().is_none() {
        let problem = format!("{end} has neither an A nor an AAAA record");
        return vec![PreflightFinding { code: PreflightCode::NoAddress, problem, remedy: publish }];
    }
    let foreign = found.iter().filter(|address| !ours.hold(*address));
    let finding = |address: IpAddr| {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let (at, remedy) = match found.chain.last() {
            Some(target) => (format!(" at {target}"), "point the CNAME or that record here"),
            None => (String::new(), "remove it or point it here"),
        };
        PreflightFinding {
            code: PreflightCode::ForeignAddress,
            problem: format!("{kind} {address}{at} is not ours"),
            remedy: remedy.to_owned(),
        }
    };
    foreign.take(ADDRESSES_NAMED).map(finding).collect()
}

/// What the CAA records that decide for a host say against an order, if anything. `place` is where a
/// record for the host can be added.
pub fn judge_caa(
    place: &DnsName,
    set: &RelevantSet,
    issuer: &CaaIdentity,
    methods: &[Method],
) -> Option<PreflightFinding> {
    if issuer.identities.is_empty() {
        return None;
    }
    let Objection { ground, record } = caa::judge(&set.records, issuer, methods).err()?;
    let why = match ground {
        Ground::Malformed => "is malformed and stands for no authority",
        Ground::OtherAuthority => "names no authority of ours",
        Ground::OtherAccount => "names another account than ours",
        Ground::OtherMethod => "names no validation method of ours",
        Ground::UnknownCritical => "is critical, and authorities do not know its property",
    };
    let problem = format!("{record} at {} {why}", set.owner);
    // Beside a critical property nothing helps; records further down would decide in its place.
    let remedy = match ground == Ground::UnknownCritical && *place == set.owner {
        true => "remove it".to_owned(),
        false => format!("add {place}. {}", caa::remedy(ground, issuer, methods)),
    };
    Some(PreflightFinding { code: PreflightCode::CaaForbids, problem, remedy })
}

/// What the lack of an answer for `name` says.
fn not_answered(name: &DnsName, unanswered: &Unanswered) -> PreflightFinding {
    let Unanswered { kind, reason } = unanswered;
    let (code, problem, remedy) = match kind {
        UnansweredKind::Failed => (
            PreflightCode::Unanswered,
            format!("DNS does not answer for {name} ({reason})"),
            "wait, and if it lasts look after the name servers",
        ),
        UnansweredKind::Bogus => (
            PreflightCode::DnssecBogus,
            format!("answers for {name} are bogus, {reason}"),
            "sign the zone anew, or remove its DS record until it is signed",
        ),
        UnansweredKind::TooManyCnames => (
            PreflightCode::TooManyCnames,
            format!("{name} leads nowhere, {reason}"),
            "point the CNAME straight at its target",
        ),
    };
    PreflightFinding { code, problem, remedy: remedy.to_owned() }
}

/// The preflight that asks real DNS.
pub struct DnsPreflight {
    lookup: Arc<dyn Lookup>,
    snapshot: SharedSnapshot,
    settings: config::Preflight,
    bound: Vec<SocketAddr>,
    methods: Vec<Method>,
}

impl DnsPreflight {
    /// A preflight by `settings`. `auto` among its addresses stands for those that `[publish]` of the
    /// snapshot names, then those that its CNAME target has, then `bound`, whichever is known first.
    pub fn new(
        lookup: Arc<dyn Lookup>,
        snapshot: SharedSnapshot,
        settings: config::Preflight,
        bound: Vec<SocketAddr>,
        methods: Vec<Method>,
    ) -> Self {
        Self { lookup, snapshot, settings, bound, methods }
    }

    /// Tells the log when addresses will not be judged, and what would mend that.
    pub fn say_what_is_unknown(&self) {
        let publish = self.snapshot.load().publish().clone();
        if publish.cname.is_none() && self.ours_of(&publish.addresses) == Ours::Unknown {
            info!(
                "addresses of policy hosts are not checked before orders: none of ours is known, \
                 publish.addresses or acme.preflight.addresses would say"
            );
        }
    }

    /// The addresses where policy hosts reach us; empty when they are not known.
    pub async fn addresses(&self) -> Vec<IpAddr> {
        match self.ours().await {
            Ok(Ours::Known(addresses)) => addresses,
            Ok(Ours::Unknown) | Err(_) => vec![],
        }
    }

    /// What stands against an order for `host` at the authority that calls itself `issuer`. Nothing: go.
    /// While `issuer` is not known, CAA records are not held against it.
    pub async fn findings(&self, host: &PolicyHost, issuer: Option<&CaaIdentity>) -> Vec<PreflightFinding> {
        let examined = timeout(DEADLINE, async {
            match self.ours().await {
                Ok(ours) => examine(&*self.lookup, host, &ours, issuer, &self.methods).await,
                Err((name, unanswered)) => {
                    // Our own name, so whatever the trouble is, it is not the tenant's.
                    let trouble = Unanswered { kind: UnansweredKind::Failed, ..unanswered };
                    vec![not_answered(&name, &trouble)]
                }
            }
        });
        let late = || vec![not_answered(&host.into(), &Unanswered::failed("its name servers are too slow"))];
        examined.await.unwrap_or_else(|_| late())
    }

    fn ours_of(&self, published: &[IpAddr]) -> Ours {
        let said = &self.settings.addresses;
        if !self.settings.auto {
            return Ours::of(said, &[]);
        }
        match Ours::of(published, &self.bound) {
            Ours::Known(auto) => Ours::Known([said.as_slice(), &auto].concat()),
            Ours::Unknown => Ours::of(said, &[]),
        }
    }

    /// The addresses at which policy hosts reach us, as far as anybody says.
    ///
    /// # Errors
    ///
    /// The name of ours for which DNS had no answer.
    pub async fn ours(&self) -> Result<Ours, (DnsName, Unanswered)> {
        let publish = self.snapshot.load().publish().clone();
        let target = match &publish.cname {
            Some(cname) if self.settings.auto && publish.addresses.is_empty() => DnsName::new(cname),
            _ => return Ok(self.ours_of(&publish.addresses)),
        };
        match self.lookup.addresses(&target).await {
            Ok(found) => Ok(self.ours_of(&found.iter().collect::<Vec<_>>())),
            Err(unanswered) => Err((target, unanswered)),
        }
    }
}

#[async_trait::async_trait]
impl Readiness for DnsPreflight {
    async fn examine(&self, host: &PolicyHost, issuer: Option<&CaaIdentity>) -> Result<(), IssueError> {
        verdict(&self.findings(host, issuer).await)
    }
}

/// What `findings` make of an order.
fn verdict(findings: &[PreflightFinding]) -> Result<(), IssueError> {
    if findings.is_empty() {
        return Ok(());
    }
    let detail = findings.iter().map(PreflightFinding::to_string).collect::<Vec<_>>().join("; ");
    match findings.iter().any(|finding| finding.code.is_tenants()) {
        true => Err(IssueError::NotReady { detail }),
        false => Err(IssueError::DnsSilent { detail }),
    }
}

#[cfg(test)]
mod tests;
