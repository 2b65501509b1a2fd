//! Rows go in, rows come out; every moment is told in hours from now.

use super::*;
use crate::{acme::authority::Window, name::PolicyHost};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(NOW + hours * 3600).unwrap()
}

fn hours(moment: Timestamp) -> i64 {
    moment.duration_since(at(0)).as_hours()
}

fn row() -> Scheduled {
    Scheduled::newcomer(PolicyHost::from_full_name("mta-sts.example.com").unwrap(), "meadow", at(0))
}

/// A row whose certificate of `lifetime` hours came just now.
fn fresh(lifetime: i64) -> Scheduled {
    let mut row = row();
    issued(&mut row, Validity { not_before: at(0), not_after: at(lifetime) }, "first", at(0));
    row
}

fn info(start: i64, end: i64, retry_after: u64) -> Result<Option<RenewalInfo>, IssueError> {
    let window = Window { start: at(start), end: at(end) };
    let retry_after = Duration::from_secs(retry_after * 3600);
    Ok(Some(RenewalInfo { window, explanation_url: Some("https://ca.example/why".to_owned()), retry_after }))
}

fn unreachable() -> IssueError {
    IssueError::Unreachable { detail: String::new() }
}

fn not_ready() -> IssueError {
    IssueError::NotReady { detail: String::new() }
}

fn not_validated() -> IssueError {
    IssueError::NotValidated { detail: String::new() }
}

// no number of days is special.
#[test]
fn the_authority_is_asked_after_issuance_and_a_third_is_left_without_an_answer() {
    for (lifetime, earliest, latest) in
        [(90 * DAY, 51 * DAY, 60 * DAY), (64 * DAY, 869, 1024), (45 * DAY, 612, 720), (160, 64, 80)]
    {
        let mut row = fresh(lifetime);
        assert_eq!((row.next, row.next_at), (Next::Ask, at(0)));
        asked(&mut row, Ok(None), at(0));
        assert_eq!(row.next, Next::Renew);
        assert!((earliest - 1..=latest).contains(&hours(row.next_at)), "{lifetime}: {}", hours(row.next_at));
    }
}

//
#[test]
fn a_window_decides_when_to_renew_and_an_inverted_one_is_no_answer() {
    let mut row = fresh(90 * DAY);
    asked(&mut row, info(40 * DAY, 44 * DAY, 6), at(0));
    assert_eq!((row.next, hours(row.next_at)), (Next::Ask, 6));
    let moment = row.renewal.at.unwrap();
    assert!((40 * DAY..=44 * DAY).contains(&hours(moment)));
    let before = row.renewal.clone();
    asked(&mut row, info(44 * DAY, 40 * DAY, 6), at(6));
    assert_eq!((row.renewal.at, row.renewal.window), (before.at, before.window));
    asked(&mut row, info(40 * DAY, 44 * DAY, 6), at(12));
    assert_eq!(row.renewal.at, Some(moment), "the same window gives the same moment");
}

//
#[test]
fn a_window_in_the_past_is_due_at_once_and_pressing() {
    let mut row = fresh(90 * DAY);
    asked(&mut row, info(40 * DAY, 44 * DAY, 6), at(0));
    assert!(!is_pressing(&row, at(6)));
    asked(&mut row, info(-2, -1, 6), at(6));
    assert_eq!(row.next, Next::Renew);
    assert!(row.next_at <= at(6) && is_pressing(&row, at(6)));
    assert_eq!(row.renewal.explanation_url.as_deref(), Some("https://ca.example/why"));
    assert!(is_exempt(&row, "first") && !is_exempt(&row, "second"));
}

//
#[test]
fn questions_stop_with_the_certificate_and_an_unknown_one_is_asked_about_six_hours_later() {
    let mut row = fresh(90 * DAY);
    asked(&mut row, Err(IssueError::Refused { detail: String::new() }), at(0));
    assert_eq!((row.next, hours(row.next_at)), (Next::Ask, 6));
    asked(&mut row, Err(unreachable()), at(6));
    assert!(row.next == Next::Ask && row.next_at < at(7));
    let renewed_at = row.renewal.at.unwrap();
    place(&mut row, renewed_at);
    assert_eq!(row.next, Next::Renew, "what is due is renewed, whatever the answer would be");
}

