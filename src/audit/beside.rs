//! Topics beside MTA-STS: DANE, TLS reporting, CAA and DNSSEC, and what we serve ourselves.

use super::{Finding, FindingCode as Code, HostSeen, Severity, Topic, TopicReport, reading::Reading, shown};
use crate::{
    dns::{MxAnswer, Unanswered, UnansweredKind, caa},
    policy::{
        RecordOutcome, TxtSeen,
        misprint::{Misprint, RecordKind, look_at},
        report_record::{ReportDefect, ReportOutcome, judge_report_records},
    },
    policy_fetch::Outcome,
    starttls::dane as tlsa,
};

/// What is shown of one record or reason.
const SHOWN_MAX: usize = 120;

/// TLSA records of the mail hosts (RFC 7672; S-20 to S-25).
pub(super) fn dane(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Dane.begin();
    let mx_secure = reading.seen.mx.as_ref().is_ok_and(|answer| answer.secure);
    for host in &reading.seen.hosts {
        let findings = of_host(reading, host, mx_secure, &mut topic.seen);
        topic.found_all(findings);
    }
    if topic.seen.is_empty() && !reading.seen.hosts.is_empty() {
        topic.saw("no TLSA records".to_owned());
    }
    topic
}

fn of_host(reading: &Reading<'_>, host: &HostSeen, mx_secure: bool, lines: &mut Vec<String>) -> Vec<Finding> {
    let name = host.host.as_str();
    let about = |code| reading.finding_about(code, name);
    let answer = match &host.tlsa {
        None => return vec![],
        Some(Ok(answer)) => answer,
        Some(Err(unanswered)) => {
            lines.push(format!("{name}: no answer for TLSA ({})", shown(&unanswered.reason, SHOWN_MAX)));
            let address_secure = host.addresses.as_ref().is_ok_and(|addresses| addresses.secure);
            // Unsigned, senders do not ask; and a silence that is not bogus may be ours.
            let finding = about(Code::DaneLookupFailed).with_evidence(&unanswered.reason);
            return match unanswered.kind {
                UnansweredKind::Bogus => vec![finding],
                _ if mx_secure && address_secure => {
                    vec![Finding { severity: Severity::Unknown, ..finding }]
                }
                _ => vec![],
            };
        }
    };
    if answer.data.records.is_empty() {
        return vec![];
    }
    let count = answer.data.records.len();
    lines.push(format!("{name}: {count} TLSA record{}", if count == 1 { "" } else { "s" }));
    if !answer.secure || !mx_secure {
        return vec![about(Code::DaneNotSigned)];
    }
    let mut findings = vec![];
    let (mut mismatch, mut pinned, mut unusable) = (None, false, false);
    for probe in &host.probes {
        let Some(tls) = &probe.tls else { continue };
        let judged = tlsa::judge(&answer.data.records, &tls.certificates, name, reading.now);
        unusable |= !judged.unusable_usages.is_empty();
        pinned |= judged.pinned_leaf;
        if judged.usable && judged.matches.is_none() {
            mismatch.get_or_insert(probe.address);
        }
    }
    if let Some(address) = mismatch {
        let evidence = format!("at {address}");
        findings.push(about(Code::DaneMismatch).with_evidence(&evidence));
    } else if pinned {
        findings.push(about(Code::DanePinnedLeaf));
    }
    if unusable {
        findings.push(about(Code::DaneUnusable));
    }
    if host.has_report_record == Some(false) {
        findings.push(about(Code::TlsrptMxHostMissing));
    }
    findings
}

/// The report record (RFC 8460 §3; ).
pub(super) fn tlsrpt(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Tlsrpt.begin();
    let name = format!("_smtp._tls.{}", reading.seen.domain);
    let mut misprint = None;
    let seen = match &reading.seen.report_record {
        Ok(answer) => {
            for strings in &answer.data.records {
                misprint = misprint.or_else(|| meant_for_reports(&strings.concat()));
                let text = String::from_utf8_lossy(&strings.concat()).into_owned();
                topic.saw(format!("{name}: \"{}\"", shown(&text, SHOWN_MAX)));
            }
            if answer.data.records.is_empty() {
                topic.saw(format!("{name}: no TXT record"));
            }
            TxtSeen::Answer { records: &answer.data.records, beside_cname: answer.data.beside_cname }
        }
        Err(unanswered) => {
            topic.saw(format!("{name}: no answer ({})", shown(&unanswered.reason, SHOWN_MAX)));
            TxtSeen::Unanswered
        }
    };
    let judged = judge_report_records(seen);
    match judged.outcome {
        ReportOutcome::Asked(_) => {}
        ReportOutcome::Undetermined => topic.found(reading.finding(Code::TlsrptLookupFailed)),
        ReportOutcome::NoReports(ReportDefect::NoRecord) => match misprint {
            Some(misprint) => {
                topic.found(reading.finding_about(Code::TlsrptMalformed, misprint.code()));
            }
            // Without MTA-STS there is little to report about.
            None if !reading.present => {}
            None => topic.found(reading.finding(Code::TlsrptMissing)),
        },
        ReportOutcome::NoReports(ReportDefect::MultipleRecords) => {
            topic.found(reading.finding(Code::TlsrptMultiple));
        }
        ReportOutcome::NoReports(defect) => {
            topic.found(reading.finding_about(Code::TlsrptMalformed, defect.code()));
        }
    }
    let remarks = judged.remarks.iter();
    topic.found_all(remarks.map(|remark| reading.finding_about(Code::TlsrptUnwise, remark.code())));
    topic
}

