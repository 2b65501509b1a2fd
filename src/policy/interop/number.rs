//! What senders take for a number: `max_age` goes through the integer reading of their language.

/// How a sender reads `max_age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// One to ten ASCII digits, as the RFC says.
    Digits,
    /// Go's `strconv.Atoi`: a sign may stand in front.
    Go,
    /// Rust's `parse::<u64>`: a plus may stand in front.
    Rust,
    /// Python's `int`: a sign, single underscores between digits, and digits of any script.
    Python,
    /// JavaScript's `Number`: fractions, exponents, other bases; nothing is zero.
    JavaScript,
}

impl Number {
    /// The whole number that `text` (already trimmed) is for this reader; fractions are cut off.
    pub(super) fn read(self, text: &str) -> Option<i128> {
        match self {
            Self::Digits => {
                let good = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
                good.then(|| text.parse().ok()).flatten()
            }
            Self::Go => text.parse::<i64>().ok().map(i128::from),
            Self::Rust => text.parse::<u64>().ok().map(i128::from),
            Self::Python => python(text),
            Self::JavaScript => javascript(text).map(|number| number.floor() as i128),
        }
    }
}

/// Python bounds the digits as well, but far beyond what a policy can mean.
fn python(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut value: i128 = 0;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for c in group.chars() {
            value = value.saturating_mul(10).saturating_add(decimal_digit(c)?.into());
        }
    }
    Some(if negative { -value } else { value })
}

/// A digit of the scripts that somebody could have at hand: ASCII, Arabic, Devanagari, full width.
fn decimal_digit(c: char) -> Option<u32> {
    const ZEROS: [u32; 5] = [0x30, 0x660, 0x6f0, 0x966, 0xff10];
    ZEROS.iter().filter_map(|zero| u32::from(c).checked_sub(*zero)).find(|digit| *digit < 10)
}

fn javascript(text: &str) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            let plain = digits.starts_with(|c: char| c.is_digit(radix));
            return u64::from_str_radix(digits, radix).ok().filter(|_| plain).map(|number| number as f64);
        }
    }
    // Rust reads the same decimal literals, and some words that JavaScript does not know.
    let word = text.trim_start_matches(['+', '-']) == "Infinity";
    let literal = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if word || literal { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_each_language_makes_of_them() {
        let all = [Number::Digits, Number::Go, Number::Rust, Number::Python, Number::JavaScript];
        for (text, expected) in [
            ("604800", [Some(604_800); 5]),
            ("+604800", [None, Some(604_800), Some(604_800), Some(604_800), Some(604_800)]),
            ("-1", [None, Some(-1), None, Some(-1), Some(-1)]),
            ("604_800", [None, None, None, Some(604_800), None]),
            ("604800.0", [None, None, None, None, Some(604_800)]),
            ("6e5", [None, None, None, None, Some(600_000)]),
            ("0x10", [None, None, None, None, Some(16)]),
            ("0x+1", [None; 5]),
            ("６０", [None, None, None, Some(60), None]),
            ("", [None, None, None, None, Some(0)]),
            ("7d", [None; 5]),
            ("__1", [None; 5]),
            ("inf", [None; 5]),
            ("00000000001", [None, Some(1), Some(1), Some(1), Some(1)]),
        ] {
            assert_eq!(all.map(|number| number.read(text)), expected, "{text:?}");
        }
        assert_eq!(Number::Python.read(&"9".repeat(60)), Some(i128::MAX));
        assert_eq!(Number::JavaScript.read("Infinity"), Some(i128::MAX));
    }
}