#[test]
fn a_fleet_of_which_nothing_is_known_is_asked_about_over_half_a_day() {
    let mut moments = Vec::new();
    for number in 0..100 {
        let mut row = Scheduled { renewal: Renewal::default(), ..fresh(90 * DAY) };
        row.host = PolicyHost::from_full_name(&format!("mta-sts.d{number}.example")).unwrap();
        (row.next, row.next_at) = (Next::Ask, Timestamp::UNIX_EPOCH);
        assert!(!is_time_to_ask(&mut row, at(30)));
        assert_eq!(row.next, Next::Ask);
        moments.push(hours(row.next_at));
        let then = row.next_at;
        assert!(is_time_to_ask(&mut row, then));
    }
    assert!(
        moments.iter().all(|hour| (30..=42).contains(hour)) && moments.contains(&31) && moments.contains(&40)
    );
}

// A-40 and the leaver's ladder.
#[test]
fn a_host_that_is_not_ready_is_tried_daily_then_weekly_and_keeps_what_it_has() {
    let mut row = fresh(90 * DAY);
    asked(&mut row, Ok(None), at(0));
    let mut now = row.next_at;
    let mut waits = Vec::new();
    for _ in 0..22 {
        failed(&mut row, &not_ready(), 1, "same", now);
        waits.push(row.next_at.duration_since(now).as_mins());
        now = row.next_at;
    }
    assert!(waits[0] <= 2 && (8..=12).contains(&waits[1]) && (85..=115).contains(&waits[2]), "{waits:?}");
    assert!((1290..=1590).contains(&waits[4]) && (9000..=11_100).contains(&waits[21]), "{waits:?}");
    assert_eq!(row.validations_failed, 0, "the authority never looked");
    assert!(row.held.is_some() && row.astray_since.is_some());
    issued(&mut row, Validity { not_before: now, not_after: at(9000) }, "first", now);
    assert_eq!((row.astray_since, row.failures), (None, None));
}

#[test]
fn what_only_an_edit_can_mend_is_parked_until_then() {
    let mut row = row();
    failed(&mut row, &IssueError::Refused { detail: "blocked".to_owned() }, 1, "old", at(0));
    assert_eq!((row.next, row.next_at), (Next::Parked, Timestamp::MAX));
    assert_eq!(desired(&row, "meadow", "old", &["first"], at(1)), None);
    let taken_up = desired(&row, "meadow", "new", &["first"], at(1)).unwrap();
    assert_eq!((taken_up.next, taken_up.next_at, taken_up.parked_for), (Next::First, at(1), None));
    hurry(&mut row, at(2));
    assert_eq!((row.next, row.next_at), (Next::First, at(2)));
}

#[test]
fn we_stop_before_the_authority_does() {
    let mut row = row();
    let mut now = at(0);
    for _ in 1..VALIDATIONS_MOST {
        failed(&mut row, &not_validated(), 1, "same", now);
        assert_eq!(row.next, Next::First);
        now = row.next_at;
    }
    failed(&mut row, &not_validated(), 1, "same", now);
    assert_eq!(row.next, Next::Parked);
}

#[test]
fn the_second_authority_is_asked_after_three_failures_or_for_a_long_limit() {
    let mut row = row();
    for expected in [0, 0, 1] {
        failed(&mut row, &unreachable(), 2, "same", at(0));
        assert_eq!(row.detour, expected);
    }
    issued(&mut row, Validity { not_before: at(0), not_after: at(900) }, "second", at(0));
    assert_eq!(row.detour, 0, "back at the next renewal");
    let limited = |hours: u64| IssueError::RateLimited {
        retry_after: Some(Duration::from_secs(hours * 3600)),
        scope: LimitScope::Account,
        detail: String::new(),
    };
    failed(&mut row, &limited(1), 2, "same", at(800));
    assert_eq!(row.detour, 0);
    failed(&mut row, &limited(2), 2, "same", at(801));
    assert_eq!(row.detour, 1);
    failed(&mut row, &not_validated(), 2, "same", at(802));
    assert_eq!((row.detour, row.trouble), (1, 0), "the host's own fault turns nobody away");
    failed(&mut row, &unreachable(), 1, "same", at(803));
    assert_eq!(row.detour, 1);
}

