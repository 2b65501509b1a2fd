//! Hosts of every sort, looked at over real sockets.

mod mx;

use super::*;
use crate::dialing::Reach;
use crate::dns::DnsName;
use mx::{HOST, Mx, OLDER, Pki, Script, Secure, US, everywhere, look, look_with, now, settings};

fn reason(probe: &Probe) -> Option<Why> {
    match probe.outcome {
        Outcome::Secured => None,
        Outcome::Unknown(why) | Outcome::Failed(why) => Some(why),
    }
}

#[track_caller]
fn check(probe: &Probe, expected: Why) {
    assert_eq!(probe.outcome, expected.outcome(), "{probe:?}");
    assert!(probe.tls.is_none() && probe.without_sni.is_none() && probe.ehlo_after_tls.is_none());
}

async fn check_script(change: impl FnOnce(&mut Script), expected: Why) -> (Probe, Mx) {
    let mut script = Script::good(Secure::Nothing);
    change(&mut script);
    let mx = Mx::start(script).await;
    let probe = look(&mx).await;
    check(&probe, expected);
    (probe, mx)
}

#[tokio::test]
async fn a_good_host_hears_ehlo_starttls_ehlo_and_quit_and_nothing_else() {
    let pki = Pki::new();
    let mx = Mx::start(Script::good(Secure::Tls(pki.server()))).await;
    let probe = look_with(&mx, settings(mx.address.port(), vec![pki.root.clone()])).await;
    assert_eq!(probe.outcome, Outcome::Secured, "{probe:?}");
    assert_eq!(probe.banner.as_deref(), Some("mx.example.com ESMTP ready"));
    assert_eq!(probe.ehlo, ["mx.example.com", "SIZE 1000", "StartTLS", "8BITMIME"]);
    assert_eq!(probe.ehlo_after_tls, Some(EhloAfterTls::Fine));
    let tls = probe.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.suite.starts_with("TLS13_"), "{}", tls.suite);
    assert_eq!(tls.certificates, [pki.chain[0].to_vec()]);
    assert!(tls.chain.is_accepted(), "{:?}", tls.chain);
    for other in [probe.without_sni, probe.unknown_sni] {
        assert!(matches!(&other, Some(SniLess::Served(chain)) if chain.is_accepted()), "{other:?}");
    }
    assert_eq!(probe.old_tls_accepted, Some(false));
    let ehlo = format!("EHLO {US}");
    let said = mx.said();
    assert_eq!(said[0], [&ehlo, "STARTTLS", &format!("TLS {HOST}"), &ehlo, "QUIT"]);
    assert_eq!(said[1], [&ehlo, "STARTTLS", "TLS -", "QUIT"]);
    assert_eq!(said[2], [&ehlo, "STARTTLS", "TLS no-such-host.invalid", "QUIT"]);
    assert_eq!(said[3], [&ehlo, "STARTTLS"]);
    assert_eq!(said.len(), 4);
}

#[tokio::test]
async fn a_host_without_starttls_has_failed_and_is_left_politely() {
    let (_, mx) = check_script(|script| script.ehlo = "250 mx.example.com\r\n", Why::NoStarttls).await;
    assert_eq!(mx.said(), [[format!("EHLO {US}"), "QUIT".to_owned()]]);
    check_script(|script| script.ehlo = "250 STARTTLS\r\n", Why::NoStarttls).await;
    let (probe, _) = check_script(|script| script.ehlo = "502 5.5.1 what?\r\n", Why::HeloOnly).await;
    assert_eq!(probe.evidence.as_deref(), Some("502 5.5.1 what?"));
    check_script(|script| script.starttls = "502 no\r\n", Why::StarttlsRefused).await;
}

#[tokio::test]
async fn a_host_that_says_later_stays_unknown_however_often() {
    for _ in 0..5 {
        let (probe, _) = check_script(|script| script.greeting = "421 busy\r\n", Why::NotReady).await;
        assert!(matches!(probe.outcome, Outcome::Unknown(_)));
    }
    check_script(|script| script.greeting = "450 greylisted\r\n", Why::NotReady).await;
    check_script(|script| script.ehlo = "421 shutting down\r\n", Why::NotReady).await;
    let (probe, mx) = check_script(|script| script.starttls = "454 no TLS now\r\n", Why::NotReady).await;
    assert_eq!(probe.evidence.as_deref(), Some("454 no TLS now"));
    assert_eq!(mx.said().len(), 1, "it is left alone");
}

