//! The ACME client against a real authority, Pebble, and against an authority that misbehaves.

mod care;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod faults;
mod listeners;
#[path = "../support/pebble.rs"]
mod pebble;
mod unwell;

use listeners::Listeners;
use mta_stsd::{
    acme::{
        authority::{Authority, IssueError, Issued, OrderRequest},
        client::AcmeAuthority,
    },
    certificate::{Certificate, ChallengeTable},
    clock::Clock,
    config::{Acme, AuthoritySettings, Directory, ExternalAccount},
    name::PolicyHost,
    storage::{MemoryStorage, Storage},
};
use pebble::{Options, Pebble, free_port};
use std::{path::Path, sync::Arc, time::Duration};

fn settings(directory: &str, root_file: &Path) -> Acme {
    Acme {
        authorities: vec![AuthoritySettings {
            directory: Directory::Url(directory.to_owned()),
            contact: vec!["mailto:postmaster@example.com".to_owned()],
            terms_of_service_agreed: true,
            root_file: Some(root_file.to_owned()),
            external_account: None,
            profile: None,
        }],
        tls_alpn_01: true,
        http_01: true,
        orders_at_once: 8,
        order_deadline: Duration::from_secs(120),
        request_timeout: Duration::from_secs(30),
        requests_per_second: 1_000,
        internal_lifetime: Duration::from_secs(86_400),
    }
}

/// Pebble, what it meets at policy hosts, and our side's settings and store.
struct Rig {
    pebble: Pebble,
    listeners: Listeners,
    settings: Acme,
    storage: Arc<MemoryStorage>,
}

impl Rig {
    async fn start(change: impl FnOnce(&mut Options)) -> Self {
        let listeners = Listeners::start().await;
        let mut options =
            Options { http_port: listeners.http_port, tls_port: listeners.tls_port, ..Options::default() };
        change(&mut options);
        let pebble = Pebble::start(options).await;
        let settings = settings(&pebble.directory(), &pebble.root_file());
        Self { pebble, listeners, settings, storage: Arc::default() }
    }

    /// The authority as after a start of ours.
    fn authority(&self) -> AcmeAuthority {
        self.authority_over(&self.storage)
    }

    fn authority_over(&self, storage: &Arc<MemoryStorage>) -> AcmeAuthority {
        let storage = Arc::clone(storage) as Arc<dyn Storage>;
        let ours = &self.settings.authorities[0];
        AcmeAuthority::new(&self.pebble.directory(), ours, &self.settings, storage, Clock::System).unwrap()
    }

    /// What is configured of the account.
    fn ours(&mut self) -> &mut AuthoritySettings {
        &mut self.settings.authorities[0]
    }

    async fn order(&self, authority: &AcmeAuthority, host: &str) -> Result<Issued, IssueError> {
        authority.order(OrderRequest::first(&policy_host(host)), &self.listeners.answers).await
    }

    /// Orders, and accepts only what would be served.
    async fn issue(&self, authority: &AcmeAuthority, host: &str) -> Certificate {
        let issued = self.order(authority, host).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        let (host, now) = (policy_host(host), Clock::System.now());
        let directory = authority.directory();
        let certificate = Certificate::verify(&host, &issued.chain_pem, issued.key, directory, now).unwrap();
        assert!(self.listeners.answers.tls_alpn_01(&host).is_none(), "an answer is still up");
        certificate
    }
}

fn policy_host(text: &str) -> PolicyHost {
    PolicyHost::from_full_name(text).unwrap()
}

#[tokio::test]
async fn a_certificate_is_issued_by_tls_alpn_01() {
    let rig = Rig::start(|_| ()).await;
    let certificate = rig.issue(&rig.authority(), "mta-sts.example.com").await;
    assert_eq!(certificate.validity.lifetime().as_secs().next_multiple_of(10), 90 * 86_400);
    assert!(rig.listeners.tls_answered() > 0);
    assert_eq!(rig.listeners.http_answered(), 0);
    assert_eq!(rig.pebble.orders(), 1);
}

#[tokio::test]
async fn a_certificate_is_issued_by_http_01() {
    let mut rig = Rig::start(|_| ()).await;
    rig.settings.tls_alpn_01 = false;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    assert!(rig.listeners.http_answered() > 0);
    assert_eq!(rig.listeners.tls_answered(), 0);
}

