//! Care of the account and of certificates, against Pebble.

use super::{Rig, policy_host};
use mta_stsd::{
    acme::authority::{Authority, IssueError, OrderRequest, RevocationReason},
    storage::{MemoryStorage, Storage},
};
use std::sync::Arc;

/// What is kept of the account under `word`.
async fn kept(rig: &Rig, storage: &MemoryStorage, word: &str) -> Vec<u8> {
    let name = format!("{word}:{}", rig.pebble.directory());
    storage.credential(&name).await.unwrap().unwrap_or_default().to_vec()
}

#[tokio::test]
async fn the_account_is_shown_as_the_authority_has_it() {
    let rig = Rig::start(|_| ()).await;
    let shown = rig.authority().account().await.unwrap();
    assert_eq!(shown.status, "valid");
    assert_eq!(shown.contact, ["mailto:postmaster@example.com"]);
    assert_eq!(shown.url.as_bytes(), kept(&rig, &rig.storage, "acme-account-url").await);
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn a_changed_contact_reaches_the_authority_at_the_next_start() {
    let mut rig = Rig::start(|_| ()).await;
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    rig.ours().contact = vec!["mailto:hostmaster@example.com".to_owned()];
    rig.issue(&rig.authority(), "mta-sts.example.com").await;
    let shown = rig.authority().account().await.unwrap();
    assert_eq!(shown.contact, ["mailto:hostmaster@example.com"]);
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn an_account_with_a_new_key_is_the_same_account() {
    let rig = Rig::start(|options| options.nonce_reject = 50).await;
    let authority = rig.authority();
    let before = authority.account().await.unwrap();
    let old_key = kept(&rig, &rig.storage, "acme-account").await;
    authority.change_key().await.unwrap();
    assert_ne!(kept(&rig, &rig.storage, "acme-account").await, old_key);
    assert_eq!(kept(&rig, &rig.storage, "acme-account-next").await, b"");
    rig.issue(&authority, "mta-sts.example.com").await;
    rig.issue(&rig.authority(), "mta-sts.example.org").await;
    assert_eq!(authority.account().await.unwrap(), before);
    assert_eq!(rig.pebble.accounts(), 1);
}

/// Keeps for a store of its own what `old` held, with `key` as the key that was to be next.
async fn crashed_with(rig: &Rig, old: &[u8], next: &[u8]) -> Arc<MemoryStorage> {
    let storage = Arc::<MemoryStorage>::default();
    let url = kept(rig, &rig.storage, "acme-account-url").await;
    for (word, secret) in [("acme-account", old), ("acme-account-next", next), ("acme-account-url", &url)] {
        storage.save_credential(&format!("{word}:{}", rig.pebble.directory()), secret).await.unwrap();
    }
    storage
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_change_of_key_loses_no_account() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    authority.account().await.unwrap();
    let old = kept(&rig, &rig.storage, "acme-account").await;
    authority.change_key().await.unwrap();
    let new = kept(&rig, &rig.storage, "acme-account").await;

    // After the authority agreed, before we wrote it down.
    let after = crashed_with(&rig, &old, &new).await;
    rig.issue(&rig.authority_over(&after), "mta-sts.example.com").await;
    assert_eq!(kept(&rig, &after, "acme-account").await, new);

    // Before the authority heard of it: the old key is the one that counts.
    let unheard = rcgen::KeyPair::generate().unwrap().serialize_der();
    let before = crashed_with(&rig, &new, &unheard).await;
    rig.issue(&rig.authority_over(&before), "mta-sts.example.com").await;
    assert_eq!(kept(&rig, &before, "acme-account").await, new);
    assert_eq!(kept(&rig, &before, "acme-account-next").await, b"");
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn a_change_of_key_that_cannot_be_kept_is_not_made() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    authority.account().await.unwrap();
    rig.storage.refuse_writes(true);
    assert!(matches!(authority.change_key().await, Err(IssueError::Unreachable { .. })));
    rig.storage.refuse_writes(false);
    rig.issue(&authority, "mta-sts.example.com").await;
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test]
async fn a_closed_account_is_forgotten() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    let first = authority.account().await.unwrap();
    authority.deactivate().await.unwrap();
    for word in ["acme-account", "acme-account-url"] {
        assert_eq!(kept(&rig, &rig.storage, word).await, b"", "{word}");
    }
    let second = authority.account().await.unwrap();
    assert_ne!(second.url, first.url);
    rig.issue(&authority, "mta-sts.example.com").await;
}

#[tokio::test]
async fn an_account_that_was_closed_elsewhere_is_the_operators_matter() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    authority.account().await.unwrap();
    // The same account from a copy of the store, as another machine would have it.
    let key = kept(&rig, &rig.storage, "acme-account").await;
    let elsewhere = crashed_with(&rig, &key, b"").await;
    rig.authority_over(&elsewhere).deactivate().await.unwrap();
    let refused = rig.order(&authority, "mta-sts.example.com").await.unwrap_err();
    assert!(matches!(refused, IssueError::Account { .. }), "{refused}");
}

#[tokio::test]
async fn a_certificate_is_revoked_once_and_stays_so() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    let certificate = rig.issue(&authority, "mta-sts.example.com").await;
    authority.revoke(&certificate, RevocationReason::KeyCompromise).await.unwrap();
    authority.revoke(&certificate, RevocationReason::Superseded).await.unwrap();
    rig.issue(&authority, "mta-sts.example.com").await;
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_revoked() {
    let rig = Rig::start(|_| ()).await;
    let certificate = rig.issue(&rig.authority(), "mta-sts.example.com").await;
    let other = rig.authority_over(&Arc::default());
    let refused = other.revoke(&certificate, RevocationReason::Unspecified).await.unwrap_err();
    assert!(matches!(refused, IssueError::Refused { .. }), "{refused}");
}

// Pebble 2.4 has no renewal information: nothing is asked of it that it does not offer.
#[tokio::test]
async fn an_authority_without_renewal_information_is_not_told_what_an_order_replaces() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    let id = rig.issue(&authority, "mta-sts.example.com").await.id().unwrap();
    assert_eq!(authority.renewal_info(&id).await.unwrap(), None);
    let host = policy_host("mta-sts.example.com");
    let renewal = OrderRequest { host: &host, replaces: Some(&id) };
    authority.order(renewal, &rig.listeners.answers).await.unwrap();
    assert_eq!(rig.pebble.orders(), 2);
}

#[tokio::test]
async fn caa_records_are_held_against_our_account() {
    let rig = Rig::start(|_| ()).await;
    let authority = rig.authority();
    let account = authority.account().await.unwrap();
    let identity = authority.caa_identity().await.unwrap();
    assert_eq!(identity.account_uri.as_deref(), Some(account.url.as_str()));
}

#[tokio::test]
async fn certificates_of_any_length_are_taken_as_they_come() {
    let rig = Rig::start(|options| options.validity = std::time::Duration::from_secs(600)).await;
    let certificate = rig.issue(&rig.authority(), "mta-sts.example.com").await;
    assert_eq!(certificate.validity.lifetime().as_secs().next_multiple_of(10), 600);
}
