//! What is promised of judging chains.

use super::{
    forge::{Authority, DAY, Leaf, now, params},
    *,
};
use rcgen::ExtendedKeyUsagePurpose;

const NAME: &str = "mta-sts.example.com";

fn judged(chain: &[CertificateDer<'_>], root: &Authority) -> ChainJudgement {
    judge(chain, NAME, &[&Roots::of(vec![root.der()])], now())
}

fn trust(chain: &[CertificateDer<'_>], root: &Authority) -> Trust {
    judged(chain, root).trust
}

fn cn(name: &str) -> String {
    format!("CN={name}")
}

#[test]
fn a_chain_to_a_known_root_is_accepted_and_the_root_is_named() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let leaf = middle.leaf(&[NAME], -DAY, 89 * DAY);
    let judgement = judged(&[leaf.der.clone(), middle.der()], &root);
    assert_eq!(judgement.trust, Trust::Trusted { root: cn("Meadow Root") });
    assert!(judgement.is_accepted());
    assert_eq!(judgement.issuer, cn("Meadow Middle"));
    assert_eq!(judgement.names, [NAME]);
    assert_eq!(judgement.validity.unwrap().lifetime().as_secs(), 90 * 86_400);
    assert_eq!(judgement.leaf, leaf.der.to_vec());
    // A root sent needlessly, and the order of the issuers, change nothing.
    assert!(judged(&[leaf.der.clone(), root.der(), middle.der()], &root).is_accepted());
    // Any list suffices.
    let (ours, theirs) = (Roots::of(vec![root.der()]), Roots::mozilla());
    assert!(judge(&[leaf.der, middle.der()], NAME, &[&theirs, &ours], now()).is_accepted());
}

#[test]
fn a_forgotten_intermediate_is_not_looked_for_elsewhere() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let leaf = middle.leaf(&[NAME], -DAY, 89 * DAY).der;
    let incomplete = Trust::Incomplete { issuer: cn("Meadow Middle") };
    assert_eq!(trust(std::slice::from_ref(&leaf), &root), incomplete);
    // The root in its place does not help, nor does another authority of the same name.
    assert_eq!(trust(&[leaf.clone(), root.der()], &root), incomplete);
    let namesake = root.intermediate("Meadow Middle", -100, 100);
    assert_eq!(trust(&[leaf, namesake.der()], &root), incomplete);
    // Two levels of a public authority, the upper one forgotten.
    let upper = root.public_intermediate("Meadow Upper");
    let lower = upper.public_intermediate("Meadow Lower");
    let leaf = lower.leaf(&[NAME], -DAY, 89 * DAY).der;
    assert_eq!(trust(&[leaf, lower.der()], &root), Trust::Incomplete { issuer: cn("Meadow Upper") });
}

#[test]
fn strangers_are_told_from_forgotten_intermediates() {
    let (root, other) = (Authority::root("Meadow Root"), Authority::root("Other Root"));
    let unknown = Trust::UnknownRoot { issuer: cn("Other Root") };
    let leaf = other.leaf(&[NAME], -DAY, 89 * DAY).der;
    assert_eq!(trust(&[leaf, other.der()], &root), unknown);
    let middle = other.intermediate("Other Middle", -100, 100);
    let leaf = middle.leaf(&[NAME], -DAY, 89 * DAY).der;
    assert_eq!(trust(&[leaf.clone(), middle.der(), other.der()], &root), unknown);
    // A private authority whose root is not sent, as it need not be.
    assert_eq!(trust(&[leaf, middle.der()], &root), unknown);
    // A stranger with the name of a known root is a stranger.
    let namesake = Authority::root("Meadow Root");
    let leaf = namesake.leaf(&[NAME], -DAY, 89 * DAY).der;
    assert_eq!(trust(&[leaf, namesake.der()], &root), Trust::UnknownRoot { issuer: cn("Meadow Root") });
}

#[test]
fn a_leaf_that_signed_itself_is_called_so() {
    let root = Authority::root("Meadow Root");
    let leaf = Leaf::self_signed(&[NAME]).der;
    assert_eq!(trust(&[leaf], &root), Trust::SelfSigned);
    assert_eq!(trust(&[Authority::root("Lone").der()], &root), Trust::SelfSigned);
}

#[test]
fn what_does_not_hold_is_broken() {
    let root = Authority::root("Meadow Root");
    let broken = |chain: &[CertificateDer<'_>], expected: &str| match trust(chain, &root) {
        Trust::Broken(problem) => assert!(problem.contains(expected), "{problem}"),
        other => panic!("{expected}: {other:?}"),
    };
    broken(&[], "no certificate was sent");
    broken(&[CertificateDer::from(b"no certificate".to_vec())], "cannot be read");
    let mut client = params("", &[NAME], -DAY, 89 * DAY);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    broken(&[root.sign(client).der], "not meant for servers");
    let namesake = Authority::root("Meadow Root");
    broken(&[namesake.leaf(&[NAME], -DAY, 89 * DAY).der], "signature");
    let mut spoilt = root.leaf(&[NAME], -DAY, 89 * DAY).der.to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    broken(&[spoilt.into()], "signature");
}

