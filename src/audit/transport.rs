//! Topic: STARTTLS and the certificates of the mail hosts (RFC 3207, RFC 8461 §4.2; group S).

use super::{
    Finding, FindingCode as Code, HostSeen, Severity, Topic, TopicReport,
    reading::{AtAddress, Reading, by_address},
};
use crate::{
    certificate::presented::{ChainJudgement, Expiring, NameMatch, Trust},
    starttls::{EhloAfterTls, Outcome, Probe, SniLess, Why},
};

pub(super) fn judge(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Transport.begin();
    let seen = reading.seen;
    if !seen.smtp {
        topic.saw("not looked at".to_owned());
        return topic;
    }
    let probes = || seen.hosts.iter().flat_map(|host| &host.probes).map(|probe| &**probe);
    for host in &seen.hosts {
        for probe in &host.probes {
            topic.saw(line_of(host, probe));
        }
    }
    if probes().next().is_some() && !seen.port_25_answers && probes().all(never_connected) {
        topic.found(reading.finding(Code::MxPort25BlockedHere));
        return topic;
    }
    topic.found_all(seen.hosts.iter().flat_map(|host| of_host(reading, host)));
    topic
}

/// Whether nothing at all came back, which may be our own network's doing. Who refuses a connection
/// has answered.
pub fn never_connected(probe: &Probe) -> bool {
    matches!(
        probe.outcome,
        Outcome::Unknown(Why::ConnectTimeout | Why::Unreachable | Why::NoRouteHere | Why::RefusedNetwork)
    )
}

fn line_of(host: &HostSeen, probe: &Probe) -> String {
    let outcome = match (&probe.tls, &probe.outcome) {
        (Some(tls), _) => {
            let certificate = match tls.chain.is_accepted() {
                true => format!("certificate fine, by {}", tls.chain.issuer),
                false => "certificate not accepted".to_owned(),
            };
            format!("{}, {certificate}", tls.version)
        }
        (None, Outcome::Secured) => "TLS came up".to_owned(),
        (None, Outcome::Unknown(why) | Outcome::Failed(why)) => why.as_str().replace('_', " "),
    };
    format!("{} [{}]: {outcome}", host.host, probe.address)
}

fn of_host(reading: &Reading<'_>, host: &HostSeen) -> Vec<Finding> {
    // What has no way from here says nothing about the host, as long as another address does.
    let (judged, nowhere): (Vec<&Probe>, Vec<&Probe>) = host
        .probes
        .iter()
        .map(|probe| &**probe)
        .partition(|probe| probe.outcome != Outcome::Unknown(Why::NoRouteHere));
    let name = host.host.as_str();
    if judged.is_empty() {
        let first = nowhere.first().map(|probe| format!("no way from here to {}", probe.address));
        let finding = |seen: String| reading.finding_about(Code::MxUnreachable, name).with_evidence(&seen);
        return first.map(finding).into_iter().collect();
    }
    let at: Vec<AtAddress> = judged.iter().flat_map(|probe| at_address(probe)).collect();
    by_address(reading.mode, name, judged.len(), at)
}

