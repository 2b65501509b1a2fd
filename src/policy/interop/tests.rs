//! What the vectors do not show: the whole table of known readings, and the words for them.

use super::*;
use crate::policy::{MaxAge, parse_body};

/// Reads `body`; one letter for each sender in the order of [`Sender::ALL`]: R for rejected, else the
/// first of the mode.
fn letters(body: &str, charset: Option<&str>) -> String {
    let letter = |(_, reading): (Sender, PolicyReading)| match reading {
        PolicyReading::Reject => 'R',
        PolicyReading::Accept { mode, .. } => mode.as_str().chars().next().unwrap(),
    };
    read_policy(body.as_bytes(), charset).into_iter().map(letter).collect()
}

fn body_with(version: &str, mode: &str, max_age: &str, more: &str) -> String {
    format!("{version}\r\n{mode}\r\nmx: mx.example.com\r\n{max_age}\r\n{more}")
}

#[test]
fn senders_disagree_where_they_are_known_to() {
    let (version, mode, max_age) = ("version: STSv1", "mode: enforce", "max_age: 604800");
    let more = |more: &str| body_with(version, mode, max_age, more);
    for (body, expected) in [
        (more(""), "eeeeeeeeeee"),
        (more("").replace("\r\n", "\n"), "eeeeeeeeeee"),
        (more("").trim_end().to_owned(), "eeeeeeeeeee"),
        (more("\r\n"), "eRReReeeeee"),
        (more("").replace("\r\n", "\r"), "eRRRRRRRRRR"),
        (more("x: a:b\r\n"), "eeeeReeeeee"),
        (more("x: a\u{b}mode: none\r\n"), "nRReReeeeeR"),
        (more("").replace("mode: enforce\r\n", ""), "RRRRRRnnRRR"),
        (body_with(version, "mode: enforce\r\nmode: testing", max_age, ""), "teettRtteee"),
        (body_with(version, "mode: Enforce", max_age, ""), "RRRRRRReeRR"),
        (body_with("version: stsv1", mode, max_age, ""), "RRRRRReRRRR"),
        (body_with("Version: STSv1", mode, max_age, ""), "RRRRRReeeRR"),
        (body_with(version, mode, "max_age: 0", ""), "eeeReeeeeee"),
        (body_with(version, mode, "max_age: -1", ""), "RRRReReRRRR"),
    ] {
        assert_eq!(letters(&body, None), expected, "{body:?}");
    }
}

#[test]
fn a_charset_opens_what_ascii_closes() {
    let body = body_with("version: STSv1", "mode: enforce", "max_age: 604800", "x: ü\r\n");
    assert_eq!(letters(&body, None), "Reeeeeeeeee");
    assert_eq!(letters(&body, Some("UTF-8")), "eeeeeeeeeee");
    assert_eq!(letters(&body, Some("x-unheard-of")), "Reeeeeeeeee");
}

#[test]
fn a_disagreement_is_told_in_words() {
    let told = |body: &str| -> Vec<String> {
        let strict = parse_body(body.as_bytes());
        let found = disagreements(body.as_bytes(), None, &strict);
        found.into_iter().map(|found| format!("{}: {}", found.sender, found.reason)).collect()
    };
    let good = body_with("version: STSv1", "mode: none", "max_age: 604800", "");
    assert_eq!(told(&good), [""; 0]);
    assert_eq!(
        told(&good.replace("mx: mx.example.com\r\n", "")),
        ["chasquid: it finds no mx", "stalwart: it finds no mx"]
    );
    assert_eq!(
        told(&format!("{good}mode: enforce\r\nx: a:b\r\n")),
        [
            "postfix-mta-sts-resolver: it reads mode enforce instead of none",
            "chasquid: it reads mode enforce instead of none",
            "go-mtasts: it refuses a second colon in a line (line 6)",
            "kumomta: it refuses a second mode (line 5)",
            "stalwart: it reads mode enforce instead of none",
            "mailauth-4.13_and_5.0: it reads mode enforce instead of none",
        ]
    );
    let wrong = told(&good.replace("mode: none", "Mode: enforce"));
    let expected = [
        "stalwart: it accepts the policy all the same, with mode none, patterns: 1",
        "mailauth-4.13_and_5.0: it accepts the policy all the same, with mode enforce, patterns: 1",
        "mailauth-7.1-default: it accepts the policy all the same, with mode enforce, patterns: 1",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn a_repeated_pattern_is_no_disagreement() {
    let body = body_with("version: STSv1", "mode: enforce", "max_age: 604800", "mx: mx.example.com\r\n");
    let strict = parse_body(body.as_bytes());
    assert_eq!(strict.max_age, Some(MaxAge::WEEK));
    assert_eq!(disagreements(body.as_bytes(), None, &strict), []);
}
