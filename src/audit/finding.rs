//! One finding: what it is, what it is about, how bad it is, what was seen.

use super::FindingCode;
use crate::{name::DomainName, policy::Mode, storage::FindingRow};
use std::{cmp::Ordering, fmt, sync::Arc};

/// The most octets of evidence that are kept.
const EVIDENCE_MAX: usize = 200;

/// One thing that is not as it should be, or that is good to know.
///
/// What it is, what it is about and how bad it is make its identity; the evidence does not, because
/// what a stranger's server says may change from one look to the next.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub code: FindingCode,
    /// What it is about: a host, an address, a pattern, a sender; empty for the domain as a whole.
    pub subject: Arc<str>,
    /// How bad it is under the policy's mode.
    pub severity: Severity,
    /// What was seen, escaped and cut: strangers wrote it. Empty when the code says it all.
    pub evidence: Arc<str>,
}

impl Finding {
    /// A finding about the domain as a whole, as bad as `mode` makes it.
    pub fn about_domain(code: FindingCode, mode: Mode) -> Self {
        Self::about(code, "", mode)
    }

    /// A finding about one host, address, pattern or sender; the subject is escaped and cut.
    pub fn about(code: FindingCode, subject: &str, mode: Mode) -> Self {
        let severity = code.entry().severity(mode);
        Self { code, subject: shown(subject, EVIDENCE_MAX).into(), severity, evidence: "".into() }
    }

    /// The same finding with what was seen, escaped and cut.
    #[must_use]
    pub fn with_evidence(self, seen: &str) -> Self {
        Self { evidence: shown(seen, EVIDENCE_MAX).into(), ..self }
    }

    /// The same finding, at least as bad as `severity`; what is unknown stays so.
    #[must_use]
    pub fn at_least(self, severity: Severity) -> Self {
        match self.severity {
            Severity::Unknown => self,
            own => Self { severity: own.max(severity), ..self },
        }
    }

    /// Reads a kept finding; `None` when another version knew a code or severity that we do not.
    pub fn from_row(row: &FindingRow) -> Option<Self> {
        let code = FindingCode::parse(&row.code)?;
        let severity = Severity::ALL.into_iter().find(|severity| severity.as_str() == row.severity)?;
        Some(Self { code, subject: row.subject.as_str().into(), severity, evidence: "".into() })
    }

    /// One sentence that tells the operator of `domain` what to do.
    pub fn remedy(&self, domain: &DomainName) -> String {
        let template = self.code.entry().remedy;
        // The subject goes in last, so that nothing in it is taken for a place to fill in.
        template.replace("{domain}", domain.as_str()).replace("{subject}", &self.subject)
    }

    /// The same, where the indicator record of `domain` is known to stand at `record` in a zone of ours.
    pub fn remedy_with_record_at(&self, domain: &DomainName, record: Option<&str>) -> String {
        let remedy = self.remedy(domain);
        let Some(record) = record.filter(|_| self.code == FindingCode::IdDiffers) else { return remedy };
        remedy.replace(&format!("_mta-sts.{domain}, or where its CNAME leads"), record)
    }

    fn identity(&self) -> (FindingCode, &str, Severity) {
        (self.code, &self.subject, self.severity)
    }
}

impl PartialEq for Finding {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Finding {}

impl PartialOrd for Finding {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Finding {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

/// A stranger's text as it can be shown anywhere: whatever is not plainly visible is escaped, and
/// what is longer than `octets_max` is cut and ends in an ellipsis.
pub fn shown(text: &str, octets_max: usize) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        let escaped: String = match c {
            ' '..='~' => c.into(),
            // Letters and digits of any script; what steers direction or is invisible is neither.
            _ if c.is_alphanumeric() => c.into(),
            _ => c.escape_default().collect(),
        };
        if safe.len() + escaped.len() > octets_max {
            safe.push('…');
            break;
        }
        safe.push_str(&escaped);
    }
    safe
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is known, so nothing is claimed.
    Unknown,
    /// Good to know.
    Info,
    /// Will hurt under another mode.
    Warn,
    /// Some mail is, or under enforce would be, refused.
    Error,
    /// All mail is refused.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Info, Self::Warn, Self::Error, Self::Critical];

    /// The keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The worst severity among findings; `None` when there are none.
pub fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Option<Severity> {
    findings.into_iter().map(|finding| finding.severity).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_escaped_cut_and_no_part_of_the_identity() {
        let bare = Finding::about(FindingCode::MxNoStarttls, "mx.example.com", Mode::Enforce);
        let seen = bare.clone().with_evidence("220 \u{1b}[31mred\u{2028}\u{202e}bücher\r\n");
        assert_eq!(&*seen.evidence, "220 \\u{1b}[31mred\\u{2028}\\u{202e}bücher\\r\\n");
        assert_eq!(seen, bare);
        let long = bare.with_evidence(&"ü".repeat(1_000));
        assert!(long.evidence.ends_with('…') && long.evidence.len() <= EVIDENCE_MAX + '…'.len_utf8());
    }

    #[test]
    fn a_subject_is_never_taken_for_a_place_to_fill_in() {
        let domain = DomainName::from_ascii("example.com").unwrap();
        let finding = Finding::about(FindingCode::MxNotInPolicy, "{domain}", Mode::Enforce);
        assert!(finding.remedy(&domain).starts_with("Add \"{domain}\" to `mx`"));
    }

    #[test]
    fn the_id_is_published_where_the_record_stands() {
        let domain = DomainName::from_ascii("example.com").unwrap();
        let finding = Finding::about(FindingCode::IdDiffers, "abc", Mode::Enforce);
        let remedy = finding.remedy_with_record_at(&domain, Some("example.com.records.p.example"));
        assert!(remedy.ends_with("abc, in the TXT record at example.com.records.p.example."), "{remedy}");
        assert_eq!(finding.remedy_with_record_at(&domain, None), finding.remedy(&domain));
    }

    #[test]
    fn what_is_unknown_is_never_made_worse() {
        let unknown = Finding::about_domain(FindingCode::MxTimeout, Mode::Enforce);
        assert_eq!(unknown.at_least(Severity::Critical).severity, Severity::Unknown);
        let warn = Finding::about_domain(FindingCode::PolicyUnwise, Mode::Enforce);
        assert_eq!(warn.at_least(Severity::Error).severity, Severity::Error);
    }
}