#[tokio::test]
async fn http_01_steps_in_where_tls_alpn_01_fails() {
    let rig = Rig::start(|options| options.tls_port = free_port()).await;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    assert!(rig.listeners.http_answered() > 0);
    assert_eq!(rig.pebble.orders(), 2, "the failed authorization is final, so there is a second order");
}

#[tokio::test]
async fn a_host_that_cannot_be_validated_is_told_why() {
    let rig = Rig::start(|options| (options.tls_port, options.http_port) = (free_port(), free_port())).await;
    match rig.order(&rig.authority(), "mta-sts.example.com").await {
        Err(IssueError::NotValidated { detail }) => {
            assert!(detail.contains("tls-alpn-01: unauthorized: Failed to connect to"), "{detail}");
            assert!(detail.contains("http-01: connection: "), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.listeners.answers.tls_alpn_01(&policy_host("mta-sts.example.com")).is_none());
}

#[tokio::test]
async fn an_order_given_up_takes_its_answer_down() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let rig = Arc::new(Rig::start(|options| options.tls_port = silent_port).await);
    let host = policy_host("mta-sts.example.com");
    let order = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.order(&rig.authority(), "mta-sts.example.com").await }
    });
    while rig.listeners.answers.tls_alpn_01(&host).is_none() {
        assert!(!order.is_finished());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    order.abort();
    assert!(order.await.unwrap_err().is_cancelled());
    assert!(rig.listeners.answers.tls_alpn_01(&host).is_none());
}

#[tokio::test]
async fn a_name_that_the_authority_blocks_is_refused() {
    let rig = Rig::start(|options| options.blocked = Some("example.com".to_owned())).await;
    let authority = rig.authority();
    let refused = rig.order(&authority, "mta-sts.example.com").await.unwrap_err();
    assert!(
        matches!(&refused, IssueError::Refused { detail } if detail.contains("rejectedIdentifier")),
        "{refused}"
    );
    rig.issue(&authority, "mta-sts.example.org").await;
}

#[tokio::test]
async fn without_its_external_account_binding_an_account_is_refused() {
    let binding = Some(("kid-1".to_owned(), MAC_KEY.to_owned()));
    let mut rig = Rig::start(|options| options.external_account = binding).await;
    let refused = rig.order(&rig.authority(), "mta-sts.example.com").await.unwrap_err();
    assert!(
        matches!(&refused, IssueError::Account { detail } if detail.contains("externalAccountRequired")),
        "{refused}"
    );

    let mac_key_file = rig.pebble.folder().join("mac.key");
    std::fs::write(&mac_key_file, format!("{MAC_KEY}\n")).unwrap();
    rig.ours().external_account = Some(ExternalAccount { key_id: "kid-1".to_owned(), mac_key_file });
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    rig.issue(&rig.authority(), "mta-sts.example.org").await;
    assert_eq!(rig.pebble.accounts(), 1, "a restart of ours made no account");
}

/// 32 octets in base64url.
const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE";

#[tokio::test]
async fn a_missing_mac_key_file_is_named() {
    let mut rig = Rig::start(|_| ()).await;
    let mac_key_file = rig.pebble.folder().join("absent.key");
    rig.ours().external_account = Some(ExternalAccount { key_id: "kid-1".to_owned(), mac_key_file });
    let refused = rig.order(&rig.authority(), "mta-sts.example.com").await.unwrap_err();
    assert!(matches!(&refused, IssueError::Account { detail } if detail.contains("absent.key")), "{refused}");
}

#[tokio::test]
async fn terms_are_not_agreed_to_silently() {
    let mut rig = Rig::start(|_| ()).await;
    rig.ours().terms_of_service_agreed = false;
    let refused = rig.order(&rig.authority(), "mta-sts.example.com").await.unwrap_err();
    assert!(
        matches!(&refused, IssueError::Account { detail } if detail.contains("data:text/plain,Do%20what")),
        "{refused}"
    );
    assert_eq!(rig.pebble.accounts(), 0);
    rig.ours().terms_of_service_agreed = true;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
}

