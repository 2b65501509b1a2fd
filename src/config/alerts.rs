//! `[[alerts]]`: who is told of findings, by a webhook or by a command.
//!
//! Only the main file may have them: a drop-in belongs to a tenant, and a tenant must not name
//! addresses that we call or commands that we run.

use super::{
    credentials,
    fault::quoted,
    file::{Reading, Table, Written},
};
use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// More alerts than anybody reads.
const ALERTS_MAX: usize = 16;
/// The longest name, in octets.
const NAME_MAX: usize = 64;
/// The most arguments of a command.
const ARGUMENTS_MAX: usize = 64;
const SECOND: Duration = Duration::from_secs(1);

/// One `[[alerts]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name; what it has delivered is kept under it.
    pub name: String,
    /// Where to.
    pub target: AlertTarget,
    /// Findings milder than this are not told.
    pub min_severity: AlertSeverity,
    /// How long findings are gathered before they are told together.
    pub group_wait: Duration,
    /// Whether the end of a finding is told as well.
    pub resolved: bool,
}

/// Where an alert goes.
#[derive(Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// A JSON document by POST.
    Webhook {
        /// `https`, or `http` to this host itself; never shown, it may hold a secret.
        url: String,
        /// File with the secret that signs; read again for every delivery.
        secret_file: Option<PathBuf>,
        /// PEM file with roots to trust beside the system's; read again for every delivery.
        root_file: Option<PathBuf>,
        /// What the document looks like.
        format: AlertFormat,
        /// The longest one delivery may take.
        timeout: Duration,
    },
    /// A JSON document on the standard input of a command.
    Command {
        /// The program, by its whole path, and its arguments.
        argv: Vec<String>,
        /// When it is killed with all its children.
        timeout: Duration,
    },
}

impl fmt::Debug for AlertTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { url, secret_file, root_file, format, timeout } => {
                f.debug_tuple("Webhook").field(&(url, secret_file, root_file, format, timeout)).finish()
            }
            Self::Command { argv, timeout } => f.debug_tuple("Command").field(&(argv, timeout)).finish(),
        }
    }
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertFormat {
    /// Our own document, `mta-stsd-alert/1`.
    Json,
    /// A message for Slack and for what understands its incoming webhooks.
    Slack,
}

/// How bad a finding is, as far as alerts ask; what is unknown is never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// Will hurt under another mode.
    Warn,
    /// Some mail is, or under enforce would be, refused.
    Error,
    /// All mail is refused.
    Critical,
}

impl AlertSeverity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warn, Self::Error, Self::Critical];

    /// The keyword, the same as that of a finding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The severity of that keyword; `None` for "unknown" and for what is none.
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == keyword)
    }
}

/// Reads every `[[alerts]]`; what is wrong is left as a fault with `reading`.
pub(super) fn read(root: &mut Table<'_, '_>, reading: &Reading<'_>, folder: &Path) -> Vec<Alert> {
    if !root.has("alerts") {
        return Vec::new();
    }
    let span = root.span_of("alerts");
    let mut alerts: Vec<Alert> = Vec::new();
    for mut table in root.tables("alerts") {
        let place = table.span_of("name");
        let alert = alert(&mut table, reading, folder);
        table.finish();
        let Some(alert) = alert else { continue };
        if alerts.iter().any(|other| other.name == alert.name) {
            let problem = format!("two alerts have the name {}", quoted(&alert.name));
            reading.fault(place, "alerts.name", problem, "give each one a name of its own");
        }
        alerts.push(alert);
    }
    if alerts.len() > ALERTS_MAX {
        let problem = format!("there are {} alerts", alerts.len());
        reading.fault(span, "alerts", problem, format!("write at most {ALERTS_MAX}"));
    }
    alerts
}

fn alert(table: &mut Table<'_, '_>, reading: &Reading<'_>, folder: &Path) -> Option<Alert> {
    let name = name(table, reading);
    let mut timeout = 10 * SECOND;
    let mut group_wait = 60 * SECOND;
    for (key, target, least, most) in [
        ("timeout", &mut timeout, SECOND, 300 * SECOND),
        ("group_wait", &mut group_wait, SECOND, 3_600 * SECOND),
    ] {
        if let Some(written) = table.duration(key, least..=most) {
            *target = written.value;
        }
    }
    let words = AlertSeverity::ALL.map(|severity| (severity.as_str(), severity));
    let min_severity = one_of(table, reading, "min_severity", &words).unwrap_or(AlertSeverity::Error);
    let resolved = table.flag("resolved").unwrap_or(true);
    let target = target(table, reading, folder, timeout);
    Some(Alert { name: name?, target: target?, min_severity, group_wait, resolved })
}

