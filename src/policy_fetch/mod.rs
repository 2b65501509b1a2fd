//! Fetching a policy over HTTPS, as strictly as the strictest sender (RFC 8461 §3.3).
//!
//! One call dials one address and asks once; whoever wants to know about two addresses, or about both
//! versions of HTTP, calls again. GET only, no redirect is followed, no proxy of the environment is
//! asked, no cookie and no cache exists. What was seen is written down as it was seen ([`Fetch`]); what
//! a sender would make of it is decided afterwards by [`judge`], which is pure. Reading the policy
//! itself is the business of [`crate::policy`].

mod fetcher;
mod judge;
#[cfg(test)]
mod tests;

pub use fetcher::Fetcher;
pub use judge::{FetchFault, SLOW, VERY_SLOW, judge};

use crate::certificate::presented::{ChainJudgement, Roots};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How policies are fetched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port; 443 for everybody but tests (RFC 8461 §3.3).
    pub port: u16,
    /// The longest wait for a connection; 10 s.
    pub connect: Duration,
    /// The longest time for all of it, from dialling to the last octet; 30 s.
    pub total: Duration,
    /// The largest body, in octets; 65,536, as RFC 8461 §3.3 suggests. One octet more is too large.
    pub body_bytes: usize,
    /// The roots that may vouch for a policy host; any of the lists suffices.
    pub roots: Vec<Arc<Roots>>,
    /// What we call ourselves; see [`user_agent`].
    pub user_agent: String,
    /// Ask even when the certificate would have stopped a sender. An auditor wants to report all
    /// faults at once; with `false` nothing is sent to such a server, and the outcome is
    /// [`Outcome::NotAsked`].
    pub look_further: bool,
}

impl Default for Settings {
    /// The numbers above, Mozilla's roots, no contact.
    fn default() -> Self {
        Self {
            port: 443,
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
            body_bytes: 65_536,
            roots: vec![Arc::new(Roots::mozilla())],
            user_agent: user_agent(None),
            look_further: true,
        }
    }
}

/// The User-Agent: the program, its version and, so that strangers know whom to ask, a contact URL.
///
/// What cannot stand in a comment of a header field (RFC 9110 §5.6.5) is left out of `contact`.
pub fn user_agent(contact: Option<&str>) -> String {
    let program = concat!("mta-stsd/", env!("CARGO_PKG_VERSION"));
    let harmless = |c: &char| c.is_ascii_graphic() && !"()\\".contains(*c);
    match contact.map(|url| url.chars().filter(harmless).collect::<String>()) {
        Some(url) if !url.is_empty() => format!("{program} (+{url})"),
        _ => program.to_owned(),
    }
}

/// How a fetch introduces itself, after the two kinds of senders there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offer {
    /// No ALPN at all, HTTP/1.1: how senders in Python and JavaScript come.
    Http1WithoutAlpn,
    /// ALPN with `h2` before `http/1.1`, and whichever the server picks: how senders in Go and Rust
    /// come. A server without HTTP/2 is not at fault.
    Http2,
}

/// What was seen when the policy was fetched from one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The address that was dialled.
    pub address: IpAddr,
    /// How we introduced ourselves.
    pub offer: Offer,
    /// How long it took, from dialling to the last octet or to the failure. Senders give up after
    /// 2 s, 4 s and more.
    pub elapsed: Duration,
    /// The version of TLS, as `TLSv1.3`; `None` when no handshake was completed.
    pub tls_version: Option<String>,
    /// The chain, judged; `None` when none was sent.
    pub chain: Option<ChainJudgement>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a fetch. Text is escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address lies in a network that is never dialled; its name.
    NotDialled(String),
    /// No connection.
    Unreachable(String),
    /// The handshake failed.
    TlsFailed(String),
    /// It took too long.
    Timeout(Stage),
    /// The certificate would stop a sender, and [`Settings::look_further`] is off: nothing was asked.
    NotAsked,
    /// What came back is no HTTP, or not all of it came.
    BadHttp(String),
    /// An answer.
    Answered(Answered),
}

/// Where a fetch was when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Waiting for a connection.
    Connect,
    /// In the handshake.
    Tls,
    /// Waiting for the head of the answer.
    Head,
    /// Reading the body.
    Body,
}

/// An answer. Header fields are escaped and cut, and only the first field of each name counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status code. Only 200 carries a policy.
    pub status: u16,
    /// Where it wants to send us; not followed.
    pub location: Option<String>,
    /// The media type, parameters and all, as written.
    pub content_type: Option<String>,
    /// A coding of the body, which nobody asked for.
    pub content_encoding: Option<String>,
    /// What the server calls itself.
    pub server: Option<String>,
    /// The body as it came, at most [`Settings::body_bytes`].
    pub body: Vec<u8>,
    /// There was more of the body than that.
    pub too_large: bool,
    /// The version of HTTP that was spoken.
    pub http_version: HttpVersion,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}