#[test]
fn an_expired_certificate_of_a_known_root_is_expired_and_not_untrusted() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let check = |chain: &[CertificateDer<'_>], expired, not_yet| {
        let judgement = judged(chain, &root);
        assert_eq!(judgement.trust, Trust::Trusted { root: cn("Meadow Root") });
        assert_eq!((judgement.expired, judgement.not_yet, judgement.expiring), (expired, not_yet, None));
        assert!(!judgement.is_accepted());
    };
    check(&[middle.leaf(&[NAME], -90 * DAY, -1).der, middle.der()], true, false);
    check(&[middle.leaf(&[NAME], 60, 90 * DAY).der, middle.der()], false, true);
    // The leaf is fine, but its issuer is over.
    let old = root.intermediate("Old Middle", -100, -1);
    check(&[old.leaf(&[NAME], -30 * DAY, 60 * DAY).der, old.der()], true, false);
    // Both faults at once stay two faults.
    let lone = judged(&[middle.leaf(&[NAME], -90 * DAY, -1).der], &root);
    assert_eq!(lone.trust, Trust::Incomplete { issuer: cn("Meadow Middle") });
    assert!(lone.expired);
    // Never valid together.
    let older = root.intermediate("Older Middle", -100, -50);
    let never = judged(&[older.leaf(&[NAME], -30 * DAY, 60 * DAY).der, older.der()], &root);
    assert!(matches!(never.trust, Trust::Broken(ref problem) if problem.contains("same time")), "{never:?}");
    assert!(never.expired);
}

#[test]
fn only_alternative_names_count() {
    let root = Authority::root("Meadow Root");
    let name = |params| judged(&[root.sign(params).der], &root).name;
    assert_eq!(name(params("other", &["a.example", "*.example.com"], -DAY, DAY)), NameMatch::San);
    assert_eq!(name(params(NAME, &[], -DAY, DAY)), NameMatch::CommonNameOnly);
    assert_eq!(name(params(NAME, &["a.example"], -DAY, DAY)), NameMatch::CommonNameOnly);
    assert_eq!(name(params("other", &["a.example", "example.com"], -DAY, DAY)), NameMatch::Nothing);
    let leaf = root.leaf(&["mta-sts.example.com"], -DAY, DAY).der;
    let dotted = judge(&[leaf], "MTA-STS.example.com.", &[], now());
    assert_eq!(dotted.name, NameMatch::San);
}

#[test]
fn the_end_is_near_by_the_measure_of_the_whole() {
    let hours = |lifetime: i64, left: i64| {
        let end = now().as_second() + left * 3600;
        let at = |second| Timestamp::from_second(second).unwrap();
        expiring(Validity { not_before: at(end - lifetime * 3600), not_after: at(end) }, now())
    };
    // 160 hours, as of six-day certificates.
    assert_eq!(hours(160, 80), None);
    assert_eq!(hours(160, 53), Some(Expiring::Soon));
    assert_eq!(hours(160, 17), Some(Expiring::Soon));
    assert_eq!(hours(160, 16), Some(Expiring::Critical));
    // 90 days.
    assert_eq!(hours(90 * 24, 31 * 24), None);
    assert_eq!(hours(90 * 24, 30 * 24), Some(Expiring::Soon));
    assert_eq!(hours(90 * 24, 73), Some(Expiring::Soon));
    assert_eq!(hours(90 * 24, 72), Some(Expiring::Critical));
    assert_eq!(hours(90 * 24, 0), Some(Expiring::Critical));
    assert_eq!(hours(90 * 24, -1), None);
}

#[test]
fn text_from_certificates_is_escaped_and_cut() {
    let root = Authority::root("Meadow\u{1b}[31m Root");
    let long = "a".repeat(5000);
    let names: Vec<String> = (0..100).map(|n| format!("h{n}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let judgement = judged(&[root.sign(params(&long, &names, -DAY, DAY)).der], &root);
    assert!(matches!(&judgement.trust, Trust::Trusted { root } if root.contains("\\u{1b}")), "{judgement:?}");
    assert_eq!(judgement.subject.len(), 256);
    assert_eq!(judgement.names.len(), NAMES_SHOWN);
}

#[test]
fn a_chain_of_thousands_is_looked_at_only_so_far() {
    let root = Authority::root("Meadow Root");
    let middle = root.intermediate("Meadow Middle", -100, 100);
    let mut chain = vec![middle.leaf(&[NAME], -DAY, 89 * DAY).der];
    chain.extend(vec![root.der(); CHAIN_LENGTH - 1]);
    chain.push(middle.der());
    assert_eq!(trust(&chain, &root), Trust::Incomplete { issuer: cn("Meadow Middle") });
}
