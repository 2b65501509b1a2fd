//! Whether a record may be published now (D-05).
//!
//! A TXT record without a policy behind it makes senders remember a failure. So it waits until the
//! policy host was asked from outside, as a sender asks, and gave the policy that is served.

use super::{PublishedRecord, RecordData, Role, Seen};
use crate::{
    certificate::presented::escaped,
    policy_fetch::{Answered, Fetch, Outcome},
};
use std::net::IpAddr;

/// The most octets of a stranger's words that are shown.
const SHOWN_MAX: usize = 200;

/// What the policy host gave when it was asked as senders ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySeen {
    /// At every address, the policy that is to be served.
    Served,
    /// At some address another policy.
    Other(String),
    /// At some address none that a sender would take, and why.
    NotServed(String),
    /// It could not be asked from here, which says nothing about senders.
    Unknown(String),
}

/// What `fetches`, one or more of each address of a policy host, amount to; `body` is the policy that
/// is to be served. The worst counts: senders choose any address. At the addresses `inside` nothing good
/// was seen from outside (D-05).
pub fn policy_seen(fetches: &[Fetch], body: &[u8], inside: &[IpAddr]) -> PolicySeen {
    let seen = fetches.iter().map(|fetch| match seen_of(fetch, body) {
        PolicySeen::Served if inside.contains(&fetch.address) => PolicySeen::Unknown(format!(
            "{} is an address of this machine, so it was not fetched from outside; ask from another one, or \
             let --allow-private take this one for the world",
            fetch.address
        )),
        seen => seen,
    });
    let none = PolicySeen::NotServed("the policy host has no address".to_owned());
    seen.max_by_key(|seen| match seen {
        PolicySeen::Served => 0,
        PolicySeen::Unknown(_) => 1,
        PolicySeen::Other(_) => 2,
        PolicySeen::NotServed(_) => 3,
    })
    .unwrap_or(none)
}

fn seen_of(fetch: &Fetch, body: &[u8]) -> PolicySeen {
    match (served_body(fetch), &fetch.outcome) {
        (Ok(served), _) if served == body => PolicySeen::Served,
        (Ok(_), _) => PolicySeen::Other(format!("{}: another policy is served", fetch.address)),
        (Err(why), Outcome::NotDialled(_)) => PolicySeen::Unknown(why),
        (Err(why), _) => PolicySeen::NotServed(why),
    }
}

/// The body that a sender would read in what was fetched.
///
/// # Errors
///
/// The address, and why a sender would read nothing there; fit to be shown.
pub fn served_body(fetch: &Fetch) -> Result<&[u8], String> {
    const CERTIFICATE: &str = "its certificate would stop a sender";
    let at = |why: &str| format!("{}: {}", fetch.address, escaped(why, SHOWN_MAX));
    let answered = match &fetch.outcome {
        Outcome::NotDialled(network) => Err(format!("not dialled, it lies in {network}")),
        Outcome::Unreachable(why) => Err(format!("not reachable: {why}")),
        Outcome::TlsFailed(why) => Err(format!("no TLS: {why}")),
        Outcome::Timeout(_) => Err("no answer in time".to_owned()),
        Outcome::NotAsked => Err(CERTIFICATE.to_owned()),
        Outcome::BadHttp(why) => Err(format!("no HTTP: {why}")),
        Outcome::Answered(answered) => Ok(answered),
    };
    let answered = answered.map_err(|why| at(&why))?;
    if !fetch.chain.as_ref().is_some_and(|chain| chain.is_accepted()) {
        return Err(at(CERTIFICATE));
    }
    match why_no_policy(answered) {
        Some(why) => Err(at(&why)),
        None => Ok(&answered.body),
    }
}

/// Why a sender takes no policy from this answer (RFC 8461 §3.3); `None` when it would read the body.
fn why_no_policy(answered: &Answered) -> Option<String> {
    let Answered { status, content_type, too_large, .. } = answered;
    let media = content_type.as_deref().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if *status != 200 {
        return Some(format!("status {status}"));
    }
    if !media.eq_ignore_ascii_case("text/plain") {
        return Some(format!("the media type is {media:?} and not text/plain"));
    }
    too_large.then(|| "the body is too large".to_owned())
}

/// Whether to publish a record now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Yes.
    Safe,
    /// No, and why.
    NotYet(String),
    /// It could not be told.
    Unknown(String),
}