#[tokio::test]
async fn a_host_that_refuses_us_or_speaks_no_smtp_has_failed() {
    let (probe, _) = check_script(|script| script.greeting = "554 \x1b[1mgo away\r\n", Why::Refuses).await;
    assert_eq!(probe.evidence.as_deref(), Some("554 \\u{1b}[1mgo away"));
    check_script(|script| script.ehlo = "550 who are you?\r\n", Why::Refuses).await;
    check_script(|script| script.greeting = "SSH-2.0-OpenSSH\r\n", Why::SmtpBroken).await;
    check_script(|script| script.greeting = "250 hello\r\n", Why::SmtpBroken).await;
    check_script(|script| script.starttls = "354 go\r\n", Why::SmtpBroken).await;
}

#[tokio::test]
async fn octets_along_with_the_220_end_it_before_any_handshake() {
    let (probe, mx) = check_script(|script| script.starttls = "220 go\r\n250 x\r\n", Why::Injection).await;
    assert_eq!(probe.evidence.as_deref(), Some("250 x\\u{d}\\u{a}"));
    assert_eq!(mx.said(), [[format!("EHLO {US}"), "STARTTLS".to_owned()]]);
}

#[tokio::test]
async fn plain_text_in_place_of_a_handshake_is_told_apart() {
    check_script(
        |script| script.secure = Secure::Octets(|_| b"454 TLS is broken today\r\n"),
        Why::PlaintextInHandshake,
    )
    .await;
}

