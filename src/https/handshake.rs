//! From the first octet to a finished TLS handshake, or to an abort (RFC 8461 §7.1).
//!
//! One deadline covers it all: a PROXY header, waiting for the ClientHello and finishing the handshake. There
//! is no fallback certificate: a name we do not serve gets an alert, and costs neither a look into
//! the store nor memory, because the snapshot is asked first.
//!
//! An address that asks too often is cut off here and not at accept: only the ClientHello tells an
//! authority that validates, which must not be limited, from a flood. What costs is saved all
//! the same: the reading of the store, the key exchange and the signature come after.

use super::{metrics::Counters, rate::Rate, tls, unfinished::Unfinished};
use crate::{
    certificate::{CertificateTable, ChallengeTable, SourceError},
    config::Limits,
    name::PolicyHost,
    snapshot::{SharedSnapshot, Snapshot},
};
use rustls::{
    Error::PeerIncompatible,
    PeerIncompatible::SignatureAlgorithmsExtensionRequired,
    ServerConfig,
    server::{Acceptor, ClientHello},
    sign::CertifiedKey,
};
use std::{error::Error, io, net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use tokio_rustls::{StartHandshake, server::TlsStream};

/// The protocol of TLS-ALPN-01 handshakes (RFC 8737 §6.2).
const ACME_TLS_1: &[u8] = b"acme-tls/1";

/// Octets read at a time until the ClientHello is whole; one with a post-quantum share has about 1,800.
const CLIENT_HELLO_READ: usize = 2048;

/// What a ClientHello asks for, as far as it decides anything.
#[derive(Clone, Copy, Debug)]
struct Hello<'a> {
    /// The server name (RFC 6066 §3), lower-cased by rustls.
    name: Option<&'a str>,
    /// Whether the one protocol offered is `acme-tls/1` (RFC 8737 §4).
    acme: bool,
}

impl<'a> Hello<'a> {
    fn read(hello: &'a ClientHello<'_>) -> Self {
        let acme = hello.alpn().is_some_and(|mut offered| {
            offered.next().is_some_and(|protocol| protocol == ACME_TLS_1) && offered.next().is_none()
        });
        Self { name: hello.server_name(), acme }
    }
}

/// What to do with a handshake.
#[derive(Debug)]
enum Intent {
    /// Finish it with this challenge certificate, then close.
    Challenge(Arc<CertifiedKey>),
    /// Finish it with the certificate of this host, if there is one.
    Serve(PolicyHost),
    /// Abort it.
    Abort(Ending),
}

/// Decides on a ClientHello. A challenge of one host is never answered from another's.
fn intent(hello: Hello<'_>, snapshot: &Snapshot, challenges: &ChallengeTable) -> Intent {
    let Some(name) = hello.name else { return Intent::Abort(Ending::NoSni) };
    if hello.acme {
        return PolicyHost::from_full_name(name)
            .and_then(|host| challenges.tls_alpn_01(&host))
            .map_or(Intent::Abort(Ending::NoChallenge), Intent::Challenge);
    }
    match snapshot.find_host(name) {
        Some((host, _)) => Intent::Serve(host.clone()),
        None => Intent::Abort(Ending::UnknownName),
    }
}

/// How a handshake ended that leads to no request.
#[derive(Debug)]
pub(super) enum Ending {
    /// It was a challenge, and is answered.
    Challenge,
    /// The client named nobody (H-22).
    NoSni,
    /// The client named somebody else.
    UnknownName,
    /// The host is ours, its certificate is yet to come.
    NoCertificate,
    /// A challenge handshake while none is pending.
    NoChallenge,
    /// The store could not say whether there is a certificate.
    Store(SourceError),
    /// The client speaks TLS 1.1 or older (H-24).
    OldTls,
    /// TLS failed, or the peer left; rustls has sent its alert.
    Tls(io::Error),
    /// The address has had its share for now.
    Rate,
    /// The deadline passed.
    Late,
    /// Newer handshakes needed the room.
    Shed,
}

impl Ending {
    /// The alert that tells the client (RFC 8446 §6.2, RFC 6066 §3, RFC 7301 §3.2); `None` when
    /// there is nothing to tell, or rustls has told it.
    fn alert(&self) -> Option<u8> {
        const PROTOCOL_VERSION: u8 = 70;
        const INTERNAL_ERROR: u8 = 80;
        const UNRECOGNIZED_NAME: u8 = 112;
        const NO_APPLICATION_PROTOCOL: u8 = 120;
        match self {
            Self::NoSni | Self::UnknownName | Self::NoCertificate => Some(UNRECOGNIZED_NAME),
            Self::NoChallenge => Some(NO_APPLICATION_PROTOCOL),
            Self::OldTls => Some(PROTOCOL_VERSION),
            Self::Store(_) => Some(INTERNAL_ERROR),
            Self::Challenge | Self::Tls(_) | Self::Rate | Self::Late | Self::Shed => None,
        }
    }

