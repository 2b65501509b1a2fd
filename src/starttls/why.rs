//! Why TLS did not come up at an MX host, each with a stable word.

use super::Outcome;

/// Why TLS did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The address lies in a network that we do not dial.
    RefusedNetwork,
    /// This machine has no route there, or no address of that family: our own lack.
    NoRouteHere,
    /// The port is closed.
    ConnectionRefused,
    /// Another error of the network.
    Unreachable,
    /// No connection in time.
    ConnectTimeout,
    /// The greeting or a reply did not come, or did not end, in time.
    ReplyTimeout,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The host closed the connection before TLS began.
    ConnectionLost,
    /// "Not now": a 4xx greeting or reply, among them 421 and 454.
    NotReady,
    /// TLS 1.2 is spoken, with cipher suites or parameters only that our TLS library refuses; so the
    /// certificate was not seen.
    OnlyOldCiphers,
    /// The name cannot stand in a certificate, so no sender can verify the host. Nothing was dialled.
    NotAHostName,
    /// A 5xx greeting, or EHLO refused for another reason than being unknown.
    Refuses,
    /// What came is not SMTP.
    SmtpBroken,
    /// More than a session may bring, in octets or in the length of a line.
    TooMuch,
    /// EHLO is unknown (500, 502): the host speaks HELO only, and so without STARTTLS.
    HeloOnly,
    /// STARTTLS is not offered.
    NoStarttls,
    /// STARTTLS is offered and then refused with 5xx.
    StarttlsRefused,
    /// Octets in plain text came along with the 220 reply: someone between could add commands or
    /// replies (S-05).
    Injection,
    /// The ClientHello was answered in plain text.
    PlaintextInHandshake,
    /// Only TLS 1.1 or older is spoken.
    TlsTooOld,
    /// The handshake failed otherwise.
    TlsFailed,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::RefusedNetwork,
        Self::NoRouteHere,
        Self::ConnectionRefused,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::ReplyTimeout,
        Self::HandshakeTimeout,
        Self::ConnectionLost,
        Self::NotReady,
        Self::OnlyOldCiphers,
        Self::NotAHostName,
        Self::Refuses,
        Self::SmtpBroken,
        Self::TooMuch,
        Self::HeloOnly,
        Self::NoStarttls,
        Self::StarttlsRefused,
        Self::Injection,
        Self::PlaintextInHandshake,
        Self::TlsTooOld,
        Self::TlsFailed,
    ];

    /// The word for it, kept over versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RefusedNetwork => "refused_network",
            Self::NoRouteHere => "no_route_here",
            Self::ConnectionRefused => "connection_refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::ReplyTimeout => "reply_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::NotReady => "not_ready",
            Self::OnlyOldCiphers => "only_old_ciphers",
            Self::NotAHostName => "not_a_host_name",
            Self::Refuses => "refuses",
            Self::SmtpBroken => "smtp_broken",
            Self::TooMuch => "too_much",
            Self::HeloOnly => "helo_only",
            Self::NoStarttls => "no_starttls",
            Self::StarttlsRefused => "starttls_refused",
            Self::Injection => "injection",
            Self::PlaintextInHandshake => "plaintext_in_handshake",
            Self::TlsTooOld => "tls_too_old",
            Self::TlsFailed => "tls_failed",
        }
    }

    /// The outcome that follows: silence, refusal for now and our own lack prove nothing (S-02).
    pub fn outcome(self) -> Outcome {
        match self {
            Self::RefusedNetwork
            | Self::NoRouteHere
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectTimeout
            | Self::ReplyTimeout
            | Self::HandshakeTimeout
            | Self::ConnectionLost
            | Self::NotReady
            | Self::OnlyOldCiphers => Outcome::Unknown(self),
            Self::NotAHostName
            | Self::Refuses
            | Self::SmtpBroken
            | Self::TooMuch
            | Self::HeloOnly
            | Self::NoStarttls
            | Self::StarttlsRefused
            | Self::Injection
            | Self::PlaintextInHandshake
            | Self::TlsTooOld
            | Self::TlsFailed => Outcome::Failed(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Why::ALL.into_iter().map(Why::as_str).collect();
        assert_eq!(words.len(), Why::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
