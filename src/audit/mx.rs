//! Pure: a policy against the MX hosts that DNS shows (RFC 8461 §4.1; M-09 to M-15).

use super::{Finding, FindingCode};
use crate::{
    dns::MxRecord,
    name::{DomainName, NameError},
    policy::{Mode, Policy, text_allows},
};

/// What DNS showed of a domain's mail hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// MX records, a null MX among them; never empty.
    Records(Vec<MxRecord>),
    /// No MX record, but an address: the domain is its own MX host (RFC 5321 §5.1).
    Implicit,
    /// The domain exists, and has neither.
    Nothing,
    /// The domain does not exist.
    NoSuchDomain,
    /// No answer, which says nothing about the domain.
    Unanswered,
}

/// Compares the policy of `domain` with what DNS showed; sorted, each finding once.
///
/// A none policy demands nothing of MX hosts; only their spelling is looked at (M-09, P-44).
pub fn compare(policy: &Policy, domain: &DomainName, seen: &Seen) -> Vec<Finding> {
    let patterns: Vec<String> = policy.mx().iter().map(ToString::to_string).collect();
    compare_texts(policy.mode(), Some(&patterns), domain, seen)
}

/// As [`compare`], with patterns as a stranger's policy has them. Without patterns there is no policy
/// to judge by, and only what is wrong in itself is found.
pub fn compare_texts(
    mode: Mode,
    patterns: Option<&[String]>,
    domain: &DomainName,
    seen: &Seen,
) -> Vec<Finding> {
    let mut findings = match seen {
        Seen::Unanswered => vec![Finding::about_domain(FindingCode::MxLookupFailed, mode)],
        Seen::Records(records) => compare_records(mode, patterns, records),
        _ if mode == Mode::None => vec![],
        Seen::Implicit => {
            let mut findings = cover(mode, patterns, &[domain.as_str()]);
            findings.push(Finding::about_domain(FindingCode::ImplicitMx, mode));
            findings
        }
        Seen::Nothing => vec![Finding::about_domain(FindingCode::NoMailHost, mode)],
        Seen::NoSuchDomain => vec![Finding::about_domain(FindingCode::NoSuchDomain, mode)],
    };
    findings.sort_unstable();
    findings.dedup();
    findings
}

fn compare_records(mode: Mode, patterns: Option<&[String]>, records: &[MxRecord]) -> Vec<Finding> {
    let mut findings = vec![];
    let hosts: Vec<&str> =
        records.iter().filter(|record| !record.host.is_root()).map(|record| record.host.as_str()).collect();
    if hosts.len() < records.len() && records.len() > 1 {
        findings.push(Finding::about_domain(FindingCode::NullMxNotAlone, mode));
    }
    findings
        .extend(hosts.iter().filter_map(|host| spelling(host).map(|code| Finding::about(code, host, mode))));
    if mode == Mode::None {
        return findings;
    }
    if !hosts.is_empty() {
        findings.append(&mut cover(mode, patterns, &hosts));
    } else if patterns.is_some() {
        findings.push(Finding::about_domain(FindingCode::NullMxWithPolicy, mode));
    }
    findings
}

/// Which hosts no pattern allows, and which patterns allow no host.
fn cover(mode: Mode, patterns: Option<&[String]>, hosts: &[&str]) -> Vec<Finding> {
    let Some(patterns) = patterns else { return vec![] };
    let (covered, uncovered): (Vec<&str>, Vec<&str>) =
        hosts.iter().partition(|host| patterns.iter().any(|pattern| text_allows(pattern, host)));
    let mut findings: Vec<Finding> =
        uncovered.into_iter().map(|host| Finding::about(FindingCode::MxNotInPolicy, host, mode)).collect();
    if covered.is_empty() {
        // That every pattern is unused goes without saying.
        findings.push(Finding::about_domain(FindingCode::NoMxCovered, mode));
        return findings;
    }
    let unused = patterns.iter().filter(|pattern| !covered.iter().any(|host| text_allows(pattern, host)));
    findings.extend(unused.map(|pattern| Finding::about(FindingCode::MxPatternUnused, pattern, mode)));
    findings
}

