//! An authority in memory: for tests and the simulation, where it can be told to misbehave.
//!
//! Signs at once with a root of its own, asks no challenges, and does for each order what its
//! `conduct` says: issue, fail, hang, panic, or deliver what nobody asked for.

use super::authority::{Authority, IssueError, Issued, OrderRequest};
use crate::{
    certificate::{ChallengeTable, PrivateKey},
    clock::Clock,
    name::PolicyHost,
};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use std::{fmt, time::Duration};
use time::OffsetDateTime;

/// What becomes of one order.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// A good certificate, valid for this long from now.
    Issue {
        /// From now to `not_after`.
        lifetime: Duration,
        /// How long the order takes.
        takes: Duration,
    },
    /// A certificate for a key that is not the one handed out.
    OtherKey,
    /// A certificate for another host.
    OtherName,
    /// A certificate whose issuer is not the one it names.
    OtherIssuer,
    /// This error.
    Fail(IssueError),
    /// No answer, ever.
    Hang,
    /// A mistake of our own.
    Panic,
}

/// Decides what becomes of the order for a host that begins now.
pub type Decide = dyn Fn(&PolicyHost) -> Conduct + Send + Sync;

/// An authority that does as `decide` says; share it as `Arc<MemoryAuthority>`.
pub struct MemoryAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    stranger: CertifiedIssuer<'static, KeyPair>,
    clock: Clock,
    decide: Box<Decide>,
}

impl MemoryAuthority {
    /// An authority with a fresh root.
    pub fn new(clock: Clock, decide: impl Fn(&PolicyHost) -> Conduct + Send + Sync + 'static) -> Self {
        Self { issuer: root(), stranger: root(), clock, decide: Box::new(decide) }
    }

    fn sign(&self, name: &str, lifetime: Duration) -> Result<Issued, rcgen::Error> {
        let now = self.clock.now();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date(now.as_second() - 60);
        params.not_after = date(now.saturating_add(lifetime).unwrap_or(Timestamp::MAX).as_second());
        let chain_pem = params.signed_by(&key, &self.issuer)?.pem() + &self.issuer.pem();
        Ok(Issued { chain_pem, key: PrivateKey::from_pkcs8(key.serialize_der()), profile: None })
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[async_trait::async_trait]
impl Authority for MemoryAuthority {
    fn directory(&self) -> &str {
        "memory"
    }

    async fn order(
        &self,
        request: OrderRequest<'_>,
        _answers: &ChallengeTable,
    ) -> Result<Issued, IssueError> {
        let host = request.host;
        let sign = |name: &str, lifetime| {
            self.sign(name, lifetime).map_err(|error| IssueError::Unusable { detail: error.to_string() })
        };
        match (self.decide)(host) {
            Conduct::Issue { lifetime, takes } => {
                tokio::time::sleep(takes).await;
                sign(host.as_str(), lifetime)
            }
            Conduct::OtherKey => {
                Ok(Issued { key: sign(host.as_str(), DAY)?.key, ..sign(host.as_str(), DAY)? })
            }
            Conduct::OtherName => sign("mta-sts.somebody-else.example", DAY),
            Conduct::OtherIssuer => {
                let mut issued = sign(host.as_str(), DAY)?;
                issued.chain_pem = issued.chain_pem.replace(&self.issuer.pem(), &self.stranger.pem());
                Ok(issued)
            }
            Conduct::Fail(error) => Err(error),
            Conduct::Hang => std::future::pending().await,
            Conduct::Panic => panic!("told to panic"),
        }
    }
}

impl fmt::Debug for MemoryAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAuthority").finish_non_exhaustive()
    }
}

/// Valid for longer than any test runs.
fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date(0);
    params.not_after = date(8_000_000_000);
    KeyPair::generate()
        .and_then(|key| CertifiedIssuer::self_signed(params, key))
        .expect("a root from constants can be signed")
}

fn date(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
