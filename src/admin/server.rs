//! The status socket: a unix socket of mode 0600 that answers `GET /status.json` and takes commands.

use super::{
    commands::{self, Desk},
    figures,
    health::{self, Health},
    listing::ListedHost,
    log,
    status::{
        CertificateStatus, DomainReport, EventReport, FailureReport, FindingReport, MailAddressReport,
        MailHostReport, Overview, ReloadSummary, Summary,
    },
    take_over::{self, TakeOvers},
};
use crate::{
    acme::AcmeStatus,
    alert::{AlertStatus, TargetStatus},
    audit::{Severity, shown, worst},
    clock::Clock,
    cross_check::{CrossCheckStatus, DomainStatus, MailAddress, MailHost},
    metrics::Registry,
    name::{DomainName, PolicyHost},
    policy::Mode,
    publishing::records_to_publish,
    reload::ReloadStatus,
    snapshot::{HostedPolicy, SharedSnapshot, Snapshot},
    storage::FindingEvent,
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use jiff::Timestamp;
use serde::Deserialize;
use std::{
    cmp::Reverse,
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// Where the answers come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What is served.
    pub snapshot: SharedSnapshot,
    /// Certificates and orders.
    pub acme: AcmeStatus,
    /// Findings.
    pub cross_check: CrossCheckStatus,
    /// Deliveries of alerts.
    pub alerts: AlertStatus,
    /// Edits.
    pub reload: ReloadStatus,
    /// What time it is.
    pub clock: Clock,
    /// The schedule and the authorities.
    pub desk: Desk,
    /// Whether connections should be sent here.
    pub health: Health,
    /// Where another daemon takes over.
    pub take_overs: TakeOvers,
    /// What `/metrics` shows.
    pub figures: Arc<Registry>,
    /// Whether the internal authority signs.
    pub internal_authority: bool,
    /// Whether no certificates are ordered, because a proxy in front has them.
    pub certificates_elsewhere: bool,
    /// Whether policies are compared with MX records.
    pub cross_check_enabled: bool,
}

/// The status socket, bound.
#[derive(Debug)]
pub struct AdminServer {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminServer {
    /// Binds the socket at `path` with mode 0600; a socket that a dead daemon left is replaced.
    ///
    /// # Errors
    ///
    /// When another daemon answers there, something else than a socket stands there, or the folder
    /// cannot be written.
    pub fn bind(path: &Path) -> io::Result<Self> {
        remove_left_behind(path)?;
        // The process's umask already keeps others out between these two calls.
        let listener = UnixListener::bind(path).map_err(|e| named(path, &e))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Binds a socket that takes the place of the one at `path`, whoever answers there: nobody who asks
    /// meets a moment without one.
    ///
    /// # Errors
    ///
    /// As [`Self::bind`], another daemon aside.
    pub fn replace(path: &Path) -> io::Result<Self> {
        is_socket(path)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = path.with_file_name(name);
        let bound = Self::bind(&beside)?;
        fs::rename(&beside, path).map_err(|e| named(path, &e))?;
        Ok(Self { path: path.to_owned(), ..bound })
    }

    /// Answers until `stop`, then takes the socket away unless it is another daemon's by then.
    pub async fn run(self, sources: Sources, stop: CancellationToken) {
        let take_overs = sources.take_overs.clone();
        info!(socket = %self.path.display(), "answering status questions");
        let router = questions()
            .merge(commands::routes())
            .merge(log::routes())
            .merge(take_over::routes())
            .with_state(sources);
        let served = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        if let Err(error) = served {
            error!(%error, "status socket failed");
        }
        if take_overs.socket_is_theirs() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, "status socket not removed");
        }
    }
}

/// Whether a socket stands at `path`, or nothing; an error when something else does.
fn is_socket(path: &Path) -> io::Result<bool> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(false) };
    if metadata.file_type().is_socket() {
        return Ok(true);
    }
    let problem = format!("{} is not a socket; move it, or set admin.socket to another path", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, problem))
}

