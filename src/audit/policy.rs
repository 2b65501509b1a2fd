//! Topic: the policy host and the policy (RFC 8461 §3.2, §3.3; group H and P).

use super::{
    Finding, FindingCode as Code, Severity, Topic, TopicReport,
    reading::{AtAddress, Reading, by_address},
    report::Compatibility,
    shown,
};
use crate::{
    certificate::presented::Expiring,
    dialing::OWN_ADDRESS,
    dns::UnansweredKind,
    name::PolicyHost,
    policy::{
        Audit, RecordOutcome,
        interop::{Disagreement, PolicyReading, Sender, disagreements},
    },
    policy_fetch::{Fetch, FetchFault, Offer, Outcome, judge as faults_of},
};
use std::net::IpAddr;

/// What is shown of one line.
const SHOWN_MAX: usize = 120;

pub(super) fn judge(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Policy.begin();
    let seen = reading.seen;
    let Ok(host) = PolicyHost::of(&seen.domain) else { return topic };
    let addresses = match &seen.policy_host {
        Ok(addresses) => addresses,
        Err(unanswered) => {
            topic.saw(format!("{host}: no answer ({})", shown(&unanswered.reason, SHOWN_MAX)));
            let finding = match unanswered.kind {
                UnansweredKind::TooManyCnames => Some(Code::PolicyHostMissing),
                UnansweredKind::Failed => Some(Code::PolicyHostLookupFailed),
                UnansweredKind::Bogus => None,
            };
            if let Some(code) = finding.filter(|_| reading.present) {
                topic.found(reading.finding(code).with_evidence(&unanswered.reason));
            }
            return topic;
        }
    };
    for alias in &addresses.chain {
        topic.saw(format!("{host} is an alias of {alias}"));
    }
    if addresses.iter().next().is_none() {
        let state = if addresses.exists { "has no address" } else { "does not exist" };
        topic.saw(format!("{host} {state}"));
        // Without an answer for the record nobody knows whether there should be a policy host.
        if reading.present && reading.record.outcome != RecordOutcome::Undetermined {
            topic.found(reading.finding(Code::PolicyHostMissing).with_evidence(state));
        }
        return topic;
    }
    for address in &seen.no_way_to {
        topic.saw(format!("{address}: no way there from here, not looked at"));
    }
    for fetch in &seen.fetches {
        topic.saw(line_of(fetch));
    }
    if !reading.present {
        return topic;
    }
    if seen.fetches.is_empty() {
        let finding = reading.finding_about(Code::PolicyUnreachable, host.as_str());
        let unknown = Finding { severity: Severity::Unknown, ..finding };
        topic.found(unknown.with_evidence("no way leads there from here"));
    }
    topic.found_all(host_findings(reading, &host));
    topic.found_all(body_findings(reading));
    if let Some(policy) = reading.parsed() {
        let mode = policy.mode.map_or("", |mode| mode.as_str());
        let max_age = policy.max_age.map_or(0, |max_age| max_age.seconds());
        topic.saw(format!("mode {mode}, max_age {max_age} s, mx {}", policy.mx.join(", ")));
    }
    topic
}

/// What one fetch brought, in a line.
fn line_of(fetch: &Fetch) -> String {
    let offer = match fetch.offer {
        Offer::Http1WithoutAlpn => "HTTP/1.1",
        Offer::Http2 => "HTTP/2 offered",
    };
    let outcome = match &fetch.outcome {
        Outcome::NotDialled(network) => format!("not dialled ({network})"),
        Outcome::Unreachable(reason) => format!("unreachable ({reason})"),
        Outcome::TlsFailed(reason) => format!("TLS failed ({reason})"),
        Outcome::Timeout(stage) => format!("no answer in time ({stage:?})"),
        Outcome::NotAsked => "not asked".to_owned(),
        Outcome::BadHttp(reason) => format!("no proper HTTP ({reason})"),
        Outcome::Answered(answered) => format!(
            "status {}, {}, {} octets",
            answered.status,
            answered.content_type.as_deref().unwrap_or("no media type"),
            answered.body.len()
        ),
    };
    let tls = fetch.tls_version.as_ref().map_or(String::new(), |version| format!(", {version}"));
    format!("{} ({offer}{tls}): {outcome}", fetch.address)
}