/// Everything that one address showed.
fn at_address(probe: &Probe) -> Vec<AtAddress> {
    let mut seen = vec![];
    let mut note = |code, severity, evidence: String| {
        seen.push(AtAddress { address: probe.address, code, evidence, severity });
    };
    if let Outcome::Unknown(why) | Outcome::Failed(why) = probe.outcome
        && let Some((code, severity)) = of_reason(why)
    {
        note(code, severity, probe.evidence.clone().unwrap_or_else(|| why.as_str().replace('_', " ")));
    }
    for (code, severity, evidence) in probe.tls.iter().flat_map(|tls| of_chain(&tls.chain)) {
        note(code, severity, evidence);
    }
    // Of a host that knows nothing newer this is told already.
    if probe.old_tls_accepted == Some(true) && probe.outcome != Outcome::Failed(Why::TlsTooOld) {
        note(Code::MxTlsOldAccepted, None, "TLS 1.0 or 1.1 was agreed to".to_owned());
    }
    let refused = |sni: &Option<SniLess>| match sni {
        Some(SniLess::Refused(reason)) => Some(reason.clone()),
        _ => None,
    };
    if let Some(reason) = refused(&probe.without_sni) {
        note(Code::MxNeedsSni, None, format!("without SNI: {reason}"));
    } else if let Some(reason) = refused(&probe.unknown_sni) {
        note(Code::MxNeedsSni, None, format!("with an unknown name: {reason}"));
    }
    match &probe.ehlo_after_tls {
        Some(EhloAfterTls::StarttlsAgain) => note(Code::MxStarttlsAfterTls, None, String::new()),
        Some(EhloAfterTls::Refused(reply)) => note(Code::MxNoEhloAfterTls, None, reply.clone()),
        Some(EhloAfterTls::Unanswered) => note(Code::MxNoEhloAfterTls, None, "no answer".to_owned()),
        Some(EhloAfterTls::Fine) | None => {}
    }
    seen
}

/// What it means that TLS did not come up; what is told under another topic is nothing here.
fn of_reason(why: Why) -> Option<(Code, Option<Severity>)> {
    Some(match why {
        // Addresses and names are the business of the mail hosts' topic.
        Why::RefusedNetwork | Why::NotAHostName | Why::NoRouteHere => return None,
        Why::ConnectionRefused | Why::Unreachable | Why::ConnectTimeout => (Code::MxUnreachable, None),
        Why::ReplyTimeout | Why::HandshakeTimeout => (Code::MxTimeout, None),
        Why::ConnectionLost | Why::NotReady => (Code::MxNotReady, None),
        // Spoken in a way that our library does not: some senders may well manage.
        Why::OnlyOldCiphers => (Code::MxTlsFailed, Some(Severity::Unknown)),
        Why::Refuses => (Code::MxRefuses, None),
        Why::SmtpBroken | Why::TooMuch => (Code::MxSmtpBroken, None),
        Why::HeloOnly | Why::NoStarttls | Why::StarttlsRefused => (Code::MxNoStarttls, None),
        Why::Injection => (Code::MxStarttlsInjection, None),
        Why::PlaintextInHandshake | Why::TlsFailed => (Code::MxTlsFailed, None),
        Why::TlsTooOld => (Code::MxTlsTooOld, None),
    })
}

/// What a sender objects to in a chain: trust, name and time are three matters.
fn of_chain(chain: &ChainJudgement) -> Vec<(Code, Option<Severity>, String)> {
    let mut found = vec![];
    let mut note = |code, severity, evidence: String| found.push((code, severity, evidence));
    match &chain.trust {
        Trust::Trusted { .. } => {}
        Trust::SelfSigned => note(Code::MxCertSelfSigned, None, chain.subject.clone()),
        Trust::Incomplete { issuer } => {
            note(Code::MxCertIncompleteChain, None, format!("missing: {issuer}"));
        }
        Trust::UnknownRoot { issuer } => note(Code::MxCertUntrusted, None, format!("issued by {issuer}")),
        Trust::Broken(reason) => note(Code::MxCertUntrusted, None, reason.clone()),
    }
    match chain.name {
        NameMatch::San => {}
        NameMatch::CommonNameOnly => note(Code::MxCertCnOnly, None, chain.subject.clone()),
        NameMatch::Nothing => note(Code::MxCertName, None, format!("it is for {}", chain.names.join(", "))),
    }
    let end = chain.validity.map_or(String::new(), |validity| format!("it ends at {}", validity.not_after));
    if chain.expired {
        note(Code::MxCertExpired, None, end);
    } else if chain.not_yet {
        note(Code::MxCertExpired, None, "it is not valid yet".to_owned());
    } else if let Some(expiring) = chain.expiring {
        note(Code::MxCertExpiring, (expiring == Expiring::Critical).then_some(Severity::Error), end);
    }
    found
}
