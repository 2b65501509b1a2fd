//! How senders turn octets into text, text into lines, and what they take for white space.

/// What a sender takes for white space when it trims; that is decided by the language it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum White {
    /// Nothing is trimmed.
    Nothing,
    /// Space and tab, as the RFC says.
    Wsp,
    /// What Unicode calls white space: Go and Rust.
    Unicode,
    /// Python's `str.strip`: with the four separators U+001C to U+001F.
    Python,
    /// JavaScript's `trim`: with the byte order mark and without U+0085.
    JavaScript,
    /// Space, tab, form feed and line ends.
    Ascii,
}

impl White {
    pub(super) fn contains(self, c: char) -> bool {
        match self {
            Self::Nothing => false,
            Self::Wsp => c == ' ' || c == '\t',
            Self::Unicode => c.is_whitespace(),
            Self::Python => c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c),
            Self::JavaScript => (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}',
            Self::Ascii => c.is_ascii_whitespace(),
        }
    }

    pub(super) fn trim(self, text: &str) -> &str {
        text.trim_matches(|c| self.contains(c))
    }

    pub(super) fn trim_start(self, text: &str) -> &str {
        text.trim_start_matches(|c| self.contains(c))
    }

    pub(super) fn trim_end(self, text: &str) -> &str {
        text.trim_end_matches(|c| self.contains(c))
    }
}

/// How octets become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoding {
    /// UTF-8 whatever the charset says; other octets are refused.
    Utf8,
    /// UTF-8 whatever the charset says; other octets do no harm.
    Lossy,
    /// By charset, ASCII without one; what does not fit is refused (Python's codecs).
    AsciiUnlessNamed,
    /// By charset, ISO 8859-1 without one; what does not fit is replaced (Python's requests).
    Latin1UnlessNamed,
    /// By charset, UTF-8 without one; a byte order mark has the last word and is taken off (as in
    /// browsers).
    SniffedUnlessNamed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Ascii,
    Utf8,
    Latin1,
    /// Another that agrees with ASCII below 128; what stands above it is not looked at.
    AsciiAndMore,
    Unknown,
}

impl Charset {
    fn named(name: &str) -> Self {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        const FAMILIES: [&str; 8] =
            ["iso8859", "windows125", "cp125", "koi8", "euc", "gb", "big5", "shiftjis"];
        match plain.as_str() {
            "ascii" | "usascii" => Self::Ascii,
            "utf8" => Self::Utf8,
            "iso88591" | "latin1" => Self::Latin1,
            other if FAMILIES.iter().any(|family| other.starts_with(family)) => Self::AsciiAndMore,
            _ => Self::Unknown,
        }
    }
}

/// The byte order mark as a character.
const BOM: char = '\u{feff}';

impl Decoding {
    /// The text, or `None` when the sender refuses the octets.
    pub(super) fn decode(self, octets: &[u8], charset: Option<&str>) -> Option<String> {
        let named = charset.map(Charset::named);
        match self {
            Self::Utf8 => str::from_utf8(octets).ok().map(str::to_owned),
            Self::Lossy => Some(lossy(octets)),
            Self::AsciiUnlessNamed => match named.unwrap_or(Charset::Ascii) {
                Charset::Ascii => octets.is_ascii().then(|| lossy(octets)),
                Charset::Utf8 => str::from_utf8(octets).ok().map(str::to_owned),
                Charset::Unknown => None,
                other => Some(single_octets(octets, other)),
            },
            Self::Latin1UnlessNamed => Some(match named.unwrap_or(Charset::Latin1) {
                Charset::Utf8 | Charset::Unknown => lossy(octets),
                other => single_octets(octets, other),
            }),
            Self::SniffedUnlessNamed => {
                let text = lossy(octets);
                Some(match (text.strip_prefix(BOM), named) {
                    (Some(rest), _) => rest.to_owned(),
                    (None, Some(other @ (Charset::Latin1 | Charset::AsciiAndMore))) => {
                        single_octets(octets, other)
                    }
                    (None, _) => text,
                })
            }
        }
    }
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn single_octets(octets: &[u8], charset: Charset) -> String {
    let above =
        |octet: u8| if charset == Charset::Latin1 { char::from(octet) } else { char::REPLACEMENT_CHARACTER };
    octets.iter().map(|&octet| if octet.is_ascii() { char::from(octet) } else { above(octet) }).collect()
}

/// How text falls into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// At LF, without one CR in front of it.
    Lf,
    /// The same, and one CR at the very end is dropped too.
    LfOrEnd,
    /// The same, and any other CR is refused.
    LfOrEndWithoutCr,
    /// At everything that Unicode lets end a line.
    Unicode,
    /// Not at all: a field name is what stands before the next colon, even over several lines, and
    /// its value what stands before the next LF.
    UpToColon,
}