/// The first slip in a text that was to be a report record but does not begin as one.
fn meant_for_reports(text: &[u8]) -> Option<Misprint> {
    let likeness = look_at(text);
    likeness.misprints.first().copied().filter(|_| likeness.kind == Some(RecordKind::Report))
}

/// CAA and DNSSEC (RFC 8659, RFC 4035; ).
pub(super) fn dns(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Dns.begin();
    let seen = reading.seen;
    let host = format!("mta-sts.{}", seen.domain);
    match &seen.caa {
        Ok(None) => topic.saw(format!("{host}: no CAA records, every authority may issue")),
        Ok(Some(set)) => {
            topic.saw(format!("{host}: {} CAA records at {}", set.records.len(), set.owner));
            if let Some((issuer, methods)) = seen.expected.as_ref().and_then(|ours| ours.issuer.as_ref())
                && let Err(objection) = caa::judge(&set.records, issuer, methods)
            {
                let finding = reading.finding_about(Code::CaaForbids, &set.owner.to_string());
                topic.found(finding.with_evidence(&objection.record));
            }
        }
        Err((name, unanswered)) => {
            topic.saw(format!("{name}: no answer for CAA ({})", shown(&unanswered.reason, SHOWN_MAX)));
            if reading.present && unanswered.kind != UnansweredKind::Bogus {
                topic.found(
                    reading
                        .finding_about(Code::CaaLookupFailed, name.as_str())
                        .with_evidence(&unanswered.reason),
                );
            }
        }
    }
    let bogus = |name: String, unanswered: &Unanswered| {
        (unanswered.kind == UnansweredKind::Bogus)
            .then(|| reading.finding_about(Code::DnssecBogus, &name).with_evidence(&unanswered.reason))
    };
    let domain = seen.domain.as_str();
    topic.found_all(
        [
            seen.mx.as_ref().err().and_then(|unanswered| bogus(domain.to_owned(), unanswered)),
            seen.record.as_ref().err().and_then(|unanswered| bogus(format!("_mta-sts.{domain}"), unanswered)),
            seen.policy_host.as_ref().err().and_then(|unanswered| bogus(host, unanswered)),
            seen.caa.as_ref().err().and_then(|(name, unanswered)| bogus(name.to_string(), unanswered)),
        ]
        .into_iter()
        .flatten()
        // One broken zone is one matter, whatever was asked of it.
        .take(1),
    );
    if let Ok(answer) = &seen.mx {
        let vouched = if answer.secure { "DNSSEC vouches" } else { "DNSSEC does not vouch" };
        topic.saw(format!("{vouched} for the MX records"));
        if !answer.secure && answer.data != MxAnswer::NoSuchDomain {
            topic.found(reading.finding(Code::DnssecUnsigned));
        }
    }
    topic
}

/// What the world sees against what we serve (RFC 8461 §8.1). Silent for domains of others.
pub(super) fn consistency(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Consistency.begin();
    let Some(ours) = &reading.seen.expected else { return topic };
    topic.saw(format!("we serve the policy with id {}", ours.policy.id()));
    if let RecordOutcome::Indicated(record) = &reading.record.outcome
        && record.id != *ours.policy.id()
    {
        let finding = reading.finding_about(Code::IdDiffers, ours.policy.id().as_str());
        let chain = reading.seen.record.as_ref().ok().and_then(|answer| answer.data.chain.last());
        let at = chain.map_or(String::new(), |end| format!(" at {end}, where the CNAME leads"));
        topic.found(finding.with_evidence(&format!("in DNS it is {}{at}", record.id)));
    }
    let mut elsewhere = vec![];
    for address in reading.seen.policy_host.iter().flat_map(|addresses| addresses.iter()) {
        if !ours.addresses.is_empty() && !ours.addresses.contains(&address) {
            elsewhere.push(address);
            topic.found(reading.finding_about(Code::PolicyHostElsewhere, &address.to_string()));
        }
    }
    for fetch in &reading.seen.fetches {
        // That an address is none of ours is told; that it serves something else follows from it.
        let Outcome::Answered(answered) = &fetch.outcome else { continue };
        if answered.status == 200
            && answered.body != ours.policy.body().as_ref()
            && !elsewhere.contains(&fetch.address)
        {
            topic.found(reading.finding_about(Code::BodyDiffers, &fetch.address.to_string()));
        }
    }
    topic
}
