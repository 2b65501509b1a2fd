use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData};
use time::OffsetDateTime;

const HOST: &str = "mx.example.com";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn dated(mut params: CertificateParams, days: i64) -> CertificateParams {
    params.not_before = OffsetDateTime::from_unix_timestamp(now().as_second() - 90 * 86_400).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(now().as_second() + days * 86_400).unwrap();
    params
}

/// A certificate and its public key, both DER.
#[derive(Clone)]
struct Made {
    der: Vec<u8>,
    key: Vec<u8>,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = dated(CertificateParams::default(), 900);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn made(&self) -> Made {
        Made { der: self.0.der().to_vec(), key: self.0.key().subject_public_key_info() }
    }

    fn leaf(&self, name: &str, days: i64) -> Made {
        let key = KeyPair::generate().unwrap();
        let params = dated(CertificateParams::new([name.to_owned()]).unwrap(), days);
        Made {
            der: params.signed_by(&key, &self.0).unwrap().der().to_vec(),
            key: key.subject_public_key_info(),
        }
    }
}

fn self_signed(name: &str) -> Made {
    let key = KeyPair::generate().unwrap();
    let params = dated(CertificateParams::new([name.to_owned()]).unwrap(), 30);
    Made { der: params.self_signed(&key).unwrap().der().to_vec(), key: key.subject_public_key_info() }
}

fn record(usage: u8, selector: u8, matching: u8, of: &Made) -> TlsaRecord {
    let selected = if selector == 0 { &of.der } else { &of.key };
    let data = match matching {
        1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
        2 => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
        _ => selected.clone(),
    };
    TlsaRecord { usage, selector, matching, data }
}

fn judged(records: &[TlsaRecord], chain: &[&Made]) -> DaneJudgement {
    let chain: Vec<_> = chain.iter().map(|made| made.der.clone()).collect();
    judge(records, &chain, HOST, now())
}

#[track_caller]
fn check(record: &TlsaRecord, chain: &[&Made], matches: bool) {
    let judgement = judged(std::slice::from_ref(record), chain);
    assert!(judgement.usable && judgement.unusable_usages.is_empty(), "{record:?}");
    assert_eq!(judgement.matches, matches.then(|| record.clone()), "{record:?}");
}

#[test]
fn every_selector_and_matching_type_finds_what_it_names_and_nothing_else() {
    let authority = Authority::new("Meadow");
    let (leaf, other) = (authority.leaf(HOST, 30), authority.leaf(HOST, 30));
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let chain = [&leaf, &authority.made()];
        check(&record(3, selector, matching, &leaf), &chain, true);
        check(&record(3, selector, matching, &other), &chain, false);
        check(&record(3, selector, matching, &authority.made()), &chain, false);
        check(&record(2, selector, matching, &authority.made()), &chain, true);
        check(&record(2, selector, matching, &Authority::new("Meadow").made()), &chain, false);
    }
}

#[test]
fn usage_3_looks_at_neither_name_nor_expiry_nor_issuer() {
    let authority = Authority::new("Meadow");
    for leaf in [self_signed(HOST), self_signed("elsewhere.example"), authority.leaf("x.example", -1)] {
        check(&record(3, 1, 1, &leaf), &[&leaf], true);
    }
}

#[test]
fn usage_2_wants_the_anchor_in_the_chain_the_name_and_the_date() {
    let authority = Authority::new("Meadow");
    let anchor = authority.made();
    let pinned = record(2, 0, 1, &anchor);
    let leaf = authority.leaf(HOST, 30);
    check(&pinned, &[&leaf, &anchor], true);
    check(&pinned, &[&leaf], false);
    check(&pinned, &[&authority.leaf("*.example.com", 30), &anchor], true);
    check(&pinned, &[&authority.leaf("mx.example.org", 30), &anchor], false);
    check(&pinned, &[&authority.leaf(HOST, -1), &anchor], false);
    // An anchor that is sent along, and has not issued the leaf.
    check(&pinned, &[&Authority::new("Meadow").leaf(HOST, 30), &anchor], false);
    check(&pinned, &[], false);
}

#[test]
fn what_no_sender_can_use_is_told_apart() {
    let leaf = self_signed(HOST);
    let good = record(3, 1, 1, &leaf);
    let unusable = [
        record(0, 0, 1, &leaf),
        record(1, 0, 1, &leaf),
        record(4, 0, 1, &leaf),
        record(255, 0, 1, &leaf),
        record(3, 2, 1, &leaf),
        record(3, 1, 3, &leaf),
        TlsaRecord { data: vec![7; 31], ..good.clone() },
        TlsaRecord { data: vec![7; 32], matching: 2, ..good.clone() },
        TlsaRecord { data: vec![], matching: 0, ..good.clone() },
    ];
    let judgement = judged(&unusable, &[&leaf]);
    assert!(!judgement.usable && judgement.matches.is_none());
    assert_eq!(judgement.unusable_usages, unusable);
    let with_good = [&unusable[..], std::slice::from_ref(&good)].concat();
    let judgement = judged(&with_good, &[&leaf]);
    assert_eq!((judgement.usable, judgement.matches), (true, Some(good)));
    assert_eq!(judged(&[], &[&leaf]), DaneJudgement::default());
}

#[test]
fn one_record_that_matches_is_enough_and_an_anchor_outlives_the_leaf() {
    let authority = Authority::new("Meadow");
    let (leaf, next, anchor) = (authority.leaf(HOST, 30), authority.leaf(HOST, 60), authority.made());
    let (now_key, next_key) = (record(3, 1, 1, &leaf), record(3, 1, 1, &next));
    let judgement = judged(&[next_key.clone(), now_key.clone()], &[&leaf, &anchor]);
    assert_eq!((judgement.matches, judgement.pinned_leaf), (Some(now_key.clone()), true));
    let judgement = judged(&[now_key.clone(), record(2, 1, 1, &anchor)], &[&leaf, &anchor]);
    assert_eq!((judgement.matches, judgement.pinned_leaf), (Some(now_key), false));
    let judgement = judged(&[next_key], &[&leaf, &anchor]);
    assert!(judgement.usable && judgement.matches.is_none() && !judgement.pinned_leaf);
}

#[test]
fn garbage_in_place_of_certificates_matches_nothing() {
    let leaf = self_signed(HOST);
    for garbage in [vec![], vec![0x30, 0x80], leaf.der[..50].to_vec()] {
        for usage in [2, 3] {
            let judgement =
                judge(&[record(usage, 1, 1, &leaf)], &[garbage.clone(), garbage.clone()], HOST, now());
            assert!(judgement.usable && judgement.matches.is_none());
        }
    }
}
