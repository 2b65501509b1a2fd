//! One domain: what is served, its certificate, its records, its mail hosts, what was found, what happened.

use super::{
    Page, answer,
    gate::Caller,
    look::Look,
    shown::{Frame, Moment, Piece, pieces},
};
use crate::{
    admin::{
        server::{report, whole_seconds},
        status::DomainReport,
    },
    audit::{FindingCode, Severity, shown},
    certificate::Leaf,
    cross_check::{DomainStatus, MailAddress},
    name::{DomainName, PolicyHost},
    policy::Policy,
    publishing::{Holder, Seen, records_to_publish},
    snapshot::{HostedPolicy, Snapshot},
    storage::{FindingEvent, Held, Scheduled},
};
use askama::Template;
use axum::{
    Extension,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

/// Events of the history that are shown.
const EVENTS_SHOWN: usize = 100;
/// The most octets of a stranger's name or text that are shown.
const SHOWN_MAX: usize = 300;

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Which button led here.
    #[serde(default)]
    done: String,
}

#[derive(Template)]
#[template(path = "domain.html")]
struct Shown {
    frame: Frame,
    report: DomainReport,
    spelt: Option<String>,
    done: Option<&'static str>,
    attention: Vec<&'static str>,
    certificate: CertificateShown,
    records: Vec<RecordShown>,
    records_seen_at: Option<Moment>,
    mail_hosts: Vec<MailHostShown>,
    mail_hosts_left_out: usize,
    audited_at: Option<Moment>,
    findings: Vec<FindingShown>,
    checked_at: Option<Moment>,
    answered_at: Option<Moment>,
    silent_since: Option<Moment>,
    certificates_elsewhere: bool,
    cross_check_off: bool,
    timeline: Vec<Happened>,
    timeline_missing: bool,
    has_token: bool,
}

#[derive(Default)]
struct CertificateShown {
    issued: Option<Moment>,
    not_after: Option<Moment>,
    renew_at: Option<Moment>,
    authority: Option<String>,
    leaf: Option<Leaf>,
    next: Option<String>,
    next_at: Option<Moment>,
    ordering: bool,
    failure: Option<FailureShown>,
    astray_since: Option<Moment>,
    window: Option<(Moment, Moment)>,
    explanation_url: Option<String>,
}

struct FailureShown {
    kind: String,
    detail: String,
    attempts: u32,
    last_at: Moment,
}

struct RecordShown {
    line: String,
    ours: bool,
    seen: String,
    class: &'static str,
    place: Option<String>,
}

struct MailHostShown {
    host: String,
    preference: u16,
    allowed: bool,
    addresses: Vec<AddressShown>,
}

struct AddressShown {
    address: String,
    transport: &'static str,
    class: &'static str,
    looked_at: Option<Moment>,
    certificate_ends: Option<Moment>,
}

struct FindingShown {
    code: FindingCode,
    class: &'static str,
    severity: &'static str,
    title: &'static str,
    subject: String,
    evidence: String,
    effect: &'static str,
    remedy: Vec<Piece>,
    rfc: &'static str,
    since: Moment,
    raised: bool,
}

/// One line of the timeline.
struct Happened {
    at: Timestamp,
    moment: Moment,
    class: &'static str,
    what: String,
}

/// The host and what is served for the domain `name`; `None` when none is.
pub(super) fn served<'a>(snapshot: &'a Snapshot, name: &str) -> Option<(PolicyHost, &'a HostedPolicy)> {
    let host = PolicyHost::of(&DomainName::from_user(name).ok()?).ok()?;
    let hosted = snapshot.find(host.as_str())?;
    Some((host, hosted))
}

/// The colour of a severity.
pub(super) fn class(worst: Option<Severity>) -> &'static str {
    match worst {
        None => "good",
        Some(Severity::Critical | Severity::Error) => "bad",
        Some(Severity::Warn) => "fair",
        Some(Severity::Info | Severity::Unknown) => "dull",
    }
}

