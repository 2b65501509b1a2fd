//! The indicator record `_mta-sts.<domain>` (RFC 8461 §3.1), and the zone it is in.

use super::{Exhibit, Zone};

pub fn exhibits() -> Vec<Exhibit> {
    let new = Exhibit::new;
    vec![
        new("good", "nothing"),
        new("good-unsigned", "nothing but DNSSEC is missing")
            .zone(Zone::Unsigned)
            .expects(&["DNSSEC_UNSIGNED"]),
        new("record-strings", "nothing: one record in several strings")
            .record("_mta-sts TXT \"v=STSv1\" \"; id=2026\" \"1121;\""),
        new("record-alias", "nothing: the record is reached by two CNAMEs")
            .record("_mta-sts CNAME one._mta-sts\none._mta-sts CNAME two\ntwo TXT \"v=STSv1; id=20261121;\""),
        new("nothing", "no MTA-STS at all").without_policy().expects(&["NO_MTA_STS"]),
        new("record-missing", "a policy without a record").record("").expects(&["STS_RECORD_MISSING"]),
        new("record-two", "two records, as after a change of provider")
            .record("_mta-sts TXT \"v=STSv1; id=20261121;\"\n_mta-sts TXT \"v=STSv1; id=a1;\"")
            .expects(&["STS_RECORD_MULTIPLE"]),
        new("record-hyphens", "the id has hyphens")
            .txt("v=STSv1; id=2026-11-21;")
            .expects(&["STS_RECORD_MALFORMED"]),
        new("record-no-id", "no id").txt("v=STSv1;").expects(&["STS_RECORD_MALFORMED"]),
        new("record-long-id", "an id of 33 letters")
            .txt("v=STSv1; id=abcdefghijklmnopqrstuvwxyz1234567;")
            .expects(&["STS_RECORD_MALFORMED"]),
        new("record-empty-field", "two semicolons in a row")
            .txt("v=STSv1;; id=20261121;")
            .expects(&["STS_RECORD_MALFORMED"]),
        new("record-lower-case", "the version in small letters")
            .txt("v=stsv1; id=20261121;")
            .expects(&["STS_RECORD_MALFORMED"]),
        new("record-beside-spf", "an SPF record at the same name")
            .record("_mta-sts TXT \"v=STSv1; id=20261121;\"\n_mta-sts TXT \"v=spf1 -all\"")
            .expects(&["STS_RECORD_UNRELATED_TXT"]),
        new("record-space-before", "a space before the first semicolon")
            .txt("v=STSv1 ; id=20261121;")
            .expects(&["STS_RECORD_SPACE_BEFORE_SEMICOLON"]),
        new("record-no-space", "no space after the semicolon")
            .txt("v=STSv1;id=20261121;")
            .expects(&["STS_RECORD_NONCANONICAL"]),
        new("record-twice-id", "the id twice, with two values")
            .txt("v=STSv1; id=20261121; id=20261122;")
            .expects(&["STS_RECORD_DUPLICATE_FIELD"]),
        new("record-extension", "a field that nobody knows")
            .txt("v=STSv1; id=20261121; note=hello;")
            .expects(&["STS_RECORD_EXTENSION"]),
        new(
            "record-colon",
            "a field that nobody knows, with a colon in it: some read a header of a mail there",
        )
        .txt("v=STSv1; id=20261121; note=see:docs;")
        .expects(&["STS_RECORD_EXTENSION", "STS_RECORD_INCOMPATIBLE"]),
        new("record-at-apex", "the record is at the domain itself")
            .record("@ TXT \"v=STSv1; id=20261121;\"")
            .expects(&["STS_RECORD_WRONG_PLACE"]),
        new("record-at-host", "the record is at the policy host")
            .record("mta-sts TXT \"v=STSv1; id=20261121;\"")
            .expects(&["STS_RECORD_WRONG_PLACE"]),
        new("record-quoted", "quotes in the data")
            .txt(r#"\"v=STSv1; id=20261121;\""#)
            .expects(&["STS_RECORD_QUOTED"]),
        new("record-backslash", "backslashes in the data")
            .txt(r"v=STSv1\\; id=20261121\\;")
            .expects(&["STS_RECORD_QUOTED"]),
        new("record-nbsp", "a space copied from a web page: U+00A0")
            .txt(r"v=STSv1;\194\160id=20261121;")
            .expects(&["STS_RECORD_NBSP"]),
        new("record-wildcard", "a wildcard answers for the record, and for every other name")
            .record("* TXT \"v=STSv1; id=20261121;\"")
            .expects(&["STS_RECORD_WILDCARD"]),
        new("record-beside-cname", "a CNAME and a TXT record at the same name, of which Unbound hides one")
            .record("")
            .cut("_mta-sts", Zone::Odd)
            .expects_alone(&["STS_RECORD_BESIDE_CNAME"]),
        new("record-loop", "the record's CNAMEs go in a circle")
            .record("_mta-sts CNAME one._mta-sts\none._mta-sts CNAME _mta-sts")
            .expects(&["STS_RECORD_CNAME_LOOP"]),
        new("record-ttl", "a TTL of two days")
            .record("_mta-sts 172800 TXT \"v=STSv1; id=20261121;\"")
            .expects(&["STS_RECORD_TTL_LONG"]),
        new("record-servfail", "the server of the record has lost its zone")
            .record("")
            .cut("_mta-sts", Zone::Lost)
            .expects(&["STS_RECORD_LOOKUP_FAILED"]),
        new("record-lame", "the server of the record does not know its zone")
            .record("")
            .cut("_mta-sts", Zone::Lame)
            .expects(&["STS_RECORD_LOOKUP_FAILED"]),
        new("record-bogus", "the record is in a zone whose signatures are wrong")
            .record("")
            .cut("_mta-sts", Zone::Bogus)
            .expects(&["DNSSEC_BOGUS"]),
        new("bogus", "the whole domain fails validation")
            .zone(Zone::Bogus)
            .expects(&["DNSSEC_BOGUS", "TLSRPT_LOOKUP_FAILED"]),
    ]
}
