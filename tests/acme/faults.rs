//! An authority that limits, fails, hangs, forgets and contradicts: Pebble behind a proxy.

use super::{
    Rig,
    fault_proxy::{Extras, FINALIZE, Fault, FaultProxy, KEY_CHANGE, NEW_ORDER},
    policy_host,
};
use mta_stsd::{
    acme::{
        AcmeAuthority,
        authority::{Authority, IssueError, Issued, LimitScope, OrderRequest, RenewalInfo},
    },
    certificate::{Certificate, CertificateId},
    clock::Clock,
    config::Directory,
    storage::Storage,
};
use std::{sync::Arc, time::Duration};

const HOST: &str = "mta-sts.example.com";

/// Pebble behind a proxy, and our account there.
struct Behind {
    rig: Rig,
    proxy: FaultProxy,
    authority: AcmeAuthority,
}

impl Behind {
    async fn start(profile: Option<&str>, extras: Extras) -> Self {
        let mut rig = Rig::start(|options| options.authz_reuse = 100).await;
        let proxy = FaultProxy::start(&rig.pebble).await;
        proxy.add(extras);
        rig.settings.request_timeout = Duration::from_secs(2);
        rig.ours().directory = Directory::Url(proxy.directory());
        rig.ours().root_file = Some(proxy.root_file());
        rig.ours().profile = profile.map(str::to_owned);
        let authority = authority(&rig, &proxy);
        Self { rig, proxy, authority }
    }

    async fn order(&self, replaces: Option<&CertificateId>) -> Result<Issued, IssueError> {
        let host = policy_host(HOST);
        self.authority.order(OrderRequest { host: &host, replaces }, &self.rig.listeners.answers).await
    }

    /// Orders, and says by what the certificate is known.
    async fn issue(&self, replaces: Option<&CertificateId>) -> CertificateId {
        let issued = self.order(replaces).await.unwrap();
        let now = Clock::System.now();
        let certificate = Certificate::verify(&policy_host(HOST), &issued.chain_pem, issued.key, "test", now);
        certificate.unwrap().id().unwrap()
    }
}

/// Our side as after a start.
fn authority(rig: &Rig, proxy: &FaultProxy) -> AcmeAuthority {
    let (ours, storage) = (&rig.settings.authorities[0], Arc::clone(&rig.storage) as Arc<dyn Storage>);
    AcmeAuthority::new(&proxy.directory(), ours, &rig.settings, storage, Clock::System).unwrap()
}

fn with_renewal_info() -> Extras {
    let text = r#"{"suggestedWindow":{"start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z"}}"#;
    Extras {
        renewal_info: Some((200, Some("3600"), text.to_owned())),
        echoes_replaces: true,
        ..Extras::default()
    }
}

/// A problem that comes with status 4xx.
fn problem(status: u16, word: &'static str) -> Fault {
    Fault::Problem { status, word, detail: "so it is", retry_after: None }
}

#[tokio::test]
async fn a_limit_of_one_domain_is_told_from_one_of_the_account() {
    let behind = Behind::start(None, Extras::default()).await;
    let limit = |detail| Fault::Problem { status: 429, word: "rateLimited", detail, retry_after: Some("90") };
    for (detail, expected) in [
        ("too many certificates already issued for \"example.com\"", LimitScope::RegisteredDomain),
        ("too many new orders from this account", LimitScope::Account),
        ("too many failed authorizations for \"mta-sts.example.com\"", LimitScope::Name),
    ] {
        behind.proxy.fail(NEW_ORDER, [limit(detail)]);
        match behind.order(None).await {
            Err(IssueError::RateLimited { retry_after, scope, .. }) => {
                assert_eq!((retry_after, scope), (Some(Duration::from_secs(90)), expected), "{detail}");
            }
            other => panic!("{detail}: {other:?}"),
        }
    }
    behind.issue(None).await;
}

