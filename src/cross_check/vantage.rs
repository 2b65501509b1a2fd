//! Pure: whether what is silent is somebody's server, or our own way there.
//!
//! Many networks let nobody connect to port 25, and many routers lead nobody from inside to their own
//! public address. Then everything is silent at once, which is a matter of ours and of no domain.

use std::collections::BTreeSet;

/// As many that answered before and are now silent, one after the other and nobody else heard in between,
/// are no coincidence.
const SILENT_MIN: usize = 3;
/// Where nobody was ever heard, so many looks say that nobody will be.
const NEVER_HEARD_LOOKS: u32 = 3;
/// As many are remembered of those who answered; there is no need to know them all.
const REMEMBERED_MAX: usize = 1_024;

/// What one way out was seen to lead to.
#[derive(Clone, Debug)]
pub(super) struct Vantage<T> {
    answered: BTreeSet<T>,
    silent: BTreeSet<T>,
    ever: bool,
    looks: u32,
    blocked: bool,
}

impl<T> Default for Vantage<T> {
    fn default() -> Self {
        Self { answered: BTreeSet::new(), silent: BTreeSet::new(), ever: false, looks: 0, blocked: false }
    }
}

impl<T: Ord + Clone> Vantage<T> {
    /// Takes note of a look at `one`. Says whether the way is blocked when that is news.
    pub fn note(&mut self, one: &T, answered: bool) -> Option<bool> {
        let before = self.blocked;
        if answered {
            if self.answered.len() >= REMEMBERED_MAX {
                self.answered.pop_first();
            }
            self.answered.insert(one.clone());
            self.silent.clear();
            (self.ever, self.blocked, self.looks) = (true, false, 0);
        } else {
            self.looks = self.looks.saturating_add(1);
            if self.answered.contains(one) && self.silent.len() < SILENT_MIN {
                self.silent.insert(one.clone());
            }
            self.blocked |=
                self.silent.len() >= SILENT_MIN || (!self.ever && self.looks >= NEVER_HEARD_LOOKS);
        }
        (self.blocked != before).then_some(self.blocked)
    }

    /// Whether somebody was heard this way, and not too many have fallen silent since: only then silence
    /// says something about who is silent.
    pub fn is_open(&self) -> bool {
        self.ever && !self.blocked
    }

    /// Whether nobody can be heard this way.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_was_ever_heard_the_way_is_blocked_after_three_looks() {
        let mut way = Vantage::default();
        assert!(!way.is_open() && !way.is_blocked());
        assert_eq!([1, 1].map(|n| way.note(&n, false)), [None, None]);
        assert_eq!(way.note(&1, false), Some(true));
        assert_eq!(way.note(&2, false), None, "said once");
        assert_eq!(way.note(&2, true), Some(false));
        assert!(way.is_open());
    }

    #[test]
    fn hosts_that_were_always_silent_say_nothing_about_the_way() {
        let mut way = Vantage::default();
        way.note(&0, true);
        for n in 1..100 {
            assert_eq!(way.note(&n, false), None);
        }
        assert!(way.is_open());
    }

    #[test]
    fn three_that_fall_silent_together_are_no_coincidence() {
        let mut way = Vantage::default();
        for n in 0..5 {
            way.note(&n, true);
        }
        assert_eq!([0, 0, 1].map(|n| way.note(&n, false)), [None; 3]);
        way.note(&4, true);
        assert_eq!([0, 1].map(|n| way.note(&n, false)), [None; 2], "somebody was heard in between");
        assert_eq!(way.note(&2, false), Some(true));
        assert_eq!(way.note(&3, true), Some(false));
    }
}