#[test]
fn a_mistaken_edit_costs_no_order_and_leaving_is_no_way_around_the_wait() {
    let mut held = fresh(90 * DAY);
    asked(&mut held, Ok(None), at(0));
    let left = gone(&held, at(1)).unwrap();
    assert_eq!((left.next, left.next_at), (Next::Gone, at(90 * DAY)));
    assert_eq!(gone(&left, at(2)), None);
    assert_eq!(desired(&left, "meadow", "same", &["first"], at(2)), Some(held));
    let mut failing = row();
    failed(&mut failing, &not_validated(), 1, "same", at(0));
    assert_eq!(gone(&failing, at(0)).unwrap().next_at, failing.next_at);
    assert_eq!(gone(&row(), at(3)).unwrap().next_at, at(3));
}

#[test]
fn a_certificate_of_an_authority_that_is_no_longer_configured_is_replaced() {
    let row = fresh(90 * DAY);
    assert_eq!(desired(&row, "meadow", "same", &["zero", "first"], at(1)), None);
    let due = desired(&row, "meadow", "same", &["another"], at(1)).unwrap();
    assert_eq!((due.next, due.next_at), (Next::Renew, at(0)));
    assert!(!is_pressing(&due, at(1)) && is_pressing(&due, at(46 * DAY)));
    assert_eq!(desired(&due, "meadow", "same", &["another"], at(2)), None);
}

// Threat 12.
#[test]
fn what_was_stored_by_a_clock_far_ahead_holds_no_host_back() {
    const AHEAD: i64 = 365 * DAY;
    let mut failing = row();
    failed(&mut failing, &not_validated(), 1, "s", at(AHEAD));
    let healed_row = healed(&failing, at(0)).unwrap();
    assert_eq!(healed_row.failures.as_ref().unwrap().last_at, at(0));
    assert!(healed_row.next_at <= at(1), "the first rung, from now on: {healed_row:?}");
    assert_eq!(healed_row.astray_since, Some(at(0)));

    let mut asking = fresh(90 * DAY);
    asked(&mut asking, Err(unreachable()), at(AHEAD));
    asking.next = Next::Ask;
    let healed_row = healed(&asking, at(0)).unwrap();
    assert_eq!(healed_row.next, Next::Ask);
    assert!(hours(healed_row.next_at) < 12, "{healed_row:?}");

    let mut hurried = fresh(90 * DAY);
    hurry(&mut hurried, at(AHEAD));
    let healed_row = healed(&hurried, at(0)).unwrap();
    assert_eq!((healed_row.next, healed_row.next_at), (Next::Renew, at(0)));

    let mut ours = fresh(90 * DAY);
    let later = Validity { not_before: at(30 * DAY), not_after: at(120 * DAY) };
    issued(&mut ours, later, InternalAuthority::DIRECTORY, at(30 * DAY));
    let healed_row = healed(&ours, at(0)).unwrap();
    assert_eq!((healed_row.next, healed_row.next_at), (Next::Renew, at(0)), "nobody accepts it yet");
}

#[test]
fn what_the_rules_put_where_it_is_stays_and_what_was_put_right_is_right() {
    let mut asked_for = fresh(90 * DAY);
    asked(&mut asked_for, info(40 * DAY, 44 * DAY, 24), at(0));
    let mut limited = row();
    let week = Some(Duration::from_secs(8 * 86_400));
    let error = IssueError::RateLimited { retry_after: week, scope: LimitScope::Name, detail: String::new() };
    failed(&mut limited, &error, 1, "s", at(0));
    let mut leaver = row();
    failed(&mut leaver, &not_ready(), 1, "s", at(-20 * DAY));
    failed(&mut leaver, &not_ready(), 1, "s", at(0));
    let mut ahead = row();
    failed(&mut ahead, &not_validated(), 1, "s", at(365 * DAY));
    let mut hurried = fresh(90 * DAY);
    hurry(&mut hurried, at(365 * DAY));
    let [ahead, hurried] = [ahead, hurried].map(|row| healed(&row, at(0)).unwrap());
    for row in [row(), fresh(90 * DAY), fresh(160), asked_for, limited, leaver, ahead, hurried] {
        assert_eq!(healed(&row, at(0)), None);
    }
}

#[test]
fn a_clock_that_was_never_set_is_known_as_such() {
    assert!(clock_is_behind(Timestamp::UNIX_EPOCH).is_some());
    assert!(clock_is_behind("2025-05-31T23:59:59Z".parse().unwrap()).is_some());
    assert_eq!(clock_is_behind("2025-06-01T00:00:00Z".parse().unwrap()), None);
}