/// What may be asked here and of the admin page alike: nothing that changes anything.
pub(super) fn questions() -> Router<Sources> {
    Router::new().route("/status.json", get(status)).merge(health::routes()).merge(figures::routes())
}

fn remove_left_behind(path: &Path) -> io::Result<()> {
    if !is_socket(path)? {
        return Ok(());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let problem = format!("another daemon answers at {}; stop it, or set admin.socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
    }
    fs::remove_file(path)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    let problem = format!("{}: {error}; its folder must exist and be ours (admin.socket)", path.display());
    io::Error::new(error.kind(), problem)
}

#[derive(Deserialize)]
struct Question {
    domain: Option<String>,
}

async fn status(
    State(sources): State<Sources>,
    Query(question): Query<Question>,
) -> Result<Json<Overview>, StatusCode> {
    let snapshot = sources.snapshot.load_full();
    let now = sources.clock.now();
    let domain = question.domain.as_deref().map(DomainName::from_user).transpose();
    let domain = domain.map_err(|_| StatusCode::BAD_REQUEST)?;
    // A walk over a large fleet takes milliseconds; handshakes must not wait behind it.
    let desk = sources.desk.clone();
    let asked = domain.clone();
    let gathered = tokio::task::spawn_blocking(move || gather(&sources, &snapshot, domain.as_ref(), now));
    let mut overview = gathered.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    for report in &mut overview.domains {
        report.schedule = schedule(&desk, &report.domain).await;
    }
    if let (Some(domain), [report]) = (&asked, overview.domains.as_mut_slice()) {
        report.history = history(&desk, domain).await;
    }
    Ok(Json(overview))
}

/// What was found of `domain` and when; nothing when the store cannot say, as below.
async fn history(desk: &Desk, domain: &DomainName) -> Vec<EventReport> {
    let events = desk.history.events_of(domain, DomainReport::HISTORY_MAX).await.unwrap_or_default();
    let report = |event: FindingEvent| EventReport {
        code: event.code,
        subject: event.subject,
        severity: event.severity,
        since: whole_seconds(event.since),
        until: event.until.map(whole_seconds),
    };
    events.into_iter().map(report).collect()
}

/// What is next for `domain`; nothing when the store cannot say, for the rest is as useful.
async fn schedule(desk: &Desk, domain: &str) -> Option<ListedHost> {
    let host = PolicyHost::of(&DomainName::from_ascii(domain).ok()?).ok()?;
    let mut listed = desk.scheduler.row(&host).await.ok().flatten().map(ListedHost::from)?;
    listed.next_at = listed.next_at.map(whole_seconds);
    listed.astray_since = listed.astray_since.map(whole_seconds);
    Some(listed)
}

fn gather(sources: &Sources, snapshot: &Snapshot, domain: Option<&DomainName>, now: Timestamp) -> Overview {
    let mut summary =
        Summary { generation: snapshot.generation(), domains: snapshot.len(), ..Summary::default() };
    let mut listed = Vec::new();
    let mut silence = Silence::default();
    for (host, hosted) in snapshot.iter() {
        match hosted.policy.policy().mode() {
            Mode::Enforce => summary.enforce += 1,
            Mode::Testing => summary.testing += 1,
            Mode::None => summary.none += 1,
        }
        let checked = sources.cross_check.of(&host.domain()).unwrap_or_default();
        silence.count(&checked);
        let trouble = Trouble::of(sources, host, &checked, now);
        summary.without_certificate += usize::from(trouble.without_certificate);
        summary.orders_failing += usize::from(trouble.failing);
        summary.findings_serious += usize::from(trouble.worst >= Some(Severity::Error));
        summary.findings_warn += usize::from(trouble.worst == Some(Severity::Warn));
        if trouble.needs_attention() || snapshot.len() <= Overview::DOMAINS_MAX {
            listed.push((trouble, host, hosted));
        }
    }
    let mut chosen = match domain.map(PolicyHost::of) {
        None => listed,
        Some(Ok(host)) => {
            let found = snapshot.find_host(host.as_str()).into_iter();
            let checked = sources.cross_check.of(&host.domain()).unwrap_or_default();
            found.map(|(host, hosted)| (Trouble::of(sources, host, &checked, now), host, hosted)).collect()
        }
        Some(Err(_)) => Vec::new(),
    };
    chosen.sort_by_key(|(trouble, host, _)| (Reverse(trouble.rank()), *host));
    let omitted = chosen.len().saturating_sub(Overview::DOMAINS_MAX);
    chosen.truncate(Overview::DOMAINS_MAX);
    Overview {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary,
        reload: reload_summary(&sources.reload),
        troubles: [commands::pauses(sources), troubles(&sources.acme, silence), undelivered(&sources.alerts)]
            .concat()
            .into_iter()
            .chain(sources.cross_check.troubles())
            .collect(),
        internal_authority: sources.internal_authority,
        certificates_elsewhere: sources.certificates_elsewhere,
        cross_check_off: !sources.cross_check_enabled,
        domains: chosen
            .into_iter()
            .map(|(trouble, host, hosted)| DomainReport {
                needs_attention: trouble.needs_attention(),
                ..report(sources, snapshot, host, hosted)
            })
            .collect(),
        domains_omitted: omitted,
    }
}

/// For how many domains DNS answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// Those it does.
    pub answered: usize,
    /// Those it does not, at the last question.
    pub unanswered: usize,
}

