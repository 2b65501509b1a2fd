//! Strangers' text made fit to be shown.

/// `text` with everything but printable ASCII escaped, cut to at most `most` octets.
///
/// An escape is kept whole or left out, so that the cut never makes up a character.
pub fn escaped(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let piece: String = match character {
            ' '..='~' => character.to_string(),
            other => other.escape_unicode().collect(),
        };
        if shown.len() + piece.len() > most {
            break;
        }
        shown += &piece;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_is_shown_and_no_escape_is_cut_in_half() {
        assert_eq!(escaped("Meadow CA", 20), "Meadow CA");
        assert_eq!(escaped("a\u{1b}[31m\u{202e}\n", 100), "a\\u{1b}[31m\\u{202e}\\u{a}");
        assert_eq!(escaped("ab\u{1b}c", 5), "ab");
    }
}