/// What is wrong with an MX host's name itself.
fn spelling(host: &str) -> Option<FindingCode> {
    match DomainName::from_ascii(host).err()? {
        NameError::IpAddress => Some(FindingCode::MxIsIp),
        // Legal names that no pattern of ours allows: the coverage says so.
        NameError::SingleLabel | NameError::NumericEnd => None,
        _ => Some(FindingCode::MxHostNotLdh),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Severity, worst},
        dns::MxHost,
        policy::{MaxAge, MxPattern},
    };
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn policy(mode: Mode, patterns: &[&str]) -> Policy {
        let mx = patterns.iter().map(|text| MxPattern::from_ascii(text).unwrap()).collect();
        Policy::new(mode, mx, MaxAge::WEEK).unwrap()
    }

    fn domain() -> DomainName {
        DomainName::from_ascii("example.com").unwrap()
    }

    fn records(hosts: &[&str]) -> Seen {
        let record = |(preference, host): (u16, &&str)| MxRecord { preference, host: MxHost::new(host) };
        Seen::Records((0..).zip(hosts).map(record).collect())
    }

    fn check(mode: Mode, patterns: &[&str], seen: &Seen, expected: &[(&str, &str, Severity)]) {
        let findings = compare(&policy(mode, patterns), &domain(), seen);
        let found: Vec<_> = findings.iter().map(|f| (f.code.as_str(), &*f.subject, f.severity)).collect();
        assert_eq!(found, expected, "{mode} {patterns:?} {seen:?}");
    }

    #[test]
    fn every_cross_check_vector_is_found_as_expected() {
        let file: Value = serde_json::from_str(include_str!("../../tests/vectors/mx_match.json")).unwrap();
        let vectors = file["cross_checks"].as_array().unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let (id, expect) = (&vector["id"], &vector["expect"]);
            let texts = |value: &Value| -> Vec<String> {
                value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().into()).collect()
            };
            let patterns = texts(&vector["patterns"]);
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let mode = Mode::from_keyword(vector["mode"].as_str().unwrap()).unwrap();
            let seen = match vector["dns_mx"].as_array().map(Vec::as_slice) {
                None => Seen::Unanswered,
                Some([]) if vector["domain_has_address"] == true => Seen::Implicit,
                Some([]) => Seen::Nothing,
                Some(pairs) => Seen::Records(
                    pairs
                        .iter()
                        .map(|pair| MxRecord {
                            preference: pair[0].as_u64().unwrap().try_into().unwrap(),
                            host: MxHost::new(pair[1].as_str().unwrap()),
                        })
                        .collect(),
                ),
            };
            let findings = compare(&policy(mode, &patterns), &domain(), &seen);
            let codes: BTreeSet<_> = findings.iter().map(|f| f.code.as_str().to_owned()).collect();
            assert_eq!(codes, texts(&expect["codes"]).into_iter().collect(), "{id}");
            assert_eq!(worst(&findings).map_or("ok", Severity::as_str), expect["worst"], "{id}");
        }
    }

    // M-09.
    #[test]
    fn a_covered_domain_has_no_findings() {
        let seen = records(&["mx1.example.com", "mx2.example.net"]);
        for mode in [Mode::Enforce, Mode::Testing, Mode::None] {
            check(mode, &["*.example.com", "mx2.example.net"], &seen, &[]);
        }
    }

    #[test]
    fn a_none_policy_is_never_asked_to_cover() {
        check(Mode::None, &["mx1.example.com"], &records(&["mx9.example.net"]), &[]);
        for seen in [Seen::Implicit, Seen::Nothing, Seen::NoSuchDomain, records(&["."])] {
            check(Mode::None, &["mx1.example.com"], &seen, &[]);
        }
        let odd = [("MX_HOST_NOT_LDH", "_mx.example.com", Severity::Info)];
        check(Mode::None, &[], &records(&["_mx.example.com"]), &odd);
    }

    // M-10.
    #[test]
    fn a_pattern_without_a_host_is_a_note() {
        let unused = [("MX_PATTERN_UNUSED", "mx2.example.com", Severity::Info)];
        check(
            Mode::Enforce,
            &["mx1.example.com", "mx2.example.com"],
            &records(&["mx1.example.com"]),
            &unused,
        );
    }

    #[test]
    fn each_uncovered_host_is_named_once() {
        let twice = records(&["mx1.example.com", "a.example.net", "a.example.net", "B.example.net."]);
        let expected = [
            ("MX_NOT_IN_POLICY", "a.example.net", Severity::Error),
            ("MX_NOT_IN_POLICY", "b.example.net", Severity::Error),
        ];
        check(Mode::Enforce, &["mx1.example.com"], &twice, &expected);
    }

    // M-11.
    #[test]
    fn a_null_mx_stands_alone_and_is_no_host() {
        let null = [("NULL_MX_WITH_POLICY", "", Severity::Warn)];
        check(Mode::Testing, &["mx1.example.com"], &records(&["."]), &null);
        let beside = [
            ("NULL_MX_NOT_ALONE", "", Severity::Error),
            ("NO_MX_COVERED", "", Severity::Critical),
            ("MX_NOT_IN_POLICY", "a.example.net", Severity::Error),
        ];
        check(Mode::Enforce, &["mx1.example.com"], &records(&[".", "a.example.net"]), &beside);
    }

    // M-12.
    #[test]
    fn a_domain_without_mx_records_must_list_itself() {
        check(Mode::Enforce, &["example.com"], &Seen::Implicit, &[("IMPLICIT_MX", "", Severity::Info)]);
        let uncovered = [
            ("IMPLICIT_MX", "", Severity::Info),
            ("NO_MX_COVERED", "", Severity::Critical),
            ("MX_NOT_IN_POLICY", "example.com", Severity::Error),
        ];
        check(Mode::Enforce, &["*.example.com"], &Seen::Implicit, &uncovered);
    }

    // M-14, M-15.
    #[test]
    fn odd_hosts_and_odd_domains_are_told_apart() {
        let underscore = [("MX_HOST_NOT_LDH", "_mx.example.com", Severity::Error)];
        check(Mode::Enforce, &["*.example.com"], &records(&["_mx.example.com"]), &underscore);
        let patterns = ["mx1.example.com"];
        check(Mode::Enforce, &patterns, &Seen::Nothing, &[("NO_MAIL_HOST", "", Severity::Error)]);
        check(Mode::Testing, &patterns, &Seen::NoSuchDomain, &[("NO_SUCH_DOMAIN", "", Severity::Warn)]);
        for mode in [Mode::Enforce, Mode::Testing, Mode::None] {
            check(mode, &patterns, &Seen::Unanswered, &[("MX_LOOKUP_FAILED", "", Severity::Unknown)]);
        }
    }
}
