//! The internal authority: a local root that signs at once, without challenges.
//!
//! It goes through the same scheduler, table and store as an ACME authority, so a first look at the
//! program needs neither a CA nor DNS. On private networks, senders that trust its root are served
//! for good.

use super::{
    authority::{Authority, IssueError, Issued, OrderRequest},
    problem::printable,
};
use crate::{
    certificate::{ChallengeTable, PrivateKey},
    clock::Clock,
    name::PolicyHost,
    storage::{Storage, StorageError},
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use std::{fmt, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tracing::info;
use zeroize::Zeroizing;

/// What the root is kept under in the store.
const CREDENTIAL: &str = "internal-root";

/// The root lives ten years; a new one means telling every client again.
const ROOT_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// How far certificates are backdated, for clients whose clock is behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(1);

/// Signs with a root of our own that is made on first start and kept in the store.
pub struct InternalAuthority {
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    root_not_after: Timestamp,
    lifetime: SignedDuration,
    clock: Clock,
}

impl InternalAuthority {
    /// The name of this authority in the configuration, the store and status.
    pub const DIRECTORY: &str = "internal";

    /// Takes the root from `storage`, or makes one and keeps it there. Certificates will be valid for
    /// `lifetime`, or to the end of the root if that comes first.
    ///
    /// # Errors
    ///
    /// [`InternalError`] when the root cannot be read, made or kept.
    pub async fn open(
        storage: Arc<dyn Storage>,
        lifetime: Duration,
        clock: Clock,
    ) -> Result<Self, InternalError> {
        let root = match storage.credential(CREDENTIAL).await? {
            Some(kept) => Root::read(&kept)?,
            None => {
                let made = Root::make(clock.now())?;
                storage.save_credential(CREDENTIAL, made.text.as_bytes()).await?;
                info!(not_after = %made.not_after, "internal root created");
                made
            }
        };
        Ok(Self {
            root: root.issuer,
            root_pem: root.certificate_pem,
            root_not_after: root.not_after,
            lifetime: lifetime.try_into().unwrap_or(SignedDuration::MAX),
            clock,
        })
    }

    /// The root's certificate as PEM, for those who shall trust it. Public; the key stays here.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    fn sign(&self, host: &PolicyHost, now: Timestamp) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new([host.as_str().to_owned()])?;
        leaf.distinguished_name = DistinguishedName::new();
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let end = now.saturating_add(self.lifetime).unwrap_or(Timestamp::MAX);
        leaf.not_before = offset(now.saturating_sub(BACKDATED).unwrap_or(now));
        leaf.not_after = offset(end.min(self.root_not_after));
        let leaf = leaf.signed_by(&key, &self.root)?;
        Ok(Issued {
            // The root goes along so that the chain can be verified by itself before it is served.
            chain_pem: leaf.pem() + &self.root_pem,
            key: PrivateKey::from_pkcs8(key.serialize_der()),
            profile: None,
        })
    }
}

#[async_trait::async_trait]
impl Authority for InternalAuthority {
    fn directory(&self) -> &str {
        Self::DIRECTORY
    }

    async fn order(
        &self,
        request: OrderRequest<'_>,
        _answers: &ChallengeTable,
    ) -> Result<Issued, IssueError> {
        let now = self.clock.now();
        if now >= self.root_not_after {
            let detail = format!("the internal root expired at {}", self.root_not_after);
            return Err(IssueError::Account { detail });
        }
        self.sign(request.host, now)
            .map_err(|error| IssueError::Refused { detail: printable(&error.to_string()) })
    }
}

impl fmt::Debug for InternalAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternalAuthority")
            .field("root_not_after", &self.root_not_after)
            .finish_non_exhaustive()
    }
}

/// Why there is no internal root to sign with.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The store did not give it or did not take it.
    #[error("the internal root could not be kept")]
    Storage(#[from] StorageError),
    /// What the store holds is no certificate with its key.
    #[error("the internal root in the store is damaged")]
    Damaged,
    /// Keys or certificates could not be made.
    #[error("the internal root could not be made")]
    Making(#[from] rcgen::Error),
}

/// The root as it is kept: PEM of certificate and key, in this order.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_after: Timestamp,
    text: Zeroizing<String>,
}

impl Root {
    fn make(now: Timestamp) -> Result<Self, InternalError> {
        let mut params = Self::params();
        params.not_before = offset(now.saturating_sub(BACKDATED).unwrap_or(now));
        params.not_after = offset(now.saturating_add(ROOT_LIFETIME).unwrap_or(Timestamp::MAX));
        let key = KeyPair::generate()?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let certificate_pem = params.self_signed(&key)?.pem();
        // Read back at once: what is signed with is what a restart will find.
        Self::read(format!("{certificate_pem}{}", *key_pem).as_bytes())
    }

