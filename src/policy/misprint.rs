//! What a TXT record looks as if it was meant to be, when it is not that (T-19).
//!
//! Records are typed into forms that add quotes, pasted from pages with typographic characters, and
//! put at the wrong name. The strict reading only says "no record"; here is what an operator needs
//! to hear. Pure, and only about octets: where a record stands is the caller's knowledge.

/// A kind of record, told by its version field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// `v=STSv1`, at `_mta-sts.<domain>`.
    Indicator,
    /// `v=TLSRPTv1`, at `_smtp._tls.<domain>`.
    Report,
}

/// One thing that went wrong when a record was typed, pasted or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misprint {
    /// Quotation marks are part of the data: a form added them to those that were typed.
    Quotes,
    /// Backslashes are part of the data, usually before a semicolon.
    Backslash,
    /// A no-break space or another space that is not one.
    NoBreakSpace,
    /// Curly quotes, long dashes, invisible characters or full-width letters: pasted from a page.
    Typographic,
    /// Another octet outside ASCII.
    NotAscii,
    /// A line break, or another control character.
    ControlCharacter,
    /// White space in front of the version.
    LeadingSpace,
    /// No semicolon after the version.
    MissingSemicolon,
    /// A comma or colon where the semicolon belongs.
    WrongSeparator,
    /// The version, or the name of a field, in other letters than the standard writes.
    LetterCase,
    /// White space around `=`.
    SpaceAroundEquals,
    /// `:` where `=` belongs.
    ColonForEquals,
    /// Another version: `v=STSv2`, `v=STS1`, `v=MTA-STSv1`.
    OtherVersion,
    /// The text of a policy stands in the record.
    PolicyText,
    /// The whole line of a zone file stands in the record: name, type and text.
    ZoneFileLine,
}

impl Misprint {
    /// The stable code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Quotes => "QUOTES",
            Self::Backslash => "BACKSLASH",
            Self::NoBreakSpace => "NO_BREAK_SPACE",
            Self::Typographic => "TYPOGRAPHIC",
            Self::NotAscii => "NOT_ASCII",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::LeadingSpace => "LEADING_SPACE",
            Self::MissingSemicolon => "MISSING_SEMICOLON",
            Self::WrongSeparator => "WRONG_SEPARATOR",
            Self::LetterCase => "LETTER_CASE",
            Self::SpaceAroundEquals => "SPACE_AROUND_EQUALS",
            Self::ColonForEquals => "COLON_FOR_EQUALS",
            Self::OtherVersion => "OTHER_VERSION",
            Self::PolicyText => "POLICY_TEXT",
            Self::ZoneFileLine => "ZONE_FILE_LINE",
        }
    }
}

/// What a TXT record was meant to be, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// The kind it resembles, if any; without one it is another protocol's record.
    pub kind: Option<RecordKind>,
    /// What went wrong, sorted, without repetition; empty for a good record, and for one that
    /// resembles nothing of ours.
    pub misprints: Vec<Misprint>,
}

impl Likeness {
    /// Whether this is, or was meant to be, a record of this `kind`: at any name but its own it stands
    /// in the wrong place.
    pub fn is(&self, kind: RecordKind) -> bool {
        self.kind == Some(kind)
    }
}

/// Longer records are only looked at up to here, in octets; ours have some dozens.
const OCTETS_MAX: usize = 4096;

/// Looks at one TXT record, its character-strings joined. Any octets are welcome.
pub fn look_at(octets: &[u8]) -> Likeness {
    let octets = octets.get(..OCTETS_MAX).unwrap_or(octets);
    let mut misprints = oddities(octets);
    let text = straightened(octets);
    let Some(place) = Place::of(&text) else { return Likeness { kind: None, misprints: vec![] } };
    let record = text.get(place.at..).unwrap_or_default();
    if place.at > 0 {
        let front = text.get(..place.at).unwrap_or_default();
        // A good record may hold the words of the other kind further on, behind a semicolon.
        misprints.extend(judge_front(front, octets));
    }
    misprints.extend(judge_version(record, place.kind));
    misprints.extend(judge_fields(record));
    misprints.sort_unstable();
    misprints.dedup();
    Likeness { kind: Some(place.kind), misprints }
}

/// What the octets alone show.
fn oddities(octets: &[u8]) -> Vec<Misprint> {
    let mut found = vec![];
    let mut note = |c: char| {
        found.extend(match c {
            '"' => Some(Misprint::Quotes),
            '\\' => Some(Misprint::Backslash),
            c if is_odd_space(c) => Some(Misprint::NoBreakSpace),
            c if c.is_ascii() => (c.is_ascii_control() && c != '\t').then_some(Misprint::ControlCharacter),
            c if plain(c) != Some(c) => Some(Misprint::Typographic),
            c if c.is_control() => Some(Misprint::ControlCharacter),
            _ => Some(Misprint::NotAscii),
        });
    };
    for chunk in octets.utf8_chunks() {
        chunk.valid().chars().for_each(&mut note);
        // What is no UTF-8 was typed in an older charset, where a no-break space is 0xA0 too.
        chunk.invalid().iter().for_each(|octet| note(char::from(*octet)));
    }
    if octets.first() == Some(&b'\'') || octets.last() == Some(&b'\'') {
        found.push(Misprint::Quotes);
    }
    if octets.first().is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
        found.push(Misprint::LeadingSpace);
    }
    found
}

