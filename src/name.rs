//! Domain names, parsed once at the border and trusted afterwards.
//!
//! [`DomainName`] is what RFC 5321 §4.1.2 calls a `Domain`: lower-case LDH labels (U-labels already
//! turned into A-labels, RFC 5891), no trailing dot, within the sizes of DNS (RFC 1035 §2.3.4).
//! [`PolicyHost`] is `mta-sts.` in front of a policy domain (RFC 8461 §1.1). Every table in the
//! program is keyed by one of the two, so that one domain has one spelling (`EXAMPLE.com.`,
//! `example.com` and its U-label form are the same tenant's).

use std::{borrow::Borrow, fmt, net::IpAddr, sync::Arc};

/// The label that turns a policy domain into its policy host (RFC 8461 §3.3).
const POLICY_HOST_PREFIX: &str = "mta-sts.";

/// A host or mail domain name: lower-case A-labels, at least two of them, no trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// The longest name in text form: 253 octets (RFC 1035 §2.3.4 less the root's length octet and dot).
    pub const LONGEST: usize = 253;

    /// Parses what a person wrote: any case, U-labels or A-labels, one trailing dot allowed.
    ///
    /// U-labels become A-labels by UTS 46 (non-transitional) with the strict STD 3 rules.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule the text breaks.
    pub fn from_user(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_ascii() && !has_a_label(text) {
            return Self::from_ascii(text);
        }
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| NameError::Idna)?;
        Self::from_ascii(&ascii)
    }

    /// Parses an ASCII name of LDH labels; folds case, accepts no trailing dot.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule the text breaks.
    pub fn from_ascii(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name in lower-case A-labels without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as people of its language write it, for showing beside the A-label form.
    pub fn to_unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }

    /// Whether this name is a public suffix or the parent of one: nobody's own domain.
    ///
    /// The list is compiled in, so its age is the build's. A name under a suffix that is on no list
    /// counts its last label as the suffix.
    pub fn is_public_suffix(&self) -> bool {
        psl::domain_str(&self.0).is_none()
    }

    /// Whether strangers register names right below this one: it stands in the *private* part of the
    /// public suffix list (shared hosting, dynamic DNS).
    pub fn is_shared_hosting_suffix(&self) -> bool {
        psl::suffix(self.0.as_bytes())
            .is_some_and(|s| s.typ() == Some(psl::Type::Private) && s.as_bytes() == self.0.as_bytes())
    }

    /// Whether this name is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(other.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    }
}

/// Whether some label claims to be Punycode, which then has to be valid.
fn has_a_label(text: &str) -> bool {
    text.split('.').any(|label| label.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("xn--")))
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > DomainName::LONGEST {
        return Err(NameError::TooLong { octets: text.len() });
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(NameError::IpAddress);
    }
    for label in text.split('.') {
        check_label(label)?;
    }
    match text.rsplit_once('.') {
        None => Err(NameError::SingleLabel),
        Some((_, last)) if last.bytes().all(|b| b.is_ascii_digit()) => Err(NameError::NumericEnd),
        Some(_) => Ok(()),
    }
}

