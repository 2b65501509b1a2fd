//! The whole fleet in one pass: what the overview counts and the list of domains shows.
//!
//! A pass over 100,000 domains takes some tens of milliseconds, so it is made off the async threads, by
//! one at a time, and in a large fleet it serves everybody who asks within a few seconds. Names are
//! sorted once for each snapshot.

use crate::{
    acme::AcmeStatus,
    audit::{Severity, worst},
    cross_check::CrossCheckStatus,
    name::PolicyHost,
    policy::Mode,
    snapshot::Snapshot,
};
use jiff::{SignedDuration, Timestamp};
use std::{cmp::Reverse, sync::Arc};

/// A certificate that is at its end within this time asks for a look, whatever renews it.
const SOON: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Every host of one snapshot, sorted by name.
pub struct Index {
    generation: u64,
    hosts: Vec<(PolicyHost, Mode)>,
}

impl Index {
    /// Sorts the hosts of `snapshot`.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mode = |(host, hosted): (&PolicyHost, &crate::snapshot::HostedPolicy)| {
            (host.clone(), hosted.policy.policy().mode())
        };
        let mut hosts: Vec<_> = snapshot.iter().map(mode).collect();
        // Every host begins alike, so this is the order of the domains as well.
        hosts.sort_unstable_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        Self { generation: snapshot.generation(), hosts }
    }

    /// The generation of that snapshot.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// The state of every domain at one moment.
pub struct Survey {
    /// When it was made.
    pub at: Timestamp,
    index: Arc<Index>,
    /// One for each host of the index, in its order.
    states: Vec<State>,
    /// What they amount to.
    pub counts: Counts,
}

/// What is known of one domain, in few octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its worst finding.
    pub worst: Option<Severity>,
    /// The end of its certificate, in seconds since 1970.
    pub not_after: Option<i64>,
    /// Whether its last order failed.
    pub failing: bool,
    /// Whether DNS does not answer for it.
    pub silent: bool,
    /// Whether its certificate is the affair of a proxy in front.
    pub elsewhere: bool,
}

impl State {
    fn left(self, now: Timestamp) -> Option<SignedDuration> {
        Some(SignedDuration::from_secs(self.not_after?.saturating_sub(now.as_second())))
    }

    /// Whether senders could fetch its policy now.
    fn is_certified(self, now: Timestamp) -> bool {
        self.elsewhere || self.left(now).is_some_and(|left| left.is_positive())
    }

    /// Whether somebody should look at it, and how soon: the higher, the sooner. As `mta-stsd status`
    /// says, and a certificate near its end besides.
    fn attention(self, now: Timestamp) -> Option<Severity> {
        let certificate = match self.is_certified(now) {
            false => Some(Severity::Error),
            true if self.failing || self.left(now).is_some_and(|left| left < SOON) => Some(Severity::Warn),
            true => None,
        };
        certificate.max(self.worst).filter(|severity| *severity >= Severity::Warn)
    }
}

/// Lengths of time left of a certificate, each from the one before: in days, and in words.
pub const BANDS: [(i64, &str); 7] = [
    (3, "under 3 days"),
    (7, "3 to 7 days"),
    (14, "7 to 14 days"),
    (30, "14 to 30 days"),
    (60, "30 to 60 days"),
    (90, "60 to 90 days"),
    (i64::MAX, "90 days and more"),
];

/// Counts over the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Domains by mode.
    pub enforce: usize,
    /// Domains by mode.
    pub testing: usize,
    /// Domains by mode.
    pub none: usize,
    /// Domains without a certificate.
    pub without: usize,
    /// Domains whose certificate is the affair of a proxy in front.
    pub elsewhere: usize,
    /// Domains whose certificate has ended.
    pub ended: usize,
    /// Domains by what is left of their certificate, as in [`BANDS`].
    pub left: [usize; BANDS.len()],
    /// Domains whose last order failed.
    pub failing: usize,
    /// Domains by their worst finding, as in [`Severity::ALL`].
    pub worst: [usize; Severity::ALL.len()],
    /// Domains without findings.
    pub clean: usize,
    /// Domains that ask for a look.
    pub attention: usize,
    /// Domains for which DNS answers.
    pub answered: usize,
    /// Domains for which it does not.
    pub silent: usize,
}