fn is_odd_space(c: char) -> bool {
    !c.is_ascii() && (c.is_whitespace() && c != '\u{85}' && c != '\u{2028}' && c != '\u{2029}')
}

/// The character that `c` was typed for; none when it is better left out.
fn plain(c: char) -> Option<char> {
    match c {
        '“' | '”' | '„' | '«' | '»' => Some('"'),
        '‘' | '’' | '‚' => Some('\''),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        // Invisible: joiners, direction marks, the soft hyphen, the byte order mark.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{ad}' | '\u{feff}' => None,
        // The full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xff01 + 0x21),
        _ => Some(c),
    }
}

/// The text without what is only oddly printed: quotes and backslashes left out, every space a space.
fn straightened(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars()
        .filter_map(plain)
        .filter(|c| !matches!(c, '"' | '\\' | '\''))
        .map(
            |c| if c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER { ' ' } else { c },
        )
        .collect::<String>()
        .trim()
        .to_owned()
}

/// What versions look like, each in small letters, with what they mean; the longer first.
const VERSIONS: [(&str, RecordKind); 7] = [
    ("mta-stsv", RecordKind::Indicator),
    ("mta-sts", RecordKind::Indicator),
    ("mtasts", RecordKind::Indicator),
    ("stsv", RecordKind::Indicator),
    ("sts1", RecordKind::Indicator),
    ("tls-rpt", RecordKind::Report),
    ("tlsrpt", RecordKind::Report),
];

/// Where a version field, or what was meant as one, begins.
struct Place {
    at: usize,
    kind: RecordKind,
}

impl Place {
    fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let places = lower.match_indices(['v', 'V']).filter_map(|(at, _)| {
            let word_begins = !lower.get(..at)?.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
            let rest = lower.get(at..)?;
            let rest = rest.strip_prefix("version").or_else(|| rest.strip_prefix('v'))?.trim_start();
            let rest = rest.strip_prefix(['=', ':'])?.trim_start();
            let (_, kind) = VERSIONS.iter().find(|(word, _)| rest.starts_with(word))?;
            word_begins.then_some(Self { at, kind: *kind })
        });
        let first = places.into_iter().next()?;
        // A field of somebody else's record that happens to be called v stands behind a semicolon.
        let front = lower.get(..first.at)?;
        let of_another = front.contains(';') && front.trim_start().starts_with("v=");
        (!of_another).then_some(first)
    }
}

/// What stands before the version.
fn judge_front(front: &str, octets: &[u8]) -> Option<Misprint> {
    let lower = front.to_ascii_lowercase();
    let words = ["_mta-sts", "_smtp._tls", " txt ", " in "];
    let zone = words.iter().any(|word| format!(" {lower} ").contains(word));
    match zone {
        true => Some(Misprint::ZoneFileLine),
        false => octets.starts_with(b" ").then_some(Misprint::LeadingSpace),
    }
}

fn judge_version(record: &str, kind: RecordKind) -> Vec<Misprint> {
    let good = match kind {
        RecordKind::Indicator => "v=STSv1",
        RecordKind::Report => "v=TLSRPTv1",
    };
    let mut found = vec![];
    let lower = record.to_ascii_lowercase();
    if kind == RecordKind::Indicator && lower.starts_with("version") && lower.contains("mode") {
        return vec![Misprint::PolicyText];
    }
    let end = record.find([';', ',', '|']).unwrap_or(record.len());
    let version = record.get(..end).unwrap_or(record);
    let compact: String =
        version.chars().filter(|c| *c != ' ').map(|c| if c == ':' { '=' } else { c }).collect();
    match compact.get(..good.len()) {
        Some(start) if start == good => {}
        Some(start) if start.eq_ignore_ascii_case(good) => found.push(Misprint::LetterCase),
        _ => return vec![Misprint::OtherVersion],
    }
    let rest = compact.get(good.len()..).unwrap_or_default();
    let names_a_field = ["id=", "rua="].iter().any(|name| rest.to_ascii_lowercase().starts_with(name));
    match (rest, record.get(end..).and_then(|rest| rest.chars().next())) {
        ("", Some(';')) => {}
        ("", Some(_)) => found.push(Misprint::WrongSeparator),
        ("", None) => found.push(Misprint::MissingSemicolon),
        _ if names_a_field => found.push(Misprint::MissingSemicolon),
        (rest, _) if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            found.push(Misprint::OtherVersion)
        }
        _ => found.push(Misprint::WrongSeparator),
    }
    found
}

