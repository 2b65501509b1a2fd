//! Promises of the judge, on fixed observations.

pub(crate) mod fixed;
mod schema;
mod shared;

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
    // Who refuses a connection has answered: port 25 is open from here.
    let mut refused = fixed::blocked();
    refused.hosts[0].probes[0] = ended("198.20.0.25", Why::ConnectionRefused).into();
    assert!(!found(&refused).iter().any(|(code, _)| *code == "MX_PORT_25_BLOCKED_HERE"));
    // Another family answers: that there is no way from here to this one is nobody's business.
    let mut seen = good();
    seen.hosts[0].probes[1] = ended("2a00::25", Why::NoRouteHere).into();
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
    check(&with(&["v=STSv1 ; id=1;"]), &[("STS_RECORD_SPACE_BEFORE_SEMICOLON", "")]);
    check(&with(&["v=STSv1; id=1;", "v=STSv1; id=2;"]), &[("STS_RECORD_MULTIPLE", "")]);
    check(&with(&["v=STSv1; id=a-1;"]), &[("STS_RECORD_MALFORMED", "BAD_ID")]);
    let wrong_place = Observations {
        elsewhere: vec![(crate::dns::DnsName::new("mta-sts.example.com"), txt(&["v=STSv1; id=1;"]).data)],
        ..with(&[])
    };
    check(&wrong_place, &[("STS_RECORD_WRONG_PLACE", "mta-sts.example.com")]);
}

#[test]
fn another_text_beside_the_record_is_one_matter() {
    let beside = Observations { record: Ok(txt(&["v=STSv1; id=1;", "v=spf1 -all"])), ..good() };
    check(&beside, &[("STS_RECORD_UNRELATED_TXT", "")]);
}

#[test]
fn a_report_record_that_is_there_is_not_told_as_missing() {
    let with = |text: &str| Observations { report_record: Ok(txt(&[text])), ..good() };
    let slip = [("TLSRPT_MALFORMED", "MISSING_SEMICOLON")];
    check(&with("v=TLSRPTv1 rua=mailto:tls@example.com"), &slip);
    check(&with("v=spf1 -all"), &[("TLSRPT_MISSING", "")]);
}

#[test]
fn silence_about_caa_names_who_was_silent() {
    let silent = (crate::dns::DnsName::new("above.example"), Unanswered::failed("SERVFAIL"));
    let seen = Observations { caa: Err(silent), ..good() };
    check(&seen, &[("CAA_LOOKUP_FAILED", "above.example")]);
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
    }
    .into();
    let report = judge(&seen, now());
    for text in [report.page(), report.to_json().to_string()] {
        let strange = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(strange, None, "{text}");
    }
}

#[test]
fn a_way_of_http_that_fails_alone_is_the_ways_fault() {
    let broken = |offer| {
        let mut seen = good();
        for fetch in seen.fetches.iter_mut().filter(|fetch| fetch.offer == offer) {
            fetch.outcome = crate::policy_fetch::Outcome::BadHttp("connection closed".into());
        }
        seen
    };
    check(&broken(Offer::Http2), &[("POLICY_H2_FAILED", "mta-sts.example.com")]);
    check(&broken(Offer::Http1WithoutAlpn), &[("POLICY_HTTP1_FAILED", "mta-sts.example.com")]);
}

// H-40.
#[test]
fn an_expired_policy_certificate_is_an_error_that_stops_no_mail() {
    let mut seen = good();
    for fetch in &mut seen.fetches {
        fetch.chain.as_mut().unwrap().expired = true;
    }
    check(&seen, &[("POLICY_CERT_EXPIRED", "mta-sts.example.com")]);
    let finding = judge(&seen, now()).findings().next().cloned().unwrap();
    assert_eq!(finding.severity, Severity::Error);
    let effect = finding.code.entry().effect;
    assert!(effect.contains("protection fades") && effect.contains("changes do not arrive"), "{effect}");
}

