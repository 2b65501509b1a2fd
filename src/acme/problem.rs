//! What a problem document (RFC 8555 §6.7) means for us: pure, and a table in its test.

use super::authority::{IssueError, LimitScope};
use crate::certificate::presented::escaped;
use serde::Deserialize;
use std::time::Duration;

/// The most characters of a stranger's text that are kept.
const DETAIL_MAX: usize = 500;

/// What every problem type of ACME begins with.
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// A problem as an authority told it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Problem<'a> {
    /// The type, a URN; empty when there was none.
    pub kind: &'a str,
    /// The explanation; empty when there was none.
    pub detail: &'a str,
    /// How long to stay away, when the answer said so.
    pub retry_after: Option<Duration>,
    /// Whether a subproblem names what was ordered.
    pub names_identifier: bool,
}

/// A problem document as it is sent; what is missing or odd in it reads as empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProblemDocument {
    r#type: Option<String>,
    detail: Option<String>,
    /// Where a person finds what to do (RFC 8555 §6.7, userActionRequired).
    pub instance: Option<String>,
    subproblems: Vec<Subproblem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subproblem {
    identifier: Option<serde::de::IgnoredAny>,
}

impl ProblemDocument {
    /// Reads `body`; an empty document when it is none.
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// What it says.
    pub fn problem(&self, retry_after: Option<Duration>) -> Problem<'_> {
        Problem {
            kind: self.r#type.as_deref().unwrap_or_default(),
            detail: self.detail.as_deref().unwrap_or_default(),
            retry_after,
            names_identifier: self.subproblems.iter().any(|sub| sub.identifier.is_some()),
        }
    }
}

/// What we were doing when the problem came up: the same type means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Opening the account.
    Account,
    /// Placing, finalizing or fetching an order.
    Order,
    /// Having a challenge checked.
    Validation,
    /// Asking about a certificate that was issued, or revoking it.
    Certificate,
}

impl<'a> Problem<'a> {
    /// The type without its prefix: `rateLimited`, `caa`, ….
    pub fn word(&self) -> &'a str {
        self.kind.strip_prefix(ACME_ERROR).unwrap_or(self.kind)
    }

    /// Sorts the problem by what the scheduler does next.
    pub fn sort(&self, stage: Stage) -> IssueError {
        let detail = self.text();
        match (self.word(), stage) {
            ("rateLimited", _) => {
                IssueError::RateLimited { retry_after: self.retry_after, scope: self.scope(), detail }
            }
            // Passing troubles of the authority, and of a conversation that lost its thread.
            ("serverInternal" | "badNonce" | "orderNotReady" | "", _) => IssueError::Unreachable { detail },
            (
                "accountDoesNotExist"
                | "externalAccountRequired"
                | "userActionRequired"
                | "invalidContact"
                | "unsupportedContact",
                _,
            )
            | (_, Stage::Account) => IssueError::Account { detail },
            // It is not ours, not known, or revoked already.
            (_, Stage::Certificate) => IssueError::Refused { detail },
            // The tenant's DNS decides these, whenever they are said.
            ("caa" | "connection" | "dns" | "dnssec" | "incorrectResponse" | "tls", _) => {
                IssueError::NotValidated { detail }
            }
            ("unauthorized", Stage::Validation) => IssueError::NotValidated { detail },
            // An order is refused with this when the account has been closed or suspended.
            ("unauthorized", Stage::Order) => IssueError::Account { detail },
            (
                "rejectedIdentifier"
                | "unsupportedIdentifier"
                | "malformed"
                | "badCSR"
                | "badPublicKey"
                | "badSignatureAlgorithm"
                | "invalidProfile",
                _,
            ) => IssueError::Refused { detail },
            (_, Stage::Validation) => IssueError::NotValidated { detail },
            // A type from the future: asking again later is the choice that harms nobody.
            (_, Stage::Order) => IssueError::Unreachable { detail },
        }
    }

    /// Whom the limit holds back: by the words that authorities use, for the type is the same for all
    /// limits. What is not understood holds back everybody, which costs time and never another order.
    fn scope(&self) -> LimitScope {
        let said = self.detail.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if says(&["exact set of", "failed authorization", "failed validation", "temporarily prevented"]) {
            return LimitScope::Name;
        }
        if says(&["already issued for", "registered domain", "certificates per domain"]) {
            return LimitScope::RegisteredDomain;
        }
        if says(&["account", "address", "new orders", "requests", "registrations", "busy"]) {
            return LimitScope::Account;
        }
        if self.names_identifier { LimitScope::Name } else { LimitScope::Account }
    }

    /// Type and explanation in one escaped line.
    fn text(&self) -> String {
        match (self.word(), self.detail) {
            ("", "") => "no reason given".to_owned(),
            (text, "") | ("", text) => printable(text),
            (word, detail) => printable(&format!("{word}: {detail}")),
        }
    }
}

