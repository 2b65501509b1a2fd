//! One session up to the 220 after STARTTLS, and the handshake after it (RFC 3207 §4).

use super::{
    Settings, Why,
    meter::{Meter, Metered},
    talk::{NoReply, Reply, Talk, shown},
};
use crate::dialing::{DialError, Reach};
use rustls::{AlertDescription, ClientConfig, Error as TlsError, InvalidMessage};
use rustls_pki_types::ServerName;
use std::{
    io::{Error, ErrorKind},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why a session ended before TLS was up.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) why: Why,
    /// The host's, the library's or the system's words, fit to be shown.
    pub(super) evidence: Option<String>,
    /// Whether nothing but a version or suite in common was missing, so that an older hello may tell more.
    pub(super) nothing_in_common: bool,
}

impl Ended {
    fn new(why: Why, evidence: Option<String>) -> Self {
        Self { why, evidence, nothing_in_common: false }
    }

    fn said(why: Why, reply: &Reply) -> Self {
        Self::new(why, Some(reply.shown()))
    }

    fn no_reply(silence: NoReply) -> Self {
        let (why, evidence) = silence.reason();
        Self::new(why, evidence)
    }
}

/// What the host said of itself before TLS, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    pub(super) banner: Option<String>,
    pub(super) ehlo: Vec<String>,
}

/// A connection on which the host awaits a ClientHello.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) stream: Metered,
    meter: Arc<Meter>,
}

/// Connects and talks until the host awaits a ClientHello. Ends politely where it ends early.
pub(super) async fn open(
    settings: &Settings,
    reach: &Reach,
    address: IpAddr,
    until: Instant,
    introduction: &mut Introduction,
) -> Result<Ready, Ended> {
    let limit = settings.connect.min(until.saturating_duration_since(Instant::now()));
    let socket =
        reach.connect(SocketAddr::new(address, settings.port), limit).await.map_err(not_connected)?;
    let mut talk = Talk::new(Metered::new(socket, settings.octets), settings.reply, until);
    match converse(settings, &mut talk, introduction).await {
        Ok(()) => {}
        Err(ended) => {
            // Nothing is said any more to whoever does not speak, or not SMTP.
            let polite = !matches!(ended.why, Why::SmtpBroken | Why::TooMuch | Why::ReplyTimeout);
            if polite && ended.why != Why::ConnectionLost {
                talk.leave().await;
            }
            return Err(ended);
        }
    }
    let (stream, ahead) = talk.into_parts();
    // Whoever reads on in plain text what came before TLS takes a stranger's words for the host's.
    if !ahead.is_empty() || stream.has_more().await {
        let evidence = Some(shown(&ahead)).filter(|text| !text.is_empty());
        return Err(Ended::new(Why::Injection, evidence));
    }
    let meter = stream.meter();
    meter.mark();
    Ok(Ready { stream, meter })
}

async fn converse(
    settings: &Settings,
    talk: &mut Talk<Metered>,
    introduction: &mut Introduction,
) -> Result<(), Ended> {
    let greeting = talk.hear().await.map_err(Ended::no_reply)?;
    introduction.banner = Some(greeting.text());
    match greeting.code {
        220 => {}
        400..=499 => return Err(Ended::said(Why::NotReady, &greeting)),
        500..=599 => return Err(Ended::said(Why::Refuses, &greeting)),
        _ => return Err(Ended::said(Why::SmtpBroken, &greeting)),
    }
    let ehlo = talk.ask(&format!("EHLO {}", settings.ehlo_name)).await.map_err(Ended::no_reply)?;
    match ehlo.code {
        250 => introduction.ehlo = ehlo.shown_lines(),
        400..=499 => return Err(Ended::said(Why::NotReady, &ehlo)),
        500 | 502 => return Err(Ended::said(Why::HeloOnly, &ehlo)),
        500..=599 => return Err(Ended::said(Why::Refuses, &ehlo)),
        _ => return Err(Ended::said(Why::SmtpBroken, &ehlo)),
    }
    if !ehlo.offers("STARTTLS") {
        return Err(Ended::new(Why::NoStarttls, None));
    }
    let go = talk.ask("STARTTLS").await.map_err(Ended::no_reply)?;
    match go.code {
        220 => Ok(()),
        400..=499 => Err(Ended::said(Why::NotReady, &go)),
        500..=599 => Err(Ended::said(Why::StarttlsRefused, &go)),
        _ => Err(Ended::said(Why::SmtpBroken, &go)),
    }
}

/// Shakes hands; the certificate is for others to judge.
pub(super) async fn shake_hands(
    ready: Ready,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    deadline: Instant,
) -> Result<TlsStream<Metered>, Ended> {
    let Ready { stream, meter } = ready;
    match timeout_at(deadline, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(not_secured(&error, &meter)),
        Err(_) => Err(Ended::new(Why::HandshakeTimeout, None)),
    }
}

fn not_secured(error: &Error, meter: &Meter) -> Ended {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let why = match tls {
        _ if meter.is_spent() => Why::TooMuch,
        // Records of TLS begin with 20 to 24.
        _ if meter.first().is_some_and(|octet| !(20..=24).contains(&octet)) => Why::PlaintextInHandshake,
        Some(TlsError::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        )) => Why::TooMuch,
        _ => Why::TlsFailed,
    };
    let nothing_in_common = why == Why::TlsFailed
        && match tls {
            Some(TlsError::AlertReceived(alert)) => matches!(
                alert,
                AlertDescription::ProtocolVersion
                    | AlertDescription::HandshakeFailure
                    | AlertDescription::InsufficientSecurity
            ),
            Some(TlsError::PeerIncompatible(_)) => true,
            Some(TlsError::InvalidMessage(InvalidMessage::UnknownProtocolVersion)) => true,
            Some(_) => false,
            // Old hosts hang up where newer ones send an alert.
            None => true,
        };
    Ended { why, evidence: Some(shown(error.to_string().as_bytes())), nothing_in_common }
}

fn not_connected(error: DialError) -> Ended {
    let error = match error {
        DialError::Refused(network) => return Ended::new(Why::RefusedNetwork, Some(network.to_owned())),
        DialError::Timeout => return Ended::new(Why::ConnectTimeout, None),
        DialError::Io(error) => error,
    };
    let no_family = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    let why = match error.kind() {
        _ if no_family => Why::NoRouteHere,
        ErrorKind::ConnectionRefused => Why::ConnectionRefused,
        ErrorKind::TimedOut => Why::ConnectTimeout,
        // A firewall of our own says "permission denied".
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied => {
            Why::NoRouteHere
        }
        _ => Why::Unreachable,
    };
    Ended::new(why, Some(shown(error.to_string().as_bytes())))
}