// S-23, S-24: what DANE says does not depend on MTA-STS, and unsigned records count for nothing.
#[test]
fn tlsa_records_count_only_when_signed() {
    let record = crate::dns::TlsaRecord { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
    let with = |answer| {
        let mut seen = good();
        seen.hosts[0].tlsa = Some(answer);
        seen
    };
    let answer = fixed::tlsa(vec![record]);
    check(&with(Ok(answer.clone())), &[("DANE_MISMATCH", "mx1.example.com")]);
    let unsigned = crate::dns::Answer { secure: false, ..answer };
    check(&with(Ok(unsigned)), &[("DANE_NOT_SIGNED", "mx1.example.com")]);
    let bogus = Unanswered { kind: UnansweredKind::Bogus, ..Unanswered::failed("bogus") };
    check(&with(Err(bogus)), &[("DANE_LOOKUP_FAILED", "mx1.example.com")]);
}

#[test]
fn what_the_world_sees_is_held_against_what_we_serve() {
    use crate::policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy};
    let mx = ["mx1.example.com", "*.example.net"].map(|text| MxPattern::from_ascii(text).unwrap());
    let of = |mode| {
        let policy = Policy::new(mode, mx.to_vec(), MaxAge::TWO_WEEKS).unwrap();
        std::sync::Arc::new(RenderedPolicy::of(policy).unwrap())
    };
    let (policy, other) = (of(Mode::Enforce), of(Mode::Testing));
    let mut seen = good();
    seen.record = Ok(txt(&[&format!("v=STSv1; id={};", policy.id())]));
    for fetch in &mut seen.fetches {
        let body = policy.body().to_vec();
        *fetch = fixed::answered(fetch.clone(), |answered| answered.body = body);
    }
    let addresses = vec!["198.20.0.1".parse().unwrap(), "2a00::1".parse().unwrap()];
    let expected = Expected { policy, addresses, issuer: None };
    check(&Observations { expected: Some(expected.clone()), ..seen.clone() }, &[]);

    let id = other.id().to_string();
    let changed =
        Observations { expected: Some(Expected { policy: other, ..expected.clone() }), ..seen.clone() };
    let differs = [("ID_DIFFERS", id.as_str()), ("BODY_DIFFERS", "198.20.0.1"), ("BODY_DIFFERS", "2a00::1")];
    let mut found = found(&changed);
    found.sort();
    let mut differs = differs.map(|(code, subject)| (code, subject.to_owned()));
    differs.sort();
    assert_eq!(found, differs);

    let alone = Expected { addresses: vec!["198.20.0.1".parse().unwrap()], ..expected };
    check(&Observations { expected: Some(alone), ..seen }, &[("POLICY_HOST_ELSEWHERE", "2a00::1")]);
}

/// An auditor that dials nothing private, and a DNS in memory.
fn auditor(lookup: crate::dns::memory::MemoryLookup) -> Auditor {
    use crate::{
        dialing::Reach,
        policy_fetch::{self, Fetcher},
        starttls::{self, Prober},
    };
    let reach = Reach::default();
    let prober = Prober::new(starttls::Settings::new("test.example", vec![]), reach.clone());
    let fetcher = Fetcher::new(policy_fetch::Settings::default(), reach.clone());
    Auditor::new(std::sync::Arc::new(lookup), Some(prober), fetcher, reach)
}

// S-18, X-05, threat 28.
#[tokio::test]
async fn who_points_inward_is_not_dialled_and_bounds_hold() {
    let (lookup, domain) = (crate::dns::memory::MemoryLookup::default(), good().domain);
    lookup.set_txt("_mta-sts.example.com", &["v=STSv1; id=1;"]);
    lookup.set_txt("mta-stsd-looks-for-wildcards.example.com", &["v=spf1 -all"]);
    lookup.set_addresses("mta-sts.example.com", &["10.0.0.1", "fd00::1"]);
    let names: Vec<String> = (0..9).map(|n| format!("mx{n}.example.com")).collect();
    lookup.set_hosts(&domain, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        lookup.set_addresses(name, &["192.168.0.1"]);
    }
    let seen = auditor(lookup).audit(&domain, None, now()).await;
    assert_eq!(seen.wildcard, Some(false), "an SPF record for every name does no harm");
    assert_eq!((seen.hosts.len(), seen.left_out), (5, 4));
    assert!(seen.hosts.iter().all(|host| host.probes.is_empty()), "{:?}", seen.hosts);
    let found = found(&seen);
    for code in ["POLICY_HOST_PRIVATE_ADDRESS", "MX_HOST_PRIVATE_ADDRESS"] {
        assert!(found.iter().any(|(found, _)| *found == code), "{code}: {found:?}");
    }
}