impl Silence {
    fn count(&mut self, checked: &DomainStatus) {
        self.unanswered += usize::from(checked.unanswered_since.is_some());
        self.answered += usize::from(checked.unanswered_since.is_none() && checked.answered_at.is_some());
    }

    /// A domain whose own name servers are silent is its owner's matter; all of them are ours.
    fn is_ours(self) -> bool {
        self.unanswered > 0 && self.answered == 0
    }
}

/// Whether a domain needs attention, and how much.
struct Trouble {
    without_certificate: bool,
    failing: bool,
    worst: Option<Severity>,
}

impl Trouble {
    fn of(sources: &Sources, host: &PolicyHost, checked: &DomainStatus, now: Timestamp) -> Self {
        let certificate = sources.acme.of(host);
        let is_ours = !sources.certificates_elsewhere;
        Self {
            without_certificate: is_ours && certificate.not_after.is_none_or(|not_after| not_after <= now),
            failing: is_ours && certificate.last_failure.is_some(),
            worst: worst(checked.findings.iter().map(|known| &known.finding)),
        }
    }

    fn needs_attention(&self) -> bool {
        self.without_certificate || self.failing || self.worst >= Some(Severity::Warn)
    }

    /// The higher, the worse. Without a certificate nobody can fetch the policy, which is as bad as
    /// mail refused under it; a renewal that fails has weeks left.
    fn rank(&self) -> Option<Severity> {
        let certificate = match (self.without_certificate, self.failing) {
            (true, _) => Some(Severity::Error),
            (false, true) => Some(Severity::Warn),
            (false, false) => None,
        };
        certificate.max(self.worst)
    }
}

/// Alerts that nobody takes.
pub(super) fn undelivered(alerts: &AlertStatus) -> Vec<String> {
    let told = |target: TargetStatus| {
        let (why, since) = target.trouble?;
        Some(format!("alert {} not delivered since {}: {why}", target.alert, whole_seconds(since)))
    };
    alerts.targets().into_iter().filter_map(told).collect()
}

pub(super) fn troubles(acme: &AcmeStatus, silence: Silence) -> Vec<String> {
    let overview = acme.overview();
    let mut troubles = Vec::new();
    if let Some(trouble) = &overview.storage_trouble {
        troubles.push(format!("no orders while the store cannot be written: {trouble}"));
    }
    if overview.unsaved > 0 {
        troubles.push(format!("certificates served but not stored yet: {}", overview.unsaved));
    }
    if silence.is_ours() {
        troubles.push("dns does not answer mx lookups; check the resolvers (dns.servers)".to_owned());
    }
    troubles
}

pub(super) fn reload_summary(reload: &ReloadStatus) -> ReloadSummary {
    let state = reload.load();
    let refused = state.faults.iter().filter(|fault| fault.holds_back());
    ReloadSummary {
        served_since: state.since.map(whole_seconds),
        server_refused: state.server_refused,
        tenants_refused: state.refused.clone(),
        refused: refused.map(|fault| fault.render(false) + "\n").collect(),
        needs_restart: state.needs_restart.clone(),
    }
}

