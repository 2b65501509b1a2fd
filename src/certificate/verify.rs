//! Reading back what an authority delivered, before anything is served with it.

use super::{Certificate, PrivateKey, Validity};
use crate::name::PolicyHost;
use jiff::{SignedDuration, Timestamp};
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject, pem::SectionKind};
use std::{sync::Arc, time::Duration};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{extensions::GeneralName, prelude::FromDer};
use zeroize::Zeroizing;

/// How far in the future a certificate may begin: clocks differ, and authorities backdate.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The most certificates of a chain that are accepted; public chains have two to four.
const CHAIN_MAX: usize = 10;

/// Why a delivered chain is not served.
#[derive(Debug, thiserror::Error)]
pub enum RejectedChain {
    /// A PEM block that is no certificate (RFC 8555 §11.4), or no PEM at all.
    #[error("the answer is not a sequence of PEM certificates")]
    NotPem,
    /// Nothing, or far too much.
    #[error("the chain has {0} certificates")]
    Length(usize),
    /// The leaf cannot be read.
    #[error("the leaf certificate cannot be read")]
    Unreadable,
    /// The leaf's names are not exactly the policy host.
    #[error("the certificate is for {0}, not for the policy host alone")]
    Names(String),
    /// The leaf's key is not the one we asked to have certified.
    #[error("the certificate is for another key")]
    Key,
    /// The validity is empty, in the past, or in the future.
    #[error("the certificate is valid from {} to {}, which is not now", .0.not_before, .0.not_after)]
    Validity(Validity),
    /// Signatures, purposes or constraints do not hold together.
    #[error("the chain does not hold together: {0}")]
    Chain(webpki::Error),
}

impl Certificate {
    /// Accepts what `authority` delivered for `host`, or says why not.
    ///
    /// Asked of it: nothing but certificates in the PEM text, exactly one name and that the policy
    /// host, the key of our request, valid at `now`, and a chain whose signatures hold up to its own
    /// last certificate. Which roots the world trusts is the operator's choice of authority.
    ///
    /// # Errors
    ///
    /// [`RejectedChain`] names the first thing that is wrong.
    pub fn verify(
        host: &PolicyHost,
        chain_pem: &str,
        key: PrivateKey,
        authority: &str,
        now: Timestamp,
    ) -> Result<Self, RejectedChain> {
        let chain = read_chain(chain_pem)?;
        let leaf = chain.first().ok_or(RejectedChain::Length(0))?;
        let validity = check_leaf(leaf, host)?;
        if validity.not_after <= now
            || validity.not_before > now.saturating_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX)
            || validity.not_after <= validity.not_before
        {
            return Err(RejectedChain::Validity(validity));
        }
        check_chain(&chain, now.max(validity.not_before))?;
        let certificate = Self { host: host.clone(), chain, key, validity, authority: authority.to_owned() };
        certificate.certified_key()?.keys_match().map_err(|_| RejectedChain::Key)?;
        Ok(certificate)
    }

    /// The form that a handshake signs with.
    ///
    /// # Errors
    ///
    /// [`RejectedChain::Key`] when the key cannot be parsed.
    pub fn certified_key(&self) -> Result<CertifiedKey, RejectedChain> {
        let der = PrivatePkcs8KeyDer::from(self.key.pkcs8());
        let key = aws_lc_rs::sign::any_ecdsa_type(&rustls_pki_types::PrivateKeyDer::Pkcs8(der.clone_key()))
            .or_else(|_| aws_lc_rs::sign::any_supported_type(&rustls_pki_types::PrivateKeyDer::Pkcs8(der)))
            .map_err(|_| RejectedChain::Key)?;
        Ok(CertifiedKey::new(self.chain.clone(), Arc::clone(&key)))
    }

    /// The same for what the store gave back, if its leaf is still for this host alone and for its
    /// key: rows of a database can be mixed up by whoever edits or merges it (RFC 8461 §7.1).
    pub(super) fn certified_key_of_kept(&self) -> Result<CertifiedKey, RejectedChain> {
        check_leaf(self.chain.first().ok_or(RejectedChain::Length(0))?, &self.host)?;
        let certified = self.certified_key()?;
        certified.keys_match().map_err(|_| RejectedChain::Key)?;
        Ok(certified)
    }

    /// The private key as PEM (PKCS#8), wiped when dropped.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", self.key.pkcs8()))
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        let blocks: Vec<_> = self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        blocks.concat()
    }
}

/// One PEM block of 64-column base64 (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        block.push_str(&String::from_utf8_lossy(line));
        block.push('\n');
    }
    block + &format!("-----END {label}-----\n")
}

fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, RejectedChain> {
    let mut chain = Vec::new();
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        match block.map_err(|_| RejectedChain::NotPem)? {
            (SectionKind::Certificate, der) => chain.push(CertificateDer::from(der)),
            _ => return Err(RejectedChain::NotPem),
        }
        if chain.len() > CHAIN_MAX {
            return Err(RejectedChain::Length(chain.len()));
        }
    }
    // The reader skips labels it does not know, so count the blocks as well: anything but a
    // certificate in the answer is a reason to refuse all of it (RFC 8555 §11.4).
    if text.matches("-----BEGIN ").count() != chain.len() {
        return Err(RejectedChain::NotPem);
    }
    Ok(chain)
}