/// Whether `record` may be published now, in the order of D-05: what leads to us and what binds
/// certificates to us at any time; TXT records once the policy is served to the world. A CNAME to an
/// indicator record makes that one seen, in the place of what stands there now, so it is safe when that
/// one is and is there: `target` is what stands in its place. With the internal authority (`internal`)
/// no indicator record ever is.
pub fn safe_to_publish(
    record: &PublishedRecord,
    target: Option<&Seen>,
    policy: &PolicySeen,
    internal: bool,
) -> Safety {
    if matches!(record.role, Role::PolicyHost | Role::Authorization) {
        return Safety::Safe;
    }
    if internal && record.role == Role::Indicator {
        let why = "no sender trusts the root of the internal authority; set acme.directory first";
        return Safety::NotYet(why.to_owned());
    }
    match (policy_safety(policy), &record.data) {
        (Safety::Safe, RecordData::Cname(at)) => target_safety(at, target),
        (safety, _) => safety,
    }
}

fn target_safety(at: &str, target: Option<&Seen>) -> Safety {
    match target {
        Some(Seen::AsExpected) => Safety::Safe,
        Some(Seen::Different(_)) => Safety::NotYet(format!("another record stands at {at}. where it leads")),
        Some(Seen::Absent) | None => {
            Safety::NotYet(format!("there is no record yet at {at}. where it leads"))
        }
        Some(Seen::Unknown(why)) => {
            Safety::Unknown(format!("what stands at {at}. where it leads was not seen ({why})"))
        }
    }
}

