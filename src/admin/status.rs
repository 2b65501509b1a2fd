//! What `mta-stsd status` shows, as data: gathered from the tables, sent as JSON, printed by the
//! command line. The JSON form is an interface: fields are added, never renamed.

use super::listing::ListedHost;
use crate::publishing::DnsRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Version of the daemon that answers.
    pub version: String,
    /// Counts over everything served.
    pub summary: Summary,
    /// How the last reload went.
    pub reload: ReloadSummary,
    /// Trouble of ours, not of one domain; empty when there is none.
    pub troubles: Vec<String>,
    /// Whether certificates come from the internal authority, whose root no sender trusts.
    #[serde(default)]
    pub internal_authority: bool,
    /// Whether no certificates are ordered, because there is no `listen.https`: they are the affair of the
    /// proxy in front.
    #[serde(default)]
    pub certificates_elsewhere: bool,
    /// Whether policies are not compared with MX records, because `cross_check.enabled` is false.
    #[serde(default)]
    pub cross_check_off: bool,
    /// The domain asked for; or, without one, those that need attention (all of them in a small
    /// fleet), the worst first, at most [`Overview::DOMAINS_MAX`].
    pub domains: Vec<DomainReport>,
    /// Domains left out of `domains`.
    pub domains_omitted: usize,
}

impl Overview {
    /// The most domains in one overview.
    pub const DOMAINS_MAX: usize = 50;
}

/// Counts over everything served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Which snapshot of this process is served.
    pub generation: u64,
    /// Domains served.
    pub domains: usize,
    /// Domains by mode.
    pub enforce: usize,
    /// Domains by mode.
    pub testing: usize,
    /// Domains by mode.
    pub none: usize,
    /// Domains without a certificate that is valid now.
    pub without_certificate: usize,
    /// Domains whose last order failed.
    pub orders_failing: usize,
    /// Domains with findings of severity error or critical.
    pub findings_serious: usize,
    /// Domains whose worst finding is a warning: it will hurt under another mode.
    #[serde(default)]
    pub findings_warn: usize,
}

/// How the last reload went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadSummary {
    /// When what is served was put there.
    pub served_since: Option<Timestamp>,
    /// Whether the server's part of the files is refused, so that nothing of the edit is applied.
    #[serde(default)]
    pub server_refused: bool,
    /// The tenants that are not served as written, at most a hundred of them.
    #[serde(default)]
    pub tenants_refused: Vec<String>,
    /// The faults of the refused edit, as `check` prints them; empty when nothing was refused.
    pub refused: String,
    /// Keys whose change waits for a restart.
    pub needs_restart: Vec<String>,
}

/// Everything about one policy domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainReport {
    /// The policy domain.
    pub domain: String,
    /// Whether it has no valid certificate, an order of it failed, or a finding is more than a note.
    #[serde(default)]
    pub needs_attention: bool,
    /// Who owns it.
    pub tenant: String,
    /// What senders do with its policy.
    pub mode: String,
    /// The id of the policy served.
    pub policy_id: String,
    /// The policy text as served.
    pub policy: String,
    /// The records to publish; what the policy host points to is missing while `[publish]` does not say it.
    pub records: Vec<DnsRecord>,
    /// Its certificate, when one is held.
    pub certificate: Option<CertificateStatus>,
    /// The last failed order since the last success.
    pub failure: Option<FailureReport>,
    /// Whether an order is in flight.
    pub ordering: bool,
    /// What is next for its certificate, as in the listing of certificates.
    #[serde(default)]
    pub schedule: Option<ListedHost>,
    /// What the cross-check has to say.
    pub findings: Vec<FindingReport>,
    /// When its MX records were last looked up.
    pub checked_at: Option<Timestamp>,
    /// When DNS last answered; findings are as old as this.
    pub answered_at: Option<Timestamp>,
    /// When it was last audited.
    #[serde(default)]
    pub audited_at: Option<Timestamp>,
    /// Its mail hosts as the last audit saw them; empty before the first of this process.
    #[serde(default)]
    pub mail_hosts: Vec<MailHostReport>,
    /// What was raised on earlier days and what is raised now, the latest change first, at most
    /// [`DomainReport::HISTORY_MAX`]; empty unless this domain was asked for.
    #[serde(default)]
    pub history: Vec<EventReport>,
}

impl DomainReport {
    /// The most events of one domain in an answer.
    pub const HISTORY_MAX: usize = 100;
}

/// A raised finding from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReport {
    /// Stable code.
    pub code: String,
    /// What it was about; empty for the domain as a whole.
    pub subject: String,
    /// Severity keyword.
    pub severity: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was seen no more; null while it is there.
    pub until: Option<Timestamp>,
}

/// One MX host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailHostReport {
    /// Its name, escaped.
    pub host: String,
    /// Lower is tried first.
    pub preference: u16,
    /// Whether the policy allows it.
    pub allowed: bool,
    /// Where it leads.
    pub addresses: Vec<MailAddressReport>,
}

/// One address of an MX host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAddressReport {
    /// The address.
    pub address: String,
    /// What came of the look: `secured`, `bad_certificate`, `not_dialled`, or why TLS did not come up.
    pub transport: String,
    /// Whether mail to it is protected; `null` where nothing is proven.
    pub good: Option<bool>,
    /// When it was looked at.
    pub looked_at: Option<Timestamp>,
    /// When its certificate ends.
    pub certificate_ends: Option<Timestamp>,
}

/// A certificate that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Last moment of its validity.
    pub not_after: Timestamp,
    /// When it will be renewed.
    pub renew_at: Timestamp,
}

/// A failed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    /// Sort of failure.
    pub kind: String,
    /// What the authority or the network said, escaped.
    pub detail: String,
    /// Failures in a row.
    pub attempts: u32,
    /// When it is tried again.
    pub retry_at: Timestamp,
}

/// One finding of the cross-check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingReport {
    /// Stable code.
    pub code: String,
    /// What it is about: a host, an address, a pattern; empty for the domain as a whole.
    #[serde(default)]
    pub subject: String,
    /// Severity keyword.
    pub severity: String,
    /// What was seen, escaped; empty where the code says it all, and after a restart until it is seen again.
    #[serde(default)]
    pub evidence: String,
    /// What to do about it, in a sentence.
    pub remedy: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// Whether it is certain enough to be told by alerts.
    #[serde(default)]
    pub raised: bool,
}
