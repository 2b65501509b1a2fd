//! How senders of reports read the TXT records at `_smtp._tls.<domain>`.
//!
//! Only three are known, and they share little: two keep to the grammar, and one walks over octets.

use super::{ReportReading, Sender};
use crate::policy::{
    field::{WSP, is_extension_value, is_field_name},
    report_record::is_uri,
};

/// A reader of the records at a name, each a list of character-strings.
type Read = fn(&[Vec<Vec<u8>>]) -> ReportReading;

/// The senders that are known to read report records.
pub(super) const READERS: [(Sender, Read); 3] = [
    (Sender::Mox, |rrset| by_grammar(rrset, has_scheme)),
    (Sender::Stalwart, mail_auth),
    (Sender::Checkdmarc, |rrset| by_grammar(rrset, is_usable)),
];

/// mox takes any scheme, and looks at little else.
fn has_scheme(uri: &str) -> bool {
    is_uri(uri)
}

/// checkdmarc takes nothing but the two schemes of the RFC, in any case.
fn is_usable(uri: &str) -> bool {
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    is_uri(uri) && ["mailto", "https"].contains(&scheme.as_str())
}

/// The grammar of the RFC, with white space before the first semicolon, and with the addresses of
/// several `rua` fields put together. One address that is not `good` spoils the record.
fn by_grammar(rrset: &[Vec<Vec<u8>>], good: fn(&str) -> bool) -> ReportReading {
    let texts: Vec<String> =
        rrset.iter().map(|strings| String::from_utf8_lossy(&strings.concat()).into_owned()).collect();
    let mut candidates = texts.iter().filter_map(|text| {
        let rest = text.strip_prefix("v=TLSRPTv1")?;
        rest.trim_start_matches(WSP).strip_prefix(';')
    });
    let (Some(fields), None) = (candidates.next(), candidates.next()) else { return ReportReading::None };
    rua_of(fields, good).map_or(ReportReading::None, ReportReading::Rua)
}

fn rua_of(fields: &str, good: fn(&str) -> bool) -> Option<Vec<String>> {
    let mut rua = vec![];
    let mut pieces = fields.split(';').peekable();
    while let Some(piece) = pieces.next() {
        let field = piece.trim_matches(WSP);
        if field.is_empty() && pieces.peek().is_none() {
            break;
        }
        let (name, value) = field.split_once('=')?;
        if name == "rua" {
            rua.extend(value.split(',').map(|uri| uri.trim_matches(WSP).to_owned()));
        } else if !is_field_name(name) || !is_extension_value(value) {
            return None;
        }
    }
    (!rua.is_empty() && rua.iter().all(|uri| good(uri))).then_some(rua)
}

/// The first record that mail-auth can read.
fn mail_auth(rrset: &[Vec<Vec<u8>>]) -> ReportReading {
    let found = rrset.iter().find_map(|strings| walk(&strings.concat()));
    found.map_or(ReportReading::None, ReportReading::Rua)
}

/// mail-auth's walk: white space counts nowhere, case only inside addresses. It takes addresses one
/// after the other, also across a semicolon, and stops at the first thing that is not one of the two
/// schemes; what then stands before the next semicolon is lost.
fn walk(octets: &[u8]) -> Option<Vec<String>> {
    let text: Vec<u8> = octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let (version, mut rest) = cut(&text, |octet| octet == b';');
    if !version.eq_ignore_ascii_case(b"v=TLSRPTv1") {
        return None;
    }
    let mut rua = vec![];
    while !rest.is_empty() {
        let (name, value) = cut(rest, |octet| octet == b'=');
        // A name begins anew after a semicolon.
        let name = name.rsplit(|octet| *octet == b';').next().unwrap_or_default();
        rest = value;
        if name.eq_ignore_ascii_case(b"rua") {
            rest = take_addresses(rest, &mut rua);
        }
        (_, rest) = cut(rest, |octet| octet == b';');
    }
    (!rua.is_empty()).then_some(rua)
}

/// Takes addresses as long as there are any; says where it stopped.
fn take_addresses<'a>(mut rest: &'a [u8], rua: &mut Vec<String>) -> &'a [u8] {
    loop {
        let (scheme, after) = cut(rest, |octet| octet == b':' || octet == b';');
        let ended_by_colon = rest.get(scheme.len()) == Some(&b':');
        let scheme = match scheme.to_ascii_lowercase().as_slice() {
            b"mailto" if ended_by_colon => "mailto:",
            b"https" if ended_by_colon => "https:",
            _ => return after,
        };
        let (address, next) = cut(after, |octet| octet == b',' || octet == b';');
        if !address.is_empty() || scheme == "https:" {
            rua.push(format!("{scheme}{}", String::from_utf8_lossy(address)));
        }
        rest = next;
    }
}

/// What stands before the first octet that `ends` it, and what stands after that one.
fn cut(octets: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let mut halves = octets.splitn(2, |octet| ends(*octet));
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}
