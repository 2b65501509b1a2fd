//! The record for reports, `_smtp._tls.<domain>` (RFC 8460 §3).

use super::{Exhibit, Zone};

pub fn exhibits() -> Vec<Exhibit> {
    let new = Exhibit::new;
    let with = |name, wrong, text: &str| new(name, wrong).reports(&format!("_smtp._tls TXT \"{text}\""));
    vec![
        with("reports-https", "nothing: reports by HTTPS", "v=TLSRPTv1; rua=https://reports.zoo.example/a1"),
        new("reports-missing", "no record for reports").reports("").expects(&["TLSRPT_MISSING"]),
        new("reports-two", "two records for reports")
            .reports(
                "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:a@zoo.example\"\n\
                 _smtp._tls TXT \"v=TLSRPTv1; rua=mailto:b@zoo.example\"",
            )
            .expects(&["TLSRPT_MULTIPLE"]),
        with("reports-no-rua", "no address", "v=TLSRPTv1;").expects(&["TLSRPT_MALFORMED"]),
        with("reports-no-scheme", "an address without mailto:", "v=TLSRPTv1; rua=reports@zoo.example")
            .expects(&["TLSRPT_MALFORMED"]),
        with(
            "reports-two-rua",
            "two address fields: some receivers read the first only",
            "v=TLSRPTv1; rua=mailto:a@zoo.example; rua=mailto:b@zoo.example",
        )
        .expects(&["TLSRPT_UNWISE"]),
        new("reports-servfail", "the server of the record for reports has lost its zone")
            .reports("")
            .cut("_smtp._tls", Zone::Lost)
            .expects(&["TLSRPT_LOOKUP_FAILED"]),
    ]
}
