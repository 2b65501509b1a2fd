//! Lengths of time as they are written: a whole number and one unit, such as `90m`.

use std::time::Duration;

/// Seconds of each unit, the largest first. A month or a year has no fixed length, so there is none.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a whole number and one unit, of `s`, `m`, `h`, `d` and `w`; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(*seconds)?))
}

/// A length of time as it would be written: in the largest unit that fits it.
pub(super) fn duration_shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let fits = |unit: &&(char, u64)| seconds > 0 && seconds.is_multiple_of(unit.1);
    let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(('s', 1));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_whole_number_and_one_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90m", 5_400),
            ("1w", 604_800),
            ("7d", 604_800),
            ("604800s", 604_800),
            ("36h", 129_600),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "1", "1y", "1 d", "1.5h", "-1d", "+1d", "1d12h", "1D", "٣d", "99999999999999999999s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("18446744073709551615w"), None, "no overflow");
    }

    #[test]
    fn a_length_of_time_is_shown_as_it_is_written() {
        for text in ["0s", "90m", "1w", "8d", "61s", "36h"] {
            assert_eq!(duration_shown(parse_duration(text).unwrap()), text);
        }
    }
}
