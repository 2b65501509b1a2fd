//! What one fetch costs the server: a new connection, a full TLS 1.3 handshake, one GET, and the end.
//! That is how mail senders fetch a policy.
//!
//! The server runs on a thread of its own and is charged that thread's processor time, so clients do
//! not count and other load hardly does. Machines differ, so the cases take turns within one run and
//! are compared with the first of them; one signature of this machine stands beside them.
//!
//! The certificates come from memory: reading the database is not in these figures.
//!
//! `cargo bench --bench fetch` takes some twenty seconds at most; `cargo test --benches` only sees
//! whether it works.

use async_trait::async_trait;
use mta_stsd::{
    certificate::{
        Certificate, CertificateSource, CertificateTable, ChallengeTable, PrivateKey, SourceError, Validity,
    },
    config::{Limits, Tenant, TenantId},
    https::PolicyServer,
    listening::bind_all,
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    snapshot::{SharedSnapshot, Snapshot},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::time::{ClockId, clock_gettime};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SignatureScheme,
    client::Resumption,
    crypto::{
        SupportedKxGroup,
        aws_lc_rs::{self, cipher_suite, kx_group},
    },
    version::TLS13,
};
use std::{
    collections::HashMap,
    hint::black_box,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};
use tokio::{runtime, time::Instant};
use tokio_util::sync::CancellationToken;

/// Clients at once: enough to keep the server busy from a second core.
const CLIENTS: usize = 4;

/// No round begins after this long.
const DEADLINE: Duration = Duration::from_secs(20);

/// A fetch that takes this long is a fault, and ends the run.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is measured.
struct Size {
    names: usize,
    rounds: usize,
    fetches_a_round: usize,
}

const WHOLE: Size = Size { names: 10_000, rounds: 10, fetches_a_round: 300 };
const SMOKE: Size = Size { names: 10, rounds: 1, fetches_a_round: 2 * CLIENTS };

/// The groups of OpenSSL 3.0 to 3.4, and those of 3.5 and later.
const CLASSICAL: &[&dyn SupportedKxGroup] = &[kx_group::X25519, kx_group::SECP256R1];
const POST_QUANTUM: &[&dyn SupportedKxGroup] =
    &[kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];

fn main() -> io::Result<()> {
    // cargo says so when it runs a benchmark to measure, and not when it runs all targets as tests.
    let size = if std::env::args().any(|argument| argument == "--bench") { WHOLE } else { SMOKE };
    let fleet = Arc::new(Fleet::of(size.names));
    let many = size.names;
    let mut cases = [
        ("1 name", 1, 1, CLASSICAL),
        ("all names, parsed already", many, 2 * many, CLASSICAL),
        ("all names, each parsed anew", many, 1, CLASSICAL),
        ("1 name, ML-KEM-768 + X25519", 1, 1, POST_QUANTUM),
    ]
    .map(|(title, names, in_memory, groups)| Case {
        title,
        server: Server::start(&fleet, names, in_memory),
        client: Client::new(&fleet, groups),
        costs: Vec::new(),
    });
    let start = Instant::now();
    // One round before the first that counts.
    for round in 0..=size.rounds {
        for case in &mut cases {
            if round > 1 && start.elapsed() > DEADLINE {
                break;
            }
            let cost = case.round(size.fetches_a_round)?;
            if round > 0 {
                case.costs.push(cost);
            }
        }
    }
    report(&size, &cases, fleet.signature());
    Ok(())
}

fn report(size: &Size, cases: &[Case], signature: Duration) {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    println!("{} names; medians of rounds with {} fetches", size.names, size.fetches_a_round);
    println!("{:<30}{:>7}{:>16}{:>18}{:>7}", "", "rounds", "CPU µs a fetch", "fetches/s a core", "ratio");
    let first = cases.first().map_or(Duration::ZERO, Case::median);
    for case in cases {
        let median = case.median();
        println!(
            "{:<30}{:>7}{:>16.1}{:>18.0}{:>7.2}",
            case.title,
            case.costs.len(),
            micros(median),
            median.as_secs_f64().recip(),
            median.as_secs_f64() / first.as_secs_f64(),
        );
    }
    println!("one P-256 signature alone: {:.1} µs", micros(signature));
}

/// One way of being asked.
struct Case {
    title: &'static str,
    server: Server,
    client: Client,
    /// Processor time of the server for one fetch, by round.
    costs: Vec<Duration>,
}

impl Case {
    /// Fetches `fetches` times; what one of them cost the server.
    fn round(&self, fetches: usize) -> io::Result<Duration> {
        let before = self.server.processor_time();
        let left = AtomicUsize::new(fetches);
        thread::scope(|scope| {
            let client = || {
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    self.client.fetch(&self.server, self.server.next_host())?;
                }
                io::Result::Ok(())
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().try_for_each(|client| client.join().expect("no client panics"))
        })?;
        // Closing is work too.
        while self.server.policies.open_connections() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let spent = self.server.processor_time() - before;
        Ok(spent / u32::try_from(fetches).expect("a few"))
    }

    fn median(&self) -> Duration {
        let mut costs = self.costs.clone();
        costs.sort();
        costs.get(costs.len() / 2).copied().unwrap_or_default()
    }
}

/// A policy server on a thread of its own, serving the first names of a fleet.
struct Server {
    policies: PolicyServer,
    address: SocketAddr,
    runtime: runtime::Handle,
    hosts: Vec<PolicyHost>,
    turn: AtomicUsize,
    body: Vec<u8>,
}

