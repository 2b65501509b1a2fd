//! What a fleet costs that has nothing due: time until ready, memory, and processor time at rest.
//!
//! A store is filled with held certificates and their schedule, all to be renewed in weeks, and a list
//! names their domains. Then the daemon starts in a process of its own, so that nothing else is in its
//! memory; so does the reading of the configuration alone, and both again for a single name. What the
//! fleet costs over its snapshot is the difference of the differences. At last the admin page is asked,
//! each page once for itself: the first makes the index of names and a survey of the fleet.
//!
//! `cargo bench --bench fleet` takes half a minute; `cargo test --benches` only sees whether it works.

use jiff::{SignedDuration, Timestamp};
use mta_stsd::{
    acme::InternalAuthority,
    certificate::{Certificate, PrivateKey, Validity},
    clock::Clock,
    daemon::{Daemon, Signals, StandIns},
    name::{DomainName, PolicyHost},
    reload::Reloader,
    snapshot::SharedSnapshot,
    storage::{Next, Renewal, ScheduleStorage, Scheduled, SqliteStorage, Storage},
};
use rcgen::{CertificateParams, KeyPair};
use rustix::{
    process::{Signal, getpid, kill_process},
    time::{ClockId, clock_gettime},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{error::Error, fmt::Write as _, fs, net::SocketAddr, path::Path, process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Pages of the admin page that are asked for in this order, figures at the end, and what they stand for.
const PAGES: [(&str, &str); 8] = [
    ("/", "first page, with index and survey"),
    ("/", "first page"),
    ("/domains?page=900", "list of domains, page 900"),
    ("/domains?q=9999", "search in the names"),
    ("/domains?state=attention", "domains that need attention"),
    ("/domains/d0.example", "page of a domain"),
    ("/metrics", "metrics, first scrape"),
    ("/metrics", "metrics"),
];

/// Memory in MiB, and of a daemon: milliseconds until ready, until rest, a second at rest, for each page.
type Figures = [f64; 4 + PAGES.len()];

/// How much is measured.
struct Size {
    names: usize,
    rest: Duration,
}

const WHOLE: Size = Size { names: 100_000, rest: Duration::from_secs(5) };
const SMOKE: Size = Size { names: 100, rest: Duration::from_millis(100) };

/// Rows kept in one transaction.
const PAGE: usize = 1_000;

/// A daemon that takes less of a processor than this part is at rest.
const AT_REST: f64 = 0.005;

/// A daemon that does not come to rest within this is a fault.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    // cargo says so when it runs a benchmark to measure, and not when it runs all targets as tests.
    let size = if arguments.iter().any(|argument| argument == "--bench") { WHOLE } else { SMOKE };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.get(1..3) {
        Some([role, folder]) if role == "configuration" => read(Path::new(folder)),
        Some([role, folder]) if role == "daemon" => {
            runtime.block_on(run(Path::new(folder), &size)).map_err(|error| error.to_string().into())
        }
        _ => {
            let one = Fleet::of(1, &runtime)?;
            let all = Fleet::of(size.names, &runtime)?;
            report(&one, &all, &size)
        }
    }
}

fn report(one: &Fleet, all: &Fleet, size: &Size) -> Outcome<()> {
    // The first start writes down what is served.
    all.measure("daemon", size)?;
    one.measure("daemon", size)?;
    let measured = |role| Ok::<_, Box<dyn Error>>((one.measure(role, size)?, all.measure(role, size)?));
    let (configuration, daemon) = (measured("configuration")?, measured("daemon")?);
    println!("{:<38}{:>10}{:>10}", "", "1 name", format!("{} names", size.names));
    let line = |what: &str, unit: &str, pair: &(Figures, Figures), of: usize| {
        println!("{:<38}{:>10.1}{:>10.1}", format!("{what}, {unit}"), pair.0[of], pair.1[of]);
    };
    line("configuration and snapshot alone", "MiB", &configuration, 0);
    line("daemon at rest", "MiB", &daemon, 0);
    line("ready after", "ms", &daemon, 1);
    line("at rest after", "ms", &daemon, 2);
    line("processor time at rest", "ms a second", &daemon, 3);
    for (number, (_, page)) in PAGES.iter().enumerate() {
        line(page, "ms", &daemon, 4 + number);
    }
    let over = (daemon.1[0] - daemon.0[0]) - (configuration.1[0] - configuration.0[0]);
    println!("the fleet costs {over:.1} MiB over its snapshot");
    Ok(())
}

/// A folder with a configuration and a filled store.
struct Fleet {
    folder: tempfile::TempDir,
}

impl Fleet {
    fn of(names: usize, runtime: &tokio::runtime::Runtime) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let main = "[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
                    [store]\ndirectory = \"state\"\n[acme]\ndirectory = \"internal\"\n\
                    [cross_check]\nenabled = false\n[admin]\nlisten = [\"127.0.0.1:0\"]\n[policies.hosted]\nmode = \"enforce\"\n\
                    mx = [\"mx.provider.example\"]\ndomains_file = \"list.txt\"\n";
        fs::write(folder.path().join("main.toml"), main)?;
        let mut list = String::new();
        (0..names).try_for_each(|number| writeln!(list, "d{number}.example"))?;
        fs::write(folder.path().join("list.txt"), list)?;
        runtime.block_on(fill(&folder.path().join("state"), names))?;
        Ok(Self { folder })
    }

    fn measure(&self, role: &str, size: &Size) -> Outcome<Figures> {
        let whole = (size.names == WHOLE.names).then_some("--bench");
        let output = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg(self.folder.path())
            .args(whole)
            .stderr(std::process::Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let figures = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        figures.try_into().map_err(|_| format!("{role} ended with {}: {text:?}", output.status).into())
    }
}

/// Fills a store with `names` certificates of which none is to be renewed soon. All but one are copies
/// of the first, made by the database: as large as real ones, and made in seconds.
async fn fill(state: &Path, names: usize) -> Outcome<()> {
    let now = Clock::System.now();
    let in_days = |days: i64| now.saturating_add(SignedDuration::from_hours(24 * days));
    let validity = Validity { not_before: now, not_after: in_days(90)? };
    let storage = SqliteStorage::open(state, None).await?;
    storage.save_certificate(&certificate(host(0)?, validity)?).await?;
    for from in (0..names).step_by(PAGE) {
        let rows = (from..names.min(from + PAGE)).map(|number| held(host(number)?, validity, in_days(50)?));
        storage.save_schedule(&rows.collect::<Outcome<Vec<_>>>()?, &[]).await?;
    }
    storage.close().await;
    let options = SqliteConnectOptions::new().filename(state.join("mta-stsd.db"));
    let mut database = SqliteConnection::connect_with(&options).await?;
    sqlx::query(
        "INSERT INTO certificates SELECT schedule.host, one.not_before, one.not_after, one.authority,
             one.chain, one.private_key
         FROM schedule JOIN certificates AS one WHERE schedule.host <> one.host",
    )
    .execute(&mut database)
    .await?;
    Ok(database.close().await?)
}

fn host(number: usize) -> Outcome<PolicyHost> {
    Ok(PolicyHost::of(&DomainName::from_ascii(&format!("d{number}.example"))?)?)
}

/// As large as one that a public authority signs: a leaf and an intermediate.
fn certificate(host: PolicyHost, validity: Validity) -> Outcome<Certificate> {
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new([host.as_str().to_owned()])?.self_signed(&key)?;
    Ok(Certificate {
        host,
        chain: vec![leaf.der().clone(), leaf.der().clone()],
        key: PrivateKey::from_pkcs8(key.serialize_der()),
        validity,
        authority: InternalAuthority::DIRECTORY.to_owned(),
    })
}

fn held(host: PolicyHost, validity: Validity, renew_at: Timestamp) -> Outcome<Scheduled> {
    Ok(Scheduled {
        next: Next::Renew,
        next_at: renew_at,
        held: Some(validity),
        authority: Some(InternalAuthority::DIRECTORY.to_owned()),
        renewal: Renewal { at: Some(renew_at), ..Renewal::default() },
        ..Scheduled::newcomer(host, "hosted", renew_at)
    })
}

/// What the snapshot costs alone.
fn read(folder: &Path) -> Outcome<()> {
    let snapshot = SharedSnapshot::default();
    let mut reloader = Reloader::new(folder.join("main.toml"), snapshot.clone(), Clock::System);
    reloader.first().map_err(|_| "the configuration was refused")?;
    println!("{}{}", memory_in_mib()?, " 0".repeat(3 + PAGES.len()));
    Ok(())
}

/// Stops as daemons should: after a kill the next start would check the whole store.
async fn run(folder: &Path, size: &Size) -> Outcome<()> {
    let mut signals = Signals::install()?;
    let begun = Instant::now();
    let daemon = Daemon::start(&folder.join("main.toml"), StandIns::default()).await?;
    let ready = begun.elapsed();
    let page = *daemon.page().first().ok_or("there is no admin page")?;
    let (_, figures) = tokio::join!(daemon.run(&mut signals), async {
        let figures = watch(begun, size).await;
        let pages = ask_for_pages(page).await;
        kill_process(getpid(), Signal::TERM)?;
        Ok::<_, Box<dyn Error>>((figures?, pages?))
    });
    let ([memory, rest, part], pages) = figures?;
    println!("{memory} {} {rest} {part}{pages}", ready.as_secs_f64() * 1e3);
    Ok(())
}

/// Milliseconds for each of [`PAGES`], from connecting to the last octet, each after a space.
async fn ask_for_pages(page: SocketAddr) -> Outcome<String> {
    let mut figures = String::new();
    for (path, _) in PAGES {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(page).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        write!(figures, " {}", begun.elapsed().as_secs_f64() * 1e3)?;
        if !answer.starts_with("HTTP/1.1 200 ") {
            return Err(format!("{path}: {answer}").into());
        }
    }
    Ok(figures)
}

/// Memory in MiB, milliseconds from `begun` until rest, and a second at rest.
async fn watch(begun: Instant, size: &Size) -> Outcome<[f64; 3]> {
    let rest = loop {
        let before = begun.elapsed();
        if part_of_a_processor(Duration::from_millis(200)).await < AT_REST {
            break before.as_secs_f64() * 1e3;
        }
        if begun.elapsed() > PATIENCE {
            return Err("the daemon does not come to rest".into());
        }
    };
    let part = part_of_a_processor(size.rest).await;
    Ok([memory_in_mib()?, rest, part * 1e3])
}

/// How much of one processor this process takes during `time`.
async fn part_of_a_processor(time: Duration) -> f64 {
    let spent = || {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
    };
    let (begun, before) = (Instant::now(), spent());
    sleep(time).await;
    (spent() - before) / begun.elapsed().as_secs_f64()
}

/// What this process has in memory, code and database pages included.
fn memory_in_mib() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