// Threat 28.
#[tokio::test(start_paused = true)]
async fn a_host_of_many_silent_addresses_is_left_in_time() {
    use crate::{
        dialing::Reach,
        policy_fetch::{self, Fetcher},
        starttls::{self, Prober},
    };
    // The kernel takes the connections, and nobody says a word.
    let silent = tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
    let (lookup, domain) = (crate::dns::memory::MemoryLookup::default(), good().domain);
    lookup.set_hosts(&domain, &["mx.example.com"]);
    let addresses: Vec<String> = (1..=8).map(|n| format!("127.0.0.{n}")).collect();
    lookup.set_addresses("mx.example.com", &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let patience = std::time::Duration::from_secs(70);
    let settings = starttls::Settings {
        port: silent.local_addr().unwrap().port(),
        connect: patience,
        reply: patience,
        ..starttls::Settings::new("test.example", vec![])
    };
    let reach = Reach { allow_private: true, own: vec![] };
    let fetcher = Fetcher::new(policy_fetch::Settings::default(), reach.clone());
    let prober = Prober::new(settings, reach.clone());
    let auditor = Auditor::new(std::sync::Arc::new(lookup), Some(prober), fetcher, reach);
    let seen = auditor.audit(&domain, None, now()).await;
    let reached = seen.hosts[0].probes.len();
    assert!((1..=2).contains(&reached), "{reached}");
    assert_eq!(reached + seen.left_out, 8);
}

#[tokio::test]
async fn a_dns_that_says_nothing_leaves_everything_unknown() {
    let (lookup, domain) = (crate::dns::memory::MemoryLookup::default(), good().domain);
    lookup.silence(&domain);
    for name in ["_mta-sts.", "mta-sts.", "_smtp._tls."] {
        let silent = Some(Unanswered::failed("no answer in time"));
        lookup.set_trouble(&format!("{name}{domain}"), silent);
    }
    let report = judge(&auditor(lookup).audit(&domain, None, now()).await, now());
    assert_eq!(report.verdict.word, "unknown");
    let worst_of_all = worst(report.findings());
    assert_eq!(worst_of_all, Some(Severity::Unknown), "{:?}", report.findings().collect::<Vec<_>>());
}

#[test]
fn a_remark_names_the_matter_and_each_sender_that_stumbles_over_it_is_named() {
    let body = fixed::ENFORCE.replace("mode: enforce", "mode: enforce\r\nmode: testing");
    let mut seen = good();
    for fetch in &mut seen.fetches {
        let body = body.clone().into_bytes();
        *fetch = fixed::answered(fetch.clone(), |answered| answered.body = body);
    }
    let report = judge(&seen, now());
    let stumbling = report.compatibility.iter().filter(|sender| !sender.as_written);
    let mut expected: Vec<_> =
        stumbling.map(|sender| ("POLICY_INCOMPATIBLE", sender.sender.to_owned())).collect();
    assert!(expected.len() > 3, "{expected:?}");
    expected.push(("POLICY_UNWISE", "DUPLICATE_FIELD_DIVERGENT in line 3".to_owned()));
    let mut found = found(&seen);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_host_that_speaks_only_old_tls_is_told_once() {
    let mut probe = ended("198.20.0.25", Why::TlsTooOld);
    probe.old_tls_accepted = Some(true);
    let mut seen = good();
    seen.hosts[0].probes = vec![probe.into()];
    check(&seen, &[("MX_TLS_TOO_OLD", "mx1.example.com")]);
}

#[test]
fn a_mail_host_that_is_this_machine_is_a_note_and_no_fault() {
    let mut seen = good();
    let ours = "198.20.0.25".parse().unwrap();
    seen.hosts[0].probes.clear();
    seen.hosts[0].refused = vec![(ours, crate::dialing::OWN_ADDRESS)];
    let report = judge(&seen, now());
    let found: Vec<_> =
        report.findings().map(|finding| (finding.code, &*finding.subject, &*finding.evidence)).collect();
    assert_eq!(found, [(FindingCode::MxHostOurs, "mx1.example.com", "198.20.0.25")]);
    assert_eq!(report.verdict.word, "ok");
}

#[test]
fn what_we_serve_judges_where_the_policy_is_not_seen() {
    let mut seen = good();
    let mx = vec![crate::policy::MxPattern::from_ascii("mx1.example.com").unwrap()];
    let policy = crate::policy::Policy::new(crate::policy::Mode::Enforce, mx, crate::policy::MaxAge::WEEK);
    let policy = crate::policy::RenderedPolicy::of(policy.unwrap()).unwrap();
    seen.expected = Some(crate::audit::Expected { policy: policy.into(), addresses: vec![], issuer: None });
    (seen.record, seen.fetches) = (Ok(txt(&[])), vec![]);
    let report = judge(&seen, now());
    let severity = |code| report.findings().find(|finding| finding.code == code).map(|found| found.severity);
    assert_eq!(severity(FindingCode::MxNotInPolicy), Some(Severity::Error), "as enforce has it");
    assert_eq!(severity(FindingCode::StsRecordMissing), Some(Severity::Error));
    assert_eq!(severity(FindingCode::NoMtaSts), None);
}