#[tokio::test]
async fn an_authority_in_trouble_is_unreachable_and_then_well_again() {
    let behind = Behind::start(None, Extras::default()).await;
    behind.issue(None).await;
    for resource in [NEW_ORDER, FINALIZE] {
        for fault in
            [problem(500, "serverInternal"), Fault::Page(502), Fault::Hang, Fault::Cut, Fault::LoseAnswer]
        {
            behind.proxy.fail(resource, [fault.clone()]);
            let failed = behind.order(None).await;
            assert!(
                matches!(failed, Err(IssueError::Unreachable { .. })),
                "{resource} {fault:?}: {failed:?}"
            );
            assert_eq!(behind.proxy.faults_left(), 0, "{resource} {fault:?}");
        }
        behind.issue(None).await;
    }
    assert_eq!(behind.rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn new_terms_name_the_page_to_open() {
    let behind = Behind::start(None, Extras::default()).await;
    behind.proxy.fail(NEW_ORDER, [Fault::NewTerms]);
    match behind.order(None).await {
        Err(IssueError::Account { detail }) => {
            assert!(detail.contains("open https://ca.example/agreement?token=1"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    behind.issue(None).await;
}

// RFC 9773 §4.
#[tokio::test]
async fn renewal_information_is_asked_for_by_the_certificates_identifier() {
    let behind = Behind::start(None, with_renewal_info()).await;
    let id = behind.issue(None).await;
    let info = behind.authority.renewal_info(&id).await.unwrap().unwrap();
    assert_eq!(info.window.end.to_string(), "2026-01-02T00:00:00Z");
    assert_eq!(info.retry_after, Duration::from_secs(3600));

    let mut extras = with_renewal_info();
    extras.renewal_info.as_mut().unwrap().1 = None;
    behind.proxy.add(extras);
    let info = behind.authority.renewal_info(&id).await.unwrap().unwrap();
    assert_eq!(info.retry_after, RenewalInfo::UNSAID, "an authority need not say when to ask again");

    let unknown = r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"no such certificate"}"#;
    behind.proxy.add(Extras { renewal_info: Some((404, None, unknown.to_owned())), ..Extras::default() });
    let refused = behind.authority.renewal_info(&id).await.unwrap_err();
    assert!(matches!(refused, IssueError::Refused { .. }), "{refused}");
}

// RFC 9773 §5.
#[tokio::test]
async fn a_renewal_says_what_it_replaces() {
    let behind = Behind::start(None, with_renewal_info()).await;
    let id = behind.issue(None).await;
    behind.issue(Some(&id)).await;
    assert_eq!(behind.proxy.asked_for("replaces"), [None, Some(id.to_string())]);
}

#[tokio::test]
async fn what_was_replaced_already_is_ordered_once_more_as_new() {
    let behind = Behind::start(None, with_renewal_info()).await;
    let id = behind.issue(None).await;
    for refusal in [problem(409, "alreadyReplaced"), problem(400, "malformed"), problem(403, "unauthorized")]
    {
        behind.proxy.fail(NEW_ORDER, [refusal]);
        behind.issue(Some(&id)).await;
    }
    let told = Some(id.to_string());
    let expected = [None, told.clone(), None, told.clone(), None, told, None];
    assert_eq!(behind.proxy.asked_for("replaces"), expected);

    behind.proxy.fail(NEW_ORDER, [problem(409, "alreadyReplaced"), problem(409, "alreadyReplaced")]);
    assert!(behind.order(Some(&id)).await.is_err(), "once more, and not for ever");
}

#[tokio::test]
async fn an_authority_that_does_not_repeat_what_is_replaced_is_not_told_again() {
    let behind = Behind::start(None, Extras { echoes_replaces: false, ..with_renewal_info() }).await;
    let id = behind.issue(None).await;
    behind.issue(Some(&id)).await;
    behind.issue(Some(&id)).await;
    assert_eq!(behind.proxy.asked_for("replaces"), [None, Some(id.to_string()), None, None]);
}

#[tokio::test]
async fn a_profile_is_asked_for_where_it_is_offered() {
    let extras = Extras { profiles: vec!["classic", "tlsserver"], ..Extras::default() };
    let behind = Behind::start(Some("tlsserver"), extras.clone()).await;
    assert_eq!(behind.order(None).await.unwrap().profile.as_deref(), Some("tlsserver"));

    // What came of it is told, not what was wished for.
    behind.proxy.add(Extras { follows: Some("classic"), ..extras });
    assert_eq!(behind.order(None).await.unwrap().profile.as_deref(), Some("classic"));
    assert_eq!(
        behind.proxy.asked_for("profile"),
        [Some("tlsserver".to_owned()), Some("tlsserver".to_owned())]
    );

    let behind =
        Behind::start(Some("tlsserver"), Extras { profiles: vec!["classic"], ..Extras::default() }).await;
    behind.issue(None).await;
    assert_eq!(behind.proxy.asked_for("profile"), [None]);
}

// Standards A-20: withdrawn before the order, and between the order and its end.
#[tokio::test]
async fn a_profile_that_is_withdrawn_gives_way_to_the_default() {
    let extras = Extras { profiles: vec!["tlsserver"], ..Extras::default() };
    let behind = Behind::start(Some("tlsserver"), extras).await;
    behind.proxy.fail(NEW_ORDER, [problem(400, "invalidProfile")]);
    behind.proxy.fail(FINALIZE, [problem(400, "serverInternal"), problem(403, "invalidProfile")]);
    assert!(behind.order(None).await.is_err(), "the fault before it is a fault of the authority");
    behind.issue(None).await;
    let told = Some("tlsserver".to_owned());
    assert_eq!(behind.proxy.asked_for("profile"), [told.clone(), None, told, None]);
}

#[tokio::test]
async fn a_lost_answer_to_a_change_of_key_loses_no_account() {
    let behind = Behind::start(None, Extras::default()).await;
    let before = behind.authority.account().await.unwrap();
    behind.proxy.fail(KEY_CHANGE, [Fault::LoseAnswer, Fault::Cut]);
    for _ in 0..2 {
        let failed = behind.authority.change_key().await.unwrap_err();
        assert!(matches!(failed, IssueError::Unreachable { .. }), "{failed}");
        assert_eq!(behind.authority.account().await.unwrap(), before);
        assert_eq!(authority(&behind.rig, &behind.proxy).account().await.unwrap(), before);
    }
    behind.issue(None).await;
    assert_eq!(behind.rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn the_names_for_caa_records_are_those_of_the_directory() {
    let extras = Extras { caa_identities: vec!["ca.example", "ca.example.net"], ..Extras::default() };
    let behind = Behind::start(None, extras).await;
    let identity = behind.authority.caa_identity().await.unwrap();
    assert_eq!(identity.identities, ["ca.example", "ca.example.net"]);
}