impl Lines {
    /// The lines without their ends; for [`Lines::UpToColon`] each is one name, colon and value, and
    /// what has no colon any more is left out.
    pub(super) fn split(self, text: &str) -> Vec<&str> {
        match self {
            Self::Lf => text.split_inclusive('\n').map(without_end).collect(),
            Self::LfOrEnd | Self::LfOrEndWithoutCr => text
                .split_inclusive('\n')
                .map(|line| line.strip_suffix('\n').unwrap_or(line))
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .collect(),
            Self::Unicode => unicode_lines(text),
            Self::UpToColon => fields_up_to_colon(text),
        }
    }
}

fn without_end(line: &str) -> &str {
    line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line)
}

/// Python's `str.splitlines`.
fn unicode_lines(text: &str) -> Vec<&str> {
    let ends = |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    // What `split` finds between CR and LF is no line.
    text.split_inclusive(ends)
        .scan('\0', |before, line| {
            let last = line.chars().next_back().unwrap_or('\0');
            let inside = std::mem::replace(before, last) == '\r' && line == "\n";
            Some((line, inside))
        })
        .filter(|(_, inside)| !inside)
        .map(|(line, _)| line.strip_suffix(ends).unwrap_or(line))
        .collect()
}

fn fields_up_to_colon(mut text: &str) -> Vec<&str> {
    let mut fields = vec![];
    while let Some(colon) = text.find(':') {
        let end = text.get(colon..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| colon + at);
        let (field, rest) = text.split_at(end);
        fields.push(field);
        text = rest.strip_prefix('\n').unwrap_or(rest);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fall_where_each_sender_breaks_them() {
        let text = "a\r\nb\rc\r\r\nd\u{b}e\n\nf\r";
        for (lines, expected) in [
            (Lines::Lf, vec!["a", "b\rc\r", "d\u{b}e", "", "f\r"]),
            (Lines::LfOrEnd, vec!["a", "b\rc\r", "d\u{b}e", "", "f"]),
            (Lines::Unicode, vec!["a", "b", "c", "", "d", "e", "", "f"]),
        ] {
            assert_eq!(lines.split(text), expected, "{lines:?}");
        }
        assert_eq!(Lines::UpToColon.split("x\r\na: 1:2\r\n\nb:3\nend"), ["x\r\na: 1:2\r", "\nb:3"]);
    }

    #[test]
    fn a_charset_decides_only_for_those_who_look_at_it() {
        let latin = b"a\xfc";
        assert_eq!(Decoding::Utf8.decode(latin, Some("iso-8859-1")), None);
        assert_eq!(Decoding::AsciiUnlessNamed.decode(latin, None), None);
        assert_eq!(Decoding::AsciiUnlessNamed.decode(latin, Some("ISO-8859-1")).as_deref(), Some("aü"));
        assert_eq!(Decoding::AsciiUnlessNamed.decode(b"a", Some("klingon")), None);
        assert_eq!(Decoding::Latin1UnlessNamed.decode("ü".as_bytes(), None).as_deref(), Some("Ã¼"));
        assert_eq!(Decoding::Latin1UnlessNamed.decode("ü".as_bytes(), Some("UTF-8")).as_deref(), Some("ü"));
        assert_eq!(Decoding::SniffedUnlessNamed.decode("\u{feff}ü".as_bytes(), None).as_deref(), Some("ü"));
    }
}
