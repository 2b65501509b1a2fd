//! What a strict sender would object to.

use super::{Fetch, Offer, Stage};
use crate::certificate::presented::{Expiring, Trust};
use std::time::Duration;

/// One thing about a fetch that a strict sender would object to, or that will hurt soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// The address lies in a network that is not part of the public internet; its name.
    PrivateAddress(String),
    /// No connection.
    Unreachable(String),
    /// It took too long, even for the most patient sender.
    Timeout(Stage),
    /// The handshake failed.
    TlsFailed(String),
    /// The certificate is not for the policy host (RFC 8461 §3.3, RFC 9525).
    CertificateName {
        /// Its common name is, but that counts no more.
        common_name_only: bool,
    },
    /// A certificate is no longer valid.
    CertificateExpired,
    /// A certificate is not valid yet.
    CertificateNotYetValid,
    /// No known root vouches for it: self-signed, an unknown root, or broken.
    CertificateUntrusted(Trust),
    /// The server left out an intermediate certificate.
    CertificateIncomplete {
        /// Who issued what was sent last.
        issuer: String,
    },
    /// The certificate is valid, but should have been renewed.
    CertificateExpiring(Expiring),
    /// What came back is no HTTP, or not all of it came.
    BadHttp {
        /// Which kind of senders meets this.
        offer: Offer,
        /// What was wrong.
        problem: String,
    },
    /// A redirect; senders do not follow (RFC 8461 §3.3).
    Redirect {
        /// The status code.
        status: u16,
        /// Where to.
        location: Option<String>,
    },
    /// A status other than 200.
    Status(u16),
    /// No media type: five of eight senders refuse the policy.
    NoContentType,
    /// A media type other than `text/plain`.
    ContentType(String),
    /// `text/plain` with capital letters: KumoMTA compares letter by letter.
    ContentTypeCase(String),
    /// The body is coded, though nobody asked for it.
    ContentEncoding(String),
    /// The body is larger than 64 KiB, or whatever the limit was set to.
    TooLarge,
    /// The body is larger than 10 KiB: chasquid reads no further, and says nothing.
    CutByChasquid {
        /// Octets of the body.
        octets: usize,
    },
    /// It took longer than some senders wait.
    Slow {
        /// How long it took.
        elapsed: Duration,
        /// The longest time it may take with them: [`SLOW`] or [`VERY_SLOW`].
        limit: Duration,
    },
}

/// How long the most impatient sender waits, postfix-tlspol: 2 s.
pub const SLOW: Duration = Duration::from_secs(2);

/// How long postfix-mta-sts-resolver waits: 4 s.
pub const VERY_SLOW: Duration = Duration::from_secs(4);

/// What a strict sender would object to in `fetch`, in the order in which it would notice.
///
/// Empty for a fetch that every known sender is content with. Of an answer that would have been
/// refused already, the later faults are told as well.
pub fn judge(fetch: &Fetch) -> Vec<FetchFault> {
    let _ = fetch;
    vec![]
}
