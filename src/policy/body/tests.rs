//! What the strict reader says of bodies, rule by rule.

use super::*;
use crate::policy::Audit;

const HEAD: &str = "version: STSv1\nmode: enforce\n";
const TAIL: &str = "max_age: 604800\n";

/// Reads `line` between a good head, one `mx` and a good end.
fn read_with(line: &str) -> ParsedPolicy {
    parse_body(format!("{HEAD}mx: mx.example.com\n{TAIL}{line}\n").as_bytes())
}

fn check_defect(line: &str, column: usize, code: DefectCode) {
    assert_eq!(read_with(line).defects, [Defect { line: 5, column, code }], "{line:?}");
}

fn check_remarks(body: &str, codes: &[RemarkCode]) {
    let read = parse_body(body.as_bytes());
    assert_eq!(read.defects, [], "{body:?}");
    let found: Vec<_> = read.remarks.iter().map(|remark| remark.code).collect();
    assert_eq!(found, codes, "{body:?}");
}

#[test]
fn a_defect_is_reported_with_line_and_column() {
    check_defect("", 1, DefectCode::BlankLine);
    check_defect("# a comment", 1, DefectCode::NotKeyValue);
    check_defect("# a comment: with a colon", 1, DefectCode::BadFieldName);
    check_defect(" x: y", 1, DefectCode::LeadingWhitespace);
    check_defect("x : y", 2, DefectCode::SpaceBeforeColon);
    check_defect("x: y\rz", 5, DefectCode::BareCr);
    check_defect("x: y\0", 5, DefectCode::ControlCharacter);
    check_defect("x: ü\u{85}", 5, DefectCode::ControlCharacter);
    check_defect("x: a\tb", 4, DefectCode::BadExtensionValue);
    check_defect("x:", 3, DefectCode::BadExtensionValue);
    check_defect("mx:   a_b.example", 7, DefectCode::BadMx);
    check_defect(": y", 1, DefectCode::BadFieldName);
}

// P-39: an operator mends a policy once.
#[test]
fn all_defects_come_at_once_and_a_broken_field_is_not_also_missing() {
    let read = parse_body(b"version: 1\nmode: Enforce\nmode\nmx: -\nmax_age: 1w\n");
    let codes: Vec<_> = read.defects.iter().map(|d| (d.line, d.code)).collect();
    let expected = [
        (1, DefectCode::BadVersion),
        (2, DefectCode::BadMode),
        (3, DefectCode::NotKeyValue),
        (4, DefectCode::BadMx),
        (5, DefectCode::MaxAgeSyntax),
    ];
    assert_eq!(codes, expected);
    assert_eq!(read.audit(), Audit::Error);
    assert_eq!(read.remarks, []);

    let read = parse_body(b"x: y\n");
    let codes: Vec<_> = read.defects.iter().map(|d| d.code).collect();
    let missing = [DefectCode::MissingVersion, DefectCode::MissingMode, DefectCode::MissingMaxAge];
    assert_eq!(codes, missing);
}

#[test]
fn octets_that_are_no_text_are_placed() {
    let read = parse_body(b"version: STSv1\nx: \xc3\xbc\xff\n");
    assert_eq!(read.defects[0], Defect { line: 2, column: 5, code: DefectCode::InvalidUtf8 });
    let read = parse_body(format!("\u{feff}{HEAD}mx: mx.example.com\n{TAIL}").as_bytes());
    assert_eq!(read.defects, [Defect { line: 1, column: 1, code: DefectCode::Bom }]);
    assert_eq!(read.mode, Some(Mode::Enforce));
}

// P-30 to P-32: what the grammar leaves free, and a CR at the very end that it does not.
#[test]
fn line_ends_and_white_space_are_read_as_the_grammar_has_them() {
    check_remarks("version: STSv1\r\nmode: none\nmx: a.example\r\nmax_age: 86400", &[]);
    check_remarks(
        "version: STSv1\nmode:\tnone\nmx: a.example \t\nmax_age:86400\n",
        &[RemarkCode::NoncanonicalWhitespace; 3],
    );
    let read = parse_body(b"version: STSv1\nmode: none\nmx: a.example\nmax_age: 86400\r");
    assert_eq!(read.defects, [Defect { line: 4, column: 15, code: DefectCode::BareCr }]);
}