impl Counts {
    fn add(&mut self, mode: Mode, state: State, answered: bool, now: Timestamp) {
        match mode {
            Mode::Enforce => self.enforce += 1,
            Mode::Testing => self.testing += 1,
            Mode::None => self.none += 1,
        }
        match state.left(now) {
            None if state.elsewhere => self.elsewhere += 1,
            None => self.without += 1,
            Some(left) if !left.is_positive() => self.ended += 1,
            Some(left) => {
                let days = left.as_hours() / 24;
                let band = BANDS.iter().position(|(below, _)| days < *below).unwrap_or(BANDS.len() - 1);
                if let Some(count) = self.left.get_mut(band) {
                    *count += 1;
                }
            }
        }
        match state.worst {
            None => self.clean += 1,
            Some(worst) => {
                let places = Severity::ALL.into_iter().zip(&mut self.worst);
                places.filter(|(severity, _)| *severity == worst).for_each(|(_, count)| *count += 1);
            }
        }
        self.failing += usize::from(state.failing);
        self.attention += usize::from(state.attention(now).is_some());
        self.answered += usize::from(answered);
        self.silent += usize::from(state.silent);
    }
}

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every domain.
    #[default]
    All,
    /// Those that somebody should look at, the worst first.
    Attention,
    /// Those without a certificate that is valid now.
    Uncertified,
    /// Those whose last order failed.
    Failing,
    /// Those with a finding of severity error or critical.
    Serious,
    /// Those whose worst finding is a warning.
    Warnings,
    /// Those for which DNS does not answer.
    Silent,
}

impl Filter {
    /// All of them, each with its keyword and what it is called.
    pub const ALL: [(Self, &str, &str); 7] = [
        (Self::All, "", "all states"),
        (Self::Attention, "attention", "needs attention"),
        (Self::Uncertified, "uncertified", "without a valid certificate"),
        (Self::Failing, "failing", "orders failing"),
        (Self::Serious, "serious", "serious findings"),
        (Self::Warnings, "warnings", "warnings at most"),
        (Self::Silent, "silent", "DNS does not answer"),
    ];

    fn takes(self, state: State, now: Timestamp) -> bool {
        match self {
            Self::All => true,
            Self::Attention => state.attention(now).is_some(),
            Self::Uncertified => !state.is_certified(now),
            Self::Failing => state.failing,
            Self::Serious => state.worst >= Some(Severity::Error),
            Self::Warnings => state.worst == Some(Severity::Warn),
            Self::Silent => state.silent,
        }
    }
}

/// Which domains are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Part of the name, in lower case; empty for any.
    pub text: String,
    /// The mode; `None` for any.
    pub mode: Option<Mode>,
    /// The state.
    pub filter: Filter,
}

/// One domain of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its policy host.
    pub host: PolicyHost,
    /// Its mode.
    pub mode: Mode,
    /// What is known of it.
    pub state: State,
}

impl Survey {
    /// Looks at every host of `index` once. Takes its time. `elsewhere`: certificates are the affair of a
    /// proxy in front, and what is held of them does not count.
    pub fn take(
        index: Arc<Index>,
        acme: &AcmeStatus,
        checks: &CrossCheckStatus,
        elsewhere: bool,
        now: Timestamp,
    ) -> Self {
        let mut counts = Counts::default();
        let state = |(host, mode): &(PolicyHost, Mode)| {
            let certificate = acme.of(host);
            let checked = checks.of(&host.domain()).unwrap_or_default();
            let state = State {
                worst: worst(checked.findings.iter().map(|known| &known.finding)),
                not_after: certificate.not_after.filter(|_| !elsewhere).map(Timestamp::as_second),
                failing: !elsewhere && certificate.last_failure.is_some(),
                silent: checked.unanswered_since.is_some(),
                elsewhere,
            };
            counts.add(*mode, state, !state.silent && checked.answered_at.is_some(), now);
            state
        };
        let states = index.hosts.iter().map(state).collect();
        Self { at: now, index, states, counts }
    }

    /// How many domains there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The generation of the snapshot that was looked at.
    pub fn generation(&self) -> u64 {
        self.index.generation
    }

    /// Up to `limit` of the domains that are wanted, from the one numbered `from`, and how many there are.
    pub fn list(&self, wanted: &Wanted, from: usize, limit: usize) -> (Vec<Row>, usize) {
        let rows = self.index.hosts.iter().zip(&self.states);
        let mut found: Vec<_> = rows
            .filter(|((host, mode), state)| {
                wanted.mode.is_none_or(|wanted| wanted == *mode)
                    && wanted.filter.takes(**state, self.at)
                    && is_named(host, &wanted.text)
            })
            .collect();
        if wanted.filter == Filter::Attention {
            found.sort_by_key(|(_, state)| Reverse(state.attention(self.at)));
        }
        let total = found.len();
        let row = |((host, mode), state): (&(PolicyHost, Mode), &State)| Row {
            host: host.clone(),
            mode: *mode,
            state: *state,
        };
        (found.into_iter().skip(from).take(limit).map(row).collect(), total)
    }
}

