//! What `mta-stsd certificates` and `plan` show, as data. The JSON forms are interfaces: fields are
//! added, never renamed.

use crate::{
    acme::Hour,
    storage::{Next, Scheduled},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One host of the schedule: a line of the listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedHost {
    /// The policy host.
    pub host: String,
    /// Who owns it; empty for one that left the configuration before that was kept.
    pub tenant: String,
    /// Last moment of the certificate that is held, if one is.
    pub not_after: Option<Timestamp>,
    /// Directory of the authority that issued it.
    pub authority: Option<String>,
    /// What is done next: `first`, `renew`, `ask`, `gone` or `parked`.
    pub next: String,
    /// When; for one that is parked, nothing.
    pub next_at: Option<Timestamp>,
    /// Whether an order is under way.
    #[serde(default)]
    pub ordering: bool,
    /// What went wrong since the last certificate.
    pub problem: Option<Problem>,
    /// Since when the host does not point at us.
    pub astray_since: Option<Timestamp>,
    /// First and last moment at which the authority wants the certificate replaced (RFC 9773).
    pub window: Option<(Timestamp, Timestamp)>,
    /// The authority's page that says why.
    pub explanation_url: Option<String>,
}

/// What went wrong with a host's orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Sort of failure: a word from a closed set.
    pub kind: String,
    /// What the authority, DNS or the network said, escaped.
    pub detail: String,
    /// Failures in a row.
    pub attempts: u32,
    /// When the last one ended.
    pub last_at: Timestamp,
}

impl From<Scheduled> for ListedHost {
    fn from(row: Scheduled) -> Self {
        Self {
            host: row.host.to_string(),
            tenant: row.tenant,
            not_after: row.held.map(|held| held.not_after),
            authority: row.authority,
            next: row.next.word().to_owned(),
            next_at: (row.next != Next::Parked).then_some(row.next_at),
            ordering: false,
            problem: row.failures.map(|failures| Problem {
                kind: failures.kind,
                detail: failures.detail,
                attempts: failures.attempts,
                last_at: failures.last_at,
            }),
            astray_since: row.astray_since,
            window: row.renewal.window,
            explanation_url: row.renewal.explanation_url,
        }
    }
}

/// Which hosts are listed; with nothing asked for, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those whose last order failed, that do not point at us, or that are parked.
    pub failing: bool,
    /// Only those whose certificate ends within this time, or has ended.
    pub expiring: Option<Duration>,
}

impl Filter {
    /// Whether `row` is listed at `now`. What asks for attention is never a host that left.
    pub fn takes(&self, row: &Scheduled, now: Timestamp) -> bool {
        if *self == Self::default() {
            return true;
        }
        let failing = row.failures.is_some() || row.astray_since.is_some() || row.next == Next::Parked;
        let ends_within = |within: Duration| {
            let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
            row.held.is_some_and(|held| held.not_after.duration_since(now) <= within)
        };
        row.next != Next::Gone && (failing || !self.failing) && self.expiring.is_none_or(ends_within)
    }
}

/// What the scheduler will do in the next 24 hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// When it was made.
    pub now: Timestamp,
    /// The matter in sentences, a line each.
    pub told: String,
    /// Hosts that wait for their first certificate and could be ordered for now.
    pub first_waiting: usize,
    /// How long these take when the account's budget has run dry.
    pub queue_seconds: u64,
    /// Certificates to be renewed within 24 h.
    pub renewals: usize,
    /// Certificates that end within 24 h.
    pub ending: usize,
    /// Hosts that do not point at us.
    pub astray: usize,
    /// Hosts that wait for an edit, or to be taken up.
    pub parked: usize,
    /// Why no order is placed at all, when that is so.
    pub storage_trouble: Option<String>,
    /// Whether no certificates are ordered, because a proxy in front has them.
    #[serde(default)]
    pub certificates_elsewhere: bool,
    /// What is done in each of the 24 hours; first certificates as the budget allows.
    pub hours: Vec<Hour>,
    /// The authorities in their order.
    pub authorities: Vec<AuthorityPlan>,
}

/// What holds orders at one authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityPlan {
    /// Its directory.
    pub authority: String,
    /// Orders that can be placed now without waiting.
    pub orders_left: u32,
    /// Until when all orders there are paused.
    pub paused_until: Option<Timestamp>,
    /// What it said.
    pub pause_detail: Option<String>,
}

/// Our account at one authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// The authority's directory.
    pub authority: String,
    /// What identifies the account; CAA records may name it (RFC 8657 §3).
    pub url: String,
    /// `valid`, `deactivated` (by us) or `revoked` (by the authority).
    pub status: String,
    /// Where the authority writes to.
    pub contact: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::Validity, name::PolicyHost, storage::OrderFailures};

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap()
    }

    fn row(next: Next, not_after: Option<i64>) -> Scheduled {
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let held = not_after.map(|days| Validity { not_before: at(-50), not_after: at(days) });
        Scheduled { next, held, ..Scheduled::newcomer(host, "meadow", at(0)) }
    }

    fn failed(row: Scheduled) -> Scheduled {
        let failures = OrderFailures {
            host: row.host.clone(),
            attempts: 3,
            last_at: at(-1),
            retry_at: at(1),
            kind: "not_validated".to_owned(),
            detail: "connection refused".to_owned(),
        };
        Scheduled { failures: Some(failures), ..row }
    }

    #[test]
    fn each_filter_takes_what_it_names_and_both_what_is_pressing() {
        let astray = Scheduled { astray_since: Some(at(-1)), ..row(Next::Renew, Some(30)) };
        let rows = [
            row(Next::Renew, Some(30)),
            row(Next::Renew, Some(10)),
            row(Next::First, None),
            row(Next::Parked, Some(-1)),
            failed(row(Next::Renew, Some(11))),
            failed(row(Next::Gone, Some(1))),
            astray,
        ];
        let check = |failing, expiring: Option<u32>, expected: &[usize]| {
            let filter = Filter { failing, expiring: expiring.map(|days| DAY * days) };
            let taken: Vec<_> = (0..rows.len()).filter(|n| filter.takes(&rows[*n], at(0))).collect();
            assert_eq!(taken, expected, "{filter:?}");
        };
        check(false, None, &[0, 1, 2, 3, 4, 5, 6]);
        check(true, None, &[3, 4, 6]);
        check(false, Some(10), &[1, 3]);
        check(true, Some(11), &[3, 4]);
    }

    #[test]
    fn a_parked_host_is_listed_without_a_moment() {
        assert_eq!(ListedHost::from(row(Next::Parked, None)).next_at, None);
        let listed = ListedHost::from(failed(row(Next::Renew, Some(5))));
        assert_eq!((listed.next.as_str(), listed.next_at), ("renew", Some(at(0))));
        assert_eq!(listed.problem.unwrap().attempts, 3);
    }
}
