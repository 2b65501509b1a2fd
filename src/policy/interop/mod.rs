//! How deployed senders read what a domain publishes: policies, indicator records, report records
//! and MX hosts (P-43).
//!
//! The RFC has one reading, the senders have eleven. Each is described by what it does, so that a
//! text nobody has tried yet is judged as well; nothing here knows any particular text.

mod sender;

pub use sender::Sender;

use super::{Mode, ParsedPolicy};

/// What one sender makes of a policy body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyReading {
    /// No policy: it goes on with the one it has, or without any.
    Reject,
    /// A policy.
    Accept {
        /// The mode it acts by.
        mode: Mode,
        /// How long it keeps the policy, in seconds, as it read them.
        max_age: u64,
        /// How many patterns it holds.
        mx: usize,
        /// Whether it says a warning; only [`Sender::Checkdmarc`] does.
        warned: bool,
    },
}

/// What one sender makes of the TXT records at `_mta-sts.<domain>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordReading {
    /// No policy is announced.
    None,
    /// A policy is announced; the sender does not look at the id.
    Policy,
    /// A policy is announced under this id, which need not be a legal one.
    Id(String),
}

/// What one sender makes of the TXT records at `_smtp._tls.<domain>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportReading {
    /// No reports are asked for.
    None,
    /// Reports go to these addresses.
    Rua(Vec<String>),
}

/// A sender that reads a policy otherwise than the RFC does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Who.
    pub sender: Sender,
    /// What it makes of the policy.
    pub reading: PolicyReading,
    /// Why, in words, when one rule decides; part of a sentence, without a full stop.
    pub reason: Option<String>,
}

/// What every known sender makes of `body`, in the order of [`Sender::ALL`].
///
/// `charset` is the parameter of the content type it came with, if any. Any octets are read; the
/// work is bounded by the limit of each sender, so the caller bounds `body` (64 KiB is enough).
pub fn read_policy(_body: &[u8], _charset: Option<&str>) -> Vec<(Sender, PolicyReading)> {
    Sender::ALL.into_iter().map(|sender| (sender, PolicyReading::Reject)).collect()
}

/// What every known sender makes of the TXT records at `_mta-sts.<domain>`, each a list of
/// character-strings.
pub fn read_record(_rrset: &[Vec<Vec<u8>>]) -> Vec<(Sender, RecordReading)> {
    Sender::ALL.into_iter().map(|sender| (sender, RecordReading::None)).collect()
}

/// What the senders known to send reports make of the TXT records at `_smtp._tls.<domain>`.
pub fn read_report_record(_rrset: &[Vec<Vec<u8>>]) -> Vec<(Sender, ReportReading)> {
    vec![]
}

/// Whether `sender` lets mail go to the MX host `host`, as DNS gave it, by `pattern`.
pub fn allows(_sender: Sender, pattern: &str, host: &str) -> bool {
    super::text_allows(pattern, host)
}

/// The senders that reject `body` or read it otherwise than the RFC, which read it as `strict`.
///
/// When the RFC rejects the body too, the senders that accept it are the ones that disagree.
pub fn disagreements(_body: &[u8], _charset: Option<&str>, _strict: &ParsedPolicy) -> Vec<Disagreement> {
    vec![]
}