/// People and their scripts read these times; nobody is helped by fractions.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

pub(super) fn report(
    sources: &Sources,
    snapshot: &Snapshot,
    host: &PolicyHost,
    hosted: &HostedPolicy,
) -> DomainReport {
    let domain = host.domain();
    let certificate = sources.acme.of(host);
    let checked = sources.cross_check.of(&domain).unwrap_or_default();
    let held = certificate.not_after.zip(certificate.renew_at);
    let record_at = snapshot.publish().record_target(host).map(|(_, name)| name);
    DomainReport {
        needs_attention: false,
        tenant: hosted.tenant.to_string(),
        mode: hosted.policy.policy().mode().to_string(),
        policy_id: hosted.policy.id().to_string(),
        policy: String::from_utf8_lossy(hosted.policy.body()).into_owned(),
        records: records_to_publish(host, hosted.policy.id(), snapshot.publish(), &[])
            .into_iter()
            .map(Into::into)
            .collect(),
        certificate: held.map(|(not_after, renew_at)| CertificateStatus {
            not_after: whole_seconds(not_after),
            renew_at: whole_seconds(renew_at),
        }),
        failure: certificate.last_failure.map(|failure| FailureReport {
            kind: failure.kind,
            detail: failure.detail,
            attempts: failure.attempts,
            retry_at: whole_seconds(failure.retry_at),
        }),
        ordering: certificate.in_flight,
        schedule: None,
        history: Vec::new(),
        findings: checked
            .findings
            .iter()
            .map(|known| FindingReport {
                code: known.finding.code.as_str().to_owned(),
                subject: known.finding.subject.to_string(),
                evidence: known.finding.evidence.to_string(),
                severity: known.finding.severity.as_str().to_owned(),
                remedy: known.finding.remedy_with_record_at(&domain, record_at.as_deref()),
                since: whole_seconds(known.since),
                raised: known.raised,
            })
            .collect(),
        checked_at: checked.checked_at.map(whole_seconds),
        answered_at: checked.answered_at.map(whole_seconds),
        audited_at: checked.audited_at.map(whole_seconds),
        mail_hosts: checked.last_audit.iter().flat_map(|audit| &audit.hosts).map(mail_host).collect(),
        domain: domain.to_string(),
    }
}

fn mail_host(host: &MailHost) -> MailHostReport {
    let address = |one: &MailAddress| MailAddressReport {
        address: one.address.to_string(),
        transport: one.transport.as_str().to_owned(),
        good: one.transport.is_good(),
        looked_at: one.looked_at.map(whole_seconds),
        certificate_ends: one.certificate_ends.map(whole_seconds),
    };
    MailHostReport {
        host: shown(host.host.as_str(), DomainName::LONGEST),
        preference: host.preference,
        allowed: host.allowed,
        addresses: host.addresses.iter().map(address).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_is_our_trouble_when_it_answers_for_nobody() {
        for (answered, unanswered, ours) in [(0, 0, false), (5, 0, false), (5, 2, false), (0, 1, true)] {
            let silence = Silence { answered, unanswered };
            assert_eq!(!troubles(&AcmeStatus::default(), silence).is_empty(), ours, "{silence:?}");
        }
    }

    #[test]
    fn the_worst_stands_first_and_a_note_needs_no_attention() {
        let trouble = |without_certificate, failing, worst| Trouble { without_certificate, failing, worst };
        let worst_first = [
            trouble(false, false, Some(Severity::Critical)),
            trouble(true, true, Some(Severity::Warn)),
            trouble(false, true, None),
            trouble(false, false, Some(Severity::Info)),
            trouble(false, false, None),
        ];
        assert!(worst_first.windows(2).all(|pair| pair[0].rank() > pair[1].rank()));
        assert_eq!(worst_first.map(|trouble| trouble.needs_attention()), [true, true, true, false, false]);
    }
}
