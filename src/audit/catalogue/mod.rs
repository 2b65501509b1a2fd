//! Every code a finding can have, as a table: how bad it is, what causes it, what it does to mail,
//! what mends it. `docs/findings.md` is this table for people.
//!
//! Codes are stable: they are kept in the store, logged, and matched by scripts. A code that is no
//! longer found stays in the table.

mod beside;
mod code;
#[cfg(test)]
mod docs;
mod mx;
mod policy;
mod record;
mod transport;

pub use code::FindingCode;

use super::finding::Severity;
use crate::policy::Mode;

/// One row of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// The code.
    pub code: FindingCode,
    /// The part of the audit that finds it.
    pub topic: Topic,
    /// How bad it is under enforce, testing and none, in this order.
    severity: [Severity; 3],
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it comes about.
    pub cause: &'static str,
    /// What it does to mail.
    pub effect: &'static str,
    /// What to do, one sentence; `{domain}` and `{subject}` are filled in.
    pub remedy: &'static str,
    /// Where the rule stands.
    pub rfc: &'static str,
}

impl Entry {
    /// How bad it is under `mode`.
    pub fn severity(&self, mode: Mode) -> Severity {
        let [enforce, testing, none] = self.severity;
        match mode {
            Mode::Enforce => enforce,
            Mode::Testing => testing,
            Mode::None => none,
        }
    }
}

/// Writes a table of entries, one row a code.
macro_rules! rows {
    ($topic:ident; $($code:ident, $enforce:ident $testing:ident $none:ident, $rfc:literal,
        title $title:literal, cause $cause:literal, effect $effect:literal, remedy $remedy:literal;)+) => {
        /// The rows.
        pub(in crate::audit::catalogue) const ROWS: &[crate::audit::catalogue::Entry] = &[$(
            crate::audit::catalogue::Entry {
                code: crate::audit::FindingCode::$code,
                topic: crate::audit::Topic::$topic,
                severity: [
                    crate::audit::catalogue::level::$enforce,
                    crate::audit::catalogue::level::$testing,
                    crate::audit::catalogue::level::$none,
                ],
                title: $title,
                cause: $cause,
                effect: $effect,
                remedy: $remedy,
                rfc: $rfc,
            },
        )+];
    };
}
use rows;

/// The severities in the spelling of the tables.
#[allow(non_upper_case_globals, reason = "one word a column in the tables")]
mod level {
    use super::Severity;

    pub(super) const unknown: Severity = Severity::Unknown;
    pub(super) const info: Severity = Severity::Info;
    pub(super) const warn: Severity = Severity::Warn;
    pub(super) const error: Severity = Severity::Error;
    pub(super) const critical: Severity = Severity::Critical;
}

/// All rows, topic by topic.
const TABLES: [&[Entry]; 8] = [
    record::ROWS,
    policy::ROWS,
    mx::ROWS,
    transport::ROWS,
    beside::ROWS,
    beside::tlsrpt::ROWS,
    beside::dns::ROWS,
    beside::consistency::ROWS,
];

/// The whole catalogue, topic by topic.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLES.into_iter().flatten()
}

/// Parts of an audit, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The STS record.
    Record,
    /// The policy host and the policy.
    Policy,
    /// The mail hosts against the policy.
    Mx,
    /// STARTTLS and certificates of the mail hosts.
    Transport,
    /// TLSA records of the mail hosts.
    Dane,
    /// The report record.
    Tlsrpt,
    /// CAA and DNSSEC.
    Dns,
    /// What the world sees against what we serve.
    Consistency,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 8] = [
        Self::Record,
        Self::Policy,
        Self::Mx,
        Self::Transport,
        Self::Dane,
        Self::Tlsrpt,
        Self::Dns,
        Self::Consistency,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Policy => "policy",
            Self::Mx => "mx",
            Self::Transport => "transport",
            Self::Dane => "dane",
            Self::Tlsrpt => "tlsrpt",
            Self::Dns => "dns",
            Self::Consistency => "consistency",
        }
    }

    /// A heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Record => "STS record",
            Self::Policy => "Policy",
            Self::Mx => "Mail hosts",
            Self::Transport => "STARTTLS and certificates",
            Self::Dane => "DANE",
            Self::Tlsrpt => "TLS reporting",
            Self::Dns => "CAA and DNSSEC",
            Self::Consistency => "What we serve",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_one_row() {
        let rows: Vec<FindingCode> = entries().map(|entry| entry.code).collect();
        let codes: BTreeSet<_> = FindingCode::ALL.iter().copied().collect();
        assert_eq!(rows.len(), codes.len());
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), codes);
        for code in FindingCode::ALL {
            assert_eq!(code.entry().code, *code);
            assert_eq!(FindingCode::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn every_text_is_plain_and_whole() {
        for entry in entries() {
            assert!(!entry.title.ends_with('.'), "{}: {}", entry.code, entry.title);
            for text in [entry.cause, entry.effect, entry.remedy] {
                assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", entry.code);
            }
            assert_eq!(entry.remedy.matches(". ").count(), 0, "one sentence: {}", entry.remedy);
            assert!(entry.remedy.contains("{domain}"), "{}", entry.remedy);
            assert!(entry.rfc.starts_with("RFC "), "{}: {}", entry.code, entry.rfc);
        }
    }

    #[test]
    fn no_mode_makes_a_finding_worse_than_enforce_does() {
        for entry in entries() {
            let [enforce, testing, none] = entry.severity;
            assert!(enforce >= testing && testing >= none, "{}", entry.code);
        }
    }
}
