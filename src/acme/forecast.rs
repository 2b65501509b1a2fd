//! What the scheduler will do in the next day, and how long the queue of first certificates takes.
//!
//! Pure: rows are counted one by one, so a fleet of any size streams through.

use super::ledger::RESERVED;
use crate::{
    config::Allowance,
    storage::{Next, Scheduled},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Hours that a forecast looks ahead.
const HOURS: usize = 24;
/// As far as a forecast looks.
const AHEAD: SignedDuration = SignedDuration::from_hours(HOURS as i64);
/// Seconds of an hour.
const HOUR: i64 = 3600;

/// What is due in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// First certificates.
    pub first: usize,
    /// Renewals.
    pub renew: usize,
    /// Questions about renewals.
    pub ask: usize,
    /// Certificates of hosts that left, to be forgotten.
    pub forget: usize,
}

/// Counts over the schedule as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// When it was made.
    pub now: Timestamp,
    /// What first certificates are paid from.
    pub account: Allowance,
    /// Hosts that wait for their first certificate and could be ordered for now.
    pub first_waiting: usize,
    /// Hosts without a certificate that are tried again within a day.
    pub first_retried: usize,
    /// Hosts without a certificate that are tried again later than that.
    pub first_later: usize,
    /// Certificates that are to be renewed within a day, those overdue included.
    pub renewals: usize,
    /// Hosts about whose certificate the authority is asked within a day.
    pub asks: usize,
    /// Certificates that end within a day.
    pub ending: usize,
    /// Hosts that wait for a change of their configuration.
    pub parked: usize,
    /// Hosts that do not point at us.
    pub astray: usize,
    /// Certificates of hosts that left, to be forgotten within a day.
    pub forgotten: usize,
    /// What is due in each hour from now on; what is overdue counts as due in the first.
    pub due: [Hour; HOURS],
}

impl Forecast {
    /// Nothing counted yet.
    pub fn new(account: Allowance, now: Timestamp) -> Self {
        Self {
            now,
            account,
            first_waiting: 0,
            first_retried: 0,
            first_later: 0,
            renewals: 0,
            asks: 0,
            ending: 0,
            parked: 0,
            astray: 0,
            forgotten: 0,
            due: [Hour::default(); HOURS],
        }
    }

    /// Counts one row.
    pub fn count(&mut self, row: &Scheduled) {
        let until = self.now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let soon = row.next_at <= until;
        if soon {
            self.count_hour(row);
        }
        match row.next {
            Next::First if row.next_at <= self.now => self.first_waiting += 1,
            Next::First if soon => self.first_retried += 1,
            Next::First => self.first_later += 1,
            Next::Renew => self.renewals += usize::from(soon),
            Next::Ask => self.asks += usize::from(soon),
            Next::Gone => self.forgotten += usize::from(soon),
            Next::Parked => self.parked += 1,
        }
        if row.next == Next::Gone {
            return;
        }
        self.ending +=
            usize::from(row.held.is_some_and(|held| self.now < held.not_after && held.not_after <= until));
        self.astray += usize::from(row.astray_since.is_some());
    }

    fn count_hour(&mut self, row: &Scheduled) {
        let ahead = row.next_at.as_second().saturating_sub(self.now.as_second()) / HOUR;
        let hour = usize::try_from(ahead).unwrap_or(0).min(HOURS - 1);
        let Some(hour) = self.due.get_mut(hour) else { return };
        match row.next {
            Next::First => hour.first += 1,
            Next::Renew => hour.renew += 1,
            Next::Ask => hour.ask += 1,
            Next::Gone => hour.forget += 1,
            Next::Parked => {}
        }
    }

    /// What is done in each hour: as it is due, but no more first certificates than the account's
    /// budget takes, of which `left` are there now and a part is kept for renewals.
    pub fn hours(&self, left: u32) -> [Hour; HOURS] {
        let an_hour =
            f64::from(self.account.amount) * HOUR as f64 / self.account.period.as_secs_f64().max(1.0);
        let kept_back = self.account.amount / RESERVED;
        let most = f64::from(self.account.amount - kept_back);
        let (mut room, mut waiting) = (f64::from(left.saturating_sub(kept_back)), 0);
        self.due.map(|due| {
            waiting += due.first;
            room += an_hour;
            let first = waiting.min(room as usize);
            waiting -= first;
            room = (room - first as f64).min(most);
            Hour { first, ..due }
        })
    }

