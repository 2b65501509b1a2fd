//! What every store promises, asked of each of them.

use super::{FindingRow, Held, MemoryStorage, OrderFailures, ServedTenant, SqliteStorage, Storage};
use crate::{
    certificate::{Certificate, CertificateSource, PrivateKey, Validity},
    name::{DomainName, PolicyHost},
};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

pub(super) fn domain(n: usize) -> DomainName {
    DomainName::from_ascii(&format!("d{n}.example")).unwrap()
}

pub(super) fn host(n: usize) -> PolicyHost {
    PolicyHost::of(&domain(n)).unwrap()
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Certificate `n` in its `edition`th edition; stores do not look inside chain and key.
pub(super) fn certificate(n: usize, edition: u8) -> Certificate {
    Certificate {
        host: host(n),
        chain: vec![vec![edition; 1000 + n % 100].into(), CertificateDer::from(vec![0x30; 700])],
        key: PrivateKey::from_pkcs8(vec![edition ^ n as u8; 138]),
        validity: Validity {
            not_before: time("2026-11-21T00:00:00Z"),
            not_after: time("2027-02-19T00:00:00Z"),
        },
        authority: format!("https://ca.example/directory/{edition}"),
    }
}

pub(super) fn failures(n: usize, attempts: u32) -> OrderFailures {
    OrderFailures {
        host: host(n),
        attempts,
        last_at: time("2026-11-21T00:00:00Z"),
        retry_at: time("2026-11-21T01:40:00Z"),
        kind: "not_validated".to_owned(),
        detail: "it said \"no\"; DROP TABLE findings; \u{fc}".to_owned(),
    }
}

fn finding(n: usize, subject: &str) -> FindingRow {
    FindingRow {
        domain: domain(n),
        code: "mx_not_allowed".to_owned(),
        subject: subject.to_owned(),
        severity: "urgent".to_owned(),
        since: time("2026-11-21T00:00:00.5Z"),
        raised: n == 2,
    }
}

fn held(certificate: &Certificate) -> Held {
    Held {
        host: certificate.host.clone(),
        validity: certificate.validity,
        authority: certificate.authority.clone(),
    }
}

pub(super) async fn sorted_held(store: &dyn Storage) -> Vec<Held> {
    let mut held = store.held().await.unwrap();
    held.sort_by(|a, b| a.host.cmp(&b.host));
    held
}

async fn sorted_findings(store: &dyn Storage) -> Vec<FindingRow> {
    let mut findings = store.findings().await.unwrap();
    findings.sort_by(|a, b| (&a.domain, &a.subject).cmp(&(&b.domain, &b.subject)));
    findings
}

async fn an_empty_store_has_nothing(store: &dyn Storage) {
    assert_eq!(store.certificate(&host(1)).await.unwrap(), None);
    assert_eq!(store.credential("account").await.unwrap(), None);
    assert_eq!(store.held().await.unwrap(), []);
    assert_eq!(store.findings().await.unwrap(), []);
    assert_eq!(store.served_tenants().await.unwrap(), []);
    store.remove_certificates(&[host(1)]).await.unwrap();
    store.remove_certificates(&[]).await.unwrap();
    store.replace_findings(&domain(1), &[], time("2026-11-21T01:00:00Z")).await.unwrap();
    store.check_writable().await.unwrap();
}

async fn certificates_come_back_as_they_were(store: &dyn Storage) {
    for n in 1..=3 {
        store.save_certificate(&certificate(n, 1)).await.unwrap();
    }
    for n in 1..=3 {
        assert_eq!(store.certificate(&host(n)).await.unwrap(), Some(certificate(n, 1)));
    }
    assert_eq!(store.certificate(&host(4)).await.unwrap(), None);
    assert_eq!(sorted_held(store).await, [1, 2, 3].map(|n| held(&certificate(n, 1))));
}

async fn a_newer_certificate_replaces_the_older(store: &dyn Storage) {
    store.save_certificate(&certificate(2, 9)).await.unwrap();
    assert_eq!(store.certificate(&host(2)).await.unwrap(), Some(certificate(2, 9)));
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    assert_eq!(store.held().await.unwrap().len(), 3);
}

async fn removed_certificates_are_gone_and_others_stay(store: &dyn Storage) {
    store.remove_certificates(&[host(1), host(3), host(77)]).await.unwrap();
    assert_eq!(store.certificate(&host(1)).await.unwrap(), None);
    assert_eq!(sorted_held(store).await, [held(&certificate(2, 9))]);
}

async fn served_tenants_are_kept_changed_and_forgotten(store: &dyn Storage) {
    let served = |name: &str, body: &str, hosts: &[usize]| ServedTenant {
        tenant: name.to_owned(),
        file: format!("tenants.d/{name} \u{fc}.toml"),
        body: format!("version: STSv1\r\n{body}\r\n"),
        hosts: hosts.iter().map(|n| host(*n)).collect(),
    };
    let check = async |expected: &[ServedTenant]| {
        let mut kept = store.served_tenants().await.unwrap();
        kept.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        assert_eq!(kept, expected);
    };
    let (a, b, c) = (served("a", "mode: none", &[2, 1]), served("b", "", &[3]), served("c", "", &[4]));
    store.replace_served_tenants(&[a.clone(), b.clone()]).await.unwrap();
    check(&[a.clone(), b.clone()]).await;
    let b_edited = served("b", "mode: testing", &[3, 5]);
    store.save_served_tenants(&[c.clone(), b_edited.clone()], &["a".into(), "x".into()]).await.unwrap();
    check(&[b_edited.clone(), c.clone()]).await;
    store.replace_served_tenants(&[a.clone(), c.clone()]).await.unwrap();
    check(&[a, c]).await;
    store.replace_served_tenants(&[]).await.unwrap();
    check(&[]).await;
}

async fn credentials_are_kept_by_name(store: &dyn Storage) {
    store.save_credential("account", b"one").await.unwrap();
    store.save_credential("root", b"\x00\x01\xff").await.unwrap();
    store.save_credential("account", b"two").await.unwrap();
    store.save_credential("empty", b"").await.unwrap();
    for (name, secret) in [("account", &b"two"[..]), ("root", b"\x00\x01\xff"), ("empty", b"")] {
        assert_eq!(store.credential(name).await.unwrap().unwrap().as_slice(), secret, "{name}");
    }
}

async fn findings_are_replaced_by_domain(store: &dyn Storage) {
    let (a, b) = (finding(1, "mx1.example.net"), finding(1, "mx2.example.net"));
    store.replace_findings(&domain(1), &[a.clone(), b.clone()], time("2026-11-21T01:00:00Z")).await.unwrap();
    store.replace_findings(&domain(2), &[finding(2, "")], time("2026-11-21T01:00:00Z")).await.unwrap();
    assert_eq!(sorted_findings(store).await, [a, b.clone(), finding(2, "")]);
    store.replace_findings(&domain(1), std::slice::from_ref(&b), time("2026-11-21T01:00:00Z")).await.unwrap();
    assert_eq!(sorted_findings(store).await, [b, finding(2, "")]);
    store.replace_findings(&domain(1), &[], time("2026-11-21T01:00:00Z")).await.unwrap();
    assert_eq!(sorted_findings(store).await, [finding(2, "")]);
}

async fn audits_are_kept_by_domain_and_forgotten(store: &dyn Storage) {
    let (early, late) = (time("2026-11-21T01:00:00Z"), time("2026-11-22T01:00:00Z"));
    for (n, at) in [(1, early), (2, early), (3, early), (1, late)] {
        store.save_audit(&domain(n), at).await.unwrap();
    }
    store.forget_audits(&[domain(2), domain(9)]).await.unwrap();
    let mut kept = store.audits().await.unwrap();
    kept.sort_unstable();
    assert_eq!(kept, [(domain(1), late), (domain(3), early)]);
}

async fn keep_the_contract(store: &dyn Storage) {
    an_empty_store_has_nothing(store).await;
    certificates_come_back_as_they_were(store).await;
    a_newer_certificate_replaces_the_older(store).await;
    removed_certificates_are_gone_and_others_stay(store).await;
    served_tenants_are_kept_changed_and_forgotten(store).await;
    credentials_are_kept_by_name(store).await;
    findings_are_replaced_by_domain(store).await;
    audits_are_kept_by_domain_and_forgotten(store).await;
}

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    keep_the_contract(&MemoryStorage::new()).await;
}

#[tokio::test]
async fn the_store_on_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keep_the_contract(&SqliteStorage::open(&folder.path().join("s"), None).await.unwrap()).await;
}

#[tokio::test]
async fn the_sealed_store_on_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let key = super::MasterKey::new(&[7; 32]);
    keep_the_contract(&SqliteStorage::open(&folder.path().join("s"), Some(key)).await.unwrap()).await;
}

#[tokio::test]
async fn a_memory_store_told_to_refuse_writes_still_reads() {
    let store = MemoryStorage::new();
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.refuse_writes(true);
    let refused = store.save_certificate(&certificate(1, 2)).await;
    assert!(matches!(refused, Err(super::StorageError::NotWritable(_))));
    assert!(store.check_writable().await.is_err());
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    store.refuse_writes(false);
    store.refuse_reads(true);
    assert!(store.held().await.is_err());
}