    /// The word for it in logs.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::NoSni => "no_sni",
            Self::UnknownName => "unknown_name",
            Self::NoCertificate => "no_certificate",
            Self::NoChallenge => "no_challenge",
            Self::Store(_) => "store_error",
            Self::OldTls => "old_tls",
            Self::Tls(_) => "tls_error",
            Self::Rate => "rate",
            Self::Late => "timeout",
            Self::Shed => "shed",
        }
    }

    /// What caused it, where there is a cause.
    pub(super) fn error(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Tls(error) => Some(error),
            _ => None,
        }
    }

    /// Counts it.
    pub(super) fn count(&self, counters: &Counters) {
        let counter = match self {
            Self::Challenge => &counters.tls_alpn_01,
            Self::NoSni => &counters.no_sni,
            Self::UnknownName => &counters.unknown_name,
            Self::NoCertificate => &counters.no_certificate,
            Self::NoChallenge => &counters.no_challenge,
            Self::Store(_) => &counters.store_error,
            Self::OldTls => &counters.old_tls,
            Self::Tls(_) => &counters.tls_error,
            Self::Rate => &counters.refused_rate,
            Self::Late => &counters.handshake_timeout,
            Self::Shed => &counters.handshake_shed,
        };
        counter.inc();
    }
}

/// Everything a handshake reads, what addresses have spent, and the list of those not finished.
#[derive(Debug)]
pub(super) struct Handshakes {
    snapshot: SharedSnapshot,
    certificates: CertificateTable,
    challenges: ChallengeTable,
    policy: ServerConfig,
    challenge: ServerConfig,
    rate: Rate,
    unfinished: Unfinished,
}

impl Handshakes {
    /// Handshakes within `limits`: how many at once, how many from one address.
    pub(super) fn new(
        snapshot: SharedSnapshot,
        certificates: CertificateTable,
        challenges: ChallengeTable,
        limits: &Limits,
    ) -> Self {
        Self {
            snapshot,
            certificates,
            challenges,
            policy: tls::config(&[b"h2", b"http/1.1"]),
            challenge: tls::config(&[ACME_TLS_1]),
            rate: Rate::new(limits.handshakes_per_address, limits.handshake_burst_per_address),
            unfinished: Unfinished::new(limits.handshakes),
        }
    }

    /// Carries the handshake on `io` out, which `limited` asks for: `None` for a proxy that speaks for
    /// itself or for many, and is held to no rate. Hands back the stream and the host it was made for.
    ///
    /// # Errors
    ///
    /// [`Ending`] when no request will follow; by then the client has been told whatever there is to tell.
    pub(super) async fn finish<IO>(
        &self,
        io: IO,
        limited: Option<IpAddr>,
        deadline: Instant,
    ) -> Result<(TlsStream<IO>, PolicyHost), Ending>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (_place, shed) = self.unfinished.enter();
        tokio::select! {
            biased;
            finished = timeout_at(deadline, self.shake(io, limited)) => finished.unwrap_or(Err(Ending::Late)),
            _ = shed => Err(Ending::Shed),
        }
    }

    async fn shake<IO>(&self, io: IO, limited: Option<IpAddr>) -> Result<(TlsStream<IO>, PolicyHost), Ending>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let start = client_hello(io).await?;
        let intent = intent(Hello::read(&start.client_hello()), &self.snapshot.load(), &self.challenges);
        let host = match intent {
            Intent::Serve(host) => host,
            Intent::Challenge(certificate) => {
                return Err(answer_challenge(start, &self.challenge, certificate).await);
            }
            Intent::Abort(ending) => return Err(abort(start.io, ending).await),
        };
        if limited.is_some_and(|peer| !self.rate.take(peer, Instant::now())) {
            return Err(Ending::Rate);
        }
        let certificate = match self.certificates.get(&host).await {
            Ok(Some(certificate)) => certificate,
            Ok(None) => return Err(abort(start.io, Ending::NoCertificate).await),
            Err(error) => return Err(abort(start.io, Ending::Store(error)).await),
        };
        let stream = start.into_stream(tls::with_certificate(&self.policy, certificate)).await;
        Ok((stream.map_err(Ending::Tls)?, host))
    }
}

