use super::*;
use crate::dns::{UnansweredKind, memory::MemoryLookup};

const ACCOUNT: &str = "https://ca.example/acct/1";
const BOTH: &[Method] = &[Method::TlsAlpn01, Method::Http01];

fn issuer() -> CaaIdentity {
    CaaIdentity {
        identities: vec!["ca.example".into(), "old-ca.example".into()],
        account_uri: Some(ACCOUNT.into()),
    }
}

/// An exclamation mark in front of the tag stands for the critical flag.
fn record((tag, value): (&str, &str)) -> CaaRecord {
    CaaRecord {
        critical: tag.starts_with('!'),
        tag: tag.trim_start_matches('!').into(),
        value: value.as_bytes().to_vec(),
    }
}

#[track_caller]
fn check(records: &[(&str, &str)], methods: &[Method], expected: Result<(), Ground>) {
    let set: Vec<_> = records.iter().copied().map(record).collect();
    let judged = judge(&set, &issuer(), methods).map_err(|objection| objection.ground);
    assert_eq!(judged, expected, "{records:?}");
}

#[track_caller]
fn allowed(value: &str) {
    check(&[("issue", value)], BOTH, Ok(()));
}

#[track_caller]
fn forbidden(value: &str, ground: Ground) {
    check(&[("issue", value)], BOTH, Err(ground));
}

// RFC 8659 §4.2, A-65.
#[test]
fn an_authority_issues_where_it_is_named() {
    for value in
        ["ca.example", " \tca.example ", "CA.Example", "old-ca.example", "ca.example;", "ca.example ; "]
    {
        allowed(value);
    }
    for value in ["other-ca.example", "", ";", " ; ", "example", "sub.ca.example", "; accounturi=x"] {
        forbidden(value, Ground::OtherAuthority);
    }
}

#[test]
fn a_malformed_value_stands_for_nobody() {
    for value in [
        "%%%%%",
        "ca.example.",
        ".ca.example",
        "ca..example",
        "-ca.example",
        "ca-.example",
        "ca_1.example",
        "ca example",
        "ca.example accounturi=x",
        "ca.example; policy",
        "ca.example; =x",
        "ca.example; a=b c",
        "ca.example; a=b;",
        "ca.example;; a=b",
        "ca.example; a_b=c",
        "ca.example; a=\u{e9}",
        "ca.example; a=b\u{7f}",
    ] {
        forbidden(value, Ground::Malformed);
    }
    let octets = CaaRecord { critical: false, tag: "issue".into(), value: b"ca.example\xff".to_vec() };
    assert_eq!(judge(&[octets], &issuer(), BOTH).unwrap_err().ground, Ground::Malformed);
}

#[test]
fn a_parameter_nobody_knows_does_no_harm() {
    for value in ["ca.example; policy=ev", "ca.example;a=;b-c=!~", "ca.example; a = b ; c\t=\td=e"] {
        allowed(value);
    }
}

#[test]
fn several_properties_allow_when_one_does() {
    check(&[("issue", "other.example"), ("issue", "ca.example")], BOTH, Ok(()));
    check(&[("issue", ";"), ("issue", "ca.example")], BOTH, Ok(()));
    check(&[("issue", "%%%"), ("ISSUE", "ca.example")], BOTH, Ok(()));
    check(&[("issue", ";"), ("issue", "other.example")], BOTH, Err(Ground::OtherAuthority));
    let pinned = "ca.example; accounturi=https://ca.example/acct/2";
    check(&[("issue", "other.example"), ("issue", pinned), ("issue", "%")], BOTH, Err(Ground::OtherAccount));
    check(&[("issue", pinned), ("issue", "ca.example")], BOTH, Ok(()));
}

#[test]
fn a_set_without_an_issue_property_restricts_nothing() {
    check(&[("issuewild", ";")], BOTH, Ok(()));
    check(&[("iodef", "mailto:security@example.com"), ("issuemail", ";")], BOTH, Ok(()));
    check(&[("tbs", "unknown")], BOTH, Ok(()));
    check(&[("issuewild", "ca.example"), ("issue", ";")], BOTH, Err(Ground::OtherAuthority));
}

// RFC 8659 §4.5.
#[test]
fn a_critical_property_that_is_unknown_forbids_whatever_else_allows() {
    check(&[("!tbs", "Unknown"), ("issue", "ca.example")], BOTH, Err(Ground::UnknownCritical));
    check(&[("!issue", "ca.example"), ("!IssueWild", ";"), ("!iodef", "mailto:a@b")], BOTH, Ok(()));
}

// RFC 8657 §3.
#[test]
fn an_account_must_be_ours_to_the_letter_and_named_once() {
    allowed("ca.example; accounturi=https://ca.example/acct/1");
    allowed("ca.example;AccountURI = https://ca.example/acct/1");
    for value in [
        "ca.example; accounturi=https://ca.example/acct/10",
        "ca.example; accounturi=https://CA.example/acct/1",
        "ca.example; accounturi=https://ca.example/acct/1/",
        "ca.example; accounturi=",
        "ca.example; accounturi=https://ca.example/acct/1; accounturi=https://ca.example/acct/1",
        "ca.example; accounturi=https://ca.example/acct/1; AccountUri=https://ca.example/acct/2",
    ] {
        forbidden(value, Ground::OtherAccount);
    }
}