#[tokio::test]
async fn only_an_old_host_is_called_old() {
    fn is_new(hello: &[u8]) -> bool {
        hello[5] >= 3
    }
    fn is_ours(hello: &[u8]) -> bool {
        // The extension supported_versions, which no hello written by hand has.
        hello.windows(5).any(|octets| octets == [0, 43, 0, 5, 4])
    }
    const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
    const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    const TLS_1_2: &[u8] = &[22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    type Answer = fn(&[u8]) -> &'static [u8];
    let hosts: [(Answer, Why, Option<bool>); 6] = [
        (|hello| if is_new(hello) { PROTOCOL_VERSION } else { OLDER }, Why::TlsTooOld, Some(true)),
        (|_| OLDER, Why::TlsTooOld, Some(true)),
        // Hangs up on what it does not know.
        (|hello| if is_new(hello) { b"" } else { OLDER }, Why::TlsTooOld, Some(true)),
        (|_| HANDSHAKE_FAILURE, Why::TlsFailed, Some(false)),
        (|_| b"", Why::TlsFailed, Some(false)),
        (|hello| if is_ours(hello) { HANDSHAKE_FAILURE } else { TLS_1_2 }, Why::OnlyOldCiphers, None),
    ];
    for (number, (answer, why, old)) in hosts.into_iter().enumerate() {
        let (probe, _) = check_script(|script| script.secure = Secure::Octets(answer), why).await;
        assert_eq!(probe.old_tls_accepted, old, "host {number}");
    }
}

#[tokio::test]
async fn a_good_host_that_still_takes_old_versions_is_seen() {
    let mx = Mx::start(Script::good(Secure::TlsOrOlder(Pki::new().server()))).await;
    let probe = look(&mx).await;
    assert_eq!((probe.outcome, probe.old_tls_accepted), (Outcome::Secured, Some(true)));
}

#[tokio::test]
async fn a_host_that_insists_on_sni_is_seen() {
    let pki = Pki::new();
    let mx = Mx::start(Script::good(Secure::Tls(pki.server_with(pki.chain.clone(), true)))).await;
    let probe = look(&mx).await;
    assert_eq!(probe.outcome, Outcome::Secured, "{probe:?}");
    for other in [probe.without_sni, probe.unknown_sni] {
        assert!(matches!(&other, Some(SniLess::Refused(words)) if !words.is_empty()), "{other:?}");
    }
    assert_eq!(probe.old_tls_accepted, Some(false));
}

#[tokio::test]
async fn the_second_ehlo_is_judged() {
    let pki = Pki::new();
    let check = async |answer, expected| {
        let mut script = Script::good(Secure::Tls(pki.server()));
        script.ehlo_after_tls = answer;
        let probe = look(&Mx::start(script).await).await;
        assert_eq!(probe.outcome, Outcome::Secured);
        assert_eq!(probe.ehlo_after_tls, Some(expected));
    };
    check("250-mx\r\n250 starttls\r\n", EhloAfterTls::StarttlsAgain).await;
    check("503 no\r\n", EhloAfterTls::Refused("503 no".to_owned())).await;
    check("nonsense\r\n", EhloAfterTls::Unanswered).await;
}

#[tokio::test]
async fn no_host_brings_more_than_a_session_may() {
    let lines: &str = "220-and another thing, and another thing, and another thing\r\n";
    check_script(|script| script.endless = Some((lines, 0)), Why::TooMuch).await;
    check_script(|script| script.endless = Some(("220 and so on, and so on", 0)), Why::TooMuch).await;
    let pki = Pki::new();
    let chain = vec![pki.chain[0].clone(); 70_000 / pki.chain[0].len()];
    check_script(|script| script.secure = Secure::Tls(pki.server_with(chain, false)), Why::TooMuch).await;
}

#[tokio::test]
async fn a_host_that_drips_or_falls_silent_is_unknown() {
    let check = async |script: Script, expected| {
        let mx = Mx::start(script).await;
        let brief = Settings { reply: Duration::from_millis(300), ..settings(mx.address.port(), vec![]) };
        check(&look_with(&mx, brief).await, expected);
    };
    let good = Script::good(Secure::Nothing);
    check(Script { endless: Some(("2", 20)), ..good.clone() }, Why::ReplyTimeout).await;
    check(Script { endless: Some(("220-still here\r\n", 20)), ..good.clone() }, Why::ReplyTimeout).await;
    check(Script { greeting: "", ..good.clone() }, Why::ReplyTimeout).await;
}

#[tokio::test]
async fn a_session_ends_in_time_whatever_the_host_does() {
    let mx = Mx::start(Script::good(Secure::Nothing)).await;
    let brief = Settings { session: Duration::from_millis(500), ..settings(mx.address.port(), vec![]) };
    let why = reason(&look_with(&mx, brief).await);
    // On a busy machine the session may end before the handshake begins.
    assert!(matches!(why, Some(Why::HandshakeTimeout | Why::ReplyTimeout | Why::ConnectTimeout)), "{why:?}");
}

#[tokio::test]
async fn a_closed_port_is_unknown_and_a_closed_connection_too() {
    let look_at = async |address: std::net::SocketAddr| {
        let prober = Prober::new(settings(address.port(), vec![]), everywhere());
        prober.probe(&DnsName::new(HOST), address.ip(), now()).await
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lost = tokio::spawn(async move { drop(listener.accept().await) });
    check(&look_at(address).await, Why::ConnectionLost);
    lost.await.unwrap();
    // Bound, so that nobody else gets the port, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    check(&look_at(closed.local_addr().unwrap()).await, Why::ConnectionRefused);
}

#[tokio::test]
async fn nothing_is_dialled_that_must_not_be() {
    let mx = Mx::start(Script::good(Secure::Nothing)).await;
    let settings = settings(mx.address.port(), vec![]);
    let (host, address) = (DnsName::new(HOST), mx.address.ip());
    let probe = Prober::new(settings.clone(), Reach::default()).probe(&host, address, now()).await;
    check(&probe, Why::RefusedNetwork);
    assert_eq!(probe.evidence.as_deref(), Some("127.0.0.0/8"));
    let prober = Prober::new(settings, everywhere());
    for name in ["", "192.0.2.1", "mx .example.com", "a\u{1}b.example"] {
        check(&prober.probe(&DnsName::new(name), address, now()).await, Why::NotAHostName);
    }
    assert!(mx.said().is_empty());
}