// Standards A-07.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_all_nonces_refused_costs_no_order() {
    check_refused_nonces(50, 16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_of_ten_nonces_refused_cost_no_order() {
    check_refused_nonces(90, 4).await;
}

async fn check_refused_nonces(percent: u8, orders: usize) {
    let rig = Arc::new(Rig::start(|options| options.nonce_reject = percent).await);
    let authority = Arc::new(rig.authority());
    let tasks: Vec<_> = (0..orders)
        .map(|number| {
            let (rig, authority) = (Arc::clone(&rig), Arc::clone(&authority));
            tokio::spawn(async move { rig.issue(&authority, &format!("mta-sts.n{number}.example")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(rig.pebble.certificates(), orders);
    assert_eq!(rig.pebble.accounts(), 1, "orders at the same moment share one account");
}

#[tokio::test]
async fn an_authorization_that_is_still_valid_is_used_again() {
    let rig = Rig::start(|options| options.authz_reuse = 100).await;
    let authority = rig.authority();
    rig.issue(&authority, "mta-sts.example.com").await;
    let answered = rig.listeners.tls_answered();
    rig.issue(&authority, "mta-sts.example.com").await;
    assert_eq!(rig.listeners.tls_answered(), answered, "no second validation");
}

#[tokio::test]
async fn a_restart_of_ours_finds_the_account_again() {
    let rig = Rig::start(|_| ()).await;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    rig.issue(&rig.authority(), "mta-sts.example.org").await;
    assert_eq!(rig.pebble.accounts(), 1);

    // As after a crash between the authority's answer and our write of the account's URL.
    let crashed = Arc::<MemoryStorage>::default();
    let name = format!("acme-account:{}", rig.pebble.directory());
    let key = rig.storage.credential(&name).await.unwrap().unwrap();
    crashed.save_credential(&name, &key).await.unwrap();
    rig.issue(&rig.authority_over(&crashed), "mta-sts.example.net").await;
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn an_authority_that_forgot_our_account_gets_it_again() {
    let mut rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    rig.issue(&authority, "mta-sts.example.com").await;
    rig.pebble.restart().await;
    rig.issue(&authority, "mta-sts.example.com").await;
    assert_eq!(rig.pebble.accounts(), 1);
    rig.pebble.restart().await;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn a_profile_that_is_not_offered_gives_way_to_the_default() {
    let mut rig = Rig::start(|_| ()).await;
    rig.ours().profile = Some("shortlived".to_owned());
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
}

#[tokio::test]
async fn an_account_that_cannot_be_kept_is_not_made() {
    let rig = Rig::start(|_| ()).await;
    rig.storage.refuse_writes(true);
    let failed = rig.order(&rig.authority(), "mta-sts.example.com").await.unwrap_err();
    assert!(matches!(failed, IssueError::Unreachable { .. }), "{failed}");
    assert_eq!(rig.pebble.accounts(), 0);
    rig.storage.refuse_writes(false);
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
}

#[tokio::test]
async fn an_authority_that_is_away_is_unreachable_and_then_found() {
    let mut rig = Rig::start(|_| ()).await;
    rig.pebble.stop();
    let authority = rig.authority();
    let failed = rig.order(&authority, "mta-sts.example.com").await.unwrap_err();
    assert!(matches!(failed, IssueError::Unreachable { .. }), "{failed}");
    rig.pebble.restart().await;
    rig.issue(&authority, "mta-sts.example.com").await;
}

#[test]
fn roots_that_cannot_be_read_are_said_at_once() {
    let settings = settings("https://127.0.0.1/dir", Path::new("/nonexistent/root.pem"));
    let storage = Arc::<MemoryStorage>::default();
    let ours = &settings.authorities[0];
    let refused =
        AcmeAuthority::new("https://127.0.0.1/dir", ours, &settings, storage, Clock::System).unwrap_err();
    assert!(refused.to_string().contains("/nonexistent/root.pem"), "{refused}");
}

async fn order_from(directory: &str, settings: &Acme) -> IssueError {
    let (ours, storage) = (&settings.authorities[0], Arc::<MemoryStorage>::default());
    let authority = AcmeAuthority::new(directory, ours, settings, storage, Clock::System).unwrap();
    let host = policy_host("mta-sts.example.com");
    authority.order(OrderRequest::first(&host), &ChallengeTable::default()).await.unwrap_err()
}
