//! Pure: many changes of findings become few alerts, one for each cause.
//!
//! A cause is what the findings are about: an MX host that ten thousand domains share is one cause. A
//! finding about a domain as a whole that changed together with one about a host of it is told with that
//! one, because it is its effect: no MX host is covered since that host came.

use crate::{audit::FindingCode, config::AlertSeverity, name::DomainName, storage::FindingEvent};
use aws_lc_rs::digest;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// As many domains as one alert names; the others are counted.
pub const DOMAINS_SHOWN: usize = 20;

/// The most causes that are told one by one: whoever owns a domain can name any number of MX hosts.
pub const CAUSES_MAX: usize = 50;

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The same for the same changes, so that a receiver can tell what it has seen already.
    pub id: String,
    /// Whether the findings are no more.
    pub resolved: bool,
    /// The worst of its findings.
    pub severity: AlertSeverity,
    /// The MX host, pattern or other matter it is about; empty for domains as a whole.
    pub subject: String,
    /// What was found, the worst first; never empty.
    pub findings: Vec<Part>,
    /// The first of its domains by name, at most [`DOMAINS_SHOWN`]; never empty.
    pub domains: Vec<DomainName>,
    /// How many domains it is about, with those that are not named.
    pub count: usize,
    /// When the first of the findings was seen.
    pub since: Timestamp,
    /// When the last of them was seen no more; only where resolved.
    pub until: Option<Timestamp>,
}

/// One sort of finding in an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Stable code.
    pub code: String,
    /// The worst severity of these.
    pub severity: AlertSeverity,
    /// How often it was found: once a domain, and more only where many causes are told together.
    pub count: usize,
}

/// A change, and how bad its finding is.
type Change<'a> = (&'a FindingEvent, AlertSeverity);

/// What one alert is about: resolved or not, topic or code, subject.
type Cause = (bool, String, String);