/// What is wrong around the names that a record must have.
fn judge_fields(record: &str) -> Vec<Misprint> {
    let mut found = vec![];
    for field in record.split([';', ',']) {
        let field = field.trim();
        let end = field.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(field.len());
        let (name, rest) = (field.get(..end).unwrap_or_default(), field.get(end..).unwrap_or_default());
        if !["v", "id", "rua"].contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let sign = rest.trim_start();
        // `mailto:` is no name of a field, and `rua=` is followed by one.
        let value = match (sign.strip_prefix('='), sign.strip_prefix(':')) {
            (Some(value), _) => value,
            (None, Some(value)) => {
                found.push(Misprint::ColonForEquals);
                value
            }
            (None, None) => continue,
        };
        if sign != rest || value.starts_with(' ') {
            found.push(Misprint::SpaceAroundEquals);
        }
        if name != name.to_ascii_lowercase() {
            found.push(Misprint::LetterCase);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: impl AsRef<[u8]>, kind: RecordKind, misprints: &[Misprint]) {
        let octets = octets.as_ref();
        let expected = Likeness { kind: Some(kind), misprints: misprints.to_vec() };
        assert_eq!(look_at(octets), expected, "{:?}", String::from_utf8_lossy(octets));
    }

    #[test]
    fn a_good_record_is_known_and_has_no_misprint() {
        for good in ["v=STSv1; id=20261121T120000Z;", "v=STSv1;id=a1", "v=STSv1; id=a1; x=y:z"] {
            check(good, RecordKind::Indicator, &[]);
        }
        for good in
            ["v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1;rua=https://r.example/v1?a=b,mailto:c@d"]
        {
            check(good, RecordKind::Report, &[]);
        }
    }

    #[test]
    fn another_protocols_record_resembles_nothing() {
        for other in [
            "",
            "v=spf1 include:mta-sts.example -all",
            "v=DMARC1; p=none; rua=mailto:a@example.com",
            "stsv1",
            "google-site-verification=v=abc",
            "v=DKIM1; n=x; v=STSv1",
            "\u{0}\u{ff}",
        ] {
            assert_eq!(look_at(other.as_bytes()), Likeness { kind: None, misprints: vec![] }, "{other:?}");
        }
    }

    // T-19.
    #[test]
    fn what_forms_and_pages_do_to_a_record_is_told() {
        use Misprint::*;
        for (text, misprints) in [
            ("\"v=STSv1; id=a1;\"", [Quotes].as_slice()),
            ("'v=STSv1; id=a1;'", &[Quotes]),
            ("v=STSv1\\; id=a1\\;", &[Backslash]),
            ("\\\"v=STSv1\\; id=a1\\\"", &[Quotes, Backslash]),
            ("v=STSv1;\u{a0}id=a1;", &[NoBreakSpace]),
            ("“v=STSv1; id=a1;”", &[Typographic]),
            ("\u{feff}v=STSv1; id=a1\u{200b};", &[Typographic]),
            ("ｖ＝ＳＴＳｖ１； ｉｄ＝１", &[Typographic]),
            ("v=STSv1; id=é", &[NotAscii]),
            ("v=STSv1; id=a1\r\n", &[ControlCharacter]),
            (" v=STSv1; id=a1", &[LeadingSpace]),
            ("v=STSv1 id=a1", &[MissingSemicolon]),
            ("v=STSv1id=a1", &[MissingSemicolon]),
            ("v=STSv1", &[MissingSemicolon]),
            ("v=STSv1, id=a1", &[WrongSeparator]),
            ("v=stsv1; ID=a1", &[LetterCase]),
            ("v = STSv1; id = a1", &[SpaceAroundEquals]),
            ("v:STSv1; id:a1", &[ColonForEquals]),
            ("v=STSv2; id=a1", &[OtherVersion]),
            ("v=STSv10; id=a1", &[OtherVersion]),
            ("v=MTA-STSv1; id=a1", &[OtherVersion]),
            ("version: STSv1 mode: enforce mx: mx.example.com max_age: 86400", &[PolicyText]),
            ("_mta-sts.example.com. 300 IN TXT v=STSv1; id=a1;", &[ZoneFileLine]),
        ] {
            check(text, RecordKind::Indicator, misprints);
        }
        check(b"v=STSv1;\xa0id=a1", RecordKind::Indicator, &[NoBreakSpace]);
        check("v=TLSRPTv1; rua:mailto:a@example.com", RecordKind::Report, &[ColonForEquals]);
        check("v=TLSRPT1; rua=mailto:a@example.com", RecordKind::Report, &[OtherVersion]);
        check("v=TLSRPTv1 rua=mailto:a@example.com", RecordKind::Report, &[MissingSemicolon]);
        assert!(look_at(b"v=TLSRPTv1; rua=mailto:a@example.com").is(RecordKind::Report));
    }
}
