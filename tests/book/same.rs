//! What differs from run to run and means nothing.

use regex::Regex;
use std::sync::LazyLock;

/// What may differ, and what stands in its place while outputs are compared. Policy ids, which have 32
/// hexadecimal digits, are not among them: they follow from the policy.
static PASSING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?( UTC)?)?", "TIME"),
        (r"\b(\d+ (days?|hours?|minutes?|seconds?)|\d+(\.\d+)? ?(ms|[smhd]))( \d+[smh])?\b", "SPAN"),
        (r"\b[0-9a-f]{40,}\b|\b([0-9a-fA-F]{2}:){7,}[0-9a-fA-F]{2}\b", "HEX"),
        (r"(my-account/|Intermediate CA |Root CA |[Ss]erial +)[0-9a-f]+", "${1}HEX"),
        (r"\b\d+(\.\d+)? (KiB|MiB|octets)", "SIZE"),
        // Another try may have come and gone.
        (r"\(\d+ in a row\)|\b\d+  not_ready", "TRIES"),
        (r" +", " "),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    .to_vec()
});

/// Whether `seen` is what `shown` tells; a line `…` in `shown` stands for any lines.
pub fn same(shown: &str, seen: &str) -> bool {
    let [shown, seen] = [shown, seen].map(settled);
    let mut parts = shown.split("…\n");
    let Some(mut rest) = seen.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let found = if parts.peek().is_none() { rest.rfind(part) } else { rest.find(part) };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

fn settled(text: &str) -> String {
    let text: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    PASSING.iter().fold(text, |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

#[test]
fn times_may_differ_and_facts_may_not() {
    let shown = "certificate valid until 2026-11-22T07:41:40Z, in 59 days\nid 01\n";
    assert!(same(shown, "certificate valid until 2027-01-02T00:00:00Z, in 9 days\nid 01\n"));
    assert!(!same(shown, "certificate valid until 2027-01-02T00:00:00Z, in 9 days\nid 02\n"));
    assert!(!same("a\n", "a\nb\n") && !same("a\nb\n", "a\n") && !same("", "a\n"));
}

#[test]
fn dots_stand_for_any_lines() {
    for shown in ["…\n", "a\n…\n", "…\nd\n", "a\n…\nd\n", "a\n…\nc\nd\n", "…\nb\n…\n"] {
        assert!(same(shown, "a\nb\nc\nd\n"), "{shown:?}");
    }
    for shown in ["b\n…\n", "…\nc\n", "a\n…\ne\n…\n"] {
        assert!(!same(shown, "a\nb\nc\nd\n"), "{shown:?}");
    }
}
