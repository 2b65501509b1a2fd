//! No kind of line floods the log: beyond a few in a second they are counted, and the count is told.
//!
//! A kind is a place in the source. So what strangers do, or one fault that repeats itself, can neither
//! fill a disk nor push out of sight what happens beside it. Pure: takes the moment, writes nothing.

use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use tracing::{Level, callsite::Identifier};

/// How many lines of one kind are written in a second.
pub(super) const LINES_A_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// How often each kind of line was written lately. There are no more kinds than places that log.
#[derive(Debug, Default)]
pub(super) struct Flood(HashMap<Identifier, Kind>);

#[derive(Debug)]
struct Kind {
    /// When its second began.
    begun: Instant,
    written: u32,
    left_out: Option<LeftOut>,
}

/// Lines of one kind that were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub count: u64,
    pub level: Level,
    pub target: String,
    /// The message of the first of them.
    pub message: String,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// What is to be told before it.
    pub before: Option<LeftOut>,
    pub write: bool,
}

impl Flood {
    /// Decides about a line of `kind`; `describe` is asked once for the lines that are left out.
    pub(super) fn admit(
        &mut self,
        kind: Identifier,
        now: Instant,
        describe: impl FnOnce() -> LeftOut,
    ) -> Admission {
        let fresh = || Kind { begun: now, written: 0, left_out: None };
        let known = self.0.entry(kind).or_insert_with(fresh);
        let mut before = None;
        if now.saturating_duration_since(known.begun) >= SECOND {
            before = std::mem::replace(known, fresh()).left_out;
        }
        let write = known.written < LINES_A_SECOND;
        if write {
            known.written += 1;
        } else {
            known.left_out.get_or_insert_with(describe).count += 1;
        }
        Admission { before, write }
    }

    /// Takes what was left out in seconds that are over at `now`, or all of it.
    pub(super) fn left_out(&mut self, now: Instant, all: bool) -> Vec<LeftOut> {
        let over = |kind: &&mut Kind| all || now.saturating_duration_since(kind.begun) >= SECOND;
        self.0.values_mut().filter(over).filter_map(|kind| kind.left_out.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{Metadata, callsite::Callsite, subscriber::Interest};

    struct Place;
    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("only the place counts")
        }
    }
    static ONE: (Place, u8) = (Place, 1);
    static OTHER: (Place, u8) = (Place, 2);

    fn described() -> LeftOut {
        LeftOut { count: 0, level: Level::WARN, target: "here".into(), message: "refused".into() }
    }

    #[test]
    fn ten_in_a_second_are_written_and_the_rest_is_counted() {
        let (one, other) = (Identifier(&ONE.0), Identifier(&OTHER.0));
        let (mut flood, begun) = (Flood::default(), Instant::now());
        let written = |flood: &mut Flood, kind: &Identifier, at: u64, lines: usize| {
            let at = begun + Duration::from_millis(at);
            (0..lines).filter(|_| flood.admit(kind.clone(), at, described).write).count()
        };
        assert_eq!(written(&mut flood, &one, 0, 25), 10);
        assert_eq!(written(&mut flood, &one, 999, 5), 0);
        assert_eq!(written(&mut flood, &other, 0, 3), 3, "another kind has its own ten");
        assert_eq!(flood.left_out(begun + Duration::from_millis(999), false), []);
        let told = flood.left_out(begun + Duration::from_secs(1), false);
        assert_eq!(told, [LeftOut { count: 20, ..described() }]);
        assert_eq!(flood.left_out(begun + Duration::from_secs(1), true), [], "told once");
        assert_eq!(written(&mut flood, &one, 1_000, 25), 10);
        assert_eq!(flood.left_out(begun + Duration::from_secs(1), true).len(), 1, "at the end all is told");
    }

    #[test]
    fn the_count_is_told_before_the_next_line_of_its_kind() {
        let (one, begun) = (Identifier(&ONE.0), Instant::now());
        let mut flood = Flood::default();
        for _ in 0..12 {
            flood.admit(one.clone(), begun, described);
        }
        let next = flood.admit(one.clone(), begun + Duration::from_secs(2), described);
        assert_eq!(next, Admission { before: Some(LeftOut { count: 2, ..described() }), write: true });
        assert_eq!(flood.left_out(begun + Duration::from_secs(9), true), []);
    }
}
