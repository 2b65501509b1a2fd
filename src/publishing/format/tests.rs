//! What each form looks like, and that nothing in a value gets out of its quotation marks.

use super::*;
use crate::{
    config::Publish,
    name::{DomainName, PolicyHost},
    policy::PolicyId,
    publishing::{Authorization, RecordData, Role, records_to_publish},
};

const TLSRPT: &str = "mailto:tlsrpt@reports.example.net";

fn publish() -> Publish {
    Publish {
        cname: Some("sts.provider.example".into()),
        tlsrpt_rua: vec!["https://tlsrpt.provider.example/v1".into(), TLSRPT.into()],
        ..Publish::default()
    }
}

fn records(publish: &Publish) -> Vec<PublishedRecord> {
    let authorized = Authorization {
        issuer: "ca.example".into(),
        account_uri: "https://ca.example/acct/7".into(),
        methods: vec!["tls-alpn-01", "http-01"],
    };
    let host = |domain| PolicyHost::of(&DomainName::from_user(domain).unwrap()).unwrap();
    let id = PolicyId::parse("20261122T060000Z").unwrap();
    let of = |domain| records_to_publish(&host(domain), &id, publish, std::slice::from_ref(&authorized));
    [of("meadow.example"), of("hill.example")].concat()
}

#[test]
fn a_zone_file_has_one_whole_record_a_line() {
    let expected = r#"mta-sts.meadow.example. 300 IN CNAME sts.provider.example.
sts.provider.example. 300 IN CAA 0 issue "ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01"
_mta-sts.meadow.example. 300 IN TXT "v=STSv1; id=20261122T060000Z;"
_smtp._tls.meadow.example. 3600 IN TXT "v=TLSRPTv1; rua=https://tlsrpt.provider.example/v1,mailto:tlsrpt@reports.example.net"
mta-sts.hill.example. 300 IN CNAME sts.provider.example.
_mta-sts.hill.example. 300 IN TXT "v=STSv1; id=20261122T060000Z;"
_smtp._tls.hill.example. 3600 IN TXT "v=TLSRPTv1; rua=https://tlsrpt.provider.example/v1,mailto:tlsrpt@reports.example.net"
"#;
    assert_eq!(Format::Zone.render(&records(&publish())), expected);
}

// A-64 where there is no CNAME, T-22 for the indicator record.
#[test]
fn records_stand_where_they_take_effect() {
    let publish = Publish {
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        record_zone: Some("records.provider.example".into()),
        ..Publish::default()
    };
    let expected = r#"mta-sts.meadow.example. 300 IN A 192.0.2.1
mta-sts.meadow.example. 300 IN AAAA 2001:db8::1
mta-sts.meadow.example. 300 IN CAA 0 issue "ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01"
meadow.example.records.provider.example. 300 IN TXT "v=STSv1; id=20261122T060000Z;"
_mta-sts.meadow.example. 300 IN CNAME meadow.example.records.provider.example.
"#;
    assert_eq!(Format::Zone.render(&records(&publish)[..5]), expected);
    let nowhere = Format::Zone.render(&records(&Publish::default())[..1]);
    assert!(nowhere.starts_with("_mta-sts."), "neither a CAA record nor a policy host: {nowhere}");
}

#[test]
fn dnscontrol_gets_javascript() {
    let expected = r#"// meadow.example, published by the domain's owner
D_EXTEND("meadow.example",
    CNAME("mta-sts", "sts.provider.example.", TTL(300)),
    TXT("_mta-sts", "v=STSv1; id=20261122T060000Z;", TTL(300)),
    TXT("_smtp._tls", "v=TLSRPTv1; rua=https://tlsrpt.provider.example/v1,mailto:tlsrpt@reports.example.net", TTL(3600))
);

// sts.provider.example, published by you, where the customers' CNAME records lead
D_EXTEND("sts.provider.example",
    CAA("@", "issue", "ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01", TTL(300))
);
"#;
    assert_eq!(Format::Dnscontrol.render(&records(&publish())[..4]), expected);
}

