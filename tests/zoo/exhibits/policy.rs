//! The policy host, its certificate, its HTTP and the policy (RFC 8461 §3.2 and §3.3).

use super::{Answer, Exhibit, NOBODY, Web, Zone, policy};
use crate::{certificates::Paper, scripted_https::Script};

const GOOD: &str = "version: STSv1\nmode: enforce\nmx: mx.zoo.example\nmax_age: 1209600\n";

pub fn exhibits() -> Vec<Exhibit> {
    [names(), papers(), answers(), bodies()].into_iter().flatten().collect()
}

fn names() -> Vec<Exhibit> {
    let new = Exhibit::new;
    vec![
        new("host-alias", "nothing: the policy host is a CNAME").host("mta-sts CNAME web.zoo.example."),
        new("host-missing", "a record, but no policy host")
            .host("")
            .web(Web::Nobody)
            .expects(&["POLICY_HOST_MISSING"]),
        new("host-no-address", "the policy host has a TXT record only")
            .host("mta-sts TXT \"here\"")
            .web(Web::Nobody)
            .expects(&["POLICY_HOST_MISSING"]),
        new("host-servfail", "the server of the policy host has lost its zone")
            .host("")
            .cut("mta-sts", Zone::Lost)
            .web(Web::Nobody)
            .expects(&["CAA_LOOKUP_FAILED", "POLICY_HOST_LOOKUP_FAILED"]),
        new("host-private", "the policy host has an address of a private network")
            .host("mta-sts A 10.0.0.1")
            .web(Web::Nobody)
            .expects(&["POLICY_HOST_PRIVATE_ADDRESS"]),
        new("host-half-private", "one of two addresses is of a private network")
            .host("mta-sts A 11.1.0.1\nmta-sts A 192.168.1.1")
            .expects(&["POLICY_HOST_PRIVATE_ADDRESS"]),
        new("host-closed", "nobody listens on port 443").web(Web::Nobody).expects(&["POLICY_UNREACHABLE"]),
        new("host-half-closed", "at one of two addresses nobody listens")
            .host(&format!("mta-sts A 11.1.0.1\nmta-sts A {NOBODY}"))
            .expects(&["POLICY_UNREACHABLE"]),
        new("caa-nobody", "nothing to be seen from outside: CAA lets no authority issue for the policy host")
            .more("mta-sts CAA 0 issue \";\""),
    ]
}

fn papers() -> Vec<Exhibit> {
    let new = Exhibit::new;
    vec![
        new("web-wrong-name", "a certificate for another name")
            .paper(Paper::WrongName)
            .expects(&["POLICY_CERT_NAME"]),
        new("web-cn-only", "the name is the common name only")
            .paper(Paper::CommonNameOnly)
            .expects(&["POLICY_CERT_NAME"]),
        new("web-expired", "a certificate that is over")
            .paper(Paper::Expired)
            .expects(&["POLICY_CERT_EXPIRED"]),
        new("web-expiring", "a ninth of the certificate's life is left")
            .paper(Paper::Expiring)
            .expects(&["POLICY_CERT_EXPIRING"]),
        new("web-self-signed", "a certificate signed by itself")
            .paper(Paper::SelfSigned)
            .expects(&["POLICY_CERT_UNTRUSTED"]),
        new("web-unknown-root", "an authority that nobody trusts")
            .paper(Paper::UnknownRoot)
            .expects(&["POLICY_CERT_UNTRUSTED"]),
        new("web-huge", "a certificate chain of more than 64 KiB")
            .paper(Paper::Huge)
            .expects(&["POLICY_TLS_FAILED"]),
        new("web-incomplete", "the intermediate certificate is not sent")
            .paper(Paper::Incomplete)
            .expects(&["POLICY_CERT_INCOMPLETE_CHAIN"]),
    ]
}

