//! What becomes of a host's row in the schedule: after a certificate, a failure, an answer, an edit.
//!
//! Pure: every function takes a row and `now` and changes the row alone. The scheduler keeps the rows
//! and does what they say.

use super::{
    authority::{IssueError, LimitScope, RenewalInfo},
    internal::InternalAuthority,
    jitter::{Jitter, fingerprint},
    renewal::{self, renew_at, renew_at_after_issue, urgent_at},
    retry,
};
use crate::{
    certificate::Validity,
    storage::{Next, Renewal, Scheduled},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Failed validations in a row after which we stop by ourselves: public authorities pause a name for
/// good a little later.
pub const VALIDATIONS_MOST: u32 = 1_000;

/// Failures in a row after which, where there is another authority, it is asked instead.
const TROUBLE_MOST: u32 = 3;
/// The same after this time, and for a limit that lasts longer.
pub const TROUBLE_LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// A host that does not point at us for this long is tried once a week instead of once a day.
const ASTRAY_LONG: SignedDuration = SignedDuration::from_hours(14 * 24);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// How far a stored moment may lie ahead of where it can be: clocks are corrected by seconds all the time.
pub const CLOCK_STEP: SignedDuration = SignedDuration::from_mins(5);

/// The month of RFC 9773, which is spoken here (seconds since 1970): a clock that shows less is not set.
const NOT_BEFORE: i64 = 1_748_736_000;

/// The moment before which nothing is ordered, renewed or dropped, when `now` lies before it (threat 12).
///
/// Only what is certain counts: certificates that begin later than `now` could have been signed by an
/// authority that shares our clock, and a floor learnt from them could hold everybody back for years.
pub fn clock_is_behind(now: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(NOT_BEFORE).ok().filter(|floor| now < *floor)
}

/// A certificate younger than this was issued by us just now; about older ones the authority is asked
/// when their turn comes, so that a fleet is not asked about at once.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// Puts the row where it belongs by what is known: `next` and `next_at` follow from all the rest.
pub fn place(row: &mut Scheduled, now: Timestamp) {
    let retry_at = row.failures.as_ref().map(|failures| failures.retry_at);
    let Some(held) = row.held else {
        (row.next, row.next_at) = (Next::First, retry_at.unwrap_or(now));
        return;
    };
    let due_at = *row.renewal.at.get_or_insert_with(|| renew_at(held, Jitter::of(&row.host, held.not_after)));
    match row.renewal.ask_at {
        // Stops when the certificate ends or its renewal has begun (RFC 9773 §4.3).
        Some(ask_at) if ask_at < due_at && now < due_at && now < held.not_after => {
            (row.next, row.next_at) = (Next::Ask, ask_at);
        }
        _ => (row.next, row.next_at) = (Next::Renew, retry_at.map_or(due_at, |at| at.max(due_at))),
    }
}

/// A certificate of `validity` came from `authority`.
pub fn issued(row: &mut Scheduled, validity: Validity, authority: &str, now: Timestamp) {
    let jitter = Jitter::of(&row.host, validity.not_after);
    *row = Scheduled {
        held: Some(validity),
        authority: Some(authority.to_owned()),
        renewal: Renewal {
            at: Some(renew_at_after_issue(validity, jitter, now)),
            ask_at: Some(now),
            ..Renewal::default()
        },
        ..Scheduled::newcomer(row.host.clone(), &row.tenant, now)
    };
    place(row, now);
}

/// An order came to nothing. `authorities` is how many there are, `settings` the fingerprint of what a
/// refused host waits for a change of.
pub fn failed(row: &mut Scheduled, error: &IssueError, authorities: u32, settings: &str, now: Timestamp) {
    let jitter = Jitter::of(&row.host, now);
    let mut failures = retry::next(&row.host, row.failures.as_ref(), error, now, jitter);
    // What the authority never looked at does not count with it.
    if matches!(error, IssueError::NotValidated { .. }) {
        row.validations_failed = row.validations_failed.saturating_add(1);
        row.astray_since.get_or_insert(now);
    }
    if matches!(error, IssueError::NotReady { .. }) {
        let since = *row.astray_since.get_or_insert(now);
        if now.duration_since(since) > ASTRAY_LONG {
            failures.retry_at = failures.retry_at.max(retry::whole_second(after(now, jitter.around(WEEK))));
        }
    }
    if authorities > 1 && turns_away(row, error, now) {
        row.detour = (row.detour + 1) % authorities;
        (row.trouble, row.trouble_since) = (0, None);
        failures.retry_at = retry::whole_second(after(now, jitter.around(Duration::from_secs(60))));
    }
    row.failures = Some(failures);
    place(row, now);
    if matches!(error, IssueError::Refused { .. }) || row.validations_failed >= VALIDATIONS_MOST {
        (row.next, row.next_at) = (Next::Parked, Timestamp::MAX);
        row.parked_for = Some(settings.to_owned());
    }
}

/// Whether it is time to ask another authority; counts what is the present one's own trouble.
fn turns_away(row: &mut Scheduled, error: &IssueError, now: Timestamp) -> bool {
    match error {
        IssueError::RateLimited { scope: LimitScope::Account, retry_after, .. } => {
            retry_after.is_some_and(|wait| wait.as_secs() > TROUBLE_LONGEST.unsigned_abs().as_secs())
        }
        IssueError::Unreachable { .. } => {
            row.trouble = row.trouble.saturating_add(1);
            let since = *row.trouble_since.get_or_insert(now);
            row.trouble >= TROUBLE_MOST || now.duration_since(since) > TROUBLE_LONGEST
        }
        _ => {
            (row.trouble, row.trouble_since) = (0, None);
            false
        }
    }
}

/// Whether the authority should be asked now; if not, the row says when.
///
/// Of a certificate that nothing is known of yet, the time is drawn out of half a day.
pub fn is_time_to_ask(row: &mut Scheduled, now: Timestamp) -> bool {
    let Some(held) = row.held else {
        place(row, now);
        return false;
    };
    let never_asked = row.renewal.asked_at.is_none() && row.renewal.ask_at.is_none();
    if never_asked && now.duration_since(held.not_before) > FRESH {
        let wait = Jitter::of(&row.host, held.not_after).of_length(renewal::HALF_A_DAY);
        row.renewal.ask_at = Some(after(now, wait));
    } else if never_asked {
        row.renewal.ask_at = Some(now);
    }
    place(row, now);
    row.next == Next::Ask && row.next_at <= now
}

/// The authority answered the question when to renew, or did not.
pub fn asked(row: &mut Scheduled, answer: Result<Option<RenewalInfo>, IssueError>, now: Timestamp) {
    let Some(held) = row.held else { return };
    let jitter = Jitter::of(&row.host, held.not_after);
    row.renewal.asked_at = Some(now);
    let usable = |info: &RenewalInfo| info.window.end > info.window.start;
    match answer {
        Ok(Some(info)) if usable(&info) => {
            row.renewal.at = Some(renewal::moment_in(info.window, held, jitter));
            row.renewal.window = Some((info.window.start, info.window.end));
            row.renewal.explanation_url = info.explanation_url;
            row.renewal.ask_at = Some(after(now, renewal::ask_after_answer(info.retry_after, jitter)));
            row.renewal.asks_failed = 0;
        }
        Ok(None) => (row.renewal.ask_at, row.renewal.window) = (None, None),
        Ok(Some(_)) | Err(IssueError::Refused { .. }) => {
            row.renewal.ask_at = Some(after(now, renewal::ASK_LONGEST));
        }
        Err(_) => {
            row.renewal.asks_failed = row.renewal.asks_failed.saturating_add(1);
            let wait = renewal::ask_after_failure(row.renewal.asks_failed, Jitter::of(&row.host, now));
            row.renewal.ask_at = Some(after(now, wait));
        }
    }
    place(row, now);
}

/// The row as a configured host of `tenant` should have it, when it has to change. `settings` is the
/// fingerprint of today, `directories` are those of the authorities.
pub fn desired(
    row: &Scheduled,
    tenant: &str,
    settings: &str,
    directories: &[&str],
    now: Timestamp,
) -> Option<Scheduled> {
    let mut wanted = row.clone();
    tenant.clone_into(&mut wanted.tenant);
    let changed = row.parked_for.as_deref().is_some_and(|parked_for| parked_for != settings);
    if row.next == Next::Gone || (row.next == Next::Parked && changed) {
        release(&mut wanted, now);
    }
    // Whoever changes the authority wants the new one's certificates; due since its beginning, which
    // makes it pressing only in the second half of its life.
    if let Some((held, authority)) = row.held.zip(row.authority.as_deref())
        && !directories.contains(&authority)
        && row.renewal.at != Some(held.not_before)
    {
        wanted.renewal = Renewal { at: Some(held.not_before), ..Renewal::default() };
        place(&mut wanted, now);
    }
    (wanted != *row).then_some(wanted)
}

/// Takes a parked or forgotten host up again. Its failures still count, its waiting is kept up unless
/// it was parked.
pub fn release(row: &mut Scheduled, now: Timestamp) {
    if row.next == Next::Parked {
        row.failures = None;
        (row.parked_for, row.validations_failed) = (None, 0);
    }
    place(row, now);
}

/// Due at once, whatever was planned.
pub fn hurry(row: &mut Scheduled, now: Timestamp) {
    (row.parked_for, row.validations_failed) = (None, 0);
    if let Some(failures) = &mut row.failures {
        failures.retry_at = now;
    }
    row.renewal.at = row.held.map(|_| now);
    row.renewal.ask_at = None;
    place(row, now);
}

/// What was held turned out to be unusable: a first certificate is due, as soon as its failures allow.
pub fn lost(row: &mut Scheduled, now: Timestamp) {
    (row.held, row.authority, row.renewal) = (None, None, Renewal::default());
    place(row, now);
}

/// The host left the configuration: its certificate is kept until it ends, for a mistaken edit must not
/// cost an order; its failures until their retry time, for leaving and coming back is no way around.
pub fn gone(row: &Scheduled, now: Timestamp) -> Option<Scheduled> {
    if row.next == Next::Gone {
        return None;
    }
    let waiting_until = row.failures.as_ref().map(|failures| failures.retry_at);
    let next_at = row.held.map(|held| held.not_after).or(waiting_until).unwrap_or(now);
    Some(Scheduled { next: Next::Gone, next_at, ..row.clone() })
}

/// The row without moments that its own rules cannot have put where they are, when there are any: they
/// were written while the clock was far ahead, and must not hold the host back now that it is right
/// (threat 12).
///
/// A failure that has yet to happen counts as having happened now, and keeps its wait; a question to the
/// authority is put off by half a day at the most, a renewal up to where any answer could put it.
pub fn healed(row: &Scheduled, now: Timestamp) -> Option<Scheduled> {
    let lies_ahead = |moment: Timestamp| moment.duration_since(now) > CLOCK_STEP;
    let mut healed = row.clone();
    if let Some(failures) = &mut healed.failures {
        if lies_ahead(failures.last_at) {
            let wait = failures.retry_at.duration_since(failures.last_at);
            failures.last_at = now;
            failures.retry_at = now.saturating_add(wait).unwrap_or(now);
        }
        if failures.retry_at.duration_since(now) > retry::LONGEST_WAIT {
            failures.retry_at = now;
        }
    }
    for moment in [&mut healed.astray_since, &mut healed.trouble_since, &mut healed.placed_at] {
        *moment = moment.map(|moment| if lies_ahead(moment) { now } else { moment });
    }
    let half_a_day = after(now, renewal::HALF_A_DAY);
    if healed.renewal.asked_at.is_some_and(lies_ahead)
        || healed.renewal.ask_at.is_some_and(|at| at.duration_since(half_a_day) > CLOCK_STEP)
    {
        let wait = Jitter::of(&row.host, now).of_length(renewal::HALF_A_DAY);
        healed.renewal.asked_at = None;
        healed.renewal.ask_at = row.renewal.ask_at.map(|_| after(now, wait));
    }
    if let Some(held) = healed.held {
        let latest = urgent_at(renew_at(held, Jitter::EARLIEST), held.not_after).max(renew_at_after_issue(
            held,
            Jitter::EARLIEST,
            now,
        ));
        // What we signed ourselves by a clock that was ahead, senders do not accept yet.
        let is_ours = row.authority.as_deref() == Some(InternalAuthority::DIRECTORY);
        let begins_later = is_ours && lies_ahead(held.not_before);
        if healed.renewal.at.is_some_and(|at| lies_ahead(at) && (begins_later || at > latest)) {
            healed.renewal.at = Some(now);
            healed.renewal.window = None;
        }
    }
    if healed == *row {
        return None;
    }
    match (row.next, &healed.failures) {
        (Next::Parked, _) => {}
        (Next::Gone, failures) if row.held.is_none() => {
            healed.next_at = failures.as_ref().map_or(now, |failures| failures.retry_at);
        }
        (Next::Gone, _) => {}
        _ => place(&mut healed, now),
    }
    Some(healed)
}

/// Whether a renewal should not wait for the others: half of the time it has is gone, or the authority
/// moved its window into the past.
pub fn is_pressing(row: &Scheduled, now: Timestamp) -> bool {
    let Some(held) = row.held else { return false };
    let at = row.renewal.at.unwrap_or(held.not_before);
    urgent_at(at, held.not_after) <= now || row.renewal.window.is_some_and(|(_, end)| end <= now)
}

/// Whether an order counts against no limit of the authority at `directory`: it replaces a certificate
/// of its own as it suggested itself.
pub fn is_exempt(row: &Scheduled, directory: &str) -> bool {
    row.renewal.window.is_some() && row.authority.as_deref() == Some(directory)
}

/// What a parked host waits for a change of: its owner, its policy, and how certificates are ordered.
pub fn settings_of(tenant: &str, policy_id: &str, acme: &str) -> String {
    format!("{:016x}", fingerprint([tenant, policy_id, acme].join("\0").bytes()))
}

fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