impl Server {
    fn start(fleet: &Arc<Fleet>, names: usize, in_memory: usize) -> Self {
        let hosts: Vec<PolicyHost> = (0..names).map(host).collect();
        let policy = Arc::new(RenderedPolicy::of(policy()).expect("it reads back"));
        let tenant = Tenant {
            id: TenantId::parse("meadow").expect("a tenant name"),
            hosts: hosts.clone(),
            policy: Arc::clone(&policy),
            file: Path::new("mta-stsd.toml").into(),
        };
        let snapshot = SharedSnapshot::new(Snapshot::build(1, [&Arc::new(tenant)], Default::default()));
        let certificates = CertificateTable::new(fleet.clone(), in_memory);
        // One address asks for everything here, and the bucket is to be paid for but not to bite.
        let limits = Limits {
            handshakes_per_address: 1_000_000,
            handshake_burst_per_address: 1_000_000,
            ..Limits::default()
        };
        let policies = PolicyServer::new(snapshot, certificates.clone(), ChallengeTable::default(), limits);
        let (tell, told) = mpsc::channel();
        let (server, warm) = (policies.clone(), hosts.clone());
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let local = "127.0.0.1:0".parse().expect("an address");
                let listener = bind_all("listen.https", &[local]).expect("a free port").remove(0);
                for host in &warm {
                    certificates.get(host).await.expect("it parses");
                }
                let address = listener.local_addr().expect("bound");
                tell.send((address, runtime::Handle::current())).expect("it waits");
                server.run_https(listener, CancellationToken::new()).await
            })
        });
        let (address, runtime) = told.recv().expect("the server starts");
        let body = policy.body().to_vec();
        Self { policies, address, runtime, hosts, turn: AtomicUsize::new(0), body }
    }

    /// The hosts in turn.
    fn next_host(&self) -> &PolicyHost {
        let turn = self.turn.fetch_add(1, Relaxed) % self.hosts.len();
        self.hosts.get(turn).expect("within")
    }

    /// Processor time that the server's thread has used up.
    fn processor_time(&self) -> Duration {
        let (tell, told) = mpsc::channel();
        self.runtime.spawn(async move { tell.send(clock_gettime(ClockId::ThreadCPUTime)) });
        told.recv().expect("the server runs").try_into().expect("time runs forward")
    }
}

/// A sender.
struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Offers AES-256 first as OpenSSL does, and resumes nothing.
    fn new(fleet: &Fleet, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
        ];
        provider.kx_groups = groups.to_vec();
        let mut roots = RootCertStore::empty();
        roots.add(fleet.issuer.der().clone()).expect("a root");
        let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .expect("suites of TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls.resumption = Resumption::disabled();
        Self { tls: Arc::new(tls) }
    }

    /// Fetches the policy of `host`, and fails unless it is the right one.
    fn fetch(&self, server: &Server, host: &PolicyHost) -> io::Result<()> {
        let mut tcp = TcpStream::connect(server.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let name = host.as_str().to_owned().try_into().map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        let request = format!(
            "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 2048]);
        while !answer.ends_with(&server.body) {
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                octets => answer.extend(buffer.iter().take(octets)),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(io::Error::other("not a policy"));
        }
        tls.send_close_notify();
        tls.write_tls(&mut tcp).map(drop)
    }
}

/// Certificates of many names, as a store would hold them.
struct Fleet {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificates: HashMap<PolicyHost, Certificate>,
}

impl Fleet {
    fn of(names: usize) -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
        let certificates = (0..names).map(host).map(|host| (host.clone(), issue(&issuer, host))).collect();
        Self { issuer, certificates }
    }

    /// How long one signature takes, on average.
    fn signature(&self) -> Duration {
        const SIGNATURES: u32 = 500;
        let certificate = self.certificates.get(&host(0)).expect("the first");
        let key = certificate.certified_key().expect("it parses").key;
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).expect("a P-256 key");
        let processor_time = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
        let before = processor_time().expect("time runs forward");
        for _ in 0..SIGNATURES {
            black_box(signer.sign(black_box(&[7; 130]))).expect("a signature");
        }
        (processor_time().expect("time runs forward") - before) / SIGNATURES
    }
}

#[async_trait]
impl CertificateSource for Fleet {
    async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError> {
        Ok(self.certificates.get(host).cloned())
    }
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, host: PolicyHost) -> Certificate {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([host.as_str().to_owned()]).expect("a name");
    let leaf = params.signed_by(&key, issuer).expect("a certificate");
    Certificate {
        host,
        chain: vec![leaf.der().clone(), issuer.der().clone()],
        key: PrivateKey::from_pkcs8(key.serialize_der()),
        validity: Validity {
            not_before: "2026-01-01T00:00:00Z".parse().expect("a time"),
            not_after: "2036-01-01T00:00:00Z".parse().expect("a time"),
        },
        authority: "bench".to_owned(),
    }
}

fn host(number: usize) -> PolicyHost {
    let domain = DomainName::from_ascii(&format!("customer-{number}.example")).expect("a name");
    PolicyHost::of(&domain).expect("a policy host")
}

fn policy() -> Policy {
    let mx = ["mx1.mail.example", "mx2.mail.example", "*.backup.example"];
    let mx = mx.iter().map(|pattern| MxPattern::from_user(pattern).expect("a pattern")).collect();
    Policy::new(Mode::Enforce, mx, MaxAge::WEEK).expect("a policy")
}