fn check_label(label: &str) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if let Some(bad) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(NameError::Character(bad));
    }
    if label.len() > 63 {
        return Err(NameError::LongLabel { octets: label.len() });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::Hyphen);
    }
    Ok(())
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The host senders fetch a policy from: `mta-sts.` and the policy domain (RFC 8461 §3.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyHost(DomainName);

impl PolicyHost {
    /// The longest policy domain, 242 octets: `_smtp._tls.` in front of it must still fit a name.
    pub const LONGEST_DOMAIN: usize = DomainName::LONGEST - "_smtp._tls.".len();

    /// The policy host of `domain`.
    ///
    /// # Errors
    ///
    /// [`NameError::DomainTooLong`] above [`Self::LONGEST_DOMAIN`].
    pub fn of(domain: &DomainName) -> Result<Self, NameError> {
        if domain.as_str().len() > Self::LONGEST_DOMAIN {
            return Err(NameError::DomainTooLong { octets: domain.as_str().len() });
        }
        Ok(Self(DomainName(format!("{POLICY_HOST_PREFIX}{domain}").into())))
    }

    /// Reads a policy host from its full name; `None` when it is not one.
    pub fn from_full_name(text: &str) -> Option<Self> {
        let name = DomainName::from_ascii(text).ok()?;
        let domain = DomainName::from_ascii(name.as_str().strip_prefix(POLICY_HOST_PREFIX)?).ok()?;
        Self::of(&domain).ok()
    }

    /// The full name, `mta-sts.example.com`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The domain that was registered: one label below the public suffix. The host itself where the
    /// suffix list knows none.
    pub fn registered_domain(&self) -> &str {
        psl::domain_str(self.as_str()).unwrap_or(self.as_str())
    }

    /// The policy domain behind the host.
    pub fn domain(&self) -> DomainName {
        DomainName(self.domain_str().into())
    }

    /// The text of [`Self::domain`], for looking it up.
    pub fn domain_str(&self) -> &str {
        &self.as_str()[POLICY_HOST_PREFIX.len()..]
    }
}

impl fmt::Display for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Borrow<str> for PolicyHost {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// Which rule of DNS or IDNA a text breaks as a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Two dots in a row, or a dot at an end.
    #[error("has an empty label (two dots in a row, or a dot at an end)")]
    EmptyLabel,
    /// Something other than letters, digits and hyphens.
    #[error("has the character {0:?}; names consist of letters, digits and hyphens")]
    Character(char),
    /// A label begins or ends with a hyphen.
    #[error("has a label that begins or ends with a hyphen")]
    Hyphen,
    /// A label above 63 octets.
    #[error("has a label of {octets} octets; 63 is the most")]
    LongLabel {
        /// Octets of that label.
        octets: usize,
    },
    /// A name above 253 octets.
    #[error("has {octets} octets; 253 is the most")]
    TooLong {
        /// Octets of the name.
        octets: usize,
    },
    /// A policy domain above 242 octets.
    #[error("has {octets} octets; a policy domain may have 242, so that _smtp._tls.<domain> still fits")]
    DomainTooLong {
        /// Octets of the domain.
        octets: usize,
    },
    /// No dot at all.
    #[error("has a single label; a full domain name has at least two")]
    SingleLabel,
    /// The last label is a number.
    #[error("ends in a number, as no domain does")]
    NumericEnd,
    /// An IPv4 or IPv6 address.
    #[error("is an IP address, not a name")]
    IpAddress,
    /// Not convertible to A-labels.
    #[error("is not a valid internationalized name (IDNA)")]
    Idna,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_user(text: &str, expected: Result<&str, NameError>) {
        let parsed = DomainName::from_user(text);
        assert_eq!(parsed.as_ref().map(DomainName::as_str).map_err(|e| *e), expected, "{text:?}");
    }

    #[test]
    fn every_spelling_of_a_domain_becomes_one_name() {
        for text in ["example.com", "EXAMPLE.com.", "Example.COM"] {
            check_user(text, Ok("example.com"));
        }
        for text in ["mx.bücher.example", "MX.BÜCHER.example", "mx.xn--bcher-kva.example"] {
            check_user(text, Ok("mx.xn--bcher-kva.example"));
        }
        check_user("straße.example", Ok("xn--strae-oqa.example"));
    }

    #[test]
    fn a_broken_name_is_refused_with_its_rule() {
        check_user("", Err(NameError::Empty));
        check_user("localhost", Err(NameError::SingleLabel));
        check_user("a..example", Err(NameError::EmptyLabel));
        check_user(".example.com", Err(NameError::EmptyLabel));
        check_user("example.com..", Err(NameError::EmptyLabel));
        check_user("a_b.example", Err(NameError::Character('_')));
        check_user("a b.example", Err(NameError::Character(' ')));
        check_user("-a.example", Err(NameError::Hyphen));
        check_user("192.0.2.25", Err(NameError::IpAddress));
        check_user("2001:db8::25", Err(NameError::IpAddress));
        check_user("mail.example.123", Err(NameError::NumericEnd));
        check_user("xn--a.example", Err(NameError::Idna));
        check_user(&format!("{}.example", "a".repeat(64)), Err(NameError::LongLabel { octets: 64 }));
        let long = format!("{}.com", vec!["a".repeat(60); 5].join("."));
        check_user(&long, Err(NameError::TooLong { octets: long.len() }));
    }

    #[test]
    fn a_policy_host_is_mta_sts_and_the_domain() {
        let domain = DomainName::from_user("Example.com").unwrap();
        let host = PolicyHost::of(&domain).unwrap();
        assert_eq!(host.as_str(), "mta-sts.example.com");
        assert_eq!(host.domain(), domain);
        assert_eq!(PolicyHost::from_full_name("MTA-STS.example.com"), Some(host));
        assert_eq!(PolicyHost::from_full_name("www.example.com"), None);
        assert_eq!(PolicyHost::from_full_name("mta-sts.com"), None);
    }

    // Standards T-21: 242 octets is the longest policy domain.
    #[test]
    fn a_domain_of_243_octets_is_refused() {
        let of_length = |n: usize| {
            let front = vec!["a".repeat(59); 4].join(".");
            DomainName::from_ascii(&format!("{front}.{}", "b".repeat(n - front.len() - 1))).unwrap()
        };
        assert!(PolicyHost::of(&of_length(242)).is_ok());
        assert_eq!(PolicyHost::of(&of_length(243)), Err(NameError::DomainTooLong { octets: 243 }));
    }

    #[test]
    fn the_public_suffix_list_is_consulted() {
        let name = |text| DomainName::from_ascii(text).unwrap();
        assert!(name("co.uk").is_public_suffix());
        assert!(!name("example.co.uk").is_public_suffix());
        assert!(name("github.io").is_shared_hosting_suffix());
        assert!(!name("example.com").is_shared_hosting_suffix());
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(!name("an-example.com").is_within(&name("example.com")));
    }
}
