//! Small things that templates show: moments, bars, and the frame around every page.

use askama::{Template, filters::HtmlSafe};
use jiff::Timestamp;

/// What stands around every page.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The heading.
    pub title: String,
    /// Which entry of the navigation it belongs to.
    pub here: &'static str,
    /// What forms have to repeat, for who has logged in.
    pub csrf: Option<String>,
    /// Whether the navigation is shown.
    pub navigation: bool,
    /// The version of the daemon.
    pub version: &'static str,
}

impl Frame {
    /// The frame of a page for somebody who may look around.
    pub(super) fn new(title: impl Into<String>, here: &'static str, csrf: Option<String>) -> Self {
        Self { title: title.into(), here, csrf, navigation: true, version: env!("CARGO_PKG_VERSION") }
    }

    /// The frame of a page for anybody.
    pub(super) fn plain(title: &str) -> Self {
        Self { navigation: false, ..Self::new(title, "", None) }
    }
}

/// A moment, with how far it is from now.
#[derive(Clone, Debug, Template)]
#[template(
    source = "<time datetime=\"{{ iso }}\">{{ shown }}</time> <span class=\"far\">{{ far }}</span>",
    ext = "html"
)]
pub(super) struct Moment {
    iso: String,
    shown: String,
    far: String,
}

// Its template has escaped what is in it.
impl HtmlSafe for Moment {}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let shown = at.strftime("%Y-%m-%d %H:%M").to_string();
        Self { iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), shown, far: far(at, now) }
    }
}

/// How far `at` lies from `now`, in one unit.
pub(super) fn far(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(now.as_second());
    let length = match seconds.unsigned_abs() {
        0..60 => return "just now".to_owned(),
        s @ 60..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    };
    if seconds < 0 { format!("{length} ago") } else { format!("in {length}") }
}

/// A piece of a sentence: words, or something to be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub code: bool,
    pub text: String,
}

/// A sentence of the catalogue, in which what is to be typed stands between backticks.
pub(super) fn pieces(sentence: &str) -> Vec<Piece> {
    let pieces = sentence.split('`').enumerate();
    pieces.map(|(number, text)| Piece { code: number % 2 == 1, text: text.to_owned() }).collect()
}

/// A number with its thousands apart.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A picture of counts: one bar each, as long as its part of all of them.
#[derive(Clone, Debug, Template)]
#[template(path = "bars.html")]
pub(super) struct Bars {
    caption: &'static str,
    /// What is counted.
    what: &'static str,
    bars: Vec<Bar>,
}

// Its template has escaped what is in it.
impl HtmlSafe for Bars {}

/// One row of [`Bars`].
#[derive(Clone, Debug)]
struct Bar {
    label: &'static str,
    class: &'static str,
    href: &'static str,
    shown: String,
    /// Of 100.
    part: f64,
}

impl Bars {
    pub(super) fn new(caption: &'static str, what: &'static str) -> Self {
        Self { caption, what, bars: Vec::new() }
    }

    /// Adds a row: `count` of `all`, which leads to `href` unless that is empty.
    pub(super) fn with(
        mut self,
        label: &'static str,
        class: &'static str,
        href: &'static str,
        (count, all): (usize, usize),
    ) -> Self {
        let part = if all == 0 { 0.0 } else { count as f64 * 100.0 / all as f64 };
        // One of many is still to be seen.
        let part = if count > 0 { part.max(1.0) } else { 0.0 };
        self.bars.push(Bar { label, class, href, shown: grouped(count), part });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_one_unit() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, expected) in [
            (0, "just now"),
            (-59, "just now"),
            (60, "in 1 min"),
            (-7_199, "119 min ago"),
            (7_200, "in 2 h"),
            (-172_800, "2 days ago"),
            (3_888_000, "in 45 days"),
        ] {
            let at = Timestamp::from_second(1_800_000_000 + seconds).unwrap();
            assert_eq!(far(at, now), expected);
        }
    }

    #[test]
    fn what_is_to_be_typed_stands_out() {
        let shown: Vec<_> = pieces("Set `mode` now.").into_iter().map(|p| (p.code, p.text)).collect();
        assert_eq!(shown, [(false, "Set ".into()), (true, "mode".into()), (false, " now.".into())]);
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}
