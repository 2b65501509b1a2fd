//! Certificates good and bad, made for tests.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

/// One day in seconds.
pub(crate) const DAY: i64 = 86_400;

/// When forged certificates are judged.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

/// An authority, root or intermediate.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A root for twenty years around [`now`].
    pub(crate) fn root(name: &str) -> Self {
        let params = Self::params(name, -3650, 3650);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An intermediate, valid from and to these days after [`now`].
    pub(crate) fn intermediate(&self, name: &str, from: i64, to: i64) -> Self {
        self.issue(Self::params(name, from, to))
    }

    /// An intermediate that says where its issuer is to be had, as those of public authorities do.
    pub(crate) fn public_intermediate(&self, name: &str) -> Self {
        let mut params = Self::params(name, -100, 100);
        // SEQUENCE { SEQUENCE { id-ad-caIssuers, [6] "http://a.example/" } }
        let mut der = vec![0x30, 0x1f, 0x30, 0x1d, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 0x11];
        der.extend(b"http://a.example/");
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], der));
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Self {
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    fn params(name: &str, from: i64, to: i64) -> CertificateParams {
        let mut params = params(name, &[], from * DAY, to * DAY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A leaf for these names, valid from and to these seconds after [`now`].
    pub(crate) fn leaf(&self, names: &[&str], from: i64, to: i64) -> Leaf {
        let mut params = params("", names, from, to);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Whatever `params` ask for, with a key of its own.
    pub(crate) fn sign(&self, mut params: CertificateParams) -> Leaf {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.0).unwrap().der().clone();
        Leaf { der, key }
    }
}

/// A leaf and its key.
pub(crate) struct Leaf {
    pub(crate) der: CertificateDer<'static>,
    key: KeyPair,
}

impl Leaf {
    /// One that signed itself.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params("alone", names, -DAY, 89 * DAY).self_signed(&key).unwrap().der().clone();
        Self { der, key }
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// Parameters with this common name, unless it is empty, and these alternative names.
pub(crate) fn params(name: &str, names: &[&str], from: i64, to: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let at = |seconds| OffsetDateTime::from_unix_timestamp(now().as_second() + seconds).unwrap();
    (params.not_before, params.not_after) = (at(from), at(to));
    params
}
