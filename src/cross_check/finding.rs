//! What the comparison can find, how bad it is, and what to do about it.

use crate::{
    name::DomainName,
    policy::{Mode, Policy},
    storage::FindingRow,
};
use std::{fmt, sync::Arc};

/// One thing the cross-check saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub code: FindingCode,
    /// The MX host or pattern it is about; empty for the domain as a whole.
    pub subject: Arc<str>,
    /// How bad it is under the policy's mode.
    pub severity: Severity,
}

impl Finding {
    /// A finding about the domain as a whole, as bad as the policy's mode makes it.
    pub(super) fn about_domain(code: FindingCode, policy: &Policy) -> Self {
        Self::about(code, "", policy)
    }

    /// A finding about one MX host or pattern.
    pub(super) fn about(code: FindingCode, subject: &str, policy: &Policy) -> Self {
        Self { code, subject: subject.into(), severity: code.severity(policy.mode()) }
    }

    /// Reads a kept finding; `None` when another version knew a code or severity that we do not.
    pub fn from_row(row: &FindingRow) -> Option<Self> {
        let code = FindingCode::ALL.into_iter().find(|code| code.as_str() == row.code)?;
        let severity = Severity::ALL.into_iter().find(|severity| severity.as_str() == row.severity)?;
        Some(Self { code, subject: row.subject.as_str().into(), severity })
    }

    /// One sentence that tells the operator of `domain` what to do.
    pub fn remedy(&self, domain: &DomainName) -> String {
        let subject = &self.subject;
        match self.code {
            FindingCode::MxNotInPolicy => format!(
                "Add \"{subject}\" to `mx` in the policy of {domain}, or remove it from the MX records of {domain}."
            ),
            FindingCode::NoMxCovered => format!(
                "Make `mx` in the policy of {domain} list the hosts of its MX records, or set `mode = \"none\"` \
                 until it does: under \"enforce\" no mail can be delivered."
            ),
            FindingCode::MxPatternUnused => format!(
                "Remove \"{subject}\" from `mx` in the policy of {domain} unless an MX record for it is about to come."
            ),
            FindingCode::MxIsIp => format!(
                "Let the MX record of {domain} name a host in place of the address {subject}, and list that host in `mx`."
            ),
            FindingCode::MxHostNotLdh => format!(
                "Rename the MX host {subject} of {domain} to letters, digits and hyphens: no certificate can name it."
            ),
            FindingCode::NullMxWithPolicy => format!(
                "Set `mode = \"none\"` for {domain}, whose null MX record says that it takes no mail, or publish \
                 its real MX records."
            ),
            FindingCode::NullMxNotAlone => {
                format!("Remove the null MX record (\"0 .\") of {domain}, or all its other MX records.")
            }
            FindingCode::ImplicitMx => {
                format!("Publish an MX record for {domain}: without one its own address receives the mail.")
            }
            FindingCode::NoMailHost => format!(
                "Publish MX records for {domain}, which has neither these nor an address, or remove it from \
                 `domains`."
            ),
            FindingCode::NoSuchDomain => format!(
                "Remove {domain} from `domains`, or register it again: DNS says that it does not exist."
            ),
            FindingCode::MxLookupFailed => format!(
                "Check the name servers of {domain} and the resolvers in `[dns] servers`: the MX lookup had no answer."
            ),
        }
    }
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingCode {
    /// The domain does not exist.
    NoSuchDomain,
    /// Neither MX records nor an address: nobody can receive its mail.
    NoMailHost,
    /// A null MX (RFC 7505): the domain takes no mail, and its policy wants some to be secured.
    NullMxWithPolicy,
    /// A null MX beside other MX records.
    NullMxNotAlone,
    /// No MX record; the domain is its own MX host (RFC 5321 §5.1).
    ImplicitMx,
    /// No pattern allows any MX host.
    NoMxCovered,
    /// No pattern allows this MX host.
    MxNotInPolicy,
    /// An address written as a name.
    MxIsIp,
    /// An MX host that is not made of letters, digits and hyphens.
    MxHostNotLdh,
    /// A pattern that allows no MX host of today.
    MxPatternUnused,
    /// DNS did not answer: nothing is known.
    MxLookupFailed,
}

impl FindingCode {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::NoSuchDomain,
        Self::NoMailHost,
        Self::NullMxWithPolicy,
        Self::NullMxNotAlone,
        Self::ImplicitMx,
        Self::NoMxCovered,
        Self::MxNotInPolicy,
        Self::MxIsIp,
        Self::MxHostNotLdh,
        Self::MxPatternUnused,
        Self::MxLookupFailed,
    ];

    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchDomain => "NO_SUCH_DOMAIN",
            Self::NoMailHost => "NO_MAIL_HOST",
            Self::NullMxWithPolicy => "NULL_MX_WITH_POLICY",
            Self::NullMxNotAlone => "NULL_MX_NOT_ALONE",
            Self::ImplicitMx => "IMPLICIT_MX",
            Self::NoMxCovered => "NO_MX_COVERED",
            Self::MxNotInPolicy => "MX_NOT_IN_POLICY",
            Self::MxIsIp => "MX_IS_IP",
            Self::MxHostNotLdh => "MX_HOST_NOT_LDH",
            Self::MxPatternUnused => "MX_PATTERN_UNUSED",
            Self::MxLookupFailed => "MX_LOOKUP_FAILED",
        }
    }

    /// How bad it is under `mode`. A none policy harms nobody, so nothing is worse than a note.
    fn severity(self, mode: Mode) -> Severity {
        let (enforce, testing) = match self {
            Self::MxLookupFailed => return Severity::Unknown,
            Self::MxPatternUnused | Self::ImplicitMx => (Severity::Info, Severity::Info),
            Self::NoMxCovered => (Severity::Critical, Severity::Error),
            Self::MxNotInPolicy | Self::NullMxNotAlone | Self::MxIsIp => (Severity::Error, Severity::Error),
            Self::NullMxWithPolicy | Self::NoMailHost | Self::NoSuchDomain | Self::MxHostNotLdh => {
                (Severity::Error, Severity::Warn)
            }
        };
        match mode {
            Mode::Enforce => enforce,
            Mode::Testing => testing,
            Mode::None => Severity::Info,
        }
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
