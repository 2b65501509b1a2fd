//! Which texts senders take for an MX host pattern, and which MX hosts they allow by it.

use super::Sender;
use crate::name::{DomainName, NameError};
use crate::policy::mx_pattern::split_wildcard;
use std::net::IpAddr;

/// What may stand in an `mx` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MxSyntax {
    /// Anything, even nothing.
    Anything,
    /// Anything; what is empty, or empty after `*.`, is left out.
    EmptyLeftOut,
    /// `["*."] Domain`, within these sizes.
    Domain(Domain),
}

/// What may be different in a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    /// The longest label in octets.
    pub(super) label: usize,
    /// The longest name in octets.
    pub(super) name: usize,
    /// A dot may stand at the end.
    pub(super) root_dot: bool,
    /// An IP address is refused although it is grammatical.
    pub(super) no_address: bool,
    /// A label must be good by IDNA: hyphens in its third and fourth place only as an A-label.
    pub(super) idna: bool,
}

impl Domain {
    /// The grammar and nothing else.
    pub(super) const ANY_SIZE: Self =
        Self { label: usize::MAX, name: usize::MAX, root_dot: false, no_address: false, idna: false };

    fn accepts(self, name: &str) -> bool {
        let dotless = if self.root_dot { name.strip_suffix('.').unwrap_or(name) } else { name };
        name.len() <= self.name
            && dotless.split('.').all(|label| self.accepts_label(label))
            && !(self.no_address && dotless.parse::<IpAddr>().is_ok())
    }

    fn accepts_label(self, label: &str) -> bool {
        (1..=self.label).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && !(self.idna && is_bad_by_idna(label))
    }
}

fn is_bad_by_idna(label: &str) -> bool {
    let reserved = label.get(2..4) == Some("--") && label.len() > 4;
    let claims = label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    let broken = || matches!(DomainName::from_ascii(&format!("{label}.example")), Err(NameError::Idna));
    reserved && (!claims || broken())
}

/// What becomes of one `mx` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MxLine {
    Pattern,
    LeftOut,
    Refused,
}

impl MxSyntax {
    pub(super) fn judge(self, value: &str) -> MxLine {
        let (_, name) = split_wildcard(value);
        match self {
            Self::Anything => MxLine::Pattern,
            Self::EmptyLeftOut if name.is_empty() => MxLine::LeftOut,
            Self::EmptyLeftOut => MxLine::Pattern,
            Self::Domain(domain) if domain.accepts(name) => MxLine::Pattern,
            Self::Domain(_) => MxLine::Refused,
        }
    }
}

/// How a sender compares an MX host with a pattern; letters of either case are the same to all.
struct Matching {
    /// How many dots at the end of the host it overlooks.
    host_dots: usize,
    /// It overlooks a dot at the end of the pattern.
    pattern_dot: bool,
    /// A wildcard stands for any number of labels.
    any_depth: bool,
    /// A wildcard stands for an empty label too.
    empty_label: bool,
    /// A wildcard stands for letters, digits and hyphens only.
    ldh_only: bool,
}

const RFC: Matching =
    Matching { host_dots: 1, pattern_dot: false, any_depth: false, empty_label: false, ldh_only: false };

fn matching(sender: Sender) -> Matching {
    match sender {
        // Both hand the patterns to Postfix as a list of names and parent domains.
        Sender::PostfixMtaStsResolver | Sender::PostfixTlspol => Matching { any_depth: true, ..RFC },
        Sender::Mox => RFC,
        Sender::Chasquid | Sender::GoMtasts => Matching { pattern_dot: true, empty_label: true, ..RFC },
        Sender::KumoMta => Matching { host_dots: usize::MAX, empty_label: true, ..RFC },
        Sender::Stalwart => Matching { empty_label: true, ..RFC },
        Sender::Mailauth5 => Matching { host_dots: 0, any_depth: true, empty_label: true, ..RFC },
        Sender::Mailauth7 | Sender::Mailauth7Strict => Matching { pattern_dot: true, ..RFC },
        Sender::Checkdmarc => Matching { host_dots: 0, ldh_only: true, ..RFC },
    }
}

/// Whether `sender` lets mail go to the MX host `host`, as DNS gave it, because of `pattern`.
///
/// The two policy services for Postfix are judged by what Postfix did before 3.10.5: it was handed a
/// list of names and parent domains, in which a wildcard stands for any number of labels.
pub fn allows(sender: Sender, pattern: &str, host: &str) -> bool {
    let how = matching(sender);
    let mut host = host.to_ascii_lowercase();
    for _ in 0..how.host_dots.min(host.len()) {
        match host.strip_suffix('.') {
            Some(shorter) => host.truncate(shorter.len()),
            None => break,
        }
    }
    let mut pattern = pattern.to_ascii_lowercase();
    if how.pattern_dot && pattern.ends_with('.') {
        pattern.pop();
    }
    let (wildcard, name) = split_wildcard(&pattern);
    if !wildcard {
        return host == name;
    }
    let Some(front) = host.strip_suffix(name).and_then(|front| front.strip_suffix('.')) else { return false };
    (how.any_depth || !front.contains('.'))
        && (how.empty_label || !front.is_empty())
        && (!how.ldh_only || front.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}
