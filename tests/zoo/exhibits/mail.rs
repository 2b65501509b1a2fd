//! MX records against the policy (RFC 8461 §4.1, RFC 5321 §5.1, RFC 7505).

use super::{Exhibit, Zone};

pub fn exhibits() -> Vec<Exhibit> {
    let new = Exhibit::new;
    vec![
        new("mx-wildcard", "nothing: a wildcard allows the host").patterns(&["*.zoo.example"]),
        new("mx-two", "nothing: two hosts, both allowed").mx(&["mx", "mx2"]),
        new("mx-uncovered", "the policy has no pattern for any host")
            .patterns(&["mx.elsewhere.example"])
            .expects(&["MX_NOT_IN_POLICY", "NO_MX_COVERED"]),
        new("mx-half-covered", "the policy allows one of two hosts")
            .mx(&["mx", "mx2"])
            .patterns(&["mx.zoo.example"])
            .expects(&["MX_NOT_IN_POLICY"]),
        new("mx-too-deep", "a wildcard stands for one label, the host is two deep")
            .mx(&["very.deep"])
            .patterns(&["*.zoo.example"])
            .expects(&["MX_NOT_IN_POLICY", "NO_MX_COVERED"]),
        new("mx-unused", "a pattern for a host that is gone")
            .patterns(&["mx.zoo.example", "old.zoo.example"])
            .expects(&["MX_PATTERN_UNUSED"]),
        new("mx-null", "a null MX beside a policy in mode enforce")
            .mail("@ MX 0 .")
            .expects(&["NULL_MX_WITH_POLICY"]),
        new("mx-null-and-more", "a null MX beside another")
            .mail("@ MX 0 .\n@ MX 10 mx.zoo.example.")
            .expects(&["NULL_MX_NOT_ALONE"]),
        new("mx-implicit", "no MX record: the domain's own address")
            .mail("@ A 11.2.0.3")
            .patterns(&["mx-implicit.example"])
            .expects(&["IMPLICIT_MX", "MX_CERT_NAME"]),
        new("mx-nobody", "neither MX record nor address")
            .mail("@ TXT \"no mail\"")
            .expects(&["NO_MAIL_HOST"]),
        new("mx-address", "an address written as a name").mail("@ MX 10 11.2.0.1.").expects(&[
            "MX_IS_IP",
            "MX_NOT_IN_POLICY",
            "NO_MX_COVERED",
        ]),
        new("mx-underscore", "an underscore in the host's name")
            .mail("@ MX 10 mail_1\nmail_1 A 11.2.0.1")
            .patterns(&["mx.zoo.example"])
            .expects(&["MX_CERT_NAME", "MX_HOST_NOT_LDH", "MX_NOT_IN_POLICY", "NO_MX_COVERED"]),
        new("mx-alias", "the host is a CNAME").mx(&["alias"]).expects(&["MX_HOST_ALIAS"]),
        new("mx-gone", "the host does not exist").mx(&["gone"]).expects(&["MX_HOST_NOT_FOUND"]),
        new("mx-no-address", "the host has no address").mx(&["no-address"]).expects(&["MX_HOST_NO_ADDRESS"]),
        new("mx-private", "the host has an address of a private network")
            .mx(&["private"])
            .expects(&["MX_HOST_PRIVATE_ADDRESS"]),
        new("mx-servfail", "the server of the host has lost its zone")
            .mail("@ MX 10 mx.lost")
            .patterns(&["mx.lost.mx-servfail.example"])
            .cut("lost", Zone::Lost)
            .expects(&["MX_HOST_LOOKUP_FAILED"]),
        new("servfail", "the domain's server has lost its zone").zone(Zone::Lost).expects(&[
            "CAA_LOOKUP_FAILED",
            "MX_LOOKUP_FAILED",
            "POLICY_HOST_LOOKUP_FAILED",
            "STS_RECORD_LOOKUP_FAILED",
            "TLSRPT_LOOKUP_FAILED",
        ]),
        new("lame", "the domain's server does not know it").zone(Zone::Lame).expects(&[
            "CAA_LOOKUP_FAILED",
            "MX_LOOKUP_FAILED",
            "POLICY_HOST_LOOKUP_FAILED",
            "STS_RECORD_LOOKUP_FAILED",
            "TLSRPT_LOOKUP_FAILED",
        ]),
        new("unregistered", "the domain does not exist")
            .zone(Zone::Missing)
            .expects(&["NO_MTA_STS", "NO_SUCH_DOMAIN"]),
        new("mail-at-exchange-online", "Exchange Online takes the mail, the policy lacks its pattern")
            .mail("@ MX 0 zoo-example.mail.protection.outlook.com.")
            .expects(&["MX_HOST_NOT_FOUND", "MX_NOT_IN_POLICY", "MX_PROVIDER_PATTERN", "NO_MX_COVERED"]),
    ]
}