fn answers() -> Vec<Exhibit> {
    let new = Exhibit::new;
    vec![
        new("web-silent", "takes the connection and says nothing")
            .script(Script::Silent)
            .expects(&["POLICY_TIMEOUT"]),
        new("web-stalls", "stops in the middle of the headers")
            .script(Script::Stalls)
            .expects(&["POLICY_TIMEOUT"]),
        new("web-slow", "answers after two and a half seconds")
            .script(Script::Slow)
            .expects(&["POLICY_SLOW"]),
        new("web-drips", "answers an octet a second").script(Script::Drips).expects(&["POLICY_TIMEOUT"]),
        new("web-endless-head", "header fields without end")
            .script(Script::EndlessHead)
            .expects(&["POLICY_BAD_HTTP"]),
        new("web-endless-body", "a body without end")
            .script(Script::EndlessBody)
            .expects(&["POLICY_TOO_LARGE"]),
        new("web-plain", "speaks HTTP without TLS on port 443")
            .script(Script::Plain)
            .expects(&["POLICY_TLS_FAILED"]),
        new("web-garbage", "speaks no HTTP within TLS").script(Script::Garbage).expects(&["POLICY_BAD_HTTP"]),
        new("web-short", "closes before the promised end of the body")
            .script(Script::Short)
            .expects(&["POLICY_BAD_HTTP"]),
        new("web-h2-broken", "agrees on HTTP/2 and then speaks HTTP/1.1")
            .script(Script::Http2Broken)
            .expects(&["POLICY_H2_FAILED"]),
        new("web-h2-only", "ends every connection without HTTP/2")
            .script(Script::Http2Only)
            .expects(&["POLICY_HTTP1_FAILED"]),
        new("web-h1-only", "nothing: HTTP/1.1 only").script(Script::Http1Only),
        new("web-redirect", "a redirect to a good policy")
            .directives("return 302 https://mta-sts.good.example/.well-known/mta-sts.txt;")
            .expects(&["POLICY_REDIRECT"]),
        new("web-404", "not found").directives("return 404;").expects(&["POLICY_STATUS"]),
        new("web-500", "a server error").directives("return 500;").expects(&["POLICY_STATUS"]),
        new("web-203", "a success that is not 200")
            .directives("default_type text/plain; return 203 \"\";")
            .expects(&["POLICY_STATUS"]),
        new("web-html", "the policy as text/html")
            .bytes("text/html", GOOD.as_bytes())
            .expects(&["POLICY_CONTENT_TYPE"]),
        new("web-octets", "the policy as application/octet-stream")
            .bytes("application/octet-stream", GOOD.as_bytes())
            .expects(&["POLICY_CONTENT_TYPE"]),
        new("web-charset", "nothing: text/plain with a charset")
            .bytes("text/plain; charset=utf-8", GOOD.as_bytes()),
        new("web-web-page", "a web page for every path")
            .bytes("text/html", b"<!DOCTYPE html>\n<title>Welcome</title>\n<p>Nothing here yet.\n")
            .expects(&["POLICY_CONTENT_TYPE", "POLICY_INVALID"]),
        new("web-64k", "a body above 64 KiB")
            .bytes("text/plain", (GOOD.to_owned() + &"x-note: filler\n".repeat(4500)).as_bytes())
            .expects(&["POLICY_TOO_LARGE"]),
        new("web-two-bodies", "two addresses, two policies")
            .web(Web::Nginx(
                Paper::Good,
                Answer::Two(GOOD.to_owned(), policy("testing", &["mx.zoo.example"], 1_209_600)),
            ))
            .expects(&["POLICY_DIFFERS"]),
    ]
}

fn bodies() -> Vec<Exhibit> {
    let new = Exhibit::new;
    let with = |name, wrong, body: &str| new(name, wrong).body(body);
    let invalid = |name, wrong, body: &str| with(name, wrong, body).expects(&["POLICY_INVALID"]);
    vec![
        with("body-crlf", "nothing: lines end in CR LF", &GOOD.replace('\n', "\r\n")),
        with("body-no-end", "nothing: the last line is not ended", GOOD.trim_end()),
        with("body-testing", "nothing: mode testing", &GOOD.replace("enforce", "testing")),
        with("body-none", "nothing: mode none", &GOOD.replace("enforce", "none")),
        with(
            "body-none-bare",
            "mode none without hosts: some senders refuse it",
            &policy("none", &[], 1_209_600),
        )
        .expects(&["POLICY_INCOMPATIBLE", "POLICY_UNWISE"]),
        invalid("body-empty", "an empty body", ""),
        invalid("body-bom", "a byte order mark", &format!("\u{feff}{GOOD}")),
        invalid("body-bare-cr", "lines end in CR alone", &GOOD.replace('\n', "\r")),
        invalid("body-space-before", "white space before the colons", &GOOD.replace(':', " :")),
        invalid("body-indented", "indented lines", &GOOD.replace("mode", " mode")),
        invalid("body-no-version", "no version", &GOOD.replace("version: STSv1\n", "")),
        invalid("body-no-mode", "no mode", &GOOD.replace("mode: enforce\n", "")),
        invalid("body-odd-mode", "a mode that does not exist", &GOOD.replace("enforce", "enforced")),
        invalid("body-no-mx", "mode enforce without hosts", &policy("enforce", &[], 1_209_600)),
        invalid("body-no-age", "no lifetime", &GOOD.replace("max_age: 1209600\n", "")),
        invalid("body-age-days", "a lifetime in days", &GOOD.replace("1209600", "14d")),
        invalid("body-age-above", "a lifetime above a year", &GOOD.replace("1209600", "31557601")),
        invalid("body-inner-star", "an asterisk within a label", &GOOD.replace("mx.zoo", "m*.zoo")),
        with("body-age-short", "a lifetime of a minute", &GOOD.replace("1209600", "60"))
            .expects(&["POLICY_UNWISE"]),
        with("body-extension", "a field that nobody knows", &format!("{GOOD}note: hello\n"))
            .expects(&["POLICY_UNWISE"]),
        with("body-two-modes", "two modes", &GOOD.replace("mode: enforce", "mode: enforce\nmode: testing"))
            .expects(&["POLICY_INCOMPATIBLE", "POLICY_UNWISE"]),
        with(
            "body-version-last",
            "the version comes last",
            &format!("{}version: STSv1\n", GOOD.replace("version: STSv1\n", "")),
        )
        .expects(&["POLICY_UNWISE"]),
    ]
}
