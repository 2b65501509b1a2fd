//! What the indicator record and the report record share: both are `v=…` and then fields between
//! semicolons (RFC 8461 §3.1, RFC 8460 §3).

use super::field::{WSP, is_field_name};

/// The records at a name, sorted by how they begin.
pub(super) struct Candidates<'a> {
    /// What follows the version and its semicolon in each record that begins with them.
    pub(super) ours: Vec<&'a [u8]>,
    /// A record has white space before its first semicolon, and is therefore not one of ours.
    pub(super) space_before_semicolon: bool,
}

impl<'a> Candidates<'a> {
    /// Sorts `texts`, whose character-strings are joined already, by `version` (`v=STSv1`, say).
    pub(super) fn among(texts: &'a [Vec<u8>], version: &[u8]) -> Self {
        let after = |text: &'a Vec<u8>| text.strip_prefix(version);
        let spaced = |rest: &[u8]| {
            let end = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
            end > 0 && rest.get(end) == Some(&b';')
        };
        Self {
            ours: texts.iter().filter_map(after).filter_map(|rest| rest.strip_prefix(b";")).collect(),
            space_before_semicolon: texts.iter().filter_map(after).any(spaced),
        }
    }
}

/// The fields of a record, one after the other; the first that is broken ends them.
pub(super) struct TxtFields<'a> {
    pieces: std::iter::Peekable<std::str::Split<'a, char>>,
    /// White space was met where it need not stand: before a semicolon, after the last, or more than
    /// one space after another.
    pub(super) spacious: bool,
    /// No space was met after a semicolon.
    pub(super) cramped: bool,
}

/// One field, with the white space around it taken off.
pub(super) type TxtField<'a> = (&'a str, &'a str);

/// Why a field is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldDefect {
    NotAscii,
    EmptyField,
    NotKeyValue,
    BadFieldName,
}

impl<'a> TxtFields<'a> {
    /// The fields in what follows the version.
    pub(super) fn of(octets: &'a [u8]) -> Result<Self, FieldDefect> {
        let text = str::from_utf8(octets).ok().filter(|text| text.is_ascii()).ok_or(FieldDefect::NotAscii)?;
        Ok(Self { pieces: text.split(';').peekable(), spacious: false, cramped: false })
    }

    fn read(&mut self, piece: &'a str) -> Option<Result<TxtField<'a>, FieldDefect>> {
        let last = self.pieces.peek().is_none();
        // White space belongs to a semicolon: before it, and after it.
        let field = piece.trim_start_matches(WSP);
        let field = if last { field } else { field.trim_end_matches(WSP) };
        if last && field.is_empty() {
            self.spacious |= !piece.is_empty();
            return None;
        }
        if field.is_empty() {
            return Some(Err(FieldDefect::EmptyField));
        }
        match piece.strip_prefix(' ') {
            Some(rest) => self.spacious |= rest != field,
            None if piece == field => self.cramped = true,
            None => self.spacious = true,
        }
        let Some((name, value)) = field.split_once('=') else { return Some(Err(FieldDefect::NotKeyValue)) };
        Some(if is_field_name(name) { Ok((name, value)) } else { Err(FieldDefect::BadFieldName) })
    }
}

impl<'a> Iterator for TxtFields<'a> {
    type Item = Result<TxtField<'a>, FieldDefect>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.pieces.next()?;
        self.read(piece)
    }
}
