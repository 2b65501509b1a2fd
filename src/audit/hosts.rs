//! Topic: the mail hosts, their names and addresses, against the policy (RFC 8461 §4.1; group M).

use super::{
    Finding, FindingCode as Code, HostSeen, Seen, Topic, TopicReport, compare_texts, providers::of_host,
    reading::Reading, shown,
};
use crate::{
    dialing::OWN_ADDRESS,
    dns::{MxAnswer, MxRecord, UnansweredKind},
    name::DomainName,
    policy::{Mode, text_allows},
};

pub(super) fn judge(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Mx.begin();
    let seen = reading.seen;
    let shown_mx = match &seen.mx {
        Err(unanswered) => {
            topic.saw(format!("MX records: no answer ({})", shown(&unanswered.reason, 120)));
            if unanswered.kind != UnansweredKind::Bogus {
                let finding = reading.finding(Code::MxLookupFailed);
                topic.found(finding.with_evidence(&unanswered.reason));
            }
            return topic;
        }
        Ok(answer) => match &answer.data {
            MxAnswer::Records(records) if !records.is_empty() => Seen::Records(records.clone()),
            MxAnswer::NoSuchDomain => Seen::NoSuchDomain,
            _ if seen.own_address => Seen::Implicit,
            _ => Seen::Nothing,
        },
    };
    let patterns = reading.patterns();
    match &shown_mx {
        Seen::Records(records) => {
            for record in records {
                topic.saw(format!(
                    "{} {}{}",
                    record.preference,
                    record.host,
                    place_in(patterns.as_deref(), record.host.as_str())
                ));
            }
        }
        Seen::Implicit => topic.saw("no MX records; the domain itself has an address".to_owned()),
        Seen::Nothing => topic.saw("neither MX records nor an address".to_owned()),
        Seen::NoSuchDomain | Seen::Unanswered => topic.saw("the domain does not exist".to_owned()),
    }
    topic.found_all(compare_texts(reading.mode, patterns.as_deref(), &seen.domain, &shown_mx));
    if let (Some(patterns), Seen::Records(records)) = (&patterns, &shown_mx) {
        topic.found_all(provider_findings(reading, patterns, records));
    }
    topic.found_all(seen.hosts.iter().filter_map(|host| host_finding(reading, host)));
    if seen.left_out > 0 {
        topic.saw(format!("{} more hosts or addresses were not looked at", seen.left_out));
    }
    topic
}

/// For hosts of known providers that the policy does not allow: the pattern that the provider asks for,
/// so that the remedy is not the name of one host of many (M-16). Once for each provider.
fn provider_findings(reading: &Reading<'_>, patterns: &[String], records: &[MxRecord]) -> Vec<Finding> {
    if reading.mode == Mode::None {
        return vec![];
    }
    let hosts = records.iter().map(|record| record.host.as_str());
    let uncovered = hosts.filter(|host| !patterns.iter().any(|pattern| text_allows(pattern, host)));
    let mut findings: Vec<Finding> = uncovered
        .filter_map(|host| {
            let provider = of_host(host)?;
            let pattern = provider.pattern_for(host)?;
            Some(reading.finding_about(Code::MxProviderPattern, provider.name).with_evidence(pattern))
        })
        .collect();
    findings.sort_unstable();
    findings.dedup();
    findings
}

/// What the policy says of a host, as part of a line.
fn place_in(patterns: Option<&[String]>, host: &str) -> String {
    let Some(patterns) = patterns else { return String::new() };
    match patterns.iter().find(|pattern| text_allows(pattern, host)) {
        Some(pattern) => format!(", allowed by {pattern}"),
        None => ", not in the policy".to_owned(),
    }
}

/// What is wrong with where a host leads; one thing, the worst first.
fn host_finding(reading: &Reading<'_>, host: &HostSeen) -> Option<Finding> {
    // Its spelling is told already, and it can have no address.
    DomainName::from_ascii(host.host.as_str()).ok()?;
    let about = |code| reading.finding_about(code, host.host.as_str());
    let addresses = match &host.addresses {
        Ok(addresses) => addresses,
        Err(unanswered) => {
            let code = match unanswered.kind {
                UnansweredKind::TooManyCnames => Code::MxHostNoAddress,
                UnansweredKind::Failed | UnansweredKind::Bogus => Code::MxHostLookupFailed,
            };
            return Some(about(code).with_evidence(&unanswered.reason));
        }
    };
    if addresses.iter().next().is_none() {
        let code = if addresses.exists { Code::MxHostNoAddress } else { Code::MxHostNotFound };
        return Some(about(code));
    }
    if let Some((address, network)) = host.refused.iter().find(|(_, network)| *network != OWN_ADDRESS) {
        return Some(about(Code::MxHostPrivateAddress).with_evidence(&format!("{address} in {network}")));
    }
    if let Some(alias) = addresses.chain.last() {
        return Some(about(Code::MxHostAlias).with_evidence(&format!("it leads to {alias}")));
    }
    let (ours, _) = host.refused.first()?;
    Some(about(Code::MxHostOurs).with_evidence(&ours.to_string()))
}
