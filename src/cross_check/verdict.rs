//! Pure: what an audit of a domain of ours comes to. The audit itself is judged by [`judge`]; here is
//! decided what of it counts, when it was seen, who says so, and what is no matter of the domain.

use super::{LastAudit, MailAddress, MailHost, Transport, confirm::Sighting, look::weaker, source::Source};
use crate::{
    audit::{Finding, FindingCode as Code, HostSeen, Observations, Topic, judge},
    dns::Agreed,
    policy::{RenderedPolicy, text_allows},
    policy_fetch,
    starttls::{Outcome, Probe},
};
use jiff::Timestamp;
use std::{net::IpAddr, time::Duration};

/// What counts of an audit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Whether the policy was fetched.
    pub policy: bool,
    /// Whether STS records count.
    pub records: bool,
    /// Whether others answer at port 25, so that who does not is silent.
    pub port_25: bool,
    /// Whether other policy hosts of ours are reached, so that one that is not is silent.
    pub policy_hosts: bool,
    /// How long what would alarm has to be seen before it is certain.
    pub recheck: Duration,
}

/// The findings that count, each with when it was seen.
pub(super) fn sightings(seen: &Observations, terms: Terms, now: Timestamp) -> Vec<Sighting> {
    let report = judge(seen, now);
    let elsewhere = report.findings().any(|finding| finding.code == Code::PolicyHostElsewhere);
    let counted =
        report.findings().filter(|finding| counts(finding, terms) && !is_ours(finding, terms, elsewhere));
    counted
        .map(|finding| Sighting {
            finding: finding.clone(),
            at: seen_at(seen, finding),
            agreed: agreed(seen, finding),
            recheck: terms.recheck,
        })
        .collect()
}

/// Whether a known finding would be among them if it still held; one that counts no more is not.
pub(super) fn covers(seen: &Observations, terms: Terms, known: &Finding) -> bool {
    Source::of(known.code) == Source::Audit && (!counts(known, terms) || seen.tell_of(known))
}

fn counts(finding: &Finding, terms: Terms) -> bool {
    Source::of(finding.code) == Source::Audit
        && match finding.code.entry().topic {
            Topic::Policy | Topic::Consistency => terms.policy,
            Topic::Record => terms.records,
            _ => finding.code != Code::MxPort25BlockedHere,
        }
}

/// Whether it says something about us, and nothing about the domain.
fn is_ours(finding: &Finding, terms: Terms, elsewhere: bool) -> bool {
    match finding.code {
        Code::MxUnreachable => !terms.port_25,
        Code::PolicyUnreachable | Code::PolicyTimeout => !terms.policy_hosts && !elsewhere,
        _ => false,
    }
}

/// When a finding was seen: a look at a mail host may have been made for another domain, a while ago.
fn seen_at(seen: &Observations, finding: &Finding) -> Timestamp {
    let topic = finding.code.entry().topic;
    if !matches!(topic, Topic::Transport | Topic::Dane) {
        return seen.at;
    }
    let (name, rest) = finding.subject.split_once(" [").unwrap_or((&finding.subject, ""));
    let address: Option<IpAddr> = rest.strip_suffix(']').and_then(|text| text.parse().ok());
    let hosts = seen.hosts.iter().filter(|host| host.host.as_str() == name);
    let probes = hosts.flat_map(|host| &host.probes);
    let probes = probes.filter(|probe| address.is_none_or(|address| probe.address == address));
    probes.map(|probe| probe.at).min().unwrap_or(seen.at)
}

/// Who says so. Only what DNS alone shows can be confirmed by a second resolver.
fn agreed(seen: &Observations, finding: &Finding) -> Agreed {
    let mx = || seen.mx.as_ref().map_or(Agreed::One, |answer| answer.agreed);
    let of_host = |host: &HostSeen| host.addresses.as_ref().map_or(Agreed::One, |found| found.agreed);
    match (finding.code.entry().topic, finding.code) {
        (Topic::Mx, Code::MxProviderPattern) => mx(),
        (Topic::Mx, _) => {
            let host = seen.hosts.iter().find(|host| *host.host.as_str() == *finding.subject);
            host.map_or(Agreed::One, |host| weaker(mx(), of_host(host)))
        }
        (Topic::Tlsrpt, _) => seen.report_record.as_ref().map_or(Agreed::One, |answer| answer.agreed),
        (_, Code::PolicyHostMissing | Code::PolicyHostElsewhere | Code::PolicyHostPrivateAddress) => {
            seen.policy_host.as_ref().map_or(Agreed::One, |found| found.agreed)
        }
        _ => Agreed::One,
    }
}

/// The looks at port 25 that were made for this audit, and whether somebody was heard.
pub(super) fn heard_at_port_25(seen: &Observations) -> impl Iterator<Item = (IpAddr, bool)> + '_ {
    let probes = seen.hosts.iter().flat_map(|host| &host.probes).filter(|probe| probe.at >= seen.at);
    probes.map(|probe| (probe.address, !crate::audit::never_connected(probe)))
}

/// Whether the policy host was reached; `None` where it was not tried, or leads elsewhere.
pub(super) fn reached(seen: &Observations) -> Option<bool> {
    use policy_fetch::{Outcome, Stage};
    let ours = seen.expected.as_ref().map(|ours| &*ours.addresses).unwrap_or_default();
    let tried = |address: &IpAddr| ours.is_empty() || ours.contains(address);
    let mut fetches = seen.fetches.iter().filter(|fetch| tried(&fetch.address)).peekable();
    fetches.peek()?;
    Some(fetches.any(|fetch| {
        !matches!(
            fetch.outcome,
            Outcome::Unreachable(_) | Outcome::Timeout(Stage::Connect) | Outcome::NotDialled(_)
        )
    }))
}

/// The mail hosts for a table.
pub(super) fn mail_hosts(seen: &Observations, policy: &RenderedPolicy) -> LastAudit {
    let patterns: Vec<String> = policy.policy().mx().iter().map(ToString::to_string).collect();
    let host = |host: &HostSeen| MailHost {
        host: host.host.clone(),
        preference: host.preference,
        allowed: patterns.iter().any(|pattern| text_allows(pattern, host.host.as_str())),
        addresses: host
            .probes
            .iter()
            .map(|probe| MailAddress {
                address: probe.address,
                transport: transport(probe),
                looked_at: Some(probe.at),
                certificate_ends: ends(probe),
            })
            .chain(host.refused.iter().take(crate::audit::ADDRESSES_MAX).map(|(address, network)| {
                MailAddress {
                    address: *address,
                    transport: Transport::NotDialled(network),
                    looked_at: None,
                    certificate_ends: None,
                }
            }))
            .collect(),
    };
    LastAudit { hosts: seen.hosts.iter().map(host).collect(), left_out: seen.left_out }
}

fn transport(probe: &Probe) -> Transport {
    let accepted = probe.tls.as_ref().is_some_and(|tls| tls.chain.is_accepted());
    match probe.outcome {
        Outcome::Secured if accepted => Transport::Secured,
        Outcome::Secured => Transport::BadCertificate,
        Outcome::Failed(why) => Transport::Failed(why),
        Outcome::Unknown(why) => Transport::Unknown(why),
    }
}

fn ends(probe: &Probe) -> Option<Timestamp> {
    Some(probe.tls.as_ref()?.chain.validity?.not_after)
}

/// Until when looks with something to object to serve this domain again.
pub(super) fn doubted_until(seen: &Observations) -> Option<Timestamp> {
    seen.hosts.iter().filter_map(|host| host.doubted_until).max()
}
