//! How many audits a second the daemon's slow round makes with the default settings.
//!
//! The loop, the auditor and the SQLite store are the real ones. Every domain has a policy host and a mail host of its
//! own on loopback, both with TLS, and every audit speaks to both anew: two fetches, four SMTP sessions.
//! DNS answers are computed and cost nothing. The servers run in this process, too, so that less would be
//! used, and more be made, where they are others'. Once they answer at once, which shows what an audit
//! costs here; and once each answer of theirs is 200 ms late, as from another continent.
//!
//! `cargo bench --bench audits` takes half a minute; `cargo test --benches` only sees whether it works.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use jiff::Timestamp;
use mta_stsd::{
    audit::{Auditor, Expected, Look, Observations, Pace, Scope},
    certificate::presented::Roots,
    clock::Clock,
    config::{self, Publish, Tenant, TenantId},
    cross_check::{CrossCheck, Expectations},
    dialing::Reach,
    dns::{
        Addresses, Answer, CaaAnswer, DnsName, Lookup, MxAnswer, MxRecord, TlsaAnswer, TxtAnswer, Unanswered,
        caa::{CaaIdentity, Method},
    },
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
    policy_fetch::{self, Fetcher},
    snapshot::{SharedSnapshot, Snapshot},
    starttls::{self, Outcome as Ended, Prober},
    storage::{SqliteStorage, Storage},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::time::{ClockId, clock_gettime};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::{
    collections::HashMap,
    convert::Infallible,
    error::Error,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// More than are audited in one measurement need not exist: each is due again at once.
const DOMAINS: u32 = 200;
const DAY: Duration = Duration::from_secs(86_400);
const FAR: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Outcome<()> {
    // cargo says so when it runs a benchmark to measure, and not when it runs all targets as tests.
    let whole = std::env::args().any(|argument| argument == "--bench");
    if !whole {
        return measure("smoke", Duration::ZERO, Duration::from_millis(500), 4).await;
    }
    println!("100,000 domains once a day are {:.2} audits/s", 100_000.0 / DAY.as_secs_f64());
    measure("at once", Duration::ZERO, Duration::from_secs(10), DOMAINS).await?;
    measure("200 ms late", FAR, Duration::from_secs(15), DOMAINS).await
}

/// Audits again and again for a while, and prints what that came to.
async fn measure(what: &str, late: Duration, during: Duration, domains: u32) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let policy = Policy::new(Mode::Enforce, vec![MxPattern::from_ascii("*.mail.example")?], MaxAge::WEEK)?;
    let policy = Arc::new(RenderedPolicy::of(policy)?);
    let far = Far::start(Arc::clone(&policy), late, domains).await?;
    let hosts = (0..domains).map(|n| Ok(PolicyHost::of(&DomainName::from_ascii(&format!("d{n}.example"))?)?));
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("meadow").ok_or("no tenant")?,
        hosts: hosts.collect::<Outcome<_>>()?,
        policy: Arc::clone(&policy),
        file: Path::new("meadow.toml").into(),
    });
    let snapshot = SharedSnapshot::new(Snapshot::build(1, [&tenant], Publish::default()));
    let lookup: Arc<dyn Lookup> = Arc::new(Computed { id: policy.id().as_str().to_owned() });
    let (reach, roots) = (Reach { allow_private: true, own: vec![] }, vec![Arc::clone(&far.roots)]);
    let settings = starttls::Settings::new("probe.example", roots.clone());
    let prober = Prober::new(starttls::Settings { port: far.smtp, ..settings }, reach.clone());
    let settings = policy_fetch::Settings { port: far.https, roots, ..policy_fetch::Settings::default() };
    let fetcher = Fetcher::new(settings, reach.clone());
    let now = Duration::ZERO;
    let anew = Pace { good: now, doubtful: now, doubtful_again: now, apart: now, ..Pace::ONE_RUN };
    let auditor = Auditor::paced(Arc::clone(&lookup), Some(prober), fetcher, reach, anew);
    let eye = Arc::new(Eye { auditor, good: 0.into(), bad: 0.into(), micros: 0.into() });
    // The defaults, but everything is always due.
    let settings = config::CrossCheck {
        period: DAY,
        audit_every: Duration::from_millis(100),
        audit_recheck: Duration::from_millis(10),
        ..config::CrossCheck::default()
    };
    let at_once = settings.audits_at_once;
    let store = Arc::new(SqliteStorage::open(&folder.path().join("state"), None).await?);
    let kept = Arc::clone(&store) as Arc<dyn Storage>;
    let check = CrossCheck::new(snapshot, lookup, kept, Clock::System, settings, &config::Dns::default());
    let check = check.auditing(Arc::clone(&eye) as _, Arc::new(Served), true);
    let (stop, began, used) = (CancellationToken::new(), Instant::now(), processor_time());
    let running = tokio::spawn(check.run(stop.clone()));
    sleep(during).await;
    let (elapsed, used) = (began.elapsed().as_secs_f64(), processor_time() - used);
    let [good, bad, micros] = [&eye.good, &eye.bad, &eye.micros].map(|n| n.load(Ordering::Relaxed));
    stop.cancel();
    running.await?;
    store.close().await;
    if good == 0 || bad > 0 {
        return Err(format!("{good} audits saw what is there, {bad} did not").into());
    }
    let done = good as f64;
    println!(
        "{what:>12}: {:8.1} audits/s, {at_once} at once, {:.2} s each, {:.1} ms of processor time each",
        done / elapsed,
        micros as f64 / 1e6 / done,
        used * 1e3 / done,
    );
    Ok(())
}

