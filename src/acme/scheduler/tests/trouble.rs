//! What is said and done while something around us is unwell: the authority, the store, the clock.

use super::*;
use crate::{logging::caught::Caught, storage::Renewal};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[tokio::test(start_paused = true)]
async fn an_authority_that_does_not_answer_is_told_once_for_all_hosts() {
    let log = Caught::from_here();

    let names: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let world = World::new(&names, move |_| match down.load(Relaxed) {
        true => fails(|detail| IssueError::Unreachable { detail }),
        false => good(),
    });
    let running = world.start();
    sleep(60 * MINUTE).await;
    assert_eq!(running.status.overview().failing, 50, "each host has its own in the status");
    assert_eq!(log.count("WARN"), 1);
    assert_eq!(log.count("directory=\"memory\""), 1);
    is_down.store(false, Relaxed);
    sleep(60 * MINUTE).await;
    assert_eq!(log.count("authority answers again"), 1);
    assert_eq!(running.status.overview().held, 50);
}

fn limited(detail: String) -> IssueError {
    IssueError::RateLimited { retry_after: None, scope: crate::acme::authority::LimitScope::Account, detail }
}

/// The same host and store under another clock.
fn world_at(moment: &str, storage: &Arc<MemoryStorage>, conduct: fn(&PolicyHost) -> Conduct) -> World {
    let mut world = World::new(&["a"], conduct);
    world.clock = Clock::simulated(moment.parse().unwrap());
    world.storage = Arc::clone(storage);
    world.certificates = CertificateTable::new(storage.clone(), 100);
    world
}

// Threat 12.
#[tokio::test(start_paused = true)]
async fn what_a_clock_far_ahead_left_behind_delays_no_order_once_it_is_right() {
    let storage = Arc::new(MemoryStorage::new());
    let ahead = world_at("2036-11-21T12:00:00Z", &storage, |_| fails(limited)).start();
    sleep(MINUTE).await;
    assert!(ahead.status.overview().pause.is_some());
    ahead.stop().await;

    let world = world_at("2026-11-21T12:00:00Z", &storage, |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    assert_eq!(running.status.overview().pause, None, "the account's pause is over");
    sleep(70 * MINUTE).await;
    assert!(world.serves("a").await, "the host waited as long as if it had failed just now");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ordered_or_dropped_while_the_clock_is_not_set() {
    let storage = Arc::new(MemoryStorage::new());
    let world = world_at("1970-01-01T00:00:30Z", &storage, |_| good());
    let running = world.start();
    sleep(10 * MINUTE).await;
    assert_eq!(world.orders(["a"]), [0]);
    let pause = running.status.overview().pause.unwrap();
    assert_eq!(pause.kind, "clock");
    assert!(pause.detail.contains("1970-01-01T00:"), "{pause:?}");
    running.stop().await;

    let world = world_at("2026-11-21T12:00:00Z", &storage, |_| good());
    let running = world.start();
    sleep(MINUTE).await;
    assert!(world.serves("a").await && running.status.overview().pause.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_shows_within_a_period_though_nothing_is_due() {
    let world = World::new(&["a"], |_| good());
    let running = world.start();
    sleep(60 * MINUTE).await;
    world.storage.refuse_writes(true);
    sleep(PERIOD * 12 / 10).await;
    assert!(running.status.overview().storage_trouble.is_some());
    world.storage.refuse_writes(false);
    sleep(PERIOD * 12 / 10).await;
    assert_eq!(running.status.overview().storage_trouble, None);
}

#[tokio::test(start_paused = true)]
async fn budgets_that_are_full_again_are_cleared_away() {
    let world = World::new(&["a"], |_| good());
    let _running = world.start();
    sleep(MINUTE).await;
    let kept = async || world.storage.budgets_with("", Timestamp::UNIX_EPOCH).await.unwrap().len();
    assert!(kept().await >= 3, "of the account, the domain and the host");
    sleep(9 * DAY).await;
    assert_eq!(kept().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_held_certificate_that_cannot_be_served_is_ordered_anew_once() {
    let world = World::new(&["a", "b"], |_| good());
    let running = world.start();
    sleep(60 * MINUTE).await;
    let row = world.storage.scheduled(&host("a")).await.unwrap().unwrap();
    let held = async |name| world.storage.certificate(&host(name)).await.unwrap().unwrap();
    let (mut mixed, other) = (held("a").await, held("b").await);
    mixed.key = other.key;
    world.storage.save_issued(&mixed, &row).await.unwrap();
    world.certificates.forget(&host("a"));
    assert!(world.certificates.get(&host("a")).await.is_err(), "a handshake that is refused");
    sleep(2 * PERIOD).await;
    assert!(world.serves("a").await);
    sleep(60 * MINUTE).await;
    assert_eq!(world.orders(["a", "b"]), [2, 1]);
    assert_eq!(running.status.overview().held, 2);
}

// Threat 12: the fleet simulation never gets there, for its account allows less than a twentieth.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_is_due_at_one_moment_is_renewed_a_twentieth_an_hour() {
    let names: Vec<String> = (0..400).map(|n| format!("d{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(&names, |_| good());
    let now = world.clock.now();
    let day = |n| now.saturating_add(n * DAY).unwrap();
    let rows = names.iter().map(|name| Scheduled {
        next: Next::Renew,
        held: Some(crate::certificate::Validity { not_before: now, not_after: day(90) }),
        authority: Some("memory".to_owned()),
        // As the authority suggests, so no budget of the account stands in between.
        renewal: Renewal { window: Some((now, day(10))), at: Some(now), ..Renewal::default() },
        ..Scheduled::newcomer(host(name), "meadow", now)
    });
    world.storage.save_schedule(&rows.collect::<Vec<_>>(), &[]).await.unwrap();
    let _running = world.start();
    let mut before = 0;
    for hour in 1..=45 {
        sleep(60 * MINUTE).await;
        let renewed = world.ordered.lock().unwrap().len();
        assert!(renewed - before <= names.len() / 20, "{} in hour {hour}", renewed - before);
        before = renewed;
    }
    assert_eq!(before, names.len());
}
