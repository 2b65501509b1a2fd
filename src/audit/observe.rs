//! Looking: every question an audit asks, with bounds on how many and how long.
//!
//! Addresses are dialled as DNS gave them a moment ago, within [`Reach`]. What has no answer is kept
//! as that.

use super::{
    looks::{Glance, Looks, Pace, Wanted},
    observations::{Expected, HostSeen, Observations, Scope},
};
use crate::{
    dialing::Reach,
    dns::{Addresses, Answer, DnsName, Lookup, MxAnswer, MxRecord, TlsaAnswer, TxtAnswer, Unanswered, caa},
    name::{DomainName, PolicyHost},
    policy_fetch::{Fetch, Fetcher, Offer},
    starttls::{Outcome, Probe, Prober, dane},
};
use jiff::Timestamp;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// As many MX hosts of a domain are looked at; more are rare, and each costs up to minutes.
pub const HOSTS_MAX: usize = 5;
/// As many MX records are shown at all.
const RECORDS_MAX: usize = 16;
/// As many addresses of one name are dialled.
pub const ADDRESSES_MAX: usize = 8;
/// All addresses of one host are looked at within this time, waiting for other looks included; what was
/// not reached by then is left out.
const HOST_DEADLINE: Duration = Duration::from_secs(180);
/// A name that exists only where a wildcard answers for everything.
const NOBODYS_NAME: &str = "mta-stsd-looks-for-wildcards";
/// Where an STS record is put by mistake (T-19), before the domain; empty stands for the domain.
const WRONG_PLACES: [&str; 3] = ["", "mta-sts.", "_mta-sts._tcp."];

/// Whoever looks at domains: an [`Auditor`], or a stand-in of a test.
#[async_trait::async_trait]
pub trait Look: Send + Sync {
    /// Looks at `domain` once, as far as `scope` says; certificates are judged at `now`. What we serve
    /// for it ourselves goes along in `expected`.
    async fn look(
        &self,
        domain: &DomainName,
        scope: Scope,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations;
}

/// Looks at domains. One serves a whole run and may be shared.
pub struct Auditor {
    lookup: Arc<dyn Lookup>,
    fetcher: Fetcher,
    /// `None`: mail hosts are not spoken to.
    looks: Option<Arc<Looks>>,
    reach: Reach,
    port_25_answers: AtomicBool,
}

impl Auditor {
    /// An auditor for one run that asks `lookup`, and dials mail hosts within `reach`, which is also the
    /// prober's. Without a prober mail hosts are looked up and not spoken to.
    pub fn new(lookup: Arc<dyn Lookup>, prober: Option<Prober>, fetcher: Fetcher, reach: Reach) -> Self {
        Self::paced(lookup, prober, fetcher, reach, Pace::ONE_RUN)
    }

    /// The same with looks at mail hosts that serve as long as `pace` says.
    pub fn paced(
        lookup: Arc<dyn Lookup>,
        prober: Option<Prober>,
        fetcher: Fetcher,
        reach: Reach,
        pace: Pace,
    ) -> Self {
        let looks = prober.map(|prober| Arc::new(Looks::new(prober, pace)));
        Self { lookup, fetcher, looks, reach, port_25_answers: AtomicBool::new(false) }
    }

