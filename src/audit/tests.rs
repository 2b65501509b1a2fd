//! Promises of the judge, on fixed observations.

mod fixed;
mod schema;

use super::*;
use crate::{
    dns::{Unanswered, UnansweredKind},
    policy_fetch::Offer,
    starttls::Why,
};
use fixed::{ended, fetch, good, host, now, secured, txt, with_hosts};
use serde_json::Value;

/// The codes and subjects found, worst first within their topics.
fn found(seen: &Observations) -> Vec<(&'static str, String)> {
    let report = judge(seen, now());
    report.findings().map(|finding| (finding.code.as_str(), finding.subject.to_string())).collect()
}

#[track_caller]
fn check(seen: &Observations, expected: &[(&str, &str)]) {
    let found = found(seen);
    let found: Vec<(&str, &str)> = found.iter().map(|(code, subject)| (*code, subject.as_str())).collect();
    assert_eq!(found, expected);
}

fn all() -> [(&'static str, Observations); 4] {
    [
        ("good", good()),
        ("faulty", fixed::faulty()),
        ("without", fixed::without()),
        ("blocked", fixed::blocked()),
    ]
}

#[test]
fn the_page_and_the_json_stay_as_they_are() {
    for (name, seen) in all() {
        let report = judge(&seen, now());
        insta::assert_snapshot!(format!("{name}_page"), report.page());
        let json = serde_json::to_string_pretty(&report.to_json()).unwrap();
        insta::assert_snapshot!(format!("{name}_json"), json);
    }
}

#[test]
fn every_report_is_what_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/audit.schema.json")).unwrap();
    for (name, seen) in all() {
        assert_eq!(schema::faults(&schema, &judge(&seen, now()).to_json()), [""; 0], "{name}");
    }
    let topics = schema["properties"]["topics"]["items"]["properties"]["topic"]["enum"].clone();
    let words: Vec<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
    assert_eq!(topics, serde_json::json!(words));
}

#[test]
fn the_verdict_is_one_word_for_machines_and_one_sentence_for_people() {
    for (name, word) in [(0, "ok"), (1, "findings"), (2, "ok"), (3, "unknown")] {
        let (name, seen) = &all()[name];
        let verdict = judge(seen, now()).verdict;
        assert_eq!(verdict.word, word, "{name}");
        assert!(verdict.sentence.starts_with("example.com has ") && verdict.sentence.ends_with('.'));
    }
}

// S-01.
#[test]
fn one_bad_address_among_four_is_named_and_four_are_one_finding() {
    let at = ["198.20.0.25", "198.20.0.26", "2a00::25", "2a00::26"];
    let mut probes: Vec<_> = at.iter().map(|address| secured("mx1.example.com", address)).collect();
    probes[2] = ended(at[2], Why::NoStarttls);
    let one = with_hosts(good(), vec![host("mx1.example.com", 10, probes)]);
    let unused = ("MX_PATTERN_UNUSED", "*.example.net");
    check(&one, &[unused, ("MX_NO_STARTTLS", "mx1.example.com [2a00::25]")]);
    let probes = at.iter().map(|address| ended(address, Why::NoStarttls)).collect();
    let four = with_hosts(good(), vec![host("mx1.example.com", 10, probes)]);
    check(&four, &[unused, ("MX_NO_STARTTLS", "mx1.example.com")]);
}

// S-02, M-14.
#[test]
fn silence_is_unknown_and_a_closed_port_25_is_not_the_domains_fault() {
    check(&fixed::blocked(), &[("MX_PORT_25_BLOCKED_HERE", "")]);
    let elsewhere_it_answers = Observations { port_25_answers: true, ..fixed::blocked() };
    check(
        &elsewhere_it_answers,
        &[("MX_UNREACHABLE", "mx1.example.com"), ("MX_UNREACHABLE", "mx2.example.net")],
    );
    let report = judge(&elsewhere_it_answers, now());
    assert_eq!(worst(report.findings()), Some(Severity::Unknown));
    // Another family answers: that there is no way from here to this one is nobody's business.
    let mut seen = good();
    seen.hosts[0].probes[1] = ended("2a00::25", Why::NoRouteHere);
    check(&seen, &[]);
}

