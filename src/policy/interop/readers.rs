//! What each sender does with a policy body: one row of behaviours for each.
//!
//! A row is written as a difference from the strict reading, or from another row that is close.

use super::{
    Sender,
    body::{Extensions, Limit, Names, NoColon, Range, Reader, Repeated, Version},
    mx::{Domain, MxSyntax},
    number::Number,
    text::{Decoding, Lines, White},
};
use crate::policy::Mode;

/// The limit that the RFC suggests (§3.3), in octets.
const SUGGESTED: usize = 64 * 1024;
/// The longest lifetime the RFC allows, in seconds.
const LONGEST: i128 = 31_557_600;

/// The RFC's own reading, as far as a row can say it.
const STRICT: Reader = Reader {
    limit: Limit::RefusedAbove(SUGGESTED),
    decoding: Decoding::Utf8,
    lines: Lines::Lf,
    no_colon: NoColon::Refused,
    one_colon: false,
    name: White::Nothing,
    name_in_any_case: false,
    names: Names::OddRefused,
    value: White::Wsp,
    extensions: Extensions::WithoutControls,
    repeated: Repeated::First,
    version: Version::Required,
    mode_in_any_case: false,
    mode_by_default: None,
    max_age: Number::Digits,
    range: Range::Within(0, LONGEST),
    max_age_by_default: None,
    mx: MxSyntax::Domain(Domain::ANY_SIZE),
    mx_once: false,
    none_needs_mx: false,
    warns: false,
};

/// Reads what it knows and overlooks everything else.
const LENIENT: Reader = Reader {
    limit: Limit::Unlimited,
    decoding: Decoding::Lossy,
    lines: Lines::LfOrEnd,
    no_colon: NoColon::Skipped,
    name: White::Unicode,
    names: Names::Any,
    value: White::Unicode,
    extensions: Extensions::Unread,
    mx: MxSyntax::Anything,
    ..STRICT
};

/// How `sender` reads a policy body.
pub(super) fn reader(sender: Sender) -> Reader {
    match sender {
        Sender::PostfixMtaStsResolver => Reader {
            limit: Limit::RefusedAbove(SUGGESTED),
            decoding: Decoding::AsciiUnlessNamed,
            lines: Lines::Unicode,
            no_colon: NoColon::NameAlone,
            name: White::Nothing,
            value: White::Python,
            repeated: Repeated::Last,
            max_age: Number::Python,
            ..LENIENT
        },
        Sender::PostfixTlspol => Reader {
            range: Range::CappedAt(LONGEST),
            mx: MxSyntax::Domain(Domain {
                label: 63,
                name: 253,
                root_dot: true,
                no_address: true,
                ..Domain::ANY_SIZE
            }),
            ..STRICT
        },
        Sender::Mox => Reader {
            decoding: Decoding::Lossy,
            names: Names::OddRefusedAfterFirst,
            extensions: Extensions::WithoutC0,
            repeated: Repeated::FirstOfGood,
            // It keeps the seconds in 32 bits and knows no other limit.
            range: Range::Within(0, i32::MAX as i128),
            mx: MxSyntax::Domain(Domain { label: 63, name: 253, idna: true, ..Domain::ANY_SIZE }),
            ..STRICT
        },
        Sender::Chasquid => Reader {
            limit: Limit::CutAt(10 * 1024),
            repeated: Repeated::Last,
            max_age: Number::Go,
            range: Range::Within(1, LONGEST),
            none_needs_mx: true,
            ..LENIENT
        },
        Sender::GoMtasts => Reader {
            no_colon: NoColon::Refused,
            one_colon: true,
            name: White::Nothing,
            repeated: Repeated::LastOfGood,
            max_age: Number::Go,
            range: Range::Any,
            ..LENIENT
        },
        Sender::KumoMta => Reader {
            decoding: Decoding::SniffedUnlessNamed,
            no_colon: NoColon::EmptySkipped,
            repeated: Repeated::Refused,
            max_age: Number::Rust,
            range: Range::Any,
            ..LENIENT
        },
        Sender::Stalwart => Reader {
            limit: Limit::RefusedAbove(1024 * 1024),
            decoding: Decoding::Utf8,
            lines: Lines::UpToColon,
            repeated: Repeated::LastOfGood,
            version: Version::Optional,
            mode_by_default: Some(Mode::None),
            max_age: Number::Rust,
            range: Range::Any,
            max_age_by_default: Some(86_400),
            mx: MxSyntax::EmptyLeftOut,
            none_needs_mx: true,
            ..LENIENT
        },
        Sender::Mailauth5 => Reader {
            lines: Lines::Lf,
            name: White::JavaScript,
            name_in_any_case: true,
            value: White::JavaScript,
            repeated: Repeated::Last,
            mode_in_any_case: true,
            mode_by_default: Some(Mode::None),
            max_age: Number::JavaScript,
            mx_once: true,
            ..LENIENT
        },
        Sender::Mailauth7 => Reader {
            limit: Limit::RefusedAbove(SUGGESTED),
            repeated: Repeated::First,
            mode_by_default: None,
            ..reader(Sender::Mailauth5)
        },
        Sender::Mailauth7Strict => Reader {
            decoding: Decoding::Lossy,
            no_colon: NoColon::Skipped,
            names: Names::Any,
            extensions: Extensions::Unread,
            mx_once: true,
            ..STRICT
        },
        Sender::Checkdmarc => Reader {
            limit: Limit::Unlimited,
            decoding: Decoding::Latin1UnlessNamed,
            lines: Lines::LfOrEndWithoutCr,
            no_colon: NoColon::EmptySkipped,
            value: White::Python,
            extensions: Extensions::WithoutC0,
            mx: MxSyntax::Domain(Domain { label: 63, ..Domain::ANY_SIZE }),
            warns: true,
            ..STRICT
        },
    }
}