pub(super) async fn show(
    State(page): State<Page>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let (shared, sources) = (&page.0, &page.0.sources);
    let snapshot = sources.snapshot.load_full();
    let Some((host, hosted)) = served(&snapshot, &name) else {
        let why = "The daemon serves no such domain. A new one whose edit was refused is told of on the first page.";
        return answer::refusal(StatusCode::NOT_FOUND, "Not served", why);
    };
    let (domain, now) = (host.domain(), sources.clock.now());
    let history = shared.parts.history.events_of(&domain, EVENTS_SHOWN).await;
    let certificates = shared.parts.history.certificates_of(&host).await;
    let row = sources.desk.scheduler.row(&host).await.ok().flatten();
    let leaf = sources.desk.certificates.certificate(&host).await.ok().flatten();
    let leaf = leaf.and_then(|certificate| certificate.leaf());
    let report = report(sources, &snapshot, &host, hosted);
    let checked = sources.cross_check.of(&domain).unwrap_or_default();
    let look = shared.looks.last(&host);
    let records = records(&snapshot, &host, hosted, look.as_deref());
    let moment = |at: Option<Timestamp>| at.map(|at| Moment::new(at, now));
    let earlier = certificates.as_deref().unwrap_or_default();
    let timeline = timeline(history.as_deref().unwrap_or_default(), earlier, row.as_ref(), now);
    let certificate = certificate(&report, row, leaf, now);
    let (mail_hosts, mail_hosts_left_out) =
        mail_hosts(&checked, hosted.policy.policy(), look.as_deref(), now);
    let shown = Shown {
        frame: Frame::new(domain.to_string(), "domains", caller.csrf()),
        spelt: Some(domain.to_unicode()).filter(|spelt| spelt != domain.as_str()),
        done: done(&asked.done),
        attention: attention(&report, &checked, sources.certificates_elsewhere, now),
        certificates_elsewhere: sources.certificates_elsewhere,
        certificate,
        records,
        records_seen_at: moment(look.as_ref().map(|look| look.at)),
        mail_hosts,
        mail_hosts_left_out,
        audited_at: moment(checked.audited_at),
        findings: findings(&checked, &domain, now),
        checked_at: moment(checked.checked_at),
        answered_at: moment(checked.answered_at),
        silent_since: moment(checked.unanswered_since),
        cross_check_off: !sources.cross_check_enabled,
        timeline,
        timeline_missing: history.is_err() || certificates.is_err(),
        has_token: shared.gate.has_token(),
        report,
    };
    answer::page(StatusCode::OK, &shown)
}

/// What a button did. What it did not do is told on a page of its own.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "check" => Some(
            "Checked. Answers of slow name servers and of mail hosts may still come in: load the page anew for them.",
        ),
        "renew" => Some(
            "The certificate is due at once. Budgets and pauses still hold, and the old one is served until the new one is there.",
        ),
        _ => None,
    }
}

fn attention(
    report: &DomainReport,
    checked: &DomainStatus,
    certificates_elsewhere: bool,
    now: Timestamp,
) -> Vec<&'static str> {
    let mut lines = Vec::new();
    match &report.certificate {
        _ if certificates_elsewhere => {}
        None => lines.push("There is no certificate yet: senders cannot fetch this policy."),
        Some(held) if held.not_after <= now => {
            lines.push("The certificate has ended: senders refuse to fetch this policy.");
        }
        Some(_) if report.failure.is_some() => lines.push("The last order failed; it is tried again."),
        Some(_) => {}
    }
    if checked.findings.iter().any(|known| known.finding.severity >= Severity::Error) {
        lines.push("Mail is refused, or would be under enforce: see the findings.");
    }
    lines
}

fn certificate(
    report: &DomainReport,
    row: Option<Scheduled>,
    leaf: Option<Leaf>,
    now: Timestamp,
) -> CertificateShown {
    let moment = |at: Timestamp| Moment::new(at, now);
    let held = report.certificate.as_ref();
    let base = CertificateShown {
        not_after: held.map(|held| moment(held.not_after)),
        renew_at: held.map(|held| moment(held.renew_at)),
        leaf,
        ordering: report.ordering,
        ..CertificateShown::default()
    };
    let Some(row) = row else { return base };
    let next = match row.next.word() {
        "first" => "order the first certificate",
        "renew" => "renew",
        "ask" => "ask the authority when to renew",
        "parked" => "nothing until its configuration changes",
        other => other,
    };
    CertificateShown {
        issued: row.held.map(|held| moment(held.not_before)),
        authority: row.authority,
        next: Some(next.to_owned()),
        next_at: (row.next != crate::storage::Next::Parked).then(|| moment(row.next_at)),
        failure: row.failures.map(|failure| FailureShown {
            kind: failure.kind,
            detail: failure.detail,
            attempts: failure.attempts,
            last_at: moment(failure.last_at),
        }),
        astray_since: row.astray_since.map(moment),
        window: row.renewal.window.map(|(first, last)| (moment(first), moment(last))),
        // An authority wrote it: shown as text, and as a link only where it is one.
        explanation_url: row.renewal.explanation_url.map(|url| shown(&url, SHOWN_MAX)),
        ..base
    }
}

