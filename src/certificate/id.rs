//! The name of one certificate among all that its authority issued (RFC 9773 §4.1).

use super::Certificate;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::fmt;
use x509_parser::{extensions::ParsedExtension, prelude::FromDer};

/// The largest serial number with its leading zero, and the longest key identifier that is accepted:
/// RFC 5280 §4.1.2.2 allows 20 octets of serial, and identifiers are digests.
const PART_MAX: usize = 64;

/// Identifier of a certificate: its issuer's key and its serial number, each in base64url, joined by a
/// dot. Printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(String);

impl CertificateId {
    /// From the authority key identifier and the content octets of the serial number's DER, a leading
    /// zero octet included. `None` when either is empty or beyond all reason (64 octets).
    pub fn new(key_identifier: &[u8], serial: &[u8]) -> Option<Self> {
        let good = |part: &[u8]| (1..=PART_MAX).contains(&part.len());
        let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        (good(key_identifier) && good(serial))
            .then(|| Self(format!("{}.{}", encoded(key_identifier), encoded(serial))))
    }

    /// Reads what [`CertificateId::as_str`] gave.
    pub fn parse(text: &str) -> Option<Self> {
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let (key_identifier, serial) = text.split_once('.')?;
        Self::new(&decode(key_identifier)?, &decode(serial)?)
    }

    /// As it stands in URLs and orders.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The issuer's key and the serial number, as they stand before and after the dot.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('.').expect("made with a dot")
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Certificate {
    /// What an authority knows this certificate by; `None` when it does not name its issuer's key.
    pub fn id(&self) -> Option<CertificateId> {
        let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(self.chain.first()?).ok()?;
        let key_identifier =
            leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(issuer) => issuer.key_identifier.as_ref(),
                _ => None,
            })?;
        CertificateId::new(key_identifier.0, leaf.tbs_certificate.raw_serial())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::PrivateKey, name::PolicyHost};
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair, SerialNumber,
    };

    fn octets(hex: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// The identifier of a certificate that has these two.
    fn id_of(key_identifier: &[u8], serial: &[u8]) -> Option<CertificateId> {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier.to_vec());
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let mut leaf = CertificateParams::new(["mta-sts.example.com".to_owned()]).unwrap();
        leaf.serial_number = Some(SerialNumber::from_slice(serial));
        leaf.use_authority_key_identifier_extension = !key_identifier.is_empty();
        let key = KeyPair::generate().unwrap();
        let pem = leaf.signed_by(&key, &root).unwrap().pem() + &root.pem();
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let key = PrivateKey::from_pkcs8(key.serialize_der());
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        Certificate::verify(&host, &pem, key, "test", now).unwrap().id()
    }

    // RFC 9773 §4.1.
    #[test]
    fn the_identifier_is_that_of_the_rfc() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/ari.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let part = |name: &str| octets(vector[name].as_str().unwrap());
            let (key_identifier, serial) = (part("aki_key_identifier_hex"), part("serial_der_content_hex"));
            let expected = vector["expect"]["cert_id"].as_str().unwrap();
            assert_eq!(CertificateId::new(&key_identifier, &serial).unwrap().as_str(), expected);
            assert_eq!(id_of(&key_identifier, &serial).unwrap().as_str(), expected);
        }
    }

    // The example of RFC 9773 §4.1: a serial number whose first bit is set has a zero octet in front.
    #[test]
    fn the_leading_zero_of_a_serial_number_stays() {
        let key_identifier = octets("69885b6b87467841e1b37b847bafb0ccb4c97a5e");
        let id = id_of(&key_identifier, &octets("87654321")).unwrap();
        assert_eq!(id.parts().1, "AIdlQyE");
        assert_eq!(CertificateId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn what_is_no_identifier_is_not_read_as_one() {
        for text in ["", ".", "AA", "AA.", ".AA", "AA.AA.AA", "AA==.AA==", "AA.A+", "AA. AA"] {
            assert_eq!(CertificateId::parse(text), None, "{text:?}");
        }
        assert_eq!(CertificateId::new(&[1; 65], &[1]), None);
    }

    #[test]
    fn a_certificate_that_does_not_name_its_issuers_key_has_no_identifier() {
        assert_eq!(id_of(&[], &[1]), None);
    }
}
