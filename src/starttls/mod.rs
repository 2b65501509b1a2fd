//! Looking at one MX host at one of its addresses, as a sender with MTA-STS meets it (RFC 8461 §4.2).
//!
//! A [`Prober`] connects, asks for STARTTLS (RFC 3207), looks at the certificate and leaves again. No
//! mail is ever begun: the commands are EHLO, STARTTLS, EHLO and QUIT, and nothing else (S-15). What
//! it saw is a [`Probe`]; whether that is good or bad for a domain is judged elsewhere. [`dane`] is
//! pure. Who looks how often is for the caller to decide.
//!
//! A host that says nothing, or "later", has not failed (S-02): [`Outcome`] has three values, and
//! every value but success carries a [`Why`] with a stable word.

pub mod dane;
mod lean;
mod meter;
mod old_tls;
mod prober;
mod session;
mod talk;
mod why;

#[cfg(test)]
mod tests;

pub use prober::Prober;
pub use why::Why;

use crate::certificate::presented::{ChainJudgement, Roots};
use jiff::Timestamp;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How a host is looked at. The defaults of [`Settings::new`] are those of S-19.
#[derive(Clone)]
pub struct Settings {
    /// The port of SMTP between servers: 25, unless a test says otherwise.
    pub port: u16,
    /// The name we greet with: one that leads to our address and back, because hosts may ask (S-17).
    pub ehlo_name: String,
    /// The longest wait for a connection.
    pub connect: Duration,
    /// The longest wait for the whole of one reply, and for the whole TLS handshake.
    pub reply: Duration,
    /// The longest session; the short extra sessions together may take this once more.
    pub session: Duration,
    /// The most octets read in one session, those of TLS among them.
    pub octets: usize,
    /// The roots that chains are held against, the most usual first.
    pub roots: Vec<Arc<Roots>>,
}

impl Settings {
    /// Port 25; 10 s to connect, 30 s for a reply, 90 s for a session, 64 KiB in all.
    pub fn new(ehlo_name: impl Into<String>, roots: Vec<Arc<Roots>>) -> Self {
        Self {
            port: 25,
            ehlo_name: ehlo_name.into(),
            connect: Duration::from_secs(10),
            reply: Duration::from_secs(30),
            session: Duration::from_secs(90),
            octets: 64 * 1024,
            roots,
        }
    }
}

/// What one look at one address of an MX host saw. Texts of the host are escaped and cut:
/// they are printable ASCII, with `\u{..}` for everything else.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The address looked at.
    pub address: IpAddr,
    /// When the look began; the chain is judged by this time.
    pub at: Timestamp,
    /// Whether TLS came up, and if not, why.
    pub outcome: Outcome,
    /// More about the outcome in the host's, the TLS library's or the system's words, such as the
    /// reply that ended the session.
    pub evidence: Option<String>,
    /// The greeting, without its code.
    pub banner: Option<String>,
    /// The lines of the answer to the first EHLO, without their code; the first names the host.
    pub ehlo: Vec<String>,
    /// How long all of it took, extra sessions among it.
    pub elapsed: Duration,
    /// What TLS brought up; `Some` exactly when the outcome is [`Outcome::Secured`].
    pub tls: Option<TlsSeen>,
    /// What a client without SNI gets (RFC 8461 §7.1, S-13). Looked at only where TLS came up.
    pub without_sni: Option<SniLess>,
    /// What a client with an SNI that the host cannot know gets (S-13).
    pub unknown_sni: Option<SniLess>,
    /// Whether the host still takes TLS 1.0 or 1.1 (S-07); `None` when that was not learnt.
    pub old_tls_accepted: Option<bool>,
    /// How the host took the second EHLO (S-14).
    pub ehlo_after_tls: Option<EhloAfterTls>,
}

/// Whether TLS came up (S-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// TLS 1.2 or 1.3 came up. Says nothing about the certificate: see [`TlsSeen`].
    Secured,
    /// Nothing is proven: it may be the network, a bad moment, or our own address.
    Unknown(Why),
    /// The host answered, and a sender that wants TLS cannot have it.
    Failed(Why),
}

/// A finished handshake.
#[derive(Clone, Debug)]
pub struct TlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite as rustls names it.
    pub suite: String,
    /// The chain judged for the host's name.
    pub chain: ChainJudgement,
    /// The chain as sent, leaf first, DER; for [`dane::judge`].
    pub certificates: Vec<Vec<u8>>,
}

/// What a handshake without the host's name in SNI led to.
#[derive(Clone, Debug)]
pub enum SniLess {
    /// A chain was presented, here judged for the host's name.
    Served(Box<ChainJudgement>),
    /// The handshake failed: a host must present some chain to everyone. The TLS library's words.
    Refused(String),
    /// The session did not get as far as the handshake.
    Unknown(Why),
}

/// How the EHLO inside TLS was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EhloAfterTls {
    /// With 250 and without STARTTLS, as RFC 3207 §4.2 asks.
    Fine,
    /// STARTTLS was offered once more.
    StarttlsAgain,
    /// With another code; the reply.
    Refused(String),
    /// Not, or not as SMTP.
    Unanswered,
}
