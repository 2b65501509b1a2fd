//! The look itself: which sessions are held with a host, and what is made of them.

use super::{
    EhloAfterTls, Probe, Settings, SniLess, TlsSeen, Why,
    meter::Metered,
    old_tls::{self, Answer, Most},
    session::{Ended, Introduction, Ready, open, shake_hands},
    talk::Talk,
};
use crate::{
    certificate::presented::{ChainJudgement, Roots, TlsVersions, client_config, judge},
    dialing::Reach,
    dns::DnsName,
};
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use tokio_rustls::client::TlsStream;

/// An SNI that no host can have a certificate for (RFC 6761 §6.4).
const UNKNOWN_SNI: &str = "no-such-host.invalid";

/// The most that is read of the answer to an old hello: alerts, and the beginning of a ServerHello.
const OLD_ANSWER_MAX: u64 = 1024;

/// Looks at MX hosts. Keeps nothing between looks; how often to look is for the caller to decide.
#[derive(Clone)]
pub struct Prober {
    settings: Settings,
    reach: Reach,
}

impl Prober {
    /// A prober that connects within `reach`.
    pub fn new(settings: Settings, reach: Reach) -> Self {
        Self { settings, reach }
    }

    /// A look at `address` that has seen nothing yet.
    pub(crate) fn unseen(&self, address: IpAddr, now: Timestamp) -> Probe {
        Probe {
            address,
            at: now,
            outcome: super::Outcome::Secured,
            evidence: None,
            banner: None,
            ehlo: vec![],
            elapsed: Duration::ZERO,
            tls: None,
            without_sni: None,
            unknown_sni: None,
            old_tls_accepted: None,
            ehlo_after_tls: None,
        }
    }

    /// Looks at `host` at `address`, which came from DNS a moment ago; chains are judged at `now`.
    ///
    /// One session as a sender holds it. Where TLS came up, three short ones after it: without SNI,
    /// with an unknown SNI, and with the offer of TLS 1.1. Where nothing but a version in common was
    /// missing, up to two with old offers, to tell an old host from a broken one. Always returns
    /// within twice [`Settings::session`].
    pub async fn probe(&self, host: &DnsName, address: IpAddr, now: Timestamp) -> Probe {
        let began = Instant::now();
        let mut probe = self.unseen(address, now);
        let visit = Visit { prober: self, host: host.as_str(), address, now };
        match ServerName::try_from(host.as_str()) {
            Ok(name @ ServerName::DnsName(_)) => visit.all(&name.to_owned(), &mut probe).await,
            _ => probe.outcome = Why::NotAHostName.outcome(),
        }
        probe.elapsed = began.elapsed();
        probe
    }
}

/// One look at one address.
struct Visit<'a> {
    prober: &'a Prober,
    host: &'a str,
    address: IpAddr,
    now: Timestamp,
}