/// Whether `text` is a part of the domain's name, in either of its spellings.
fn is_named(host: &PolicyHost, text: &str) -> bool {
    let domain = host.as_str().strip_prefix("mta-sts.").unwrap_or_default();
    text.is_empty()
        || domain.contains(text)
        || (!text.is_ascii() && domain.contains("xn--") && host.domain().to_unicode().contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::DomainName;

    const DAY: i64 = 86_400;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn in_days(days: i64) -> Option<i64> {
        Some(now().as_second() + days * DAY)
    }

    fn survey(rows: &[(&str, Mode, State)]) -> Survey {
        let host = |name: &str| PolicyHost::of(&DomainName::from_user(name).unwrap()).unwrap();
        let mut counts = Counts::default();
        rows.iter().for_each(|(_, mode, state)| counts.add(*mode, *state, true, now()));
        let hosts = rows.iter().map(|(name, mode, _)| (host(name), *mode)).collect();
        let index = Arc::new(Index { generation: 1, hosts });
        Survey { at: now(), index, states: rows.iter().map(|(_, _, state)| *state).collect(), counts }
    }

    fn sample() -> Survey {
        let good = State { not_after: in_days(45), ..State::default() };
        survey(&[
            ("a.example", Mode::Enforce, good),
            ("b.example", Mode::Testing, State { worst: Some(Severity::Warn), ..good }),
            ("bücher.example", Mode::None, State { worst: Some(Severity::Info), ..good }),
            ("c.example", Mode::Enforce, State { worst: Some(Severity::Critical), silent: true, ..good }),
            ("d.example", Mode::Enforce, State { failing: true, ..good }),
            ("e.example", Mode::Enforce, State { not_after: in_days(0), ..good }),
            ("f.example", Mode::Enforce, State { not_after: None, failing: true, ..good }),
            ("g.example", Mode::Enforce, State { not_after: in_days(2), ..good }),
        ])
    }

    #[test]
    fn each_filter_lists_what_it_names_and_what_presses_stands_first() {
        let survey = sample();
        let check = |filter, text: &str, mode, expected: &str| {
            let wanted = Wanted { text: text.to_owned(), mode, filter };
            let (rows, total) = survey.list(&wanted, 0, 100);
            let first = |row: &Row| row.host.domain().to_unicode().split('.').next().map(str::to_owned);
            let shown: Vec<String> = rows.iter().filter_map(first).collect();
            assert_eq!((shown.join(" "), total), (expected.to_owned(), rows.len()), "{filter:?} {text}");
        };
        check(Filter::All, "", None, "a b bücher c d e f g");
        check(Filter::All, "example", Some(Mode::Enforce), "a c d e f g");
        check(Filter::All, "büch", None, "bücher");
        check(Filter::All, "xn--", None, "bücher");
        check(Filter::All, "mta-sts", None, "");
        check(Filter::Attention, "", None, "c e f b d g");
        check(Filter::Uncertified, "", None, "e f");
        check(Filter::Failing, "", None, "d f");
        check(Filter::Serious, "", None, "c");
        check(Filter::Warnings, "", None, "b");
        check(Filter::Silent, "", None, "c");
    }

    #[test]
    fn where_the_proxy_has_the_certificates_none_is_missed() {
        let theirs = State { elsewhere: true, ..State::default() };
        let warned = State { worst: Some(Severity::Warn), ..theirs };
        let survey = survey(&[("a.example", Mode::Enforce, theirs), ("b.example", Mode::Enforce, warned)]);
        let counts = &survey.counts;
        assert_eq!((counts.elsewhere, counts.without, counts.attention), (2, 0, 1));
        let wanted = Wanted { filter: Filter::Uncertified, ..Wanted::default() };
        assert_eq!(survey.list(&wanted, 0, 100).1, 0);
    }

    #[test]
    fn a_page_begins_where_the_last_one_ended() {
        let survey = sample();
        let (rows, total) = survey.list(&Wanted::default(), 6, 5);
        assert_eq!((rows.len(), total), (2, 8));
        assert!(survey.list(&Wanted::default(), 100, 5).0.is_empty());
    }

    #[test]
    fn every_domain_is_counted_once_in_each_picture() {
        let survey = sample();
        let counts = &survey.counts;
        assert_eq!((counts.enforce, counts.testing, counts.none), (6, 1, 1));
        assert_eq!((counts.without, counts.ended, counts.left), (1, 1, [1, 0, 0, 0, 5, 0, 0]));
        assert_eq!((counts.worst, counts.clean), ([0, 1, 1, 0, 1], 5));
        assert_eq!((counts.failing, counts.attention, counts.silent), (2, 6, 1));
    }
}