/// Seconds of processor time that this process has used.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Looks, and notes how long it took and whether it saw what is there.
struct Eye {
    auditor: Auditor,
    good: AtomicU64,
    bad: AtomicU64,
    micros: AtomicU64,
}

#[async_trait::async_trait]
impl Look for Eye {
    async fn look(
        &self,
        domain: &DomainName,
        scope: Scope,
        expected: Option<Expected>,
        now: Timestamp,
    ) -> Observations {
        let began = Instant::now();
        let seen = self.auditor.look(domain, scope, expected, now).await;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let probes: Vec<_> = seen.hosts.iter().flat_map(|host| &host.probes).collect();
        let secured = |probe: &&Arc<starttls::Probe>| {
            probe.outcome == Ended::Secured && probe.tls.as_ref().is_some_and(|tls| tls.chain.is_accepted())
        };
        let served = |fetch: &policy_fetch::Fetch| matches!(&fetch.outcome, policy_fetch::Outcome::Answered(answered) if answered.status == 200);
        let good = probes.len() == 1 && probes.iter().all(secured);
        let good = good && seen.fetches.len() == 2 && seen.fetches.iter().all(served);
        if good { &self.good } else { &self.bad }.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        seen
    }
}

/// Everything is served.
struct Served;

#[async_trait::async_trait]
impl Expectations for Served {
    async fn addresses(&self) -> Vec<IpAddr> {
        vec![]
    }
    async fn issuer(&self) -> Option<(CaaIdentity, Vec<Method>)> {
        None
    }
    async fn is_served(&self, _: &PolicyHost) -> bool {
        true
    }
}

struct Computed {
    id: String,
}

#[async_trait::async_trait]
impl Lookup for Computed {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let host = DnsName::new(&format!("mx-{}.mail.example", domain.as_str().trim_end_matches(".example")));
        Ok(Answer::new(MxAnswer::Records(vec![MxRecord { preference: 10, host }]), Some(DAY)))
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        let digits: String = name.as_str().chars().filter(char::is_ascii_digit).collect();
        let [.., c, d] = digits.parse::<u32>().unwrap_or_default().to_be_bytes();
        Ok(Addresses { a: vec![Ipv4Addr::new(127, 1, c, d)], exists: true, ..Addresses::default() })
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        if !name.as_str().starts_with("_mta-sts.") {
            return Ok(Answer::new(TxtAnswer::default(), Some(DAY)));
        }
        let records = vec![vec![format!("v=STSv1; id={};", self.id).into_bytes()]];
        Ok(Answer::new(TxtAnswer { records, exists: true, ..TxtAnswer::default() }, Some(DAY)))
    }

    async fn tlsa(&self, _: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        Ok(Answer::default())
    }

    async fn caa(&self, _: &DnsName) -> Result<CaaAnswer, Unanswered> {
        Ok(CaaAnswer::default())
    }
}