fn records(
    snapshot: &Snapshot,
    host: &PolicyHost,
    hosted: &HostedPolicy,
    look: Option<&Look>,
) -> Vec<RecordShown> {
    let expected = records_to_publish(host, hosted.policy.id(), snapshot.publish(), &[]);
    let shown = |record: crate::publishing::PublishedRecord| {
        // A look at another id or another target says nothing about this record.
        let seen = look.and_then(|look| look.records.iter().find(|(looked, _, _)| *looked == record));
        let (words, class) = match seen.map(|(_, seen, _)| seen) {
            None => ("not looked at".to_owned(), "dull"),
            Some(Seen::AsExpected) => ("as expected".to_owned(), "good"),
            Some(Seen::Absent) => ("nothing".to_owned(), "bad"),
            Some(Seen::Different(others)) => (others.join(", "), "bad"),
            Some(Seen::Unknown(why)) => (format!("not known: {why}"), "dull"),
        };
        RecordShown {
            line: record.to_string(),
            ours: record.holder == Holder::Provider,
            seen: words,
            class,
            place: seen.map(|(_, _, place)| place.clone()).filter(|place| *place != record.name),
        }
    };
    expected.into_iter().map(shown).collect()
}

/// The mail hosts as the last audit saw them, else as DNS named them at the last look.
fn mail_hosts(
    checked: &DomainStatus,
    policy: &Policy,
    look: Option<&Look>,
    now: Timestamp,
) -> (Vec<MailHostShown>, usize) {
    if let Some(audit) = &checked.last_audit {
        let hosts = audit.hosts.iter().map(|one| MailHostShown {
            host: shown(one.host.as_str(), SHOWN_MAX),
            preference: one.preference,
            allowed: one.allowed,
            addresses: one.addresses.iter().map(|address| address_shown(address, now)).collect(),
        });
        return (hosts.collect(), audit.left_out);
    }
    let looked = look.and_then(|look| look.mx.as_deref()).unwrap_or_default();
    let hosts = looked.iter().map(|(preference, host)| MailHostShown {
        host: shown(host, SHOWN_MAX),
        preference: *preference,
        allowed: policy.allowing(host).is_some(),
        addresses: Vec::new(),
    });
    (hosts.collect(), 0)
}

fn address_shown(address: &MailAddress, now: Timestamp) -> AddressShown {
    AddressShown {
        address: address.address.to_string(),
        transport: address.transport.as_str(),
        class: match address.transport.is_good() {
            Some(true) => "good",
            Some(false) => "bad",
            None => "dull",
        },
        looked_at: address.looked_at.map(|at| Moment::new(at, now)),
        certificate_ends: address.certificate_ends.map(|at| Moment::new(at, now)),
    }
}

fn findings(checked: &DomainStatus, domain: &DomainName, now: Timestamp) -> Vec<FindingShown> {
    let mut known: Vec<_> = checked.findings.iter().collect();
    known.sort_by_key(|known| std::cmp::Reverse(known.finding.severity));
    let shown = |known: &&crate::cross_check::KnownFinding| {
        let (finding, entry) = (&known.finding, known.finding.code.entry());
        FindingShown {
            code: finding.code,
            class: class(Some(finding.severity)),
            severity: finding.severity.as_str(),
            title: entry.title,
            subject: finding.subject.to_string(),
            evidence: finding.evidence.to_string(),
            effect: entry.effect,
            remedy: pieces(&finding.remedy(domain)),
            rfc: entry.rfc,
            since: Moment::new(known.since, now),
            raised: known.raised,
        }
    };
    known.iter().map(shown).collect()
}

/// What happened, the latest first.
fn timeline(
    events: &[FindingEvent],
    certificates: &[Held],
    row: Option<&Scheduled>,
    now: Timestamp,
) -> Vec<Happened> {
    let happened = |at: Timestamp, class, what: String| Happened {
        at,
        moment: Moment::new(whole_seconds(at), now),
        class,
        what,
    };
    let mut timeline = Vec::new();
    for event in events {
        let about = if event.subject.is_empty() { String::new() } else { format!(" {}", event.subject) };
        let severity = Severity::ALL.into_iter().find(|one| one.as_str() == event.severity);
        let began = format!("{} ({}){about} was found", event.code, event.severity);
        timeline.push(happened(event.since, class(severity.or(Some(Severity::Unknown))), began));
        if let Some(until) = event.until {
            timeline.push(happened(until, "good", format!("{}{about} was over", event.code)));
        }
    }
    for held in certificates {
        let (not_before, until) = (held.validity.not_before, held.validity.not_after.strftime("%Y-%m-%d"));
        let issued = format!("a certificate began, good until {until}; issued by {}", held.authority);
        timeline.push(happened(not_before, "good", issued));
    }
    if let Some(failed) = row.and_then(|row| row.failures.as_ref()) {
        let what =
            format!("an order failed, {} in a row: {} ({})", failed.attempts, failed.detail, failed.kind);
        timeline.push(happened(failed.last_at, "bad", what));
    }
    if let Some(since) = row.and_then(|row| row.astray_since) {
        timeline.push(happened(since, "fair", "the policy host was first seen not to point here".to_owned()));
    }
    timeline.sort_by_key(|one| std::cmp::Reverse(one.at));
    timeline
}