/// Makes alerts of changes: what ended before what began, for something may be both, and of each the worst
/// first. Changes of no known severity are left out, and causes beyond [`CAUSES_MAX`], counted from the
/// worst of all, are told together.
pub fn group(events: &[FindingEvent]) -> Vec<Alert> {
    let events: Vec<(&FindingEvent, AlertSeverity)> = events
        .iter()
        .filter_map(|event| Some((event, AlertSeverity::from_keyword(&event.severity)?)))
        .collect();
    // The first host by name that changed for a domain takes what is about the domain with it.
    let mut hosts: HashMap<(&DomainName, bool, &str), Cause> = HashMap::new();
    for (event, _) in events.iter().filter(|(event, _)| !event.subject.is_empty()) {
        let cause = own_cause(event);
        hosts
            .entry((&event.domain, cause.0, topic(&event.code)))
            .and_modify(|first| {
                if cause < *first {
                    *first = cause.clone();
                }
            })
            .or_insert(cause);
    }
    let mut causes: BTreeMap<Cause, Vec<(&FindingEvent, AlertSeverity)>> = BTreeMap::new();
    for (event, severity) in &events {
        let host = || hosts.get(&(&event.domain, event.until.is_some(), topic(&event.code))).cloned();
        let cause = match event.subject.is_empty() {
            true => host().unwrap_or_else(|| own_cause(event)),
            false => own_cause(event),
        };
        causes.entry(cause).or_default().push((event, *severity));
    }
    let mut told: Vec<(Alert, Vec<Change<'_>>)> = causes
        .into_iter()
        .filter_map(|((_, _, subject), changes)| Some((alert(subject, &changes)?, changes)))
        .collect();
    told.sort_by(|(a, _), (b, _)| (b.severity, b.count, &a.id).cmp(&(a.severity, a.count, &b.id)));
    let others = told.split_off(told.len().min(CAUSES_MAX));
    let (ended, there): (Vec<_>, Vec<_>) = others.into_iter().partition(|(alert, _)| alert.resolved);
    let together = [there, ended].map(|others| {
        let changes: Vec<Change<'_>> = others.into_iter().flat_map(|(_, changes)| changes).collect();
        alert(String::new(), &changes)
    });
    let mut alerts: Vec<Alert> =
        told.into_iter().map(|(alert, _)| alert).chain(together.into_iter().flatten()).collect();
    alerts.sort_by_key(|alert| !alert.resolved);
    alerts
}

/// What a change is about by itself: findings of one topic about one host belong together.
fn own_cause(event: &FindingEvent) -> Cause {
    let matter = match event.subject.is_empty() {
        true => event.code.as_str(),
        false => topic(&event.code),
    };
    (event.until.is_some(), matter.to_owned(), event.subject.clone())
}

/// The part of the audit that finds `code`; a code of another version stands for itself.
fn topic(code: &str) -> &str {
    FindingCode::parse(code).map_or(code, |known| known.entry().topic.as_str())
}

/// `None` where there is nothing to tell.
fn alert(subject: String, events: &[(&FindingEvent, AlertSeverity)]) -> Option<Alert> {
    let mut domains: Vec<&DomainName> = events.iter().map(|(event, _)| &event.domain).collect();
    domains.sort_unstable();
    domains.dedup();
    let mut parts: BTreeMap<&str, (AlertSeverity, usize)> = BTreeMap::new();
    for (event, severity) in events {
        let part = parts.entry(&event.code).or_insert((*severity, 0));
        *part = (part.0.max(*severity), part.1 + 1);
    }
    let part = |(code, (severity, count)): (&str, _)| Part { code: code.to_owned(), severity, count };
    let mut findings: Vec<Part> = parts.into_iter().map(part).collect();
    findings.sort_by(|a, b| (b.severity, &a.code).cmp(&(a.severity, &b.code)));
    Some(Alert {
        id: id(events),
        resolved: events.iter().all(|(event, _)| event.until.is_some()),
        severity: findings.first()?.severity,
        subject,
        count: domains.len(),
        domains: domains.into_iter().take(DOMAINS_SHOWN).cloned().collect(),
        findings,
        since: events.iter().map(|(event, _)| event.since).min()?,
        until: events.iter().map(|(event, _)| event.until).max()?,
    })
}

/// The first 32 hexadecimal digits of the SHA-256 over the numbers of the changes.
fn id(events: &[(&FindingEvent, AlertSeverity)]) -> String {
    let mut numbers: Vec<i64> = events.iter().map(|(event, _)| event.number).collect();
    numbers.sort_unstable();
    let mut context = digest::Context::new(&digest::SHA256);
    numbers.iter().for_each(|number| context.update(&number.to_be_bytes()));
    context.finish().as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A change of a finding of domain `n`.
    pub fn event(number: i64, n: usize, code: &str, subject: &str, severity: &str) -> FindingEvent {
        FindingEvent {
            number,
            domain: DomainName::from_ascii(&format!("d{n:05}.example")).unwrap(),
            code: code.to_owned(),
            subject: subject.to_owned(),
            severity: severity.to_owned(),
            since: Timestamp::from_second(1_800_000_000 + number).unwrap(),
            until: None,
        }
    }

    fn moved(tenants: usize) -> Vec<FindingEvent> {
        (0..tenants)
            .flat_map(|n| {
                let number = 2 * n as i64;
                [
                    event(number, n, "NO_MX_COVERED", "", "critical"),
                    event(number + 1, n, "MX_NOT_IN_POLICY", "new.provider.example", "error"),
                ]
            })
            .collect()
    }

    #[test]
    fn one_mx_that_moved_for_ten_thousand_tenants_is_one_alert() {
        let alerts = group(&moved(10_000));
        let [alert] = &alerts[..] else { panic!("{} alerts", alerts.len()) };
        assert_eq!((alert.subject.as_str(), alert.count), ("new.provider.example", 10_000));
        assert_eq!((alert.severity, alert.resolved), (AlertSeverity::Critical, false));
        assert_eq!(alert.domains.len(), DOMAINS_SHOWN);
        assert_eq!(alert.domains[0].as_str(), "d00000.example");
        let parts: Vec<_> = alert.findings.iter().map(|part| (part.code.as_str(), part.count)).collect();
        assert_eq!(parts, [("NO_MX_COVERED", 10_000), ("MX_NOT_IN_POLICY", 10_000)]);
    }

    #[test]
    fn what_has_another_cause_or_is_over_is_told_apart() {
        let mut events = moved(2);
        events.push(event(10, 7, "MX_NOT_IN_POLICY", "other.example", "error"));
        events.push(event(11, 8, "NO_SUCH_DOMAIN", "", "error"));
        events.push(event(12, 9, "NO_SUCH_DOMAIN", "", "error"));
        let ended = Timestamp::from_second(1_800_009_999).unwrap();
        events.push(FindingEvent {
            until: Some(ended),
            ..event(13, 9, "MX_NOT_IN_POLICY", "new.provider.example", "error")
        });
        let shown: Vec<_> = group(&events)
            .into_iter()
            .map(|alert| (alert.findings[0].code.clone(), alert.subject, alert.count, alert.until))
            .collect();
        let told =
            |code: &str, subject: &str, count, until| (code.to_owned(), subject.to_owned(), count, until);
        assert_eq!(shown[0], told("MX_NOT_IN_POLICY", "new.provider.example", 1, Some(ended)));
        assert_eq!(shown[1], told("NO_MX_COVERED", "new.provider.example", 2, None));
        assert_eq!(shown[2], told("NO_SUCH_DOMAIN", "", 2, None));
        assert_eq!(shown[3], told("MX_NOT_IN_POLICY", "other.example", 1, None));
        assert_eq!(shown.len(), 4);
    }

    #[test]
    fn ends_are_told_before_beginnings_and_those_told_together_too() {
        let change = |n: i64| event(n, 1, "MX_NOT_IN_POLICY", &format!("mx{n}.example"), "error");
        let end =
            |n: i64| FindingEvent { until: Some(change(n).since), severity: "warn".into(), ..change(n) };
        let events: Vec<_> = (0..60).map(change).chain((0..60).map(end)).collect();
        let alerts = group(&events);
        assert!(alerts.is_sorted_by_key(|alert| !alert.resolved));
        let ended: Vec<_> = alerts.iter().filter(|alert| alert.resolved).collect();
        assert_eq!((alerts.len(), ended.len()), (CAUSES_MAX + 2, 1), "the cut is by severity");
        let ended: Vec<_> = (0..9).map(end).chain((0..9).map(change)).collect();
        let states: Vec<_> = group(&ended).iter().map(|alert| alert.resolved).collect();
        assert_eq!(states, [[true; 9], [false; 9]].concat());
    }

    #[test]
    fn a_domain_with_a_thousand_hosts_does_not_make_a_thousand_alerts() {
        let change = |n: i64| event(n, 1, "MX_NOT_IN_POLICY", &format!("mx{n}.example"), "error");
        let alerts = group(&(0..1_000).map(change).collect::<Vec<_>>());
        assert_eq!(alerts.len(), CAUSES_MAX + 1);
        let told: usize = alerts.iter().flat_map(|alert| &alert.findings).map(|part| part.count).sum();
        assert_eq!(told, 1_000);
        assert_eq!((alerts[CAUSES_MAX].subject.as_str(), alerts[CAUSES_MAX].count), ("", 1));
    }

    #[test]
    fn the_same_changes_have_the_same_id_in_any_order() {
        let mut events = moved(3);
        let id = group(&events)[0].id.clone();
        events.reverse();
        assert_eq!(group(&events)[0].id, id);
        events[0].number += 100;
        assert_ne!(group(&events)[0].id, id);
    }

    #[test]
    fn what_is_unknown_is_never_told() {
        assert_eq!(group(&[event(1, 1, "MX_LOOKUP_FAILED", "", "unknown")]), []);
        assert_eq!(group(&[]), []);
    }
}