    /// Looks at `domain` once; certificates are judged at `now`. Takes seconds where all is well, and
    /// minutes at most. What we serve for it ourselves goes along in `expected`.
    pub async fn audit(
        &self,
        domain: &DomainName,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations {
        self.look_at(domain, Scope::ALL, expected, now).await
    }

    async fn look_at(
        &self,
        domain: &DomainName,
        scope: Scope,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations {
        let name = |front: &str| DnsName::new(&format!("{front}{domain}"));
        let lookup = &*self.lookup;
        let (sts, report) = (name("_mta-sts."), name("_smtp._tls."));
        let (record, report_record, elsewhere, wildcard, caa, fetched, mail) = tokio::join!(
            lookup.txt(&sts),
            lookup.txt(&report),
            elsewhere(lookup, domain),
            self.is_wildcard(domain),
            self.caa(domain),
            async { if scope.policy { self.fetch(domain, now).await } else { Fetched::nothing() } },
            self.mail(domain, now),
        );
        let Fetched { policy_host, no_way_to, fetches } = fetched;
        let Mail { mx, own_address, hosts, left_out } = mail;
        Observations {
            domain: domain.clone(),
            at: now,
            record,
            elsewhere,
            wildcard,
            policy_host,
            no_way_to,
            fetches,
            mx,
            own_address,
            hosts,
            left_out,
            smtp: self.looks.is_some(),
            port_25_answers: self.port_25_answers.load(Ordering::Relaxed),
            report_record,
            caa,
            expected,
        }
    }

    /// Whether a name that nobody made has an STS record. Other TXT records of a wildcard do no harm.
    async fn is_wildcard(&self, domain: &DomainName) -> Option<bool> {
        let name = DnsName::new(&format!("{NOBODYS_NAME}.{domain}"));
        let answer = self.lookup.txt(&name).await.ok()?;
        Some(answer.data.records.iter().any(|strings| strings.concat().starts_with(b"v=STSv1")))
    }

    async fn caa(&self, domain: &DomainName) -> Result<Option<caa::RelevantSet>, (DnsName, Unanswered)> {
        match PolicyHost::of(domain) {
            Ok(host) => caa::relevant(&*self.lookup, &host).await,
            Err(_) => Ok(None),
        }
    }

    /// Fetches the policy from each address, both ways, all at once.
    async fn fetch(&self, domain: &DomainName, now: Timestamp) -> Fetched {
        let Ok(host) = PolicyHost::of(domain) else { return Fetched::nothing() };
        let addresses = match self.lookup.addresses(&DnsName::from(&host)).await {
            Ok(addresses) => addresses,
            Err(unanswered) => return Fetched::of(Err(unanswered)),
        };
        let mut fetching = JoinSet::new();
        let mut no_way_to = vec![];
        for address in of_both_families(&addresses) {
            if self.fetcher.reach().refuses(address).is_none() && !leads_from_here(address).await {
                no_way_to.push(address);
                continue;
            }
            for offer in [Offer::Http1WithoutAlpn, Offer::Http2] {
                let (fetcher, host) = (self.fetcher.clone(), host.clone());
                fetching.spawn(async move { fetcher.fetch(&host, address, offer, now).await });
            }
        }
        let mut fetches = fetching.join_all().await;
        fetches.sort_by_key(|fetch| (fetch.address, fetch.offer));
        Fetched { policy_host: Ok(addresses), no_way_to, fetches }
    }

    async fn mail(&self, domain: &DomainName, now: Timestamp) -> Mail {
        let mx = self.lookup.mx(domain).await;
        let mut own_address = false;
        let mut records = match &mx {
            Ok(answer) => match &answer.data {
                MxAnswer::Records(records) => records.clone(),
                MxAnswer::NoRecords | MxAnswer::NoSuchDomain => vec![],
            },
            Err(_) => vec![],
        };
        if mx.is_ok() && records.is_empty() {
            own_address = self.lookup.has_address(domain).await.unwrap_or(false);
            if own_address {
                records.push(MxRecord { preference: 0, host: domain.into() });
            }
        }
        records.retain(|record| !record.host.is_root());
        records.sort();
        records.dedup_by(|one, other| one.host == other.host);
        let mut left_out = records.len().saturating_sub(HOSTS_MAX);
        let mut looking = JoinSet::new();
        for record in records.into_iter().take(RECORDS_MAX.min(HOSTS_MAX)) {
            let (lookup, looks, reach) = (Arc::clone(&self.lookup), self.looks.clone(), self.reach.clone());
            looking.spawn(async move { look_at_host(&*lookup, looks.as_deref(), &reach, record, now).await });
        }
        let mut seen = looking.join_all().await;
        seen.sort_by(|(one, _), (other, _)| {
            (one.preference, &one.host).cmp(&(other.preference, &other.host))
        });
        left_out += seen.iter().map(|(_, left_out)| left_out).sum::<usize>();
        let hosts: Vec<HostSeen> = seen.into_iter().map(|(host, _)| host).collect();
        let connected = |probe: &Arc<Probe>| {
            probe.outcome == Outcome::Secured || !super::transport::never_connected(probe)
        };
        if hosts.iter().flat_map(|host| &host.probes).any(connected) {
            self.port_25_answers.store(true, Ordering::Relaxed);
        }
        Mail { mx, own_address, hosts, left_out }
    }
}

#[async_trait::async_trait]
impl Look for Auditor {
    async fn look(
        &self,
        domain: &DomainName,
        scope: Scope,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations {
        self.look_at(domain, scope, expected, now).await
    }
}

/// TXT records where an STS record does not belong. A silence here hides only a hint.
pub async fn elsewhere(lookup: &dyn Lookup, domain: &DomainName) -> Vec<(DnsName, TxtAnswer)> {
    let mut found = vec![];
    for front in WRONG_PLACES {
        let name = DnsName::new(&format!("{front}{domain}"));
        if let Ok(answer) = lookup.txt(&name).await
            && !answer.data.records.is_empty()
        {
            found.push((name, answer.data));
        }
    }
    found
}

/// What was seen of a policy host.
struct Fetched {
    policy_host: Result<Addresses, Unanswered>,
    no_way_to: Vec<IpAddr>,
    fetches: Vec<Fetch>,
}

impl Fetched {
    fn nothing() -> Self {
        Self::of(Ok(Addresses::default()))
    }

    /// Nothing but where the name leads, if anywhere.
    fn of(policy_host: Result<Addresses, Unanswered>) -> Self {
        Self { policy_host, no_way_to: vec![], fetches: vec![] }
    }
}

/// Whether this machine has a route to `address`. Many have none for IPv6, which says nothing about
/// the host. A datagram socket that is connected sends nothing.
async fn leads_from_here(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match UdpSocket::bind((any, 0)).await {
        Ok(socket) => socket.connect((address, 443)).await.is_ok(),
        Err(_) => false,
    }
}

/// What was seen of a domain's mail hosts.
struct Mail {
    mx: Result<Answer<MxAnswer>, Unanswered>,
    own_address: bool,
    hosts: Vec<HostSeen>,
    left_out: usize,
}

/// One MX host at all its addresses, one after the other, so that none is asked twice at once; and
/// how many addresses were left out, for their number or for [`HOST_DEADLINE`].
async fn look_at_host(
    lookup: &dyn Lookup,
    looks: Option<&Looks>,
    reach: &Reach,
    record: MxRecord,
    now: Timestamp,
) -> (HostSeen, usize) {
    let MxRecord { preference, host } = record;
    let addresses = lookup.addresses(&host).await;
    let tlsa = lookup.tlsa(&DnsName::new(&format!("_25._tcp.{}", host.as_str()))).await;
    let has_report_record = match &tlsa {
        Ok(answer) if !answer.data.records.is_empty() => {
            let found = lookup.txt(&DnsName::new(&format!("_smtp._tls.{}", host.as_str()))).await;
            found.ok().map(|answer| !answer.data.records.is_empty())
        }
        _ => None,
    };
    let mut seen = HostSeen {
        host,
        preference,
        addresses,
        refused: vec![],
        probes: vec![],
        doubted_until: None,
        tlsa: Some(tlsa),
        has_report_record,
    };
    let Ok(addresses) = &seen.addresses else { return (seen, 0) };
    let (inner, outer): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| reach.refuses(*address).is_some());
    let dialled = of_both_families(addresses).into_iter().filter(|address| outer.contains(address));
    let network = |address| reach.refuses(address).map(|network| (address, network));
    seen.refused = inner.into_iter().filter_map(network).collect();
    let mut left_out = outer.len().saturating_sub(ADDRESSES_MAX);
    if let Some(looks) = looks {
        let deadline = Instant::now() + HOST_DEADLINE;
        for address in dialled.collect::<Vec<_>>() {
            match timeout_at(deadline, look_at_address(looks, &seen, address, now)).await {
                Ok(Some(look)) => {
                    let until = look.doubtful.then_some(look.until);
                    seen.doubted_until = seen.doubted_until.max(until);
                    seen.probes.push(look.probe);
                }
                Ok(None) | Err(_) => left_out += 1,
            }
        }
    }
    (seen, left_out)
}

/// What one address of a host shows. A chain that matches no TLSA record and was not seen just now is
/// seen once more: records and certificate change together, and the records are of now.
async fn look_at_address(looks: &Looks, host: &HostSeen, address: IpAddr, now: Timestamp) -> Option<Glance> {
    let tlsa: &[_] = match &host.tlsa {
        Some(Ok(Answer { data: TlsaAnswer { records, .. }, secure: true, .. })) => records,
        _ => &[],
    };
    let wanted = Wanted { chain: !tlsa.is_empty(), since: None };
    let look = looks.look(&host.host, address, wanted, now).await?;
    let Some(tls) = look.probe.tls.as_ref().filter(|_| wanted.chain && look.probe.at < now) else {
        return Some(look);
    };
    let judged = dane::judge(tlsa, &tls.certificates, host.host.as_str(), now);
    match judged.usable && judged.matches.is_none() {
        true => {
            looks.look(&host.host, address, Wanted { since: Some(looks.lately(now)), ..wanted }, now).await
        }
        false => Some(look),
    }
}

/// The addresses to dial, at most [`ADDRESSES_MAX`], of both families in turn.
fn of_both_families(addresses: &Addresses) -> Vec<IpAddr> {
    let mut v4 = addresses.a.iter().copied().map(IpAddr::V4);
    let mut v6 = addresses.aaaa.iter().copied().map(IpAddr::V6);
    let mut mixed = vec![];
    loop {
        let pair = [v4.next(), v6.next()];
        if pair.iter().all(Option::is_none) || mixed.len() >= ADDRESSES_MAX {
            mixed.truncate(ADDRESSES_MAX);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}