#[test]
fn of_a_repeated_field_the_first_counts() {
    let read = read_with("mode: none");
    assert_eq!(read.mode, Some(Mode::Enforce));
    assert_eq!(read.remarks, [Remark { line: 5, code: RemarkCode::DuplicateFieldDivergent }]);
    let read = read_with("max_age: soon");
    assert_eq!((read.is_valid(), read.audit()), (true, Audit::Error));
    let read = read_with("x: 1\nx: 2");
    assert_eq!(read.extensions, [("x".to_owned(), "1".to_owned())]);
}

#[test]
fn a_lifetime_is_one_to_ten_digits_and_at_most_a_year() {
    let with = |max_age: &str| format!("{HEAD}mx: mx.example.com\nmax_age: {max_age}\n");
    check_remarks(&with("31557600"), &[]);
    check_remarks(&with("604799"), &[RemarkCode::MaxAgeBelowGuidance]);
    check_remarks(&with("0"), &[RemarkCode::MaxAgeZero]);
    check_remarks(&with("0000604800"), &[RemarkCode::MaxAgeLeadingZero]);
    for (text, code) in [
        ("31557601", DefectCode::MaxAgeRange),
        ("9999999999", DefectCode::MaxAgeRange),
        ("00000604800", DefectCode::MaxAgeSyntax),
        ("-1", DefectCode::MaxAgeSyntax),
        ("٣", DefectCode::MaxAgeSyntax),
    ] {
        let read = parse_body(with(text).as_bytes());
        assert_eq!(read.defects, [Defect { line: 4, column: 10, code }], "{text}");
    }
    let testing = "version: STSv1\nmode: testing\nmx: mx.example.com\nmax_age: ";
    check_remarks(&format!("{testing}86400\n"), &[]);
    check_remarks(&format!("{testing}86399\n"), &[RemarkCode::MaxAgeBelowGuidance]);
}

#[test]
fn a_grammatical_pattern_can_still_be_unwise() {
    for (pattern, code) in [
        ("192.0.2.25", RemarkCode::MxIsIp),
        ("localhost", RemarkCode::MxSingleLabel),
        ("mail.example.123", RemarkCode::MxNumericEnd),
        ("mx.xn--a.example", RemarkCode::MxBadALabel),
        ("*.com", RemarkCode::MxWildcardPublicSuffix),
        ("*.co.uk", RemarkCode::MxWildcardPublicSuffix),
        ("*.github.io", RemarkCode::MxWildcardSharedSuffix),
    ] {
        check_remarks(&format!("{HEAD}mx: {pattern}\n{TAIL}"), &[code]);
    }
    check_remarks(&format!("{HEAD}mx: *.example.com\n{TAIL}"), &[]);
    check_remarks(
        &format!("{HEAD}mx: a.example\nmx: A.example\n{TAIL}"),
        &[RemarkCode::MxNotLowercase, RemarkCode::DuplicateMx],
    );
}

// Some readers split lines there and see another mode (P-18).
#[test]
fn a_hidden_line_is_an_error_for_the_auditor() {
    let read = read_with("x: a\u{2028}mode: none");
    assert!(read.is_valid());
    assert_eq!(read.audit(), Audit::Error);
}

// P-45.
#[test]
fn reading_stops_at_64_kib_and_at_2000_lines() {
    let of_size = |octets: usize| {
        let start = format!("{HEAD}mx: mx.example.com\n{TAIL}x: ");
        format!("{start}{}", "y".repeat(octets - start.len()))
    };
    assert!(parse_body(of_size(64 * 1024).as_bytes()).is_valid());
    let read = parse_body(of_size(64 * 1024 + 1).as_bytes());
    assert_eq!(read.defects, [Defect { line: 0, column: 0, code: DefectCode::BodyOver64K }]);

    let of_lines = |lines: usize| format!("{HEAD}{TAIL}{}", "mx: a.example\n".repeat(lines - 3));
    assert!(parse_body(of_lines(2_000).as_bytes()).is_valid());
    let read = parse_body(of_lines(2_001).as_bytes());
    assert_eq!(read.defects, [Defect { line: 2_001, column: 1, code: DefectCode::TooManyLines }]);
}
