//! STARTTLS, certificates and DANE at the MX hosts (RFC 3207, RFC 8461 §4.2, RFC 7672).
//!
//! The exhibit `mail-NAME.example` has its mail taken by `NAME.zoo.example`.

use super::{Exhibit, Zone};
use crate::{
    certificates::Paper,
    mail_hosts::{MailHost, Mta, Tlsa},
    scripted_smtp::Script,
};

pub fn hosts() -> Vec<MailHost> {
    let postfix = |name, paper| MailHost::new(name, Mta::Postfix(paper, ""));
    let scripted = |name, script| MailHost::new(name, Mta::Script(script));
    let with = |name, options| MailHost::new(name, Mta::Postfix(Paper::Good, options));
    vec![
        postfix("mx", Paper::Good),
        postfix("mx2", Paper::Good),
        postfix("implicit", Paper::Good),
        postfix("very.deep", Paper::Good),
        postfix("aliased", Paper::Good),
        postfix("wrong-name", Paper::WrongName),
        postfix("cn-only", Paper::CommonNameOnly),
        postfix("expired", Paper::Expired),
        postfix("expiring", Paper::Expiring),
        postfix("self-signed", Paper::SelfSigned),
        postfix("unknown-root", Paper::UnknownRoot),
        postfix("incomplete", Paper::Incomplete),
        with("plaintext", "-o smtpd_tls_security_level=none"),
        with(
            "tls11",
            "-o smtpd_tls_protocols=TLSv1.1 -o smtpd_tls_mandatory_protocols=TLSv1.1 -o smtpd_tls_ciphers=low",
        ),
        with("tls10-too", "-o smtpd_tls_protocols=>=TLSv1 -o smtpd_tls_ciphers=low"),
        scripted("injection", Script::Injection),
        scripted("tarpit", Script::Tarpit),
        scripted("busy", Script::Busy),
        scripted("refuses", Script::Refuses),
        scripted("endless", Script::EndlessBanner),
        scripted("drips", Script::Drips),
        scripted("endless-ehlo", Script::EndlessEhlo),
        scripted("endless-tls", Script::EndlessWithinTls),
        postfix("huge", Paper::Huge),
        scripted("garbage", Script::Garbage),
        scripted("broken-tls", Script::BrokenTls),
        scripted("not-now", Script::TlsNotNow),
        scripted("again", Script::StarttlsAgain),
        scripted("deaf", Script::DeafAfterTls),
        scripted("picky", Script::NeedsServerName),
        MailHost::new("closed", Mta::Nobody),
        postfix("dane", Paper::Good).tlsa(Tlsa::Anchor),
        postfix("dane-leaf", Paper::Good).tlsa(Tlsa::Match),
        postfix("dane-self-signed", Paper::SelfSigned).tlsa(Tlsa::Match),
        postfix("dane-stale", Paper::Good).tlsa(Tlsa::Mismatch),
        postfix("dane-usage-1", Paper::Good).tlsa(Tlsa::Usage1),
        postfix("dane-lost", Paper::Good).tlsa(Tlsa::Lost),
    ]
}

