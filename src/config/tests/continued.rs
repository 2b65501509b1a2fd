//! A policy that is taken over is the policy that was served, or is refused.

use super::*;
use crate::{
    name::DomainName,
    policy::{MaxAge, Mode, parse_body},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

fn body(vector: &Value) -> Vec<u8> {
    if let Some(text) = vector["body"].as_str() {
        return text.into();
    }
    if let Some(encoded) = vector["body_b64"].as_str() {
        return BASE64_STANDARD.decode(encoded).unwrap();
    }
    let generator = &vector["body_generator"];
    let part = |name: &str| generator[name].as_str().unwrap();
    let count = generator["count"].as_u64().unwrap();
    let repeated: String = (1..=count).map(|n| part("repeat").replace("{n}", &n.to_string())).collect();
    format!("{}{repeated}{}", part("prefix"), part("suffix")).into()
}

fn domain() -> DomainName {
    DomainName::from_user("continued.example").unwrap()
}

#[test]
fn every_policy_of_the_vectors_is_continued_as_it_is_or_refused_with_reasons() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/policy.json")).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let id = &vector["id"];
        let served = parse_body(&body(vector));
        let tenant = match continued(&domain(), &served) {
            Ok(tenant) => tenant,
            Err(reasons) => {
                assert!(!reasons.is_empty(), "{id} is refused without a reason");
                refused += usize::from(served.is_valid());
                continue;
            }
        };
        assert!(served.is_valid(), "{id} is no policy and was taken");
        taken += 1;
        let outcome = Config::new(&tenant.to_string()).check();
        assert!(
            outcome.faults.iter().all(|fault| !fault.holds_back()),
            "{id}: {:?}\n{tenant}",
            outcome.faults
        );
        let read = outcome.tenants.values().next().unwrap_or_else(|| panic!("{id}: {tenant}"));
        let policy = read.policy.policy();
        assert_eq!(policy, &tenant.policy, "{id}: written and read");
        assert_eq!(Some(policy.mode()), served.mode, "{id}");
        assert_eq!(
            Some(policy.max_age()),
            served.max_age.map(|age| age.max(MaxAge::SHORTEST_TO_SET)),
            "{id}"
        );
        let mut mx = served.mx.clone();
        mx.sort();
        mx.dedup();
        let mut ours: Vec<String> = policy.mx().iter().map(ToString::to_string).collect();
        ours.sort();
        assert_eq!(ours, mx, "{id}");
    }
    assert!(taken > 10 && refused > 0, "taken {taken}, refused {refused}");
}

#[test]
fn what_is_not_as_it_was_is_noted_in_the_file() {
    let served =
        "version: STSv1\nmode: enforce\nmx: B.example.com\nmx: a.example.com\nx-y: z\nmax_age: 3600\n";
    let tenant = continued(&domain(), &parse_body(served.as_bytes())).unwrap();
    let expected = "# max_age was 3600 s; one day is the least that every sender takes.\n\
                    # The mx patterns are sorted, and each is written once.\n\
                    # The field \"x-y\" is left out: nothing defines it, and senders disagree about such fields.\n\
                    # The mx patterns are in lower case.\n\
                    [[tenant]]\n\
                    name = \"continued.example\"\n\
                    domains = [\"continued.example\"]\n\
                    mode = \"enforce\"\n\
                    mx = [\"a.example.com\", \"b.example.com\"]\n\
                    max_age = \"1d\"\n";
    assert_eq!(tenant.to_string(), expected);
}

#[test]
fn a_note_cannot_end_its_comment() {
    let policy = crate::policy::Policy::new(Mode::None, vec![], MaxAge::WEEK).unwrap();
    let mut tenant = TenantText::named_after_domain(vec![domain()], policy).unwrap();
    tenant.notes.push("a\n[acme]\r\u{2028}b".to_owned());
    assert!(tenant.to_string().starts_with("# a\\u{a}[acme]\\u{d}\\u{2028}b\n[[tenant]]\n"), "{tenant}");
}

#[test]
fn a_first_main_file_is_read_as_it_was_meant() {
    let text = MainFileText {
        authority: FirstAuthority::LetsEncrypt { contact: Some("a\"b@example.com".to_owned()) },
        cname: Some(DomainName::from_user("sts.example.net").unwrap()),
        tenants: vec![],
    };
    let outcome = Config::new(&text.to_string()).check();
    let server = outcome.server.unwrap();
    assert_eq!(server.acme.authorities[0].contact, ["mailto:a\"b@example.com"]);
    assert!(!server.acme.is_internal());
    assert_eq!(server.publish.cname.as_deref(), Some("sts.example.net"));
}