fn check_leaf(leaf: &CertificateDer<'_>, host: &PolicyHost) -> Result<Validity, RejectedChain> {
    let (rest, parsed) =
        x509_parser::certificate::X509Certificate::from_der(leaf).map_err(|_| RejectedChain::Unreadable)?;
    if !rest.is_empty() {
        return Err(RejectedChain::Unreadable);
    }
    let names = parsed.subject_alternative_name().map_err(|_| RejectedChain::Unreadable)?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    match names {
        [GeneralName::DNSName(name)] if name.eq_ignore_ascii_case(host.as_str()) => {}
        others => {
            let shown: Vec<_> = others.iter().take(5).map(|name| format!("{name:?}")).collect();
            return Err(RejectedChain::Names(shown.join(", ")));
        }
    }
    let time = |seconds| Timestamp::from_second(seconds).map_err(|_| RejectedChain::Unreadable);
    Ok(Validity {
        not_before: time(parsed.validity().not_before.timestamp())?,
        not_after: time(parsed.validity().not_after.timestamp())?,
    })
}

/// Verifies the leaf through the delivered intermediates up to the chain's own last certificate.
fn check_chain(chain: &[CertificateDer<'_>], at: Timestamp) -> Result<(), RejectedChain> {
    let [leaf, issuers @ ..] = chain else { return Err(RejectedChain::Length(0)) };
    let [intermediates @ .., last] = issuers else {
        // A lone leaf: nothing to hold it against. Private authorities with a trusted root do this.
        return Ok(());
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().unwrap_or(0)));
    let anchor = anchor_from_trusted_cert(last).map_err(RejectedChain::Chain)?;
    EndEntityCert::try_from(leaf)
        .and_then(|leaf| {
            leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                intermediates,
                at,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .map(drop)
        })
        .map_err(RejectedChain::Chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use time::OffsetDateTime;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn host() -> PolicyHost {
        PolicyHost::from_full_name("mta-sts.example.com").unwrap()
    }

    struct Issuer(CertifiedIssuer<'static, KeyPair>);

    impl Issuer {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = OffsetDateTime::from_unix_timestamp(now().as_second() - 86_400).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(now().as_second() + 864_000).unwrap();
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        /// PEM of a leaf for `names`, valid from and to these seconds after now, and its issuer.
        fn chain(&self, names: &[&str], key: &KeyPair, from: i64, to: i64) -> String {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.not_before = OffsetDateTime::from_unix_timestamp(now().as_second() + from).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(now().as_second() + to).unwrap();
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            params.signed_by(key, &self.0).unwrap().pem() + &self.0.pem()
        }
    }

    fn private(key: &KeyPair) -> PrivateKey {
        PrivateKey::from_pkcs8(key.serialize_der())
    }

    #[track_caller]
    fn check(pem: &str, key: &KeyPair, expected: &str) {
        let verdict = Certificate::verify(&host(), pem, private(key), "test", now());
        match verdict {
            Ok(certificate) => {
                assert_eq!(expected, "accepted");
                assert_eq!(
                    certificate.chain_pem().replace('\n', ""),
                    pem.replace("\r\n", "").replace('\n', "")
                );
            }
            Err(rejected) => assert!(rejected.to_string().contains(expected), "{rejected}"),
        }
    }

    #[test]
    fn only_the_certificate_we_asked_for_is_accepted() {
        let (issuer, key) = (Issuer::new(), KeyPair::generate().unwrap());
        let good = issuer.chain(&["mta-sts.example.com"], &key, -60, 3600);
        check(&good, &key, "accepted");
        check(&good, &KeyPair::generate().unwrap(), "another key");
        check(
            &issuer.chain(&["mta-sts.example.org"], &key, -60, 3600),
            &key,
            "not for the policy host alone",
        );
        let two = issuer.chain(&["mta-sts.example.com", "mta-sts.example.org"], &key, -60, 3600);
        check(&two, &key, "not for the policy host alone");
        check(&issuer.chain(&["mta-sts.example.com"], &key, -7200, -3600), &key, "not now");
        check(&issuer.chain(&["mta-sts.example.com"], &key, 3600, 7200), &key, "not now");
    }

    #[test]
    fn anything_but_certificates_in_the_answer_spoils_it() {
        let (issuer, key) = (Issuer::new(), KeyPair::generate().unwrap());
        let good = issuer.chain(&["mta-sts.example.com"], &key, -60, 3600);
        check(&(good.clone() + &key.serialize_pem()), &key, "not a sequence of PEM");
        check(
            &(good.clone() + "-----BEGIN NOTHING-----\nAA==\n-----END NOTHING-----\n"),
            &key,
            "not a sequence",
        );
        check("<html>busy</html>", &key, "0 certificates");
        check("", &key, "0 certificates");
        check(&good.repeat(6), &key, "11 certificates");
    }

    #[test]
    fn a_chain_of_strangers_is_refused() {
        let (issuer, key) = (Issuer::new(), KeyPair::generate().unwrap());
        let good = issuer.chain(&["mta-sts.example.com"], &key, -60, 3600);
        let leaf = good.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
        let leaf = if leaf.contains("\r\n") {
            good.split_inclusive("-----END CERTIFICATE-----\r\n").next().unwrap()
        } else {
            leaf
        };
        let foreign = leaf.to_owned() + &Issuer::new().0.pem();
        check(&foreign, &key, "does not hold together");
    }
}