/// The servers; they end when dropped.
struct Far {
    smtp: u16,
    https: u16,
    roots: Arc<Roots>,
    _tasks: JoinSet<()>,
}

/// A certificate of its own for each name, and any for whoever names none.
#[derive(Debug)]
struct ByName {
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.by_name.get(name));
        named.or_else(|| self.by_name.values().next()).cloned()
    }
}

impl Far {
    async fn start(policy: Arc<RenderedPolicy>, late: Duration, domains: u32) -> Outcome<Self> {
        let (root, by_name) = certificates(domains)?;
        let by_name = Arc::new(ByName { by_name });
        let config = |alpn: &[&[u8]]| -> Outcome<TlsAcceptor> {
            let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
            let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
            let mut config = config.with_cert_resolver(Arc::clone(&by_name) as _);
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        let (mail_tls, web_tls) = (config(&[])?, config(&[b"h2", b"http/1.1"])?);
        let mail = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let web = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let (smtp, https) = (mail.local_addr()?.port(), web.local_addr()?.port());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = mail.accept().await {
                let tls = mail_tls.clone();
                // Whoever hangs up ends a session; that is no fault here.
                tokio::spawn(async move { drop(smtp_session(stream, tls, late).await) });
            }
        });
        let body = policy.body().clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = web.accept().await {
                let (tls, body) = (web_tls.clone(), body.clone());
                tokio::spawn(async move { drop(https_session(stream, tls, body, late).await) });
            }
        });
        Ok(Self { smtp, https, roots: Arc::new(Roots::of(vec![root])), _tasks: tasks })
    }
}

type Certificates = (CertificateDer<'static>, HashMap<String, Arc<CertifiedKey>>);

fn certificates(domains: u32) -> Outcome<Certificates> {
    let now = Clock::System.now().as_second();
    let dated = |mut params: CertificateParams| -> Outcome<CertificateParams> {
        params.not_before = OffsetDateTime::from_unix_timestamp(now - 86_400)?;
        params.not_after = OffsetDateTime::from_unix_timestamp(now + 80 * 86_400)?;
        Ok(params)
    };
    let mut params = dated(CertificateParams::default())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut by_name = HashMap::new();
    for name in (0..domains).flat_map(|n| [format!("mta-sts.d{n}.example"), format!("mx-d{n}.mail.example")])
    {
        let key = KeyPair::generate()?;
        let leaf = dated(CertificateParams::new([name.clone()])?)?.signed_by(&key, &issuer)?;
        let key = aws_lc_rs::sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        by_name.insert(name, Arc::new(CertifiedKey::new(vec![leaf.into()], key)));
    }
    Ok((issuer.der().clone(), by_name))
}

async fn https_session(stream: TcpStream, tls: TlsAcceptor, body: Bytes, late: Duration) -> Outcome<()> {
    sleep(late).await;
    let stream = tls.accept(stream).await?;
    let service = service_fn(move |_: http::Request<Incoming>| {
        let body = Full::new(body.clone());
        async move {
            sleep(late).await;
            let mut response = Response::new(body);
            let plain = http::HeaderValue::from_static("text/plain");
            response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
            Ok::<_, Infallible>(response)
        }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    let served = http.serve_connection(TokioIo::new(stream), service).await;
    served.map_err(|error| error as Box<dyn Error>)
}

async fn smtp_session(stream: TcpStream, tls: TlsAcceptor, late: Duration) -> Outcome<()> {
    let mut stream = BufReader::new(stream);
    sleep(late).await;
    stream.write_all(b"220 mx.example ESMTP\r\n").await?;
    if !smtp_talk(&mut stream, "250-mx.example\r\n250 STARTTLS\r\n", late).await? {
        return Ok(());
    }
    sleep(late).await;
    let mut stream = BufReader::new(tls.accept(stream.into_inner()).await?);
    smtp_talk(&mut stream, "250 mx.example\r\n", late).await?;
    Ok(())
}

/// Answers until STARTTLS, which is true, or the end.
async fn smtp_talk<S>(stream: &mut BufReader<S>, ehlo: &str, late: Duration) -> Outcome<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        sleep(late).await;
        match line.trim() {
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await?;
                return Ok(true);
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(false);
            }
            _ => stream.write_all(ehlo.as_bytes()).await?,
        }
        stream.flush().await?;
    }
}
