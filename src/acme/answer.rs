//! Challenge certificates for TLS-ALPN-01 (RFC 8737 §3), built by rustls-acme; it is named nowhere else.

use crate::name::PolicyHost;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::sign::CertifiedKey;
use rustls_acme::acme::{Account, Challenge, ChallengeType, Directory};

/// The self-signed certificate that answers the TLS-ALPN-01 challenge `token` for `host`, made anew
/// from the account's P-256 key (PKCS#8 DER).
///
/// # Errors
///
/// [`UnusableKey`] when the account's key cannot be read.
pub(super) fn tls_alpn_01(
    account_key: &[u8],
    token: &str,
    host: &PolicyHost,
) -> Result<CertifiedKey, UnusableKey> {
    let unusable = |_| UnusableKey;
    // Only the key enters the answer. The rest of the account belongs to requests that this crate
    // never makes for us.
    let account = Account {
        key_pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, account_key)
            .map_err(|_| UnusableKey)?,
        directory: Directory {
            new_nonce: String::new(),
            new_account: String::new(),
            new_order: String::new(),
        },
        kid: String::new(),
    };
    let challenge =
        Challenge { typ: ChallengeType::TlsAlpn01, url: String::new(), token: token.to_owned(), error: None };
    let (_, certificate) = account.tls_alpn_01(&[challenge], host.as_str().to_owned()).map_err(unusable)?;
    Ok(certificate)
}

/// The account's key is not a P-256 key as PKCS#8.
#[derive(Debug, thiserror::Error)]
#[error("the account's key cannot be used")]
pub(super) struct UnusableKey;

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        digest::{SHA256, digest},
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1, KeyPair as _, UnparsedPublicKey},
    };
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use x509_parser::{extensions::GeneralName, oid_registry::asn1_rs::oid, prelude::*};

    /// RFC 7638 §3, written out here on its own so that the answer is held against the standard.
    fn thumbprint(key: &EcdsaKeyPair) -> String {
        let point = key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let coordinate = |octets| BASE64_URL_SAFE_NO_PAD.encode(octets);
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, coordinate(x), coordinate(y));
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()))
    }

    // RFC 8737 §3.
    #[test]
    fn the_challenge_certificate_proves_the_key_authorization_for_this_host_alone() {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();

        let answer = tls_alpn_01(pkcs8.as_ref(), "a-token", &host).unwrap();

        assert_eq!(answer.cert.len(), 1);
        let (rest, certificate) = X509Certificate::from_der(&answer.cert[0]).unwrap();
        assert!(rest.is_empty());
        assert_eq!(certificate.issuer(), certificate.subject());
        let public_key = &certificate.public_key().subject_public_key.data;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
            .verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data)
            .expect("self-signed");
        assert_eq!(answer.key.public_key().unwrap().as_ref(), certificate.public_key().raw);
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::DNSName("mta-sts.example.com")]);

        let identifier = oid!(1.3.6.1.5.5.7.1.31);
        let found: Vec<_> = certificate.extensions().iter().filter(|e| e.oid == identifier).collect();
        let [extension] = found[..] else { panic!("{} acmeIdentifier extensions", found.len()) };
        assert!(extension.critical);
        let key_authorization = format!("a-token.{}", thumbprint(&key));
        let digest = digest(&SHA256, key_authorization.as_bytes());
        assert_eq!(extension.value, [&[0x04, 0x20][..], digest.as_ref()].concat());
    }

    #[test]
    fn a_damaged_account_key_is_an_error_not_a_panic() {
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        assert!(tls_alpn_01(b"not a key", "a-token", &host).is_err());
    }
}
