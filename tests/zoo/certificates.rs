//! The papers of the zoo: one root that the audit trusts, and certificates good and bad.

use mta_stsd::clock::Clock;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    fs,
    path::{Path, PathBuf},
};
use time::{Duration, OffsetDateTime};

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paper {
    /// Nothing: leaf and intermediate, valid for years.
    Good,
    /// Over since a week.
    Expired,
    /// Ninety days long, ten of them left.
    Expiring,
    /// For another name.
    WrongName,
    /// The right name as common name only, the alternative names have another.
    CommonNameOnly,
    /// Signed by itself.
    SelfSigned,
    /// Good, by a root that nobody trusts and that is sent along.
    UnknownRoot,
    /// Good, without its intermediate.
    Incomplete,
    /// Good, with its intermediate so often that no sender wants to read all of it.
    Huge,
}

/// So many certificates of some 400 octets are more than 64 KiB.
const HUGE: usize = 400;

/// A certificate with its key.
pub struct Issued {
    /// Key and chain in one file, as Postfix wants it (nginx takes it for both).
    pub file: PathBuf,
    /// As sent.
    pub chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    /// The leaf's public key as DER (what TLSA selector 1 digests).
    pub public_key: Vec<u8>,
    /// The intermediate authority's.
    pub authority_key: Vec<u8>,
}

impl Issued {
    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

struct Authority {
    public_key: Vec<u8>,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// Who issues in the zoo.
pub struct Office {
    folder: PathBuf,
    now: OffsetDateTime,
    intermediate: Authority,
    stranger: Authority,
}

impl Office {
    /// An office that writes its files to `folder`, the trusted root as `root.pem`.
    pub fn open(folder: &Path) -> Self {
        let now = OffsetDateTime::from_unix_timestamp(Clock::System.now().as_second()).unwrap();
        let root = authority("Zoo Root", now, None);
        let intermediate = authority("Zoo Intermediate", now, Some(&root));
        let stranger = authority("Stranger's Root", now, None);
        fs::create_dir_all(folder.join("papers")).unwrap();
        fs::write(folder.join("root.pem"), root.certificate.pem()).unwrap();
        Self { folder: folder.to_owned(), now, intermediate, stranger }
    }

    /// A certificate for `names` as `paper` wants it, kept in a file named after the first of them.
    pub fn issue(&self, names: &[String], paper: Paper) -> Issued {
        self.issue_as(&names[0], names, paper)
    }

    /// The same, kept in the file `kept`.pem.
    pub fn issue_as(&self, kept: &str, names: &[String], paper: Paper) -> Issued {
        let another = vec!["another.zoo.example".to_owned()];
        let in_san =
            if matches!(paper, Paper::WrongName | Paper::CommonNameOnly) { another } else { names.to_vec() };
        let mut leaf = CertificateParams::new(in_san).unwrap();
        leaf.distinguished_name = DistinguishedName::new();
        if paper == Paper::CommonNameOnly {
            leaf.distinguished_name.push(DnType::CommonName, names[0].clone());
        }
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let days = |from: i64, to: i64| (self.now + Duration::days(from), self.now + Duration::days(to));
        (leaf.not_before, leaf.not_after) = match paper {
            Paper::Expired => days(-97, -7),
            Paper::Expiring => days(-80, 10),
            _ => days(-10, 80),
        };
        let key = KeyPair::generate().unwrap();
        let chain: Vec<Certificate> = match paper {
            Paper::SelfSigned => vec![leaf.self_signed(&key).unwrap()],
            Paper::UnknownRoot => {
                vec![leaf.signed_by(&key, &self.stranger.issuer).unwrap(), self.stranger.certificate.clone()]
            }
            Paper::Incomplete => vec![leaf.signed_by(&key, &self.intermediate.issuer).unwrap()],
            Paper::Huge => {
                let leaf = leaf.signed_by(&key, &self.intermediate.issuer).unwrap();
                let filler = std::iter::repeat_n(self.intermediate.certificate.clone(), HUGE);
                std::iter::once(leaf).chain(filler).collect()
            }
            _ => vec![
                leaf.signed_by(&key, &self.intermediate.issuer).unwrap(),
                self.intermediate.certificate.clone(),
            ],
        };
        let file = self.folder.join(format!("papers/{kept}.pem"));
        let text: String = chain.iter().map(Certificate::pem).collect();
        fs::write(&file, key.serialize_pem() + &text).unwrap();
        Issued {
            file,
            chain: chain.iter().map(|one| one.der().clone()).collect(),
            key: key.serialize_der(),
            public_key: key.subject_public_key_info(),
            authority_key: self.intermediate.public_key.clone(),
        }
    }
}

fn authority(name: &str, now: OffsetDateTime, above: Option<&Authority>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = above.is_some();
    params.not_before = now - Duration::days(1000);
    params.not_after = now + Duration::days(3000);
    let key = KeyPair::generate().unwrap();
    let certificate = match above {
        Some(above) => params.signed_by(&key, &above.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Authority { public_key: key.subject_public_key_info(), certificate, issuer: Issuer::new(params, key) }
}
