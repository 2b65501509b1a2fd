//! Whether CAA records let an authority issue: RFC 8659, with the parameters of RFC 8657.
//!
//! [`judge`] is pure; [`relevant`] climbs. Only names without a wildcard are asked for, so `issuewild`
//! never counts. Authorities judge for themselves; this only spares an order that they would refuse.

use super::{CaaRecord, DnsName, Lookup, Unanswered};
use crate::name::PolicyHost;
use std::fmt;

/// What CAA records are held against (RFC 8659, RFC 8657).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaaIdentity {
    /// The domains by which CAA records name the authority; empty when it does not tell.
    pub identities: Vec<String>,
    /// Our account, once there is one.
    pub account_uri: Option<String>,
}

/// How we show an authority that a host is ours (RFC 8555 §9.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `tls-alpn-01`, RFC 8737.
    TlsAlpn01,
    /// `http-01`, RFC 8555 §8.3.
    Http01,
}

impl Method {
    /// The label that the parameter `validationmethods` lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// The records that decide for a host, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelevantSet {
    /// The name whose records these are: a CNAME's target, where the climb met a CNAME.
    pub owner: DnsName,
    /// At least one record.
    pub records: Vec<CaaRecord>,
}

/// Finds the records that decide for `host`: those of the first name from the host upward that has
/// any, CNAME records followed at each of them (RFC 8659 §3). The parents of a CNAME's target are not
/// asked. `None`: nobody restricts anything.
///
/// One question for each label; a name has 127 at the most.
///
/// # Errors
///
/// The name whose question was not answered: an authority may then not issue either.
pub async fn relevant(
    lookup: &dyn Lookup,
    host: &PolicyHost,
) -> Result<Option<RelevantSet>, (DnsName, Unanswered)> {
    let mut at = Some(DnsName::from(host));
    while let Some(name) = at.filter(|name| !name.is_root()) {
        match lookup.caa(&name).await {
            Err(unanswered) => return Err((name, unanswered)),
            Ok(answer) if answer.records.is_empty() => at = name.parent(),
            Ok(mut answer) => {
                let owner = answer.chain.pop().unwrap_or(name);
                return Ok(Some(RelevantSet { owner, records: answer.records }));
            }
        }
    }
    Ok(None)
}

/// Why a set of records forbids an order: the record that comes nearest to allowing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// What is in the way.
    pub ground: Ground,
    /// The record as in a zone file, harmless to show and of bounded length.
    pub record: String,
}

/// What is in the way, from far to near: the nearest is what its owner most likely meant for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// The value follows no grammar, so it stands for nobody (RFC 8659 §4.2).
    Malformed,
    /// It names another authority, or none.
    OtherAuthority,
    /// It names ours, for another account (RFC 8657 §3).
    OtherAccount,
    /// It names ours, for methods that we do not answer (RFC 8657 §4).
    OtherMethod,
    /// A critical property that authorities do not know (RFC 8659 §4.5). Overrules everything else.
    UnknownCritical,
}

/// Whether `records`, the relevant set of a host, let `issuer` issue for it by one of `methods`.
///
/// A set without an `issue` property restricts nothing. Among several, one that allows suffices. An
/// account that is not known yet is taken to be the right one.
///
/// # Errors
///
/// [`Objection`] when they do not.
pub fn judge(records: &[CaaRecord], issuer: &CaaIdentity, methods: &[Method]) -> Result<(), Objection> {
    let objection = |ground, record| Objection { ground, record: shown(record) };
    if let Some(record) = records.iter().find(|record| record.critical && !is_known(&record.tag)) {
        return Err(objection(Ground::UnknownCritical, record));
    }
    let mut nearest: Option<(Ground, &CaaRecord)> = None;
    for record in records.iter().filter(|record| record.tag.eq_ignore_ascii_case("issue")) {
        match judge_issue(&record.value, issuer, methods) {
            Ok(()) => return Ok(()),
            Err(ground) if nearest.is_none_or(|(best, _)| ground > best) => nearest = Some((ground, record)),
            Err(_) => {}
        }
    }
    nearest.map_or(Ok(()), |(ground, record)| Err(objection(ground, record)))
}