#[test]
fn octodns_gets_a_document_for_each_zone() {
    let expected = r#"---
# meadow.example.yaml, published by the domain's owner
"_mta-sts":
  - ttl: 300
    type: TXT
    value: "v=STSv1\\; id=20261122T060000Z\\;"
"_smtp._tls":
  - ttl: 3600
    type: TXT
    value: "v=TLSRPTv1\\; rua=https://tlsrpt.provider.example/v1,mailto:tlsrpt@reports.example.net"
"mta-sts":
  - ttl: 300
    type: CNAME
    value: "sts.provider.example."
---
# sts.provider.example.yaml, published by you, where the customers' CNAME records lead
"":
  - ttl: 300
    type: CAA
    value: {flags: 0, tag: issue, value: "ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01"}
"#;
    assert_eq!(Format::Octodns.render(&records(&publish())[..4]), expected);
}

#[test]
fn terraform_gets_values_for_any_provider() {
    let shown = Format::Terraform.render(&records(&publish())[..3]);
    let expected = r#"locals {
  mta_sts_records = {
    "mta-sts.meadow.example CNAME" = {
      zone    = "meadow.example"
      name    = "mta-sts.meadow.example"
      type    = "CNAME"
      ttl     = 300
      records = ["sts.provider.example."]
    }
    "_mta-sts.meadow.example TXT" = {
      zone    = "meadow.example"
      name    = "_mta-sts.meadow.example"
      type    = "TXT"
      ttl     = 300
      records = ["v=STSv1; id=20261122T060000Z;"]
    }
    "sts.provider.example CAA" = {
      zone    = "sts.provider.example"
      name    = "sts.provider.example"
      type    = "CAA"
      ttl     = 300
      records = ["0 issue \"ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01\""]
    }
  }
}
"#;
    assert!(shown.ends_with(expected), "{shown}");
}

#[test]
fn json_has_each_value_plain_and_as_a_zone_file_has_it() {
    let shown: serde_json::Value = serde_json::from_str(&Format::Json.render(&records(&publish()))).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 7);
    assert_eq!(
        shown[1],
        serde_json::json!({
            "name": "sts.provider.example",
            "type": "CAA",
            "ttl": 300,
            "value": "ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01",
            "data": "0 issue \"ca.example; accounturi=https://ca.example/acct/7; validationmethods=tls-alpn-01,http-01\"",
            "zone": "sts.provider.example",
            "published_by": "provider",
            "purpose": "authorization",
        })
    );
    assert_eq!(shown[2]["value"], "v=STSv1; id=20261122T060000Z;");
    assert_eq!(shown[2]["data"], "\"v=STSv1; id=20261122T060000Z;\"");
}

#[test]
fn whatever_text_has_in_it_stays_text() {
    let odd = |text: &str| PublishedRecord {
        role: Role::Reports,
        holder: Holder::Customer,
        zone: "a.example".into(),
        name: "_smtp._tls.a.example".into(),
        ttl: 1,
        data: RecordData::Txt(text.into()),
    };
    let check = |format: Format, text: &str, expected: &str| {
        let shown = format.render(&[odd(text)]);
        assert!(shown.contains(expected), "{}: {shown} lacks {expected}", format.name());
    };
    let text = "a\"b\\c;${d}%{e}\u{7f}\n";
    check(Format::Zone, text, r#" "a\"b\\c;${d}%{e}\127\010""#);
    check(Format::Dnscontrol, text, r#", "a\"b\\c;${d}%{e}\u007f\u000a", "#);
    check(Format::Octodns, text, r#" "a\"b\\c\\;${d}%{e}\U0000007f\U0000000a""#);
    check(Format::Terraform, text, r#"["a\"b\\c;$${d}%%{e}\U0000007F\U0000000A"]"#);
    let json: serde_json::Value = serde_json::from_str(&Format::Json.render(&[odd(text)])).unwrap();
    assert_eq!(json[0]["value"], text);
}

// RFC 1035 §3.3.
#[test]
fn long_text_is_cut_into_strings_only_where_the_form_asks_for_it() {
    let long = "x".repeat(300);
    let (data, empty) =
        (RecordData::Txt(long.clone()).to_string(), RecordData::Txt(String::new()).to_string());
    assert_eq!(data, format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
    assert_eq!(empty, "\"\"");
}