/// Reads the ClientHello, and nothing else of it than rustls accepts.
///
/// Read by hand rather than with tokio-rustls' acceptor, for one alert: clients of TLS 1.1 and older
/// do not send signature_algorithms, and rustls misses that extension before it looks at the version.
async fn client_hello<IO>(mut io: IO) -> Result<StartHandshake<IO>, Ending>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut acceptor = Acceptor::default();
    let mut buffer = vec![0; CLIENT_HELLO_READ];
    loop {
        let mut octets = match io.read(&mut buffer).await.map_err(Ending::Tls)? {
            0 => return Err(Ending::Tls(io::ErrorKind::UnexpectedEof.into())),
            count => buffer.get(..count).unwrap_or_default(),
        };
        while !octets.is_empty() {
            acceptor.read_tls(&mut octets).map_err(Ending::Tls)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(StartHandshake::from_parts(accepted, io)),
            Ok(None) => {}
            Err((PeerIncompatible(SignatureAlgorithmsExtensionRequired), _)) => {
                return Err(abort(io, Ending::OldTls).await);
            }
            Err((error, mut alert)) => {
                let mut record = Vec::new();
                alert.write_all(&mut record).map_err(Ending::Tls)?;
                // The peer may be gone already; the ending is the same.
                let _ = io.write_all(&record).await;
                let _ = io.shutdown().await;
                return Err(Ending::Tls(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}

/// RFC 8737 §4: the handshake is the answer; no application data, the connection closes.
async fn answer_challenge<IO>(
    start: StartHandshake<IO>,
    config: &ServerConfig,
    certificate: Arc<CertifiedKey>,
) -> Ending
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match start.into_stream(tls::with_certificate(config, certificate)).await {
        Ok(mut stream) => {
            // The authority has seen the certificate; whether it waits for our goodbye is its own affair.
            let _ = stream.shutdown().await;
            Ending::Challenge
        }
        Err(error) => Ending::Tls(error),
    }
}

/// Sends the alert for `ending` and closes.
///
/// rustls aborts a handshake without a certificate with access_denied, which tells a sender less
/// than H-23 asks for. Before the ServerHello an alert is seven octets in the clear, so it is
/// written here.
async fn abort<IO: AsyncWrite + Unpin>(mut io: IO, ending: Ending) -> Ending {
    if let Some(description) = ending.alert() {
        // Record header: type alert (21), legacy version TLS 1.2, length 2. Then: fatal (2), description.
        let record = [21, 3, 3, 0, 2, 2, description];
        // The peer may be gone already; the ending is the same.
        let _ = io.write_all(&record).await;
        let _ = io.shutdown().await;
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUED: &str = "mta-sts.example.com";

    fn check(name: Option<&str>, acme: bool, expected: &str) {
        let challenges = ChallengeTable::default();
        let pending = PolicyHost::from_full_name("mta-sts.pending.example").unwrap();
        let _up = challenges.answer_tls_alpn_01(pending, tls::tests::self_signed("mta-sts.pending.example"));
        let snapshot = tls::tests::snapshot(&[ISSUED]);
        let seen = match intent(Hello { name, acme }, &snapshot, &challenges) {
            Intent::Challenge(_) => "challenge certificate".to_owned(),
            Intent::Serve(host) => format!("serve {host}"),
            Intent::Abort(ending) => format!("{} {:?}", ending.outcome(), ending.alert()),
        };
        assert_eq!(seen, expected, "{name:?} acme {acme}");
    }

    // Standards H-21 to H-23.
    #[test]
    fn only_a_policy_host_of_ours_gets_a_certificate() {
        check(Some(ISSUED), false, "serve mta-sts.example.com");
        check(Some("mta-sts.unknown.example"), false, "unknown_name Some(112)");
        check(Some("example.com"), false, "unknown_name Some(112)");
        check(None, false, "no_sni Some(112)");
    }

    // Standards.
    #[test]
    fn a_challenge_is_answered_while_it_is_pending_for_that_name_alone() {
        check(Some("mta-sts.pending.example"), true, "challenge certificate");
        check(Some(ISSUED), true, "no_challenge Some(120)");
        check(Some("www.example.com"), true, "no_challenge Some(120)");
        check(None, true, "no_sni Some(112)");
        // A pending challenge opens nothing for ordinary handshakes.
        check(Some("mta-sts.pending.example"), false, "unknown_name Some(112)");
    }
}