impl Visit<'_> {
    async fn all(&self, name: &ServerName<'static>, probe: &mut Probe) {
        let main = self.main_session(name, probe).await;
        let until = Instant::now() + self.prober.settings.session;
        match main {
            Ok(()) => self.extra_sessions(name, until, probe).await,
            Err(ended) => {
                let why = match ended.nothing_in_common {
                    true => self.how_old(until, probe).await,
                    false => ended.why,
                };
                (probe.outcome, probe.evidence) = (why.outcome(), ended.evidence);
            }
        }
    }

    /// The session as a sender holds it.
    async fn main_session(&self, name: &ServerName<'static>, probe: &mut Probe) -> Result<(), Ended> {
        let until = Instant::now() + self.prober.settings.session;
        let mut introduction = Introduction::default();
        let ready = self.open(until, &mut introduction).await;
        (probe.banner, probe.ehlo) = (introduction.banner, introduction.ehlo);
        let (config, _) = client_config(TlsVersions::Both, &[]);
        let stream = shake_hands(ready?, config, name.clone(), self.deadline(until)).await?;
        probe.tls = Some(self.tls_seen(&stream));
        let mut talk = Talk::new(stream, self.prober.settings.reply, until);
        let ehlo = talk.ask(&format!("EHLO {}", self.prober.settings.ehlo_name)).await;
        probe.ehlo_after_tls = Some(match &ehlo {
            Ok(reply) if reply.code != 250 => EhloAfterTls::Refused(reply.shown()),
            Ok(reply) if reply.offers("STARTTLS") => EhloAfterTls::StarttlsAgain,
            Ok(_) => EhloAfterTls::Fine,
            Err(_) => EhloAfterTls::Unanswered,
        });
        if ehlo.is_ok() {
            talk.leave().await;
        }
        Ok(())
    }

    /// The short sessions after a good one; a host that says "later" is left alone (S-17).
    async fn extra_sessions(&self, name: &ServerName<'static>, until: Instant, probe: &mut Probe) {
        let (config, _) = client_config(TlsVersions::Both, &[]);
        let mut silent = ClientConfig::clone(&config);
        silent.enable_sni = false;
        let without = self.sni_less(Arc::new(silent), name.clone(), until).await;
        let go_on = !matches!(without, SniLess::Unknown(_));
        probe.without_sni = Some(without);
        if !go_on {
            return;
        }
        let unknown = ServerName::try_from(UNKNOWN_SNI).expect("a name of letters, hyphens and a dot");
        let unknown = self.sni_less(config, unknown, until).await;
        let go_on = !matches!(unknown, SniLess::Unknown(_));
        probe.unknown_sni = Some(unknown);
        if go_on {
            let answer = self.old_hello(Most::Tls11, until).await;
            probe.old_tls_accepted = answer.map(|answer| answer == Answer::Older);
        }
    }

    /// A handshake with another SNI than the host's name, or none.
    async fn sni_less(
        &self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        until: Instant,
    ) -> SniLess {
        let ready = match self.open(until, &mut Introduction::default()).await {
            Ok(ready) => ready,
            Err(ended) => return SniLess::Unknown(ended.why),
        };
        match shake_hands(ready, config, name, self.deadline(until)).await {
            Ok(stream) => {
                let chain = self.judge(&stream);
                Talk::new(stream, self.prober.settings.reply, until).leave().await;
                SniLess::Served(Box::new(chain))
            }
            Err(ended) if ended.why == Why::TlsFailed => SniLess::Refused(ended.evidence.unwrap_or_default()),
            Err(ended) => SniLess::Unknown(ended.why),
        }
    }

    /// Why the handshake failed at a host that has nothing in common with us.
    async fn how_old(&self, until: Instant, probe: &mut Probe) -> Why {
        match self.old_hello(Most::Tls12, until).await {
            Some(Answer::Tls12) => return Why::OnlyOldCiphers,
            Some(Answer::Older) => {
                probe.old_tls_accepted = Some(true);
                return Why::TlsTooOld;
            }
            // Very old hosts do not even bargain with a newer client.
            Some(Answer::Refused) => {}
            None => return Why::TlsFailed,
        }
        let answer = self.old_hello(Most::Tls11, until).await;
        probe.old_tls_accepted = answer.map(|answer| answer == Answer::Older);
        if answer == Some(Answer::Older) { Why::TlsTooOld } else { Why::TlsFailed }
    }

    /// What the host answers to an old hello; `None` when that was not learnt.
    async fn old_hello(&self, most: Most, until: Instant) -> Option<Answer> {
        let Ready { mut stream, .. } = self.open(until, &mut Introduction::default()).await.ok()?;
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let exchange = async {
            stream.write_all(&old_tls::client_hello(most, self.host, random)).await.ok()?;
            let mut stream = stream.take(OLD_ANSWER_MAX);
            let mut answer = Vec::new();
            loop {
                if let Some(answer) = old_tls::read(&answer) {
                    return Some(answer);
                }
                match stream.read_buf(&mut answer).await {
                    Ok(1..) => {}
                    // Hanging up is a way to refuse.
                    Ok(0) | Err(_) => return Some(Answer::Refused),
                }
            }
        };
        timeout_at(self.deadline(until), exchange).await.ok().flatten()
    }

    async fn open(&self, until: Instant, introduction: &mut Introduction) -> Result<Ready, Ended> {
        open(&self.prober.settings, &self.prober.reach, self.address, until, introduction).await
    }

    fn deadline(&self, until: Instant) -> Instant {
        until.min(Instant::now() + self.prober.settings.reply)
    }

    fn tls_seen(&self, stream: &TlsStream<Metered>) -> TlsSeen {
        let session = stream.get_ref().1;
        let version = session.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
        let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        TlsSeen {
            version: version.unwrap_or_default(),
            suite: suite.unwrap_or_default(),
            chain: self.judge(stream),
            certificates: chain(stream).iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }

    fn judge(&self, stream: &TlsStream<Metered>) -> ChainJudgement {
        let roots: Vec<&Roots> = self.prober.settings.roots.iter().map(Arc::as_ref).collect();
        judge(chain(stream), self.host, &roots, self.now)
    }
}

/// The chain as sent, leaf first.
fn chain(stream: &TlsStream<Metered>) -> &[CertificateDer<'static>] {
    stream.get_ref().1.peer_certificates().unwrap_or_default()
}