/// A stranger's text fit for logs and terminals: everything but printable ASCII is escaped, and it is
/// cut to 500 characters.
pub(super) fn printable(text: &str) -> String {
    escaped(text, DETAIL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, stage: Stage, expected: &str) {
        let kind = format!("{ACME_ERROR}{word}");
        let sorted = Problem { kind: &kind, detail: "why", ..Problem::default() }.sort(stage);
        let variant = format!("{sorted:?}");
        assert_eq!(variant.split(' ').next(), Some(expected), "{word} in {stage:?}: {sorted}");
        assert!(sorted.to_string().ends_with(&format!("{word}: why")), "{sorted}");
    }

    // RFC 8555 §6.7, the types an order can meet.
    #[test]
    fn each_problem_type_leads_to_what_the_scheduler_does_next() {
        for stage in [Stage::Account, Stage::Order, Stage::Validation] {
            check("rateLimited", stage, "RateLimited");
            check("serverInternal", stage, "Unreachable");
            check("badNonce", stage, "Unreachable");
            check("accountDoesNotExist", stage, "Account");
            check("externalAccountRequired", stage, "Account");
            check("userActionRequired", stage, "Account");
        }
        for word in ["unauthorized", "malformed", "invalidContact", "aWordFromTheFuture"] {
            check(word, Stage::Account, "Account");
        }
        for word in ["rejectedIdentifier", "unsupportedIdentifier", "malformed", "badCSR"] {
            check(word, Stage::Order, "Refused");
            check(word, Stage::Validation, "Refused");
        }
        for word in ["caa", "dns", "dnssec", "connection", "tls", "incorrectResponse"] {
            check(word, Stage::Order, "NotValidated");
            check(word, Stage::Validation, "NotValidated");
        }
        check("unauthorized", Stage::Validation, "NotValidated");
        check("unauthorized", Stage::Order, "Account");
        check("orderNotReady", Stage::Order, "Unreachable");
        check("aWordFromTheFuture", Stage::Order, "Unreachable");
        check("aWordFromTheFuture", Stage::Validation, "NotValidated");
    }

    /// A limit explained as `detail` holds back `expected`.
    #[track_caller]
    fn check_scope(detail: &str, names_identifier: bool, expected: LimitScope) {
        let kind = format!("{ACME_ERROR}rateLimited");
        let problem = Problem { kind: &kind, detail, names_identifier, retry_after: None };
        let IssueError::RateLimited { scope, .. } = problem.sort(Stage::Order) else { panic!("{detail}") };
        assert_eq!(scope, expected, "{detail}");
    }

    #[test]
    fn a_limit_holds_back_whom_it_names() {
        use LimitScope::{Account, Name, RegisteredDomain};
        // In the manner of Let's Encrypt.
        check_scope("too many new orders (300) from this account in the last 3h0m0s", false, Account);
        check_scope(
            "too many new registrations (10) from this IP address in the last 3h0m0s",
            false,
            Account,
        );
        check_scope(
            "Too many certificates (50) already issued for \"example.com\" in 168h",
            false,
            RegisteredDomain,
        );
        check_scope(
            "too many certificates (5) already issued for this exact set of identifiers",
            false,
            Name,
        );
        check_scope("too many failed authorizations (5) for \"mta-sts.example.com\" in 1h0m0s", false, Name);
        check_scope(
            "Your account is temporarily prevented from requesting certificates for a.example",
            true,
            Name,
        );
        check_scope("Service busy; retry later.", false, Account);
        // Others, and none at all.
        check_scope("limit of certificates for the registered domain reached", true, RegisteredDomain);
        check_scope("slow down", true, Name);
        check_scope("slow down", false, Account);
        check_scope("", false, Account);
    }

    #[test]
    fn a_document_is_read_as_far_as_it_goes() {
        let whole = br#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow","status":429,
            "subproblems":[{"type":"x","identifier":{"type":"dns","value":"a.example"}}]}"#;
        let document = ProblemDocument::read(whole);
        let problem = document.problem(None);
        assert_eq!((problem.word(), problem.detail, problem.names_identifier), ("rateLimited", "slow", true));
        for poor in ["", "{}", "[]", "<html>", r#"{"type":7}"#, r#"{"type":null,"subproblems":[{}]}"#] {
            let document = ProblemDocument::read(poor.as_bytes());
            let problem = document.problem(None);
            assert_eq!((problem.word(), problem.names_identifier), ("", false), "{poor}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_ours_is_no_trouble_of_the_account() {
        check("unauthorized", Stage::Certificate, "Refused");
        check("alreadyRevoked", Stage::Certificate, "Refused");
        check("badRevocationReason", Stage::Certificate, "Refused");
        check("serverInternal", Stage::Certificate, "Unreachable");
    }

    #[test]
    fn a_rate_limit_keeps_how_long_it_lasts() {
        let hour = Some(Duration::from_secs(3600));
        let kind = format!("{ACME_ERROR}rateLimited");
        let sorted =
            Problem { kind: &kind, detail: "", retry_after: hour, ..Problem::default() }.sort(Stage::Order);
        assert_eq!(
            sorted,
            IssueError::RateLimited {
                retry_after: hour,
                scope: LimitScope::Account,
                detail: "rateLimited".into()
            }
        );
    }

    #[test]
    fn a_strangers_text_cannot_draw_on_a_terminal_or_fill_a_log() {
        assert_eq!(printable("two\nlines\x1b[31m"), r"two\u{a}lines\u{1b}[31m");
        assert_eq!(printable("\u{202e}b\u{fc}cher"), r"\u{202e}b\u{fc}cher");
        assert_eq!(printable(&"a".repeat(600)).len(), DETAIL_MAX);
        let cut = printable(&("a".repeat(498) + "\n"));
        assert_eq!(cut, "a".repeat(498), "an escape is not cut in half");
    }
}
