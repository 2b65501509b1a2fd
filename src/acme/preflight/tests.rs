use super::*;
use crate::{
    config::Publish,
    dns::{self, memory::MemoryLookup},
    snapshot::Snapshot,
};

const METHODS: &[Method] = &[Method::TlsAlpn01, Method::Http01];
const HOST: &str = "mta-sts.meadow.example";

fn host() -> PolicyHost {
    PolicyHost::from_full_name(HOST).unwrap()
}

fn ours() -> Ours {
    Ours::of(&["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()], &[])
}

fn issuer() -> CaaIdentity {
    CaaIdentity {
        identities: vec!["ca.example".into()],
        account_uri: Some("https://ca.example/acct/1".into()),
    }
}

/// DNS in which `prepare` is all there is, beside a policy host that points at us.
fn world(prepare: impl FnOnce(&MemoryLookup)) -> MemoryLookup {
    let lookup = MemoryLookup::default();
    lookup.set_addresses(HOST, &["192.0.2.1", "2001:db8::1"]);
    prepare(&lookup);
    lookup
}

async fn findings(lookup: &MemoryLookup) -> Vec<(PreflightCode, String)> {
    let found = examine(lookup, &host(), &ours(), Some(&issuer()), METHODS).await;
    found.into_iter().map(|finding| (finding.code, finding.to_string())).collect()
}

/// In the world of `prepare` these are the findings, in their words.
async fn check(prepare: impl FnOnce(&MemoryLookup), expected: &[(PreflightCode, &str)]) {
    let found = findings(&world(prepare)).await;
    let found: Vec<_> = found.iter().map(|(code, text)| (*code, text.as_str())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_host_that_points_at_us_may_be_ordered_for() {
    check(|_| (), &[]).await;
    check(|lookup| lookup.set_addresses(HOST, &["192.0.2.1"]), &[]).await;
    check(|lookup| lookup.set_caa("meadow.example", &[("issue", "ca.example")]), &[]).await;
}

// each defect prevents the order, and is named to the customer.
#[tokio::test]
async fn every_address_that_is_not_ours_is_named() {
    use PreflightCode::ForeignAddress;
    check(
        |lookup| lookup.set_addresses(HOST, &["192.0.2.1", "2001:db8::7"]),
        &[(ForeignAddress, "AAAA 2001:db8::7 is not ours: remove it or point it here")],
    )
    .await;
    check(
        |lookup| lookup.set_addresses(HOST, &["198.51.100.4", "192.0.2.1", "198.51.100.5", "2001:db8::1"]),
        &[
            (ForeignAddress, "A 198.51.100.4 is not ours: remove it or point it here"),
            (ForeignAddress, "A 198.51.100.5 is not ours: remove it or point it here"),
        ],
    )
    .await;
    check(
        |lookup| {
            lookup.set_cname(HOST, "hosting.example");
            lookup.set_addresses("hosting.example", &["198.51.100.4"]);
        },
        &[(
            ForeignAddress,
            "A 198.51.100.4 at hosting.example is not ours: point the CNAME or that record here",
        )],
    )
    .await;
}

#[tokio::test]
async fn a_host_that_leads_nowhere_is_told_what_to_publish() {
    let publish = "publish what `mta-stsd records meadow.example` shows";
    let check = async |prepare: &dyn Fn(&MemoryLookup), code, problem: &str| {
        check(prepare, &[(code, &format!("{problem}: {publish}"))]).await;
    };
    check(&|l| l.remove(HOST), PreflightCode::NoSuchName, "mta-sts.meadow.example does not exist").await;
    check(
        &|l| l.set_addresses(HOST, &[]),
        PreflightCode::NoAddress,
        "mta-sts.meadow.example has neither an A nor an AAAA record",
    )
    .await;
    check(
        &|l| l.set_cname(HOST, "gone.example"),
        PreflightCode::NoSuchName,
        "gone.example, where the CNAME of mta-sts.meadow.example leads, does not exist",
    )
    .await;
}

#[tokio::test]
async fn caa_records_that_forbid_are_told_with_the_record_to_add() {
    use PreflightCode::CaaForbids;
    check(
        |lookup| lookup.set_caa("meadow.example", &[("issue", "other.example")]),
        &[(
            CaaForbids,
            "CAA 0 issue \"other.example\" at meadow.example names no authority of ours: \
             add mta-sts.meadow.example. CAA 0 issue \"ca.example\"",
        )],
    )
    .await;
    check(
        |lookup| {
            let pinned = "ca.example; accounturi=https://ca.example/acct/2";
            lookup.set_caa("mta-sts.meadow.example", &[("issue", pinned)]);
        },
        &[(
            CaaForbids,
            "CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/2\" at mta-sts.meadow.example \
             names another account than ours: add mta-sts.meadow.example. CAA 0 issue \"ca.example; \
             accounturi=https://ca.example/acct/1\"",
        )],
    )
    .await;
    check(
        |lookup| lookup.set_caa(HOST, &[("!tbs", "x"), ("issue", "ca.example")]),
        &[(
            CaaForbids,
            "CAA 128 tbs \"x\" at mta-sts.meadow.example is critical, and authorities do not know its \
             property: remove it",
        )],
    )
    .await;
}

// What is told to be added, added where it is told, is enough.
#[tokio::test]
async fn the_remedy_for_caa_records_remedies() {
    for value in
        [";", "%", "other.example", "ca.example; accounturi=x", "ca.example; validationmethods=dns-01"]
    {
        for alias in [false, true] {
            let lookup = world(|lookup| {
                if alias {
                    lookup.set_cname(HOST, "token.provider.example");
                    lookup.set_addresses("token.provider.example", &["192.0.2.1"]);
                }
                lookup.set_caa("meadow.example", &[("issue", value)]);
            });
            let found = examine(&lookup, &host(), &ours(), Some(&issuer()), METHODS).await;
            let [finding] = &found[..] else { panic!("{found:?}") };
            let (place, added) =
                finding.remedy.strip_prefix("add ").unwrap().split_once(". CAA 0 issue ").unwrap();
            assert_eq!(place, if alias { "meadow.example" } else { HOST });
            let added = added.trim_matches('"');
            match alias {
                true => lookup.set_caa(place, &[("issue", value), ("issue", added)]),
                false => lookup.set_caa(place, &[("issue", added)]),
            }
            assert_eq!(findings(&lookup).await, [], "{value}");
        }
    }
}

//
#[tokio::test]
async fn a_restrictive_apex_yields_to_records_at_the_cnames_target_and_not_to_an_a_record() {
    let apex = |lookup: &MemoryLookup| lookup.set_caa("meadow.example", &[("issue", "other-ca.example")]);
    let target = |lookup: &MemoryLookup, name| {
        lookup.set_caa(name, &[("issue", "ca.example; validationmethods=tls-alpn-01")]);
    };
    let alias = |lookup: &MemoryLookup| {
        lookup.set_cname(HOST, "token.mta-sts.provider.example");
        lookup.set_addresses("token.mta-sts.provider.example", &["192.0.2.1"]);
    };
    let codes = async |prepare: &dyn Fn(&MemoryLookup)| {
        let found = findings(&world(prepare)).await;
        found.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    let through_cname_to = |name: &'static str| {
        move |lookup: &MemoryLookup| {
            apex(lookup);
            alias(lookup);
            target(lookup, name);
        }
    };
    assert_eq!(codes(&through_cname_to("token.mta-sts.provider.example")).await, []);
    assert_eq!(codes(&through_cname_to("mta-sts.provider.example")).await, [PreflightCode::CaaForbids]);
    assert_eq!(codes(&apex).await, [PreflightCode::CaaForbids], "an A record");
}

//
#[tokio::test]
async fn silence_delays_and_is_not_the_tenants_fault_unless_it_is_bogus() {
    let silent = Unanswered::failed("timed out");
    let bogus = Unanswered { kind: UnansweredKind::Bogus, reason: "signatures do not hold".into() };
    for name in [HOST, "meadow.example", "example"] {
        let found = findings(&world(|lookup| lookup.set_trouble(name, Some(silent.clone())))).await;
        let [(PreflightCode::Unanswered, text)] = &found[..] else { panic!("{found:?}") };
        assert!(text.contains(&format!("DNS does not answer for {name} (timed out)")), "{text}");
        let found = findings(&world(|lookup| lookup.set_trouble(name, Some(bogus.clone())))).await;
        let [(PreflightCode::DnssecBogus, text)] = &found[..] else { panic!("{found:?}") };
        assert!(text.contains(&format!("answers for {name} are bogus")), "{text}");
    }
    assert!(!PreflightCode::Unanswered.is_tenants());
    assert!(PreflightCode::DnssecBogus.is_tenants());
}

#[tokio::test]
async fn a_circle_of_cnames_is_told() {
    let found = findings(&world(|lookup| lookup.set_cname(HOST, HOST))).await;
    let [(PreflightCode::TooManyCnames, _)] = &found[..] else { panic!("{found:?}") };
}

#[tokio::test]
async fn an_authority_that_does_not_say_its_name_is_not_held_against_caa() {
    let lookup = world(|lookup| lookup.set_caa(HOST, &[("issue", ";")]));
    let nameless = CaaIdentity { identities: vec![], ..issuer() };
    for issuer in [None, Some(&nameless)] {
        assert_eq!(examine(&lookup, &host(), &ours(), issuer, METHODS).await, []);
    }
    lookup.set_trouble(HOST, Some(Unanswered::failed("timed out")));
    assert_eq!(examine(&lookup, &host(), &ours(), None, METHODS).await.len(), 1);
}

#[test]
fn bound_addresses_are_ours_only_where_the_world_reaches_them_as_they_are() {
    let of = |bound: &[&str]| {
        let bound: Vec<SocketAddr> = bound.iter().map(|text| text.parse().unwrap()).collect();
        Ours::of(&[], &bound)
    };
    let known =
        |addresses: &[&str]| Ours::Known(addresses.iter().map(|text| text.parse().unwrap()).collect());
    assert_eq!(of(&["192.0.2.1:443", "[2001:db8::1]:443"]), known(&["192.0.2.1", "2001:db8::1"]));
    assert_eq!(of(&["[::ffff:192.0.2.1]:443"]), known(&["192.0.2.1"]));
    for elsewhere in [
        "[::]:443",
        "0.0.0.0:443",
        "127.0.0.1:443",
        "10.0.0.1:443",
        "172.16.3.4:443",
        "100.64.0.1:443",
        "169.254.0.1:443",
        "[::1]:443",
        "[fd00::1]:443",
        "[fe80::1]:443",
    ] {
        assert_eq!(of(&[elsewhere]), Ours::Unknown, "{elsewhere}");
        assert_eq!(of(&["192.0.2.1:443", elsewhere]), Ours::Unknown, "{elsewhere}");
    }
    assert_eq!(of(&[]), Ours::Unknown);
}

/// The preflight of a daemon with these settings, bound to 192.0.2.9.
fn preflight(lookup: MemoryLookup, addresses: &[&str], publish: Publish) -> DnsPreflight {
    let snapshot = SharedSnapshot::default();
    snapshot.replace(Snapshot::build(1, &[], publish));
    let settings = config::Preflight {
        enabled: true,
        auto: addresses.contains(&"auto"),
        addresses: addresses.iter().filter_map(|text| text.parse().ok()).collect(),
    };
    let bound = vec!["192.0.2.9:443".parse().unwrap()];
    DnsPreflight::new(Arc::new(lookup), snapshot, settings, bound, METHODS.to_vec())
}

/// Addresses that a host may have under these settings, out of six.
async fn accepted(settings: &[&str], publish: &Publish) -> Vec<&'static str> {
    let mut accepted = vec![];
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9", "2001:db8::2", "2001:db8::3"] {
        let lookup = world(|lookup| {
            lookup.set_addresses(HOST, &[address]);
            lookup.set_addresses("to.provider.example", &["192.0.2.3", "2001:db8::3"]);
        });
        if preflight(lookup, settings, publish.clone()).findings(&host(), None).await.is_empty() {
            accepted.push(address);
        }
    }
    accepted
}

#[tokio::test]
async fn our_addresses_are_those_said_then_published_then_bound() {
    let published = ["192.0.2.2", "2001:db8::2"];
    let addresses = Publish { cname: None, addresses: published.map(|text| text.parse().unwrap()).into() };
    let cname = Publish { cname: Some("to.provider.example".into()), addresses: vec![] };
    let both = Publish { cname: cname.cname.clone(), ..addresses.clone() };
    assert_eq!(accepted(&["auto"], &Publish::default()).await, ["192.0.2.9"]);
    assert_eq!(accepted(&["auto"], &addresses).await, published);
    assert_eq!(accepted(&["auto"], &both).await, published);
    assert_eq!(accepted(&["auto"], &cname).await, ["192.0.2.3", "2001:db8::3"]);
    assert_eq!(accepted(&["192.0.2.1"], &both).await, ["192.0.2.1"]);
    assert_eq!(accepted(&["auto", "192.0.2.1"], &addresses).await, ["192.0.2.1", "192.0.2.2", "2001:db8::2"]);
}

#[tokio::test]
async fn trouble_with_our_own_name_is_nobody_elses_fault() {
    let bogus = Unanswered { kind: UnansweredKind::Bogus, reason: "signatures do not hold".into() };
    let lookup = world(|lookup| lookup.set_trouble("to.provider.example", Some(bogus)));
    let cname = Publish { cname: Some("to.provider.example".into()), addresses: vec![] };
    let found = preflight(lookup, &["auto"], cname).findings(&host(), None).await;
    assert!(matches!(&found[..], [finding] if !finding.code.is_tenants()), "{found:?}");
}

#[tokio::test]
async fn an_order_waits_for_the_tenant_or_for_dns() {
    let foreign = |lookup: &MemoryLookup| lookup.set_addresses(HOST, &["198.51.100.4"]);
    let silent = |lookup: &MemoryLookup| {
        lookup.set_trouble("meadow.example", Some(Unanswered::failed("timed out")));
    };
    let verdict = async |lookup: MemoryLookup| {
        preflight(lookup, &["192.0.2.1", "2001:db8::1"], Publish::default()).examine(&host(), None).await
    };
    assert_eq!(verdict(world(|_| ())).await, Ok(()));
    let error = verdict(world(foreign)).await.unwrap_err();
    let detail = "A 198.51.100.4 is not ours: remove it or point it here".to_owned();
    assert_eq!(error, IssueError::NotReady { detail: detail.clone() });
    let error = verdict(world(silent)).await.unwrap_err();
    let IssueError::DnsSilent { detail: silence } = error else { panic!("{error}") };
    let both = world(|lookup| {
        foreign(lookup);
        silent(lookup);
    });
    assert_eq!(verdict(both).await, Err(IssueError::NotReady { detail: format!("{detail}; {silence}") }));
}

/// Never answers.
struct Silence;

#[async_trait::async_trait]
impl Lookup for Silence {
    async fn mx(&self, _: &crate::name::DomainName) -> Result<dns::Answer<dns::MxAnswer>, Unanswered> {
        std::future::pending().await
    }
    async fn txt(&self, _: &DnsName) -> Result<dns::Answer<dns::TxtAnswer>, Unanswered> {
        std::future::pending().await
    }
    async fn tlsa(&self, _: &DnsName) -> Result<dns::Answer<dns::TlsaAnswer>, Unanswered> {
        std::future::pending().await
    }
    async fn addresses(&self, _: &DnsName) -> Result<Addresses, Unanswered> {
        std::future::pending().await
    }
    async fn caa(&self, _: &DnsName) -> Result<dns::CaaAnswer, Unanswered> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn slow_servers_end_the_look_after_half_a_minute() {
    let begun = tokio::time::Instant::now();
    let settings = config::Preflight::default();
    let preflight = DnsPreflight::new(Arc::new(Silence), SharedSnapshot::default(), settings, vec![], vec![]);
    assert!(matches!(preflight.examine(&host(), None).await, Err(IssueError::DnsSilent { .. })));
    assert_eq!(begun.elapsed(), DEADLINE);
}
