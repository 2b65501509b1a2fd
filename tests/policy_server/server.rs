//! A policy server on loopback with its own authority and a store that can be told to misbehave.

use async_trait::async_trait;
use mta_stsd::{
    certificate::{
        Certificate, CertificateSource, CertificateTable, ChallengeTable, PrivateKey, SourceError, Validity,
    },
    config::{Limits, Tenant, TenantId},
    https::{Drained, PolicyListener, PolicyServer},
    listening::{Front, bind_all},
    name::PolicyHost,
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    snapshot::{SharedSnapshot, Snapshot},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};
use rustls::{RootCertStore, crypto::aws_lc_rs, sign::CertifiedKey};
use std::{
    any::Any,
    collections::HashMap,
    future::pending,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The two tenants with certificates and the one without, as `http.json` wants them.
pub const COM: &str = "mta-sts.example.com";
pub const ORG: &str = "mta-sts.example.org";
pub const NEW: &str = "mta-sts.new.example";

/// The longest any condition is waited for; only a failure takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Limits as production has them, but for a machine that tests.
pub fn limits() -> Limits {
    Limits {
        connections: 2_000,
        connections_per_address: 2_000,
        handshakes_per_address: 10_000,
        handshake_burst_per_address: 10_000,
        certificates_in_memory: 100,
        ..Limits::default()
    }
}

/// A limit that a test waits for: short, and long enough for a busy machine to do the rest meanwhile.
pub const BRIEF: Duration = Duration::from_millis(200);

/// A challenge that a test wants pending.
pub enum Challenge<'a> {
    TlsAlpn01 { host: &'a str },
    Http01 { host: &'a str, token: &'a str },
}

/// Makes a challenge pending until what it returns is dropped.
pub type Pend = Box<dyn Fn(Challenge<'_>) -> Box<dyn Any>>;

/// Any policy server that has the tenants of `http.json`.
pub struct Target {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub roots: Arc<RootCertStore>,
    pub pend: Pend,
}

/// The service of a listener.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    Https,
    Http,
    Backend,
}

/// What the store does when asked for a host.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    Fails,
    Hangs,
    Panics,
}

/// Certificates in memory behind the port of the store.
pub struct Shelf {
    certificates: HashMap<PolicyHost, Certificate>,
    moods: HashMap<PolicyHost, Mood>,
    reads: AtomicUsize,
}

#[async_trait]
impl CertificateSource for Shelf {
    async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        match self.moods.get(host) {
            None => Ok(self.certificates.get(host).cloned()),
            Some(Mood::Fails) => Err(SourceError("the disk is gone".into())),
            Some(Mood::Hangs) => pending().await,
            Some(Mood::Panics) => panic!("a bug in the store, on purpose"),
        }
    }
}

/// A running server.
pub struct TestServer {
    pub target: Target,
    pub policies: PolicyServer,
    pub certificates: CertificateTable,
    pub stop: CancellationToken,
    shelf: Arc<Shelf>,
    https: JoinHandle<Drained>,
    _http: JoinHandle<Drained>,
}

impl TestServer {
    pub fn start(limits: Limits) -> Self {
        Self::start_with(limits, &[])
    }

    /// Starts a server whose store is in these moods.
    pub fn start_with(limits: Limits, moods: &[(&str, Mood)]) -> Self {
        let issuer = issuer();
        let shelf = Arc::new(Shelf {
            certificates: [COM, ORG].map(|name| (host(name), issue(&issuer, name))).into(),
            moods: moods.iter().map(|(name, mood)| (host(name), *mood)).collect(),
            reads: AtomicUsize::new(0),
        });
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let certificates = CertificateTable::new(shelf.clone(), limits.certificates_in_memory);
        let challenges = ChallengeTable::default();
        let snapshot = SharedSnapshot::new(snapshot());
        let policies = PolicyServer::new(snapshot, certificates.clone(), challenges.clone(), limits);
        let stop = CancellationToken::new();

        let listen = || bind_all("listen", &["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let (https, http) = (listen(), listen());
        let target = Target {
            https: https.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            roots: Arc::new(roots),
            pend: Box::new(move |challenge| pend(&challenges, challenge)),
        };
        let run = |listener, plain: bool| {
            let (policies, stop) = (policies.clone(), stop.clone());
            tokio::spawn(async move {
                if plain {
                    policies.run_http(listener, stop).await
                } else {
                    policies.run_https(listener, stop).await
                }
            })
        };
        let (https, http) = (run(https, false), run(http, true));
        Self { target, policies, certificates, stop, shelf, https, _http: http }
    }

    /// One more listener of the same server, with `front` before it, and where it is.
    pub fn open(&self, door: Door, front: Front) -> SocketAddr {
        let listener = bind_all("listen", &["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let entrance = PolicyListener { listener, front, access_log: None };
        let (policies, stop) = (self.policies.clone(), self.stop.clone());
        tokio::spawn(async move {
            match door {
                Door::Https => policies.run_https(entrance, stop).await,
                Door::Http => policies.run_http(entrance, stop).await,
                Door::Backend => policies.run_backend(entrance, stop).await,
            }
        });
        address
    }

    /// How often the store was asked.
    pub fn store_reads(&self) -> usize {
        self.shelf.reads.load(Ordering::Relaxed)
    }

    /// Stops, and waits until the HTTPS listener has drained.
    pub async fn stop(self) -> Drained {
        self.stop.cancel();
        self.drained().await
    }

    /// Waits until the HTTPS listener has drained.
    pub async fn drained(self) -> Drained {
        within(self.https).await.unwrap()
    }
}

/// Waits for what must happen.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in good time")
}

/// Waits until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub fn host(name: &str) -> PolicyHost {
    PolicyHost::from_full_name(name).unwrap()
}

/// Every tenant has a policy of its own, so that a mix-up shows.
fn snapshot() -> Snapshot {
    let tenants = [COM, ORG, NEW].map(|name| {
        let host = host(name);
        let mx = MxPattern::from_user(&format!("mail.{}", host.domain())).unwrap();
        let policy = Policy::new(Mode::Enforce, vec![mx], MaxAge::WEEK).unwrap();
        Arc::new(Tenant {
            id: TenantId::parse(name).unwrap(),
            hosts: vec![host],
            policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
            file: Path::new("mta-stsd.toml").into(),
        })
    });
    Snapshot::build(1, &tenants, Default::default())
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    Certificate {
        host: host(name),
        chain: vec![leaf.der().clone(), issuer.der().clone()],
        key: PrivateKey::from_pkcs8(key.serialize_der()),
        validity: Validity {
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2036-01-01T00:00:00Z".parse().unwrap(),
        },
        authority: "test".to_owned(),
    }
}

/// Makes a challenge pending in `challenges`.
pub fn pend(challenges: &ChallengeTable, challenge: Challenge<'_>) -> Box<dyn Any> {
    match challenge {
        Challenge::Http01 { host: name, token } => {
            Box::new(challenges.answer_http_01(host(name), token, format!("{token}.thumbprint")))
        }
        Challenge::TlsAlpn01 { host: name } => {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
            let certificate = params.self_signed(&key).unwrap();
            let key = aws_lc_rs::sign::any_ecdsa_type(&key.into()).unwrap();
            let certified = CertifiedKey::new(vec![certificate.into()], key);
            Box::new(challenges.answer_tls_alpn_01(host(name), Arc::new(certified)))
        }
    }
}