    /// What every root has in common, however old: all but its key and validity.
    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "mta-stsd internal root");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn read(kept: &[u8]) -> Result<Self, InternalError> {
        let text = std::str::from_utf8(kept).map_err(|_| InternalError::Damaged)?;
        let certificate = CertificateDer::from_pem_slice(kept).map_err(|_| InternalError::Damaged)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(kept).map_err(|_| InternalError::Damaged)?;
        let key = KeyPair::try_from(&PrivateKeyDer::Pkcs8(key)).map_err(|_| InternalError::Damaged)?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|_| InternalError::Damaged)?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|_| InternalError::Damaged)?;
        const KEY: &str = "-----BEGIN PRIVATE KEY-----";
        let (certificate_pem, _) = text.split_once(KEY).ok_or(InternalError::Damaged)?;
        Ok(Self {
            // Of the root's own certificate, leaves take the name and the key's identifier.
            issuer: Issuer::new(Self::params(), key),
            certificate_pem: certificate_pem.to_owned(),
            not_after,
            text: Zeroizing::new(text.to_owned()),
        })
    }
}

/// rcgen's type for a moment; certificates count whole seconds.
fn offset(at: Timestamp) -> OffsetDateTime {
    // Years above 9999 exist in neither type.
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::Certificate, storage::MemoryStorage};

    const DAY: u64 = 86_400;

    fn host() -> PolicyHost {
        PolicyHost::from_full_name("mta-sts.example.com").unwrap()
    }

    fn clock() -> Clock {
        Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap())
    }

    async fn open(storage: &Arc<MemoryStorage>, days: u64, clock: Clock) -> InternalAuthority {
        let lifetime = Duration::from_secs(days * DAY);
        InternalAuthority::open(Arc::clone(storage) as _, lifetime, clock).await.unwrap()
    }

    async fn order(authority: &InternalAuthority, now: Timestamp) -> Certificate {
        let issued = authority.order(OrderRequest::first(&host()), &ChallengeTable::default()).await.unwrap();
        let directory = authority.directory();
        Certificate::verify(&host(), &issued.chain_pem, issued.key, directory, now).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_signs_passes_the_same_verification_as_any_authoritys() {
        let clock = clock();
        let authority = open(&Arc::default(), 30, clock).await;
        let certificate = order(&authority, clock.now()).await;
        assert_eq!(certificate.chain.len(), 2);
        assert_eq!(certificate.validity.not_after.as_second(), clock.now().as_second() + 30 * DAY as i64);
        assert_eq!(certificate.validity.not_before.as_second(), clock.now().as_second() - 60);
        let again = order(&authority, clock.now()).await;
        assert!(certificate.key != again.key, "every certificate has a fresh key");
        assert!(certificate.chain.first() != again.chain.first());
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_keeps_the_root_that_clients_trust() {
        let (storage, clock) = (Arc::default(), clock());
        let first = open(&storage, 30, clock).await;
        let second = open(&storage, 30, clock).await;
        assert_eq!(first.root_pem(), second.root_pem());
        assert!(second.root_pem().ends_with("-----END CERTIFICATE-----\n"), "{}", second.root_pem());
        assert!(!second.root_pem().contains("PRIVATE"), "the key stays in the store");
        let certificate = order(&second, clock.now()).await;
        let root = CertificateDer::from_pem_slice(first.root_pem().as_bytes()).unwrap();
        assert_eq!(certificate.chain.get(1), Some(&root));
    }

    #[tokio::test(start_paused = true)]
    async fn no_leaf_outlives_the_root() {
        let clock = clock();
        let authority = open(&Arc::default(), 100 * 365, clock).await;
        let certificate = order(&authority, clock.now()).await;
        assert_eq!(certificate.validity.not_after, authority.root_not_after);
        tokio::time::sleep(Duration::from_secs(10 * 365 * DAY)).await;
        let refused =
            authority.order(OrderRequest::first(&host()), &ChallengeTable::default()).await.unwrap_err();
        assert!(matches!(refused, IssueError::Account { .. }), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_root_is_said_and_not_replaced() {
        let storage = Arc::new(MemoryStorage::default());
        storage.save_credential(CREDENTIAL, b"damaged").await.unwrap();
        let opened = InternalAuthority::open(storage.clone(), Duration::from_secs(DAY), clock()).await;
        assert!(matches!(opened, Err(InternalError::Damaged)));
        assert_eq!(storage.credential(CREDENTIAL).await.unwrap().unwrap().as_slice(), b"damaged");
    }

    #[tokio::test(start_paused = true)]
    async fn a_root_that_cannot_be_kept_is_not_used() {
        let storage = Arc::new(MemoryStorage::default());
        storage.refuse_writes(true);
        let opened = InternalAuthority::open(storage, Duration::from_secs(DAY), clock()).await;
        assert!(matches!(opened, Err(InternalError::Storage(_))));
    }
}