    /// How long the waiting first certificates take when the account's budget has run dry.
    pub fn queue_takes(&self) -> Duration {
        let each = self.account.period / self.account.amount.max(1);
        each.saturating_mul(u32::try_from(self.first_waiting).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Allowance { amount, period } = self.account;
        let hours = period.as_secs_f64() / 3600.0;
        let takes = self.queue_takes();
        match (self.first_waiting, takes.as_secs_f64() / 86_400.0) {
            (0, _) => write!(f, "first certificates: none waiting")?,
            (waiting, days) if days >= 1.0 => write!(
                f,
                "{} first certificates: {days:.0} days at {amount} per {hours} h; ask the CA for an override",
                grouped(waiting)
            )?,
            (waiting, _) => write!(
                f,
                "{} first certificates waiting: {} min at most, at {amount} per {hours} h",
                grouped(waiting),
                takes.as_secs().div_ceil(60)
            )?,
        }
        writeln!(f, "; tried again within 24 h: {}, later: {}", self.first_retried, self.first_later)?;
        writeln!(
            f,
            "renewals: {} within 24 h; certificates that end within 24 h: {}",
            self.renewals, self.ending
        )?;
        writeln!(f, "questions about renewals: {} within 24 h", self.asks)?;
        write!(f, "not pointing here: {}; waiting for an edit: {}", self.astray, self.parked)
    }
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let comma = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::Validity, name::PolicyHost};

    const LETS_ENCRYPT: Allowance = Allowance { amount: 250, period: Duration::from_secs(3 * 3600) };

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn row(next: Next, next_at: i64, not_after: Option<i64>) -> Scheduled {
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let held = not_after.map(|hours| Validity { not_before: at(-1000), not_after: at(hours) });
        Scheduled { next, next_at: at(next_at), held, ..Scheduled::newcomer(host, "meadow", at(0)) }
    }

    #[test]
    fn a_bulk_import_is_told_in_days() {
        let mut forecast = Forecast::new(LETS_ENCRYPT, at(0));
        (0..48_211).for_each(|_| forecast.count(&row(Next::First, -1, None)));
        assert_eq!(forecast.queue_takes().as_secs() / 86_400, 24);
        let told = forecast.to_string();
        let expected = "48,211 first certificates: 24 days at 250 per 3 h; ask the CA for an override";
        assert!(told.starts_with(expected), "{told}");
        // 200 at once and 83 in each hour.
        let hours = forecast.hours(250);
        assert_eq!(hours.map(|hour| hour.first)[..4], [283, 83, 83, 84]);
    }

    #[test]
    fn a_short_queue_is_told_in_minutes_and_done_when_it_is_due() {
        let mut forecast = Forecast::new(LETS_ENCRYPT, at(0));
        [-1, -1, 5].into_iter().for_each(|hours| forecast.count(&row(Next::First, hours, None)));
        let told = forecast.to_string();
        assert!(told.starts_with("2 first certificates waiting: 2 min at most, at 250 per 3 h"), "{told}");
        assert_eq!(forecast.hours(0).map(|hour| hour.first)[..7], [2, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_day_is_told_by_what_happens_in_it() {
        let mut forecast = Forecast::new(LETS_ENCRYPT, at(0));
        let mut astray = row(Next::First, 5, None);
        astray.astray_since = Some(at(-1));
        let rows = [
            row(Next::Renew, -2, Some(20)),
            row(Next::Renew, 23, Some(100)),
            row(Next::Renew, 25, Some(100)),
            row(Next::Ask, 3, Some(900)),
            row(Next::Gone, 4, Some(4)),
            row(Next::Parked, 9000, Some(-1)),
            row(Next::First, 48, None),
            astray,
        ];
        rows.iter().for_each(|row| forecast.count(row));
        let expected = Forecast {
            first_retried: 1,
            first_later: 1,
            renewals: 2,
            asks: 1,
            ending: 1,
            parked: 1,
            astray: 1,
            forgotten: 1,
            due: forecast.due,
            ..Forecast::new(LETS_ENCRYPT, at(0))
        };
        assert_eq!(forecast, expected);
        let hour = |hour: usize| forecast.due[hour];
        assert_eq!([hour(0).renew, hour(3).ask, hour(4).forget, hour(5).first, hour(23).renew], [1; 5]);
        assert!(!forecast.to_string().contains("override"));
    }
}