#[test]
fn an_account_that_is_not_known_yet_is_taken_for_ours() {
    let nobody_yet = CaaIdentity { account_uri: None, ..issuer() };
    let judge = |value: &str| judge(&[record(("issue", value))], &nobody_yet, BOTH);
    assert_eq!(judge("ca.example; accounturi=https://ca.example/acct/7"), Ok(()));
    assert!(judge("ca.example; accounturi=x; accounturi=x").is_err());
}

// RFC 8657 §4.
#[test]
fn one_of_our_methods_must_be_listed() {
    let check = |list: &str, methods: &[Method], expected| {
        let value = format!("ca.example; validationmethods={list}");
        check(&[("issue", &value)], methods, expected);
    };
    let other = Err(Ground::OtherMethod);
    check("tls-alpn-01", BOTH, Ok(()));
    check("dns-01,http-01", BOTH, Ok(()));
    check("ca-special,tls-alpn-01,http-01", &[Method::TlsAlpn01], Ok(()));
    check("http-01", &[Method::TlsAlpn01], other);
    check("dns-01", BOTH, other);
    check("", BOTH, other);
    check("TLS-ALPN-01", BOTH, other);
    check("http-01,", BOTH, other);
    check("http_01,http-01", BOTH, other);
    check("http-01; validationmethods=http-01", BOTH, other);
}

#[test]
fn what_to_add_would_be_allowed() {
    for ground in [Ground::Malformed, Ground::OtherAuthority, Ground::OtherAccount, Ground::OtherMethod] {
        let text = remedy(ground, &issuer(), BOTH);
        let value = text.strip_prefix("CAA 0 issue \"").and_then(|rest| rest.strip_suffix('"')).unwrap();
        allowed(value);
    }
    assert_eq!(remedy(Ground::OtherAuthority, &issuer(), BOTH), "CAA 0 issue \"ca.example\"");
}

#[test]
fn a_record_is_shown_harmlessly() {
    let odd = CaaRecord { critical: true, tag: "t\u{1b}".into(), value: b"\"a\\\x07\xff".to_vec() };
    let shown = judge(&[odd], &issuer(), BOTH).unwrap_err().record;
    assert_eq!(shown, r#"CAA 128 t\027 "\"a\\\007\255""#);
    let long = CaaRecord { critical: false, tag: "issue".into(), value: vec![b'a'; 60_000] };
    assert!(judge(&[long], &issuer(), BOTH).unwrap_err().record.len() < 300);
}

async fn owner(lookup: &MemoryLookup) -> Option<String> {
    let host = PolicyHost::from_full_name("mta-sts.a.example.com").unwrap();
    relevant(lookup, &host).await.unwrap().map(|set| set.owner.to_string())
}

// RFC 8659 §3, A-63.
#[tokio::test]
async fn the_first_name_upward_that_has_records_decides() {
    let lookup = MemoryLookup::default();
    assert_eq!(owner(&lookup).await, None);
    for name in ["com", "example.com", "a.example.com", "mta-sts.a.example.com"] {
        lookup.set_caa(name, &[("issue", ";")]);
        assert_eq!(owner(&lookup).await.as_deref(), Some(name));
    }
    lookup.set_caa("mta-sts.a.example.com", &[]);
    assert_eq!(owner(&lookup).await.as_deref(), Some("a.example.com"));
}

#[tokio::test]
async fn a_cname_is_followed_at_each_name_and_its_targets_parents_are_not_asked() {
    let lookup = MemoryLookup::default();
    lookup.set_caa("example.com", &[("issue", ";")]);
    lookup.set_cname("mta-sts.a.example.com", "token.provider.example");
    lookup.set_caa("provider.example", &[("issue", "ca.example")]);
    assert_eq!(owner(&lookup).await.as_deref(), Some("example.com"));
    lookup.set_cname("a.example.com", "elsewhere.example");
    lookup.set_caa("elsewhere.example", &[("issue", "ca.example")]);
    assert_eq!(owner(&lookup).await.as_deref(), Some("elsewhere.example"));
    lookup.set_caa("token.provider.example", &[("issue", "ca.example")]);
    assert_eq!(owner(&lookup).await.as_deref(), Some("token.provider.example"));
}

#[tokio::test]
async fn a_question_that_is_not_answered_ends_the_climb() {
    let lookup = MemoryLookup::default();
    lookup.set_caa("com", &[("issue", "ca.example")]);
    let bogus = Unanswered { kind: UnansweredKind::Bogus, reason: "bogus".into() };
    lookup.set_trouble("example.com", Some(bogus.clone()));
    let host = PolicyHost::from_full_name("mta-sts.a.example.com").unwrap();
    assert_eq!(relevant(&lookup, &host).await, Err((DnsName::new("example.com"), bogus)));
}