#[test]
fn without_mta_sts_what_depends_on_a_policy_is_silent() {
    check(&fixed::without(), &[("NO_MTA_STS", "")]);
    let unsecured = with_hosts(
        fixed::without(),
        vec![host("mx7.example.org", 10, vec![ended("198.20.0.25", Why::NoStarttls)])],
    );
    check(&unsecured, &[("NO_MTA_STS", ""), ("MX_NO_STARTTLS", "mx7.example.org")]);
    assert_eq!(worst(judge(&unsecured, now()).findings()), Some(Severity::Warn), "as in mode testing");
}

#[test]
fn a_missing_record_is_told_apart_from_a_missing_answer_and_from_a_broken_zone() {
    check(&Observations { record: Ok(txt(&[])), ..good() }, &[("STS_RECORD_MISSING", "")]);
    let unanswered = |kind| Err(Unanswered { kind, ..Unanswered::failed("no answer in time") });
    for (kind, expected) in [
        (UnansweredKind::Failed, ("STS_RECORD_LOOKUP_FAILED", "")),
        (UnansweredKind::TooManyCnames, ("STS_RECORD_CNAME_LOOP", "")),
        (UnansweredKind::Bogus, ("DNSSEC_BOGUS", "_mta-sts.example.com")),
    ] {
        check(&Observations { record: unanswered(kind), ..good() }, &[expected]);
    }
}

// T-19: one finding each, the one that says what happened.
#[test]
fn a_mistake_with_the_record_is_explained_and_told_once() {
    let with = |records: &[&str]| Observations { record: Ok(txt(records)), ..good() };
    check(&with(&["\"v=STSv1; id=1;\""]), &[("STS_RECORD_QUOTED", "")]);
    check(&with(&["v=STSv1;\u{a0}id=1;"]), &[("STS_RECORD_NBSP", "")]);
    check(&with(&["v=STSv1; id=1;", "v=STSv1; id=2;"]), &[("STS_RECORD_MULTIPLE", "")]);
    check(&with(&["v=STSv1; id=a-1;"]), &[("STS_RECORD_MALFORMED", "BAD_ID")]);
    let wrong_place = Observations {
        elsewhere: vec![(crate::dns::DnsName::new("mta-sts.example.com"), txt(&["v=STSv1; id=1;"]).data)],
        ..with(&[])
    };
    check(&wrong_place, &[("STS_RECORD_WRONG_PLACE", "mta-sts.example.com")]);
}

#[test]
fn a_policy_that_is_none_has_no_coverage_and_no_senders_to_judge() {
    let body = "version: STSv1\nmode: enforce\nmx mx1.example.com\nmax_age: 604800\n";
    let fetches = ["198.20.0.1", "2a00::1"].map(|address| fetch(address, Offer::Http1WithoutAlpn, body));
    let seen = Observations { fetches: fetches.into(), ..good() };
    let found = found(&seen);
    assert!(found.iter().all(|(code, _)| *code == "POLICY_INVALID"), "{found:?}");
    assert!(judge(&seen, now()).compatibility.is_empty());
}

#[test]
fn addresses_that_disagree_are_found() {
    let mut seen = good();
    let other = fixed::ENFORCE.replace("enforce", "testing");
    seen.fetches[2] = fetch("2a00::1", Offer::Http1WithoutAlpn, &other);
    seen.fetches[3] = fetch("2a00::1", Offer::Http2, &other);
    let found = found(&seen);
    assert!(found.contains(&("POLICY_DIFFERS", String::new())), "{found:?}");
}

//
#[test]
fn no_strangers_octet_reaches_the_page_unescaped() {
    let mut seen = good();
    let nasty = "v=STSv1; id=1; x=\u{1b}[31m\u{202e}\r\n";
    seen.record = Ok(txt(&[nasty]));
    seen.hosts[0].probes[0] = crate::starttls::Probe {
        evidence: Some("554 \u{1b}]0;owned\u{7}".into()),
        ..ended("198.20.0.25", Why::Refuses)
    };
    let report = judge(&seen, now());
    for text in [report.page(), report.to_json().to_string()] {
        let strange = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(strange, None, "{text}");
    }
}
