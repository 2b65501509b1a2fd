//! IPv4 and IPv6: hosts with A records, AAAA records or both, where both are good and where one is not.
//!
//! Many senders never dial one of the two, so a fault behind one of them stays unseen for long.

use super::{Answer, Exhibit, NOBODY, NOBODY_SIX, WEB, WEB_SIX, Web, policy};
use crate::{
    certificates::Paper,
    mail_hosts::{MailHost, Mta},
};

const GOOD: Mta = Mta::Postfix(Paper::Good, "");

pub fn hosts() -> Vec<MailHost> {
    vec![
        MailHost::only_six("six", GOOD),
        MailHost::new("both", GOOD).and_six(GOOD),
        MailHost::new("six-closed", GOOD).and_six(Mta::Nobody),
        MailHost::new("four-closed", Mta::Nobody).and_six(GOOD),
        MailHost::new("six-expired", GOOD).and_six(Mta::Postfix(Paper::Expired, "")),
        MailHost::new("four-plaintext", Mta::Postfix(Paper::Good, "-o smtpd_tls_security_level=none"))
            .and_six(GOOD),
    ]
}

pub fn exhibits() -> Vec<Exhibit> {
    let host = |name, wrong, four: &str, six: &str| {
        Exhibit::new(name, wrong).host(&format!("mta-sts A {four}\nmta-sts AAAA {six}"))
    };
    let mail =
        |name, at: &'static str, wrong| Exhibit { another_way: true, ..Exhibit::new(name, wrong).mx(&[at]) };
    vec![
        Exhibit::new("host-six", "nothing: the policy host has an AAAA record alone")
            .host(&format!("mta-sts AAAA {WEB_SIX}")),
        host("host-both", "nothing: the policy host has an A and an AAAA record", WEB[0], WEB_SIX),
        host(
            "host-six-closed",
            "the policy host's A record is good, nobody listens behind AAAA",
            WEB[0],
            NOBODY_SIX,
        )
        .expects(&["POLICY_UNREACHABLE"]),
        host(
            "host-four-closed",
            "the policy host's AAAA record is good, nobody listens behind A",
            NOBODY,
            WEB_SIX,
        )
        .expects(&["POLICY_UNREACHABLE"]),
        host("host-six-other", "the policy host serves another policy behind AAAA", WEB[0], WEB_SIX)
            .web(Web::Nginx(
                Paper::Good,
                Answer::Two(
                    policy("enforce", &["mx.zoo.example"], 1_209_600),
                    policy("testing", &["mx.zoo.example"], 1_209_600),
                ),
            ))
            .expects(&["POLICY_DIFFERS"]),
        host("host-six-link-local", "the policy host has an AAAA record of a single link", WEB[0], "fe80::1")
            .expects(&["POLICY_HOST_PRIVATE_ADDRESS"]),
        mail("mail-six", "six", "nothing: the mail host has an AAAA record alone"),
        mail("mail-both", "both", "nothing: the mail host has an A and an AAAA record"),
        mail("mail-six-closed", "six-closed", "the mail host's A record is good, nobody listens behind AAAA")
            .expects(&["MX_UNREACHABLE"]),
        mail(
            "mail-four-closed",
            "four-closed",
            "the mail host's AAAA record is good, nobody listens behind A",
        )
        .expects(&["MX_UNREACHABLE"]),
        mail("mail-six-expired", "six-expired", "behind AAAA the mail host has a certificate that is over")
            .expects(&["MX_CERT_EXPIRED"]),
        mail("mail-four-plaintext", "four-plaintext", "behind A the mail host has no STARTTLS")
            .expects(&["MX_NO_STARTTLS"]),
    ]
}
