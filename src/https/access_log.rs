//! The access log: one line for each request to a host that is served, for those who want it.
//!
//! Not our log, which no stranger may fill: a file of its own, off unless asked for. A request costs one
//! attempt to put a record into a bounded queue and never waits; what does not fit is counted, and the
//! count is written where the lines would have stood. A writer of its own renders and writes.

use crate::{
    audit::shown,
    clock::Clock,
    config::{self, AccessLogAddresses, AccessLogFormat, AccessLogTo},
    name::PolicyHost,
};
use http::{HeaderMap, header::USER_AGENT};
use jiff::Timestamp;
use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

/// Records that wait to be written, some 200 octets each.
const QUEUE: usize = 8_192;
/// Records written in one go.
const AT_ONCE: usize = 256;
/// Octets of a user agent that are kept, and the most that is written of it, escapes included.
const USER_AGENT_OCTETS: usize = 200;
/// The least time between two warnings that nothing can be written.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Takes notes of requests; cheap to clone. The writer ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct AccessLog {
    records: mpsc::Sender<Record>,
    lost: Arc<Lost>,
    clock: Clock,
}

/// Lines that were not written.
#[derive(Debug, Default)]
struct Lost {
    /// Since the last line that tells of them.
    untold: AtomicU64,
    ever: AtomicU64,
}

impl Lost {
    fn add(&self, lines: u64) {
        // Counts for people; they order nothing.
        self.untold.fetch_add(lines, Ordering::Relaxed);
        self.ever.fetch_add(lines, Ordering::Relaxed);
    }
}

/// One request, as far as it is told.
#[derive(Debug)]
struct Record {
    at: Timestamp,
    host: PolicyHost,
    client: IpAddr,
    status: u16,
    user_agent: Option<Box<[u8]>>,
}

impl AccessLog {
    /// The log that `settings` ask for, and its writer; `None` when they ask for none.
    pub fn new(settings: &config::AccessLog, clock: Clock) -> Option<(Self, AccessLogWriter)> {
        let sink = match &settings.to {
            AccessLogTo::Nowhere => return None,
            AccessLogTo::Stderr => Sink::Stderr,
            AccessLogTo::File(path) => Sink::File { path: path.clone(), open: None },
        };
        let (sender, records) = mpsc::channel(QUEUE);
        let lost = Arc::<Lost>::default();
        let style = Style { format: settings.format, addresses: settings.addresses };
        let writer =
            AccessLogWriter { records, lost: Arc::clone(&lost), style, clock, sink, warned_at: None };
        Some((Self { records: sender, lost, clock }, writer))
    }

    /// Notes a request of `client`'s to `host`, which was answered with `status`.
    pub(super) fn note(&self, host: &PolicyHost, client: IpAddr, status: u16, headers: &HeaderMap) {
        let Ok(room) = self.records.try_reserve() else { return self.lost.add(1) };
        // Copied: a header value keeps the whole buffer that it was read into.
        let kept = |text: &[u8]| text.get(..USER_AGENT_OCTETS + 1).unwrap_or(text).into();
        let user_agent = headers.get(USER_AGENT).map(|value| kept(value.as_bytes()));
        room.send(Record { at: self.clock.now(), host: host.clone(), client, status, user_agent });
    }
}

/// Writes what an [`AccessLog`] takes note of.
#[derive(Debug)]
pub struct AccessLogWriter {
    records: mpsc::Receiver<Record>,
    lost: Arc<Lost>,
    style: Style,
    clock: Clock,
    sink: Sink,
    warned_at: Option<Instant>,
}

impl AccessLogWriter {
    /// Writes until the last [`AccessLog`] is dropped and all is written. What cannot be written is lost,
    /// and said at most once a minute; the next line is tried again.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.records.recv_many(&mut batch, AT_ONCE).await > 0 {
            let untold = self.lost.untold.swap(0, Ordering::Relaxed);
            let lines = batch.len() as u64;
            let mut text = String::new();
            for record in batch.drain(..) {
                self.style.write(&mut text, &record);
            }
            if untold > 0 {
                self.style.write_lost(&mut text, self.clock.now(), untold);
            }
            // A stuck disk holds this writer up, and nobody else.
            let mut sink = self.sink;
            let written = tokio::task::spawn_blocking(move || (sink.write(&text), sink)).await;
            let Ok((written, sink)) = written else { return };
            self.sink = sink;
            if let Err(error) = written {
                self.lost.untold.fetch_add(untold, Ordering::Relaxed);
                self.lost.add(lines);
                if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                    let lost = self.lost.ever.load(Ordering::Relaxed);
                    warn!(%error, file = %self.sink, lost, "access log not written");
                    self.warned_at = Some(Instant::now());
                }
            }
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug)]
struct Style {
    format: AccessLogFormat,
    addresses: AccessLogAddresses,
}

impl Style {
    fn write(self, text: &mut String, record: &Record) {
        let Record { at, host, status, .. } = record;
        let at = whole_seconds(*at);
        let client = match self.addresses {
            AccessLogAddresses::Full => record.client.to_string(),
            AccessLogAddresses::Prefix => prefix(record.client),
        };
        let user_agent = record.user_agent.as_deref().map(String::from_utf8_lossy);
        let written = match self.format {
            AccessLogFormat::Text => {
                let agent = user_agent.map_or("-".to_owned(), |agent| {
                    format!("\"{}\"", cut(&agent.replace('\\', r"\\").replace('"', "\\\"")))
                });
                writeln!(text, "{at} {host} {client} {status} {agent}")
            }
            AccessLogFormat::Json => {
                let agent = user_agent.map(|agent| cut(&agent));
                let line = serde_json::json!({
                    "time": at, "host": host.as_str(), "client": client, "status": status,
                    "user_agent": agent,
                });
                writeln!(text, "{line}")
            }
        };
        written.expect("text takes what is written to it");
    }

    fn write_lost(self, text: &mut String, now: Timestamp, lost: u64) {
        let now = whole_seconds(now);
        let written = match self.format {
            AccessLogFormat::Text => writeln!(text, "# {now} {lost} lines lost"),
            AccessLogFormat::Json => writeln!(text, "{}", serde_json::json!({ "time": now, "lost": lost })),
        };
        written.expect("text takes what is written to it");
    }
}

fn cut(agent: &str) -> String {
    shown(agent, USER_AGENT_OCTETS)
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The network of a client: what tells senders apart, and not the people behind them.
fn prefix(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let network = u128::from(v6) >> 80 << 80;
            format!("{}/48", std::net::Ipv6Addr::from(network))
        }
    }
}

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Stderr,
    File { path: PathBuf, open: Option<Open> },
}

/// A file to which lines are appended.
#[derive(Debug)]
struct Open {
    file: File,
    /// Device and number: which file it is, whatever its name.
    identity: (u64, u64),
    /// Whether the last line in it is not whole.
    broken: bool,
}

impl Sink {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let (path, open) = match self {
            Self::Stderr => return io::stderr().lock().write_all(text.as_bytes()),
            Self::File { path, open } => (path, open),
        };
        // Whoever rotates moves the file away, or removes it: what stands there now is written to.
        let there = fs::metadata(&*path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let mut current = match open.take().filter(|open| Some(open.identity) == there) {
            Some(current) => current,
            None => Open::at(path)?,
        };
        let mended = if current.broken { "\n" } else { "" };
        let written = current.file.write_all(format!("{mended}{text}").as_bytes());
        current.broken = written.is_err();
        *open = Some(current);
        written
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        // Addresses are about people.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { file, identity: (metadata.dev(), metadata.ino()), broken: false })
    }
}

impl std::fmt::Display for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::File { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