fn policy_safety(policy: &PolicySeen) -> Safety {
    match policy {
        PolicySeen::Served => Safety::Safe,
        PolicySeen::Other(why) | PolicySeen::NotServed(why) => {
            Safety::NotYet(format!("the policy is not served as it should be ({why})"))
        }
        PolicySeen::Unknown(why) => {
            Safety::Unknown(format!("whether the policy is served was not seen ({why})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::{
            Validity,
            presented::{ChainJudgement, NameMatch, Trust},
        },
        policy_fetch::{HttpVersion, Offer},
        publishing::Holder,
    };
    use std::time::Duration;

    const BODY: &[u8] = b"version: STSv1\r\nmode: testing\r\nmx: mx.a.example\r\nmax_age: 604800\r\n";

    fn answered() -> Answered {
        Answered {
            status: 200,
            location: None,
            content_type: Some("Text/Plain; charset=utf-8".into()),
            content_encoding: None,
            server: None,
            body: BODY.to_vec(),
            too_large: false,
            http_version: HttpVersion::Http1,
        }
    }

    fn fetch(outcome: Outcome, trust: Trust) -> Fetch {
        let day = |text: &str| text.parse().unwrap();
        let chain = ChainJudgement {
            trust,
            name: NameMatch::San,
            validity: Some(Validity {
                not_before: day("2026-11-01T00:00:00Z"),
                not_after: day("2027-01-01T00:00:00Z"),
            }),
            expired: false,
            not_yet: false,
            expiring: None,
            subject: String::new(),
            issuer: String::new(),
            names: vec![],
            leaf: vec![],
        };
        Fetch {
            address: "192.0.2.1".parse().unwrap(),
            offer: Offer::Http1WithoutAlpn,
            elapsed: Duration::ZERO,
            tls_version: None,
            chain: Some(chain),
            outcome,
        }
    }

    fn trusted(outcome: Outcome) -> Fetch {
        fetch(outcome, Trust::Trusted { root: String::new() })
    }

    #[test]
    fn the_policy_is_served_when_every_address_gives_it_as_senders_take_it() {
        let good = || trusted(Outcome::Answered(answered()));
        assert_eq!(policy_seen(&[good(), good()], BODY, &[]), PolicySeen::Served);
        let bad = [
            Answered { status: 301, ..answered() },
            Answered { content_type: None, ..answered() },
            Answered { content_type: Some("text/html".into()), ..answered() },
            Answered { too_large: true, ..answered() },
        ];
        for answered in bad {
            let seen = policy_seen(&[good(), trusted(Outcome::Answered(answered.clone()))], BODY, &[]);
            assert!(matches!(seen, PolicySeen::NotServed(_)), "{answered:?}");
        }
        let other = Answered { body: b"version: STSv1".to_vec(), ..answered() };
        let seen = policy_seen(&[good(), trusted(Outcome::Answered(other))], BODY, &[]);
        assert!(matches!(seen, PolicySeen::Other(_)));
        let self_signed = fetch(Outcome::Answered(answered()), Trust::SelfSigned);
        assert!(matches!(policy_seen(&[good(), self_signed], BODY, &[]), PolicySeen::NotServed(_)));
        assert!(matches!(policy_seen(&[], BODY, &[]), PolicySeen::NotServed(_)));
        let private = trusted(Outcome::NotDialled("loopback".into()));
        assert!(matches!(policy_seen(&[good(), private], BODY, &[]), PolicySeen::Unknown(_)));
        let inside = ["192.0.2.1".parse().unwrap()];
        let seen = policy_seen(&[good()], BODY, &inside);
        assert!(matches!(seen, PolicySeen::Unknown(_)), "not from outside: {seen:?}");
        let gone = trusted(Outcome::Answered(Answered { status: 404, ..answered() }));
        assert!(matches!(policy_seen(&[gone], BODY, &inside), PolicySeen::NotServed(_)));
    }

    // D-05, D-06; each condition alone.
    #[test]
    fn text_waits_until_the_policy_is_served_to_the_world() {
        let record = |role, holder, data| PublishedRecord {
            role,
            holder,
            zone: "a.example".into(),
            name: "x.a.example".into(),
            ttl: 300,
            data,
        };
        let (text, cname) = (RecordData::Txt(String::new()), RecordData::Cname("b.example".into()));
        let early = [
            record(Role::PolicyHost, Holder::Customer, cname),
            record(Role::Authorization, Holder::Provider, RecordData::CaaIssue(String::new())),
        ];
        let late = [
            record(Role::Indicator, Holder::Customer, text.clone()),
            record(Role::Indicator, Holder::Provider, text.clone()),
            record(Role::Reports, Holder::Customer, text),
        ];
        let not_served = PolicySeen::NotServed(String::new());
        for record in &early {
            assert_eq!(safe_to_publish(record, None, &not_served, true), Safety::Safe, "{record}");
        }
        for record in &late {
            let safety = |policy: &PolicySeen, internal| safe_to_publish(record, None, policy, internal);
            assert_eq!(safety(&PolicySeen::Served, false), Safety::Safe);
            // Reports are no matter of who trusts the policy host.
            let waits = matches!(safety(&PolicySeen::Served, true), Safety::NotYet(_));
            assert_eq!(waits, record.role == Role::Indicator, "{record}");
            assert!(matches!(safety(&not_served, false), Safety::NotYet(_)), "{record}");
            assert!(matches!(safety(&PolicySeen::Other(String::new()), false), Safety::NotYet(_)));
            assert!(matches!(safety(&PolicySeen::Unknown(String::new()), false), Safety::Unknown(_)));
        }
    }

    // D-06; a CNAME shows the world what it leads to, and hides what stood in its place.
    #[test]
    fn a_cname_is_as_safe_as_the_record_that_it_leads_to() {
        let cname = PublishedRecord {
            role: Role::Indicator,
            holder: Holder::Customer,
            zone: "a.example".into(),
            name: "_mta-sts.a.example".into(),
            ttl: 300,
            data: RecordData::Cname("a.r.example".into()),
        };
        let safety = |target, policy, internal| safe_to_publish(&cname, target, &policy, internal);
        let there = Some(&Seen::AsExpected);
        assert_eq!(safety(there, PolicySeen::Served, false), Safety::Safe);
        assert!(matches!(safety(there, PolicySeen::Served, true), Safety::NotYet(_)));
        let not_served = PolicySeen::NotServed(String::new());
        assert!(matches!(safety(there, not_served, false), Safety::NotYet(_)));
        let unknown = PolicySeen::Unknown(String::new());
        assert!(matches!(safety(there, unknown, false), Safety::Unknown(_)));
        let other = Seen::Different(vec![]);
        for target in [None, Some(&Seen::Absent), Some(&other)] {
            assert!(matches!(safety(target, PolicySeen::Served, false), Safety::NotYet(_)), "{target:?}");
        }
        let silent = Seen::Unknown(String::new());
        assert!(matches!(safety(Some(&silent), PolicySeen::Served, false), Safety::Unknown(_)));
    }
}
