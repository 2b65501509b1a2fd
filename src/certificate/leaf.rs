//! What a certificate says of itself, for people: which one it is and who signed it.

use super::Certificate;
use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The longest issuer name that is shown, in characters.
const ISSUER_MAX: usize = 200;

/// What tells one certificate from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its number among those of its issuer, in hexadecimal octets joined by colons.
    pub serial: String,
    /// Who signed it, as the certificate names it; printable ASCII.
    pub issuer: String,
    /// SHA-256 of all of it, in hexadecimal octets joined by colons, as browsers and openssl show it.
    pub fingerprint: String,
}

impl Certificate {
    /// What the leaf says of itself; `None` when it cannot be read, which no certificate of ours is.
    pub fn leaf(&self) -> Option<Leaf> {
        let der = self.chain.first()?;
        let (_, leaf) = X509Certificate::from_der(der).ok()?;
        let issuer = leaf.issuer().to_string();
        Some(Leaf {
            serial: colons(leaf.tbs_certificate.raw_serial()),
            issuer: issuer.chars().flat_map(char::escape_default).take(ISSUER_MAX).collect(),
            fingerprint: colons(digest(&SHA256, der).as_ref()),
        })
    }
}

fn colons(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    octets.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::PrivateKey, name::PolicyHost};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber};

    #[test]
    fn a_leaf_is_told_by_serial_issuer_and_fingerprint_and_nothing_in_it_reaches_the_terminal_raw() {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "Meadow\u{1b}[31m Root");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let mut leaf = CertificateParams::new(["mta-sts.example.com".to_owned()]).unwrap();
        leaf.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff]));
        let key = KeyPair::generate().unwrap();
        let pem = leaf.signed_by(&key, &root).unwrap().pem() + &root.pem();
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let key = PrivateKey::from_pkcs8(key.serialize_der());
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let leaf = Certificate::verify(&host, &pem, key, "test", now).unwrap().leaf().unwrap();
        assert_eq!(leaf.serial, "0A:FF");
        assert!(leaf.issuer.contains("Meadow") && leaf.issuer.is_ascii(), "{}", leaf.issuer);
        assert!(!leaf.issuer.contains('\u{1b}'), "{}", leaf.issuer);
        assert_eq!(leaf.fingerprint.split(':').count(), 32);
    }
}