fn name(table: &mut Table<'_, '_>, reading: &Reading<'_>) -> Option<String> {
    let place = table.span();
    if !table.has("name") && !table.is_misspelt("name") {
        let remedy = "write name = \"…\"; what was delivered is kept under it";
        reading.fault(place, "alerts.name", "an alert has no name", remedy);
    }
    let Written { value, span } = table.text("name")?;
    let valid = (1..=NAME_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !valid {
        let problem = format!("{} is no name for an alert", quoted(&value));
        reading.fault(span, "alerts.name", problem, "use 1 to 64 of A-Z a-z 0-9 . _ -");
    }
    valid.then_some(value)
}

fn target(
    table: &mut Table<'_, '_>,
    reading: &Reading<'_>,
    folder: &Path,
    timeout: Duration,
) -> Option<AlertTarget> {
    let (place, by_url, by_command) = (table.span(), table.has("url"), table.has("command"));
    if by_url == by_command && !table.is_misspelt("url") && !table.is_misspelt("command") {
        let problem = if by_url { "an alert has both url and command" } else { "an alert goes nowhere" };
        reading.fault(place, "alerts", problem, "write either url = \"https://…\" or command = [\"/…\"]");
    }
    for key in ["secret_file", "root_file", "format"].into_iter().filter(|key| by_command && table.has(key)) {
        let problem = format!("{key} has no meaning for a command");
        reading.fault(table.span_of(key), &table.key(key), problem, "take it out");
    }
    let url = url(table, reading);
    let secret_file = credentials::file(table, reading, folder, "secret_file");
    let root_file = credentials::file(table, reading, folder, "root_file");
    let words = [("json", AlertFormat::Json), ("slack", AlertFormat::Slack)];
    let format = one_of(table, reading, "format", &words).unwrap_or(AlertFormat::Json);
    let argv = command(table, reading);
    match (url, argv) {
        (Some(url), _) => Some(AlertTarget::Webhook { url, secret_file, root_file, format, timeout }),
        (None, Some(argv)) => Some(AlertTarget::Command { argv, timeout }),
        (None, None) => None,
    }
}

fn url(table: &mut Table<'_, '_>, reading: &Reading<'_>) -> Option<String> {
    let Written { value, span } = table.text("url")?;
    let uri = value.parse::<http::Uri>().ok();
    let good = uri.is_some_and(|uri| match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) => !host.is_empty(),
        (Some("http"), Some(host)) => is_loopback(host),
        _ => false,
    });
    if !good {
        // Not shown: such addresses often are secrets.
        let remedy = "write a whole address with https://; http:// only to 127.0.0.1, [::1] or localhost";
        reading.fault(span, "alerts.url", "url is not an https address", remedy);
    }
    good.then_some(value)
}

/// Whether a URL's host is this machine, whatever DNS says.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn command(table: &mut Table<'_, '_>, reading: &Reading<'_>) -> Option<Vec<String>> {
    let Written { value, span } = table.texts("command")?;
    let argv: Vec<String> = value.into_iter().map(|text| text.value).collect();
    let whole = argv.first().is_some_and(|program| Path::new(program).is_absolute());
    let good = whole && argv.len() <= ARGUMENTS_MAX && argv.iter().all(|argument| !argument.contains('\0'));
    if !good {
        let remedy = "write [\"/whole/path/of/program\", \"argument\", …]; no shell reads it";
        reading.fault(span, "alerts.command", "command is not a program with its whole path", remedy);
    }
    good.then_some(argv)
}

fn one_of<T: Copy>(
    table: &mut Table<'_, '_>,
    reading: &Reading<'_>,
    key: &'static str,
    words: &[(&str, T)],
) -> Option<T> {
    let Written { value, span } = table.text(key)?;
    let found = words.iter().find(|(word, _)| *word == value);
    if found.is_none() {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let problem = format!("{key} is {}", quoted(&value));
        reading.fault(span, &table.key(key), problem, format!("write one of {}", known.join(", ")));
    }
    found.map(|(_, meaning)| *meaning)
}