pub fn exhibits() -> Vec<Exhibit> {
    let at = |name, host: &'static str, wrong| Exhibit::new(name, wrong).mx(&[host]);
    vec![
        at("mail-wrong-name", "wrong-name", "a certificate for another name").expects(&["MX_CERT_NAME"]),
        at("mail-cn-only", "cn-only", "the name is the common name only").expects(&["MX_CERT_CN_ONLY"]),
        at("mail-expired", "expired", "a certificate that is over").expects(&["MX_CERT_EXPIRED"]),
        at("mail-expiring", "expiring", "a ninth of the certificate's life is left")
            .expects(&["MX_CERT_EXPIRING"]),
        at("mail-self-signed", "self-signed", "a certificate signed by itself")
            .expects(&["MX_CERT_SELF_SIGNED"]),
        at("mail-unknown-root", "unknown-root", "an authority that nobody trusts")
            .expects(&["MX_CERT_UNTRUSTED"]),
        at("mail-incomplete", "incomplete", "the intermediate is not sent")
            .expects(&["MX_CERT_INCOMPLETE_CHAIN"]),
        at("mail-plaintext", "plaintext", "no STARTTLS").expects(&["MX_NO_STARTTLS"]),
        at("mail-tls11", "tls11", "TLS 1.1 only").expects(&["MX_TLS_TOO_OLD"]),
        at("mail-tls10-too", "tls10-too", "TLS 1.0 is accepted beside 1.3").expects(&["MX_TLS_OLD_ACCEPTED"]),
        at("mail-injection", "injection", "a reply in plaintext after the 220 to STARTTLS")
            .expects(&["MX_STARTTLS_INJECTION"]),
        at("mail-tarpit", "tarpit", "no greeting").expects(&["MX_TIMEOUT"]),
        at("mail-busy", "busy", "421 at once").expects(&["MX_NOT_READY"]),
        at("mail-refuses", "refuses", "554 at once").expects(&["MX_REFUSES"]),
        at("mail-endless", "endless", "a greeting without end").expects(&["MX_SMTP_BROKEN"]),
        at("mail-drips", "drips", "a greeting that comes an octet a second").expects(&["MX_TIMEOUT"]),
        at("mail-endless-ehlo", "endless-ehlo", "an answer to EHLO without end").expects(&["MX_SMTP_BROKEN"]),
        at("mail-endless-tls", "endless-tls", "an answer to EHLO within TLS without end")
            .expects(&["MX_NO_EHLO_AFTER_TLS"]),
        at("mail-huge", "huge", "a certificate chain of more than 64 KiB").expects(&["MX_SMTP_BROKEN"]),
        at("mail-beyond", "beyond", "no way leads to the host, as where a network drops what is for port 25")
            .expects(&["MX_UNREACHABLE"])
            .expects_alone(&["MX_PORT_25_BLOCKED_HERE"]),
        at("mail-garbage", "garbage", "no SMTP").expects(&["MX_SMTP_BROKEN"]),
        at("mail-broken-tls", "broken-tls", "no TLS after the 220 to STARTTLS").expects(&["MX_TLS_FAILED"]),
        at("mail-not-now", "not-now", "454 to STARTTLS").expects(&["MX_NOT_READY"]),
        at("mail-again", "again", "STARTTLS is offered once more within TLS")
            .expects(&["MX_STARTTLS_AFTER_TLS"]),
        at("mail-deaf", "deaf", "EHLO is refused within TLS").expects(&["MX_NO_EHLO_AFTER_TLS"]),
        at("mail-picky", "picky", "no TLS without the server's name").expects(&["MX_NEEDS_SNI"]),
        at("mail-closed", "closed", "nobody listens on port 25").expects(&["MX_UNREACHABLE"]),
        at("dane-good", "dane", "nothing: TLSA 2 1 1 matches the authority"),
        at("dane-leaf", "dane-leaf", "TLSA 3 1 1 matches, and must change with the key")
            .expects(&["DANE_PINNED_LEAF", "TLSRPT_MX_HOST_MISSING"]),
        at("dane-beats-names", "dane-self-signed", "self-signed, which DANE allows and MTA-STS does not")
            .expects(&["DANE_PINNED_LEAF", "MX_CERT_SELF_SIGNED", "TLSRPT_MX_HOST_MISSING"]),
        at("dane-stale", "dane-stale", "the TLSA record is for an older key")
            .expects(&["DANE_MISMATCH", "TLSRPT_MX_HOST_MISSING"]),
        at("dane-usage-1", "dane-usage-1", "TLSA usage 1 has no meaning for mail")
            .expects(&["DANE_UNUSABLE", "TLSRPT_MX_HOST_MISSING"]),
        at("dane-lost", "dane-lost", "the server of the TLSA record has lost its zone")
            .expects(&["DANE_LOOKUP_FAILED"]),
        at("dane-unsigned", "dane", "TLSA at the host, but the domain's own zone is not signed")
            .zone(Zone::Unsigned)
            .expects(&["DANE_NOT_SIGNED", "DNSSEC_UNSIGNED"]),
    ]
}
