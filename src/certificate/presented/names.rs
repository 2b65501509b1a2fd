//! Whether a certificate is for a name (RFC 9525 §6.3, S-08, S-09).

use super::NameMatch;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

/// The most alternative names that are looked through; public authorities allow far fewer.
const NAMES_MAX: usize = 1000;

/// The DNS names among the alternative names, as written; strangers' text.
pub(super) fn alternative<'a>(leaf: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names.iter().take(NAMES_MAX).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

/// How `leaf` matches `name`; one dot at the end of `name` is not part of it.
pub(super) fn judge(leaf: &X509Certificate<'_>, name: &str) -> NameMatch {
    let name = name.strip_suffix('.').unwrap_or(name);
    if alternative(leaf).any(|presented| matches(presented, name)) {
        return NameMatch::San;
    }
    let mut common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    if common.any(|presented| matches(presented, name)) {
        NameMatch::CommonNameOnly
    } else {
        NameMatch::Nothing
    }
}

/// A star stands for exactly one label, only as the whole left-most one, and never directly under a
/// top-level domain: most verifiers refuse that.
fn matches(presented: &str, name: &str) -> bool {
    let Some(parent) = presented.strip_prefix("*.") else { return presented.eq_ignore_ascii_case(name) };
    let Some((label, rest)) = name.split_once('.') else { return false };
    !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_whole_left_most_label() {
        let check =
            |presented, name, expected| assert_eq!(matches(presented, name), expected, "{presented} {name}");
        check("mail.example.com", "MAIL.example.com", true);
        check("*.example.com", "mail.example.com", true);
        check("*.Example.com", "xn--bcher-kva.example.com", true);
        check("*.example.com", "a.b.example.com", false);
        check("*.example.com", "example.com", false);
        check("*.example.com", ".example.com", false);
        check("m*.example.com", "mail.example.com", false);
        check("mail.*.com", "mail.example.com", false);
        check("*", "localhost", false);
        check("*.com", "example.com", false);
        check("mail.example.com.", "mail.example.com", false);
        check("", "mail.example.com", false);
    }
}
