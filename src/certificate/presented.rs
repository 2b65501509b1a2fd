//! Judging the certificates that a server presents, the way a strict sender does (RFC 8461 §3.3, §4.2).
//!
//! A chain is judged exactly as it was sent: nothing is fetched that a server forgot (no AIA), nothing
//! is remembered from elsewhere. Trust, name and time are three questions with three answers, because
//! their remedies differ: an expired certificate of a trusted root is expired, not untrusted.
//! [`judge`] is pure; [`client_config`] makes the handshake that brings a chain home. Revocation is
//! not asked for: senders do not ask either.

mod escaped;
#[cfg(test)]
pub(crate) mod forge;
mod names;
mod observer;
mod roots;
#[cfg(test)]
mod tests;
mod trust;

pub use escaped::escaped;
pub use observer::{Observer, TlsVersions, client_config};
pub use roots::Roots;

use super::Validity;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// The most octets of a chain that are looked at: 64 KiB. rustls ends a handshake that sends more.
pub const CHAIN_OCTETS: usize = 65_536;

/// The most certificates of a chain that are looked at; those after them are taken for unsent.
pub const CHAIN_LENGTH: usize = 16;

/// The most names of a certificate that are shown.
pub const NAMES_SHOWN: usize = 20;

/// What is to be said about the chain of certificates that a server presented.
///
/// All text comes from the certificates: it is escaped to printable ASCII and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainJudgement {
    /// Whether the chain leads to a root that senders know. Judged at a time at which the chain was
    /// valid, if there is one.
    pub trust: Trust,
    /// Whether the leaf is for the name that was asked for.
    pub name: NameMatch,
    /// The leaf's validity; `None` when it cannot be read.
    pub validity: Option<Validity>,
    /// The leaf, or another certificate that the chain cannot do without, is no longer valid.
    pub expired: bool,
    /// The leaf, or another certificate that the chain cannot do without, is not valid yet.
    pub not_yet: bool,
    /// The leaf is valid, but the end is near.
    pub expiring: Option<Expiring>,
    /// Whom the leaf is for, as it says itself.
    pub subject: String,
    /// Who issued the leaf, as it says itself.
    pub issuer: String,
    /// The DNS names among the leaf's subject alternative names, the first [`NAMES_SHOWN`] of them.
    pub names: Vec<String>,
    /// The leaf as DER; empty when nothing was sent.
    pub leaf: Vec<u8>,
}

impl ChainJudgement {
    /// Whether a strict sender accepts it: a root it knows, the name asked for, and valid now.
    pub fn is_accepted(&self) -> bool {
        matches!(self.trust, Trust::Trusted { .. })
            && self.name == NameMatch::San
            && !self.expired
            && !self.not_yet
    }
}

/// Whether a chain leads to a root that senders know (S-08, S-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted {
        /// The root's name.
        root: String,
    },
    /// The leaf signed itself.
    SelfSigned,
    /// The chain breaks off: an issuer is neither among what was sent nor among the roots. An
    /// intermediate certificate was most likely left out.
    Incomplete {
        /// Who would have to be there.
        issuer: String,
    },
    /// The chain is whole, as far as one can see, but ends at somebody whom senders do not know.
    UnknownRoot {
        /// Who stands at its end.
        issuer: String,
    },
    /// Something else does not hold: a signature, a purpose, a constraint, the encoding.
    Broken(String),
}

/// Whether a certificate is for a name (RFC 9525 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameMatch {
    /// A DNS name among the subject alternative names matches: the one thing that counts.
    San,
    /// The subject's common name matches, and no alternative name. Only old software accepts that.
    CommonNameOnly,
    /// Nothing matches.
    Nothing,
}

/// How near the end of a certificate is, measured by its own lifetime (S-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiring {
    /// A third of the lifetime is left, or less: a renewal is due.
    Soon,
    /// 72 hours are left, or a tenth of the lifetime where that is less: renewing has failed.
    Critical,
}

/// Judges `chain`, leaf first and exactly as sent, as the chain of a server called `name` at `now`.
///
/// A chain is trusted if any of `roots` trusts it. Of a chain longer than [`CHAIN_LENGTH`] the rest is
/// not looked at.
pub fn judge(chain: &[CertificateDer<'_>], name: &str, roots: &[&Roots], now: Timestamp) -> ChainJudgement {
    let chain = chain.get(..CHAIN_LENGTH).unwrap_or(chain);
    let der = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
    let Some(leaf) = chain.first().and_then(read) else {
        let problem = if chain.is_empty() { "no certificate was sent" } else { "the leaf cannot be read" };
        return ChainJudgement { trust: Trust::Broken(problem.to_owned()), ..unreadable(der) };
    };
    let Some(validity) = validity(&leaf) else {
        let problem = "the leaf has no readable validity".to_owned();
        return ChainJudgement { trust: Trust::Broken(problem), ..unreadable(der) };
    };
    let verdict = trust::judge(chain, &leaf, roots, now);
    let expired = validity.not_after < now || verdict.only_before;
    let not_yet = validity.not_before > now || verdict.only_later;
    ChainJudgement {
        trust: verdict.trust,
        name: names::judge(&leaf, name),
        validity: Some(validity),
        expired,
        not_yet,
        expiring: if expired || not_yet { None } else { expiring(validity, now) },
        subject: shown(leaf.subject()),
        issuer: shown(leaf.issuer()),
        names: names::alternative(&leaf).take(NAMES_SHOWN).map(|name| escaped(name, NAME_MAX)).collect(),
        leaf: der,
    }
}

/// How near the end of `validity` is at `now`; `None` while more than a third is left, and after it.
pub fn expiring(validity: Validity, now: Timestamp) -> Option<Expiring> {
    const CRITICAL: Duration = Duration::from_secs(72 * 3600);
    let left = Duration::try_from(validity.not_after.duration_since(now)).ok()?;
    let lifetime = validity.lifetime();
    match left {
        left if left <= CRITICAL.min(lifetime / 10) => Some(Expiring::Critical),
        left if left <= lifetime / 3 => Some(Expiring::Soon),
        _ => None,
    }
}

/// The most octets of a name that are shown: a DNS name has at most 253.
const NAME_MAX: usize = 256;

fn unreadable(leaf: Vec<u8>) -> ChainJudgement {
    ChainJudgement {
        trust: Trust::Broken(String::new()),
        name: NameMatch::Nothing,
        validity: None,
        expired: false,
        not_yet: false,
        expiring: None,
        subject: String::new(),
        issuer: String::new(),
        names: vec![],
        leaf,
    }
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn validity(certificate: &X509Certificate<'_>) -> Option<Validity> {
    let validity = certificate.validity();
    let not_before = Timestamp::from_second(validity.not_before.timestamp()).ok()?;
    let not_after = Timestamp::from_second(validity.not_after.timestamp()).ok()?;
    (not_before <= not_after).then_some(Validity { not_before, not_after })
}

/// A distinguished name, as `C=US, O=Meadow, CN=Meadow Root`.
fn shown(name: &X509Name<'_>) -> String {
    escaped(&name.to_string(), NAME_MAX)
}
