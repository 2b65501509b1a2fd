//! How deployed senders read what a domain publishes: policies, indicator records, report records
//! and MX hosts (P-43).
//!
//! The RFC has one reading, the senders have eleven. Each is described by what it does, so that a
//! text nobody has tried yet is judged as well; nothing here knows any particular text.

mod body;
mod mx;
mod number;
mod readers;
mod record;
mod report;
mod sender;
mod text;

pub use mx::allows;
pub use sender::Sender;

use readers::reader;
use std::collections::HashSet;

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
    /// Why, in words: a clause whose "it" is the sender, without a full stop. Nothing of the body
    /// stands in it.
    pub reason: String,
}

/// What every known sender makes of `body`, in the order of [`Sender::ALL`].
///
/// `charset` is the parameter of the content type it came with, if any. Any octets are read; the
/// work is bounded by the length of `body`, which the caller bounds (64 KiB is enough).
pub fn read_policy(body: &[u8], charset: Option<&str>) -> Vec<(Sender, PolicyReading)> {
    let read = |sender| reader(sender).read(body, charset).unwrap_or(PolicyReading::Reject);
    Sender::ALL.into_iter().map(|sender| (sender, read(sender))).collect()
}

/// What every known sender makes of the TXT records at `_mta-sts.<domain>`, each a list of
/// character-strings.
pub fn read_record(rrset: &[Vec<Vec<u8>>]) -> Vec<(Sender, RecordReading)> {
    Sender::ALL.into_iter().map(|sender| (sender, record::read(sender, rrset))).collect()
}

/// What the senders known to send reports make of the TXT records at `_smtp._tls.<domain>`.
pub fn read_report_record(rrset: &[Vec<Vec<u8>>]) -> Vec<(Sender, ReportReading)> {
    report::READERS.into_iter().map(|(sender, read)| (sender, read(rrset))).collect()
}

/// The senders that reject `body` or read it otherwise than the RFC, which read it as `strict`.
///
/// When the RFC rejects the body too, the senders that accept it are the ones that disagree.
pub fn disagreements(body: &[u8], charset: Option<&str>, strict: &ParsedPolicy) -> Vec<Disagreement> {
    let find = |sender: Sender| {
        let (reading, reason) = match reader(sender).read(body, charset) {
            Ok(reading) => (reading, difference(&reading, strict)?),
            Err(refusal) if strict.is_valid() => (PolicyReading::Reject, refusal.to_string()),
            Err(_) => return None,
        };
        Some(Disagreement { sender, reading, reason })
    };
    Sender::ALL.into_iter().filter_map(find).collect()
}

/// In what the reading of a sender that accepts a policy differs from the RFC's.
fn difference(reading: &PolicyReading, strict: &ParsedPolicy) -> Option<String> {
    let PolicyReading::Accept { mode, max_age, mx, .. } = *reading else { return None };
    let (true, Some(strict_mode), Some(strict_age)) = (strict.is_valid(), strict.mode, strict.max_age) else {
        let mode = mode.as_str();
        return Some(format!("it accepts the policy all the same, with mode {mode}, patterns: {mx}"));
    };
    let different: HashSet<&String> = strict.mx.iter().collect();
    if mode != strict_mode {
        Some(format!("it reads mode {mode} instead of {strict_mode}"))
    } else if max_age != u64::from(strict_age.seconds()) {
        Some(format!("it reads a max_age of {max_age} s instead of {strict_age} s"))
    } else if mx != strict.mx.len() && mx != different.len() {
        Some(format!("it finds {mx} patterns instead of {}", strict.mx.len()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