/// What is wrong at the addresses of the policy host.
fn host_findings(reading: &Reading<'_>, host: &PolicyHost) -> Vec<Finding> {
    let mut addresses: Vec<IpAddr> = reading.seen.fetches.iter().map(|fetch| fetch.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let at: Vec<AtAddress> = addresses.iter().flat_map(|address| at_address(reading, *address)).collect();
    by_address(reading.mode, host.as_str(), addresses.len(), at)
}

/// What is wrong at one address, each matter once, whichever way it was asked.
fn at_address(reading: &Reading<'_>, address: IpAddr) -> Vec<AtAddress> {
    let fetches: Vec<&Fetch> = reading.seen.fetches.iter().filter(|fetch| fetch.address == address).collect();
    let answered = |fetch: &&&Fetch| matches!(fetch.outcome, Outcome::Answered(_));
    let some_answered = fetches.iter().find(answered).is_some();
    let mut seen: Vec<AtAddress> = vec![];
    for fetch in fetches {
        for fault in faults_of(fetch) {
            let Some((code, evidence, severity)) = of_fault(&fault, fetch) else { continue };
            // Whoever asks the other way gets an answer: the way is at fault.
            let of_the_way =
                matches!(code, Code::PolicyBadHttp | Code::PolicyTlsFailed | Code::PolicyTimeout)
                    && !matches!(fetch.outcome, Outcome::Answered(_))
                    && some_answered;
            let code = match fetch.offer {
                Offer::Http2 if of_the_way => Code::PolicyH2Failed,
                Offer::Http1WithoutAlpn if of_the_way => Code::PolicyHttp1Failed,
                _ => code,
            };
            if !seen.iter().any(|at| at.code == code) {
                seen.push(AtAddress { address, code, evidence, severity });
            }
        }
    }
    seen
}

fn of_fault(fault: &FetchFault, fetch: &Fetch) -> Option<(Code, String, Option<Severity>)> {
    let chain = fetch.chain.as_ref();
    let names = || chain.map_or(String::new(), |chain| format!("it is for {}", chain.names.join(", ")));
    let ends = || {
        let validity = chain.and_then(|chain| chain.validity);
        validity.map_or(String::new(), |validity| format!("it ends at {}", validity.not_after))
    };
    let plain = |code, evidence: String| Some((code, evidence, None));
    match fault {
        FetchFault::PrivateAddress(network) if network == OWN_ADDRESS => None,
        FetchFault::PrivateAddress(network) => plain(Code::PolicyHostPrivateAddress, network.clone()),
        FetchFault::Unreachable(reason) => plain(Code::PolicyUnreachable, reason.clone()),
        FetchFault::Timeout(stage) => plain(Code::PolicyTimeout, format!("while in {stage:?}")),
        FetchFault::TlsFailed(reason) => plain(Code::PolicyTlsFailed, reason.clone()),
        FetchFault::CertificateName { common_name_only: true } => {
            plain(Code::PolicyCertName, "only the common name matches".to_owned())
        }
        FetchFault::CertificateName { .. } => plain(Code::PolicyCertName, names()),
        FetchFault::CertificateExpired => plain(Code::PolicyCertExpired, ends()),
        FetchFault::CertificateNotYetValid => {
            plain(Code::PolicyCertExpired, "it is not valid yet".to_owned())
        }
        FetchFault::CertificateUntrusted(trust) => plain(Code::PolicyCertUntrusted, format!("{trust:?}")),
        FetchFault::CertificateIncomplete { issuer } => {
            plain(Code::PolicyCertIncompleteChain, format!("missing: {issuer}"))
        }
        FetchFault::CertificateExpiring(expiring) => {
            let severity = (*expiring == Expiring::Critical).then_some(Severity::Error);
            Some((Code::PolicyCertExpiring, ends(), severity))
        }
        FetchFault::BadHttp { problem, .. } => plain(Code::PolicyBadHttp, problem.clone()),
        FetchFault::Redirect { status, location } => {
            let location = location.as_deref().unwrap_or("nowhere");
            plain(Code::PolicyRedirect, format!("status {status} to {location}"))
        }
        FetchFault::Status(status) => plain(Code::PolicyStatus, format!("status {status}")),
        FetchFault::NoContentType => plain(Code::PolicyContentType, "there is none".to_owned()),
        FetchFault::ContentType(found) => plain(Code::PolicyContentType, found.clone()),
        FetchFault::ContentEncoding(found) => plain(Code::PolicyBadHttp, format!("coded as {found}")),
        FetchFault::TooLarge => plain(Code::PolicyTooLarge, String::new()),
        FetchFault::Slow { elapsed, .. } => {
            plain(Code::PolicySlow, format!("{:.1} s", elapsed.as_secs_f64()))
        }
        // Told with the sender that it concerns, in the table of compatibility.
        FetchFault::ContentTypeCase(_) | FetchFault::CutByChasquid { .. } => None,
    }
}

/// What is wrong in the bodies, and with whom.
fn body_findings(reading: &Reading<'_>) -> Vec<Finding> {
    let mut findings = vec![];
    if reading.bodies.len() > 1 {
        let addresses: Vec<String> = reading.bodies.iter().map(|(address, ..)| address.to_string()).collect();
        findings.push(reading.finding(Code::PolicyDiffers).with_evidence(&addresses.join(", ")));
    }
    for (address, _, parsed) in &reading.bodies {
        let evidence = format!("at {address}");
        for defect in &parsed.defects {
            let subject = placed(defect.code.code(), defect.line);
            findings.push(reading.finding_about(Code::PolicyInvalid, &subject).with_evidence(&evidence));
        }
        for remark in &parsed.remarks {
            let subject = placed(remark.code.code(), remark.line);
            let finding = reading.finding_about(Code::PolicyUnwise, &subject).with_evidence(&evidence);
            let harmful = remark.code.audit() == Audit::Error;
            findings.push(if harmful { finding.at_least(Severity::Error) } else { finding });
        }
    }
    findings.extend(disagreeing(reading).into_iter().map(|disagreement| {
        let finding = reading.finding_about(Code::PolicyIncompatible, disagreement.sender.name());
        finding.with_evidence(&said(&disagreement))
    }));
    findings.sort_unstable();
    findings.dedup();
    findings
}

fn placed(code: &str, line: usize) -> String {
    if line == 0 { code.to_owned() } else { format!("{code} in line {line}") }
}

/// Who reads the valid policy otherwise. Of a policy that is none, nothing more is said.
fn disagreeing(reading: &Reading<'_>) -> Vec<Disagreement> {
    let Some((_, answered, parsed)) = reading.policy.and_then(|at| reading.bodies.get(at)) else {
        return vec![];
    };
    disagreements(&answered.body, charset(answered.content_type.as_deref()).as_deref(), parsed)
}

/// What each known sender makes of the valid policy; empty without one.
pub(super) fn compatibility(reading: &Reading<'_>) -> Vec<Compatibility> {
    if reading.parsed().is_none() {
        return vec![];
    }
    let disagreeing = disagreeing(reading);
    let of = |sender: Sender| {
        let otherwise = disagreeing.iter().find(|disagreement| disagreement.sender == sender);
        let reads = otherwise.map_or_else(|| "as written".to_owned(), said);
        Compatibility { sender: sender.name(), as_written: otherwise.is_none(), reads }
    };
    Sender::ALL.into_iter().map(of).collect()
}

fn said(disagreement: &Disagreement) -> String {
    let reading = match disagreement.reading {
        PolicyReading::Reject => "refuses it".to_owned(),
        PolicyReading::Accept { mode, max_age, mx, warned } => format!(
            "reads mode {mode}, max_age {max_age}, {mx} mx{}",
            if warned { ", with a warning" } else { "" }
        ),
    };
    match disagreement.reason.as_str() {
        "" => reading,
        reason => format!("{reading}: {reason}"),
    }
}

/// The charset parameter of a media type.
fn charset(content_type: Option<&str>) -> Option<String> {
    content_type?.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    })
}