/// The record that, added to a set, overcomes an objection on `ground`; in the form of a zone file.
pub fn remedy(ground: Ground, issuer: &CaaIdentity, methods: &[Method]) -> String {
    let mut value = issuer.identities.first().cloned().unwrap_or_default();
    match (ground, &issuer.account_uri) {
        (Ground::OtherAccount, Some(uri)) => value.push_str(&format!("; accounturi={uri}")),
        (Ground::OtherMethod, _) => {
            let labels: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
            value.push_str(&format!("; validationmethods={}", labels.join(",")));
        }
        _ => {}
    }
    format!("CAA 0 issue \"{value}\"")
}

/// Properties that public authorities know. `issuemail` is RFC 9495's; it says nothing about us.
fn is_known(tag: &str) -> bool {
    ["issue", "issuewild", "iodef", "issuemail"].iter().any(|known| tag.eq_ignore_ascii_case(known))
}

fn judge_issue(value: &[u8], issuer: &CaaIdentity, methods: &[Method]) -> Result<(), Ground> {
    let value = IssueValue::parse(value).ok_or(Ground::Malformed)?;
    if !issuer.identities.iter().any(|identity| identity.eq_ignore_ascii_case(value.issuer)) {
        return Err(Ground::OtherAuthority);
    }
    let account = match value.parameter("accounturi") {
        Parameter::Absent => true,
        Parameter::Once(uri) => issuer.account_uri.as_deref().is_none_or(|ours| ours == uri),
        Parameter::Repeated => false,
    };
    if !account {
        return Err(Ground::OtherAccount);
    }
    // What two lists mean is left open; authorities take them as they must take two accounts.
    let method = match value.parameter("validationmethods") {
        Parameter::Absent => true,
        Parameter::Once(list) => is_method_list(list) && methods.iter().any(|ours| lists(list, *ours)),
        Parameter::Repeated => false,
    };
    if method { Ok(()) } else { Err(Ground::OtherMethod) }
}

fn is_method_list(list: &str) -> bool {
    list.split(',').all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn lists(list: &str, method: Method) -> bool {
    list.split(',').any(|label| label == method.as_str())
}

/// The value of an `issue` property (RFC 8659 §4.2).
#[derive(Debug, PartialEq, Eq)]
struct IssueValue<'a> {
    /// Empty: nobody.
    issuer: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

/// How often a parameter is there.
enum Parameter<'a> {
    Absent,
    Once(&'a str),
    Repeated,
}

impl<'a> IssueValue<'a> {
    /// `None` when the value does not follow the grammar.
    fn parse(value: &'a [u8]) -> Option<Self> {
        const WHITE: [char; 2] = [' ', '\t'];
        let text = std::str::from_utf8(value).ok()?;
        // Neither a tag nor a value may hold a semicolon, so it always separates.
        let (issuer, rest) = match text.split_once(';') {
            Some((issuer, rest)) => (issuer, rest.trim_matches(WHITE)),
            None => (text, ""),
        };
        let issuer = issuer.trim_matches(WHITE);
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return None;
        }
        let mut parameters = Vec::new();
        if !rest.is_empty() {
            for parameter in rest.split(';') {
                let (tag, value) = parameter.split_once('=')?;
                let (tag, value) = (tag.trim_matches(WHITE), value.trim_matches(WHITE));
                if !is_label(tag) || !value.bytes().all(|b| b.is_ascii_graphic()) {
                    return None;
                }
                parameters.push((tag, value));
            }
        }
        Some(Self { issuer, parameters })
    }

    fn parameter(&self, tag: &str) -> Parameter<'a> {
        let mut found = self.parameters.iter().filter(|(written, _)| written.eq_ignore_ascii_case(tag));
        match (found.next(), found.next()) {
            (None, _) => Parameter::Absent,
            (Some((_, value)), None) => Parameter::Once(value),
            (Some(_), Some(_)) => Parameter::Repeated,
        }
    }
}

/// Letters and digits, hyphens between them.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A record as in a zone file: strangers' octets escaped, cut where only a joke is longer.
fn shown(record: &CaaRecord) -> String {
    const OCTETS_MAX: usize = 200;
    struct Shown<'a>(&'a [u8]);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for octet in self.0.iter().take(OCTETS_MAX) {
                match octet {
                    b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
                    b' '..=b'~' => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            if self.0.len() > OCTETS_MAX { f.write_str("…") } else { Ok(()) }
        }
    }
    let flags = if record.critical { 128 } else { 0 };
    format!("CAA {flags} {} \"{}\"", Shown(record.tag.as_bytes()), Shown(&record.value))
}

#[cfg(test)]
mod tests;
