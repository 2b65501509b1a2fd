//! What the fields of the policy text and of the TXT records share (RFC 8461 §3.1, §3.2, RFC 8460 §3).

use std::collections::HashMap;

/// White space as the grammar has it: space and tab, nothing else.
pub(super) const WSP: [char; 2] = [' ', '\t'];

/// Whether `text` is a field name: a letter or digit, then up to 31 of letters, digits, `_`, `-`, `.`.
pub(super) fn is_field_name(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Whether `text` is the value of an unknown field of a TXT record: visible ASCII other than `;` and
/// `=`, at least one.
pub(super) fn is_extension_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b';' && b != b'=')
}

/// The first value of every field met so far: of a repeated field only the first counts (§3.2).
#[derive(Default)]
pub(super) struct FirstValues<'a>(HashMap<&'a str, &'a str>);

impl<'a> FirstValues<'a> {
    /// Notes a field; says how it repeats an earlier one, if it does.
    pub(super) fn note(&mut self, name: &'a str, value: &'a str) -> Option<Repetition> {
        match self.0.get(name) {
            Some(&first) if first == value => Some(Repetition::Same),
            Some(_) => Some(Repetition::Divergent),
            None => {
                self.0.insert(name, value);
                None
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// How a field repeats its first occurrence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// With the same value: nobody can read it differently.
    Same,
    /// With another value: senders disagree about which one counts.
    Divergent,
}
