//! What every store promises of the history of findings, asked of each of them.

use super::{
    FindingEvent, FindingRow, HistoryStorage, MemoryStorage, SqliteStorage, Storage,
    contract::{certificate, domain, host, time},
    history::{CERTIFICATES_OF_HOST_MAX, CLOSED_EVENTS_OF_DOMAIN_MAX},
};
use jiff::Timestamp;

trait Store: Storage + HistoryStorage {}
impl<S: Storage + HistoryStorage> Store for S {}

fn row(n: usize, subject: &str, severity: &str, raised: bool) -> FindingRow {
    FindingRow {
        domain: domain(n),
        code: "MX_NOT_IN_POLICY".to_owned(),
        subject: subject.to_owned(),
        severity: severity.to_owned(),
        since: at(1),
        raised,
    }
}

fn at(hour: i64) -> Timestamp {
    time("2026-11-21T00:00:00Z") + jiff::SignedDuration::from_hours(hour)
}

/// Changes after `number` as `domain subject severity`, with a minus in front of those that ended.
async fn after(store: &dyn Store, number: i64) -> Vec<String> {
    let events = store.events_after(number, 100).await.unwrap();
    assert!(events.is_sorted_by(|a, b| a.number < b.number), "{events:?}");
    let shown = |event: &FindingEvent| {
        let ended = if event.until.is_some() { "-" } else { "" };
        format!("{ended}{} {} {}", event.domain, event.subject, event.severity)
    };
    events.iter().map(shown).collect()
}

async fn last(store: &dyn Store) -> i64 {
    store.events_after(0, 100).await.unwrap().last().map_or(0, |event| event.number)
}

async fn what_is_raised_opens_an_event_and_ends_it(store: &dyn Store) {
    store.replace_findings(&domain(1), &[row(1, "a", "error", false)], at(1)).await.unwrap();
    assert_eq!(after(store, 0).await, [""; 0], "it is not certain yet");
    let both = [row(1, "a", "error", true), row(1, "b", "error", true)];
    store.replace_findings(&domain(1), &both, at(2)).await.unwrap();
    assert_eq!(after(store, 0).await, ["d1.example a error", "d1.example b error"]);
    let seen = last(store).await;
    store.replace_findings(&domain(1), &both, at(3)).await.unwrap();
    assert_eq!(after(store, seen).await, [""; 0], "nothing changed");
    store.replace_findings(&domain(2), &[row(2, "a", "error", true)], at(3)).await.unwrap();
    store.replace_findings(&domain(1), &[row(1, "b", "critical", true)], at(4)).await.unwrap();
    assert_eq!(
        after(store, seen).await,
        ["d2.example a error", "-d1.example a error", "d1.example b critical"]
    );
    let event = store.events_of(&domain(1), 9).await.unwrap().pop().unwrap();
    assert_eq!((event.since, event.until), (at(1), Some(at(4))));
    assert_eq!(store.events_of(&domain(1), 1).await.unwrap().len(), 1);
    assert_eq!(store.events_after(0, 2).await.unwrap().len(), 2);
    assert!(store.findings().await.unwrap().iter().all(|row| row.raised));
}

async fn what_grows_milder_ends_as_it_was(store: &dyn Store) {
    let seen = last(store).await;
    store.replace_findings(&domain(4), &[row(4, "a", "error", true)], at(1)).await.unwrap();
    store.replace_findings(&domain(4), &[row(4, "a", "warn", true)], at(2)).await.unwrap();
    assert_eq!(after(store, seen).await, ["-d4.example a error", "d4.example a warn"]);
    store.replace_findings(&domain(4), &[], at(3)).await.unwrap();
    assert_eq!(after(store, seen).await, ["-d4.example a error", "-d4.example a warn"]);
    let events = store.events_of(&domain(4), 9).await.unwrap();
    let ends: Vec<_> = events.iter().map(|event| (event.since, event.until)).collect();
    assert_eq!(ends, [(at(1), Some(at(3))), (at(1), Some(at(2)))]);
    assert_eq!(store.forget_events(at(4), 100).await.unwrap(), 2);
}

async fn numbers_are_never_used_again(store: &dyn Store) {
    let seen = last(store).await;
    for n in [1, 2] {
        store.replace_findings(&domain(n), &[], at(5)).await.unwrap();
    }
    assert_eq!(after(store, seen).await, ["-d1.example b critical", "-d2.example a error"]);
    let seen = last(store).await;
    assert_eq!(store.forget_events(at(5), 100).await.unwrap(), 1, "the one that ended before");
    assert_eq!(store.forget_events(at(6), 1).await.unwrap(), 1);
    assert_eq!(store.forget_events(at(6), 100).await.unwrap(), 1);
    assert_eq!(after(store, 0).await, [""; 0]);
    store.replace_findings(&domain(3), &[row(3, "", "error", true)], at(7)).await.unwrap();
    assert_eq!(after(store, seen).await, ["d3.example  error"]);
    assert_eq!(store.forget_events(at(999), 100).await.unwrap(), 0, "it stands open");
}

async fn of_a_domain_the_latest_are_kept_and_others_lose_nothing(store: &dyn Store) {
    store.replace_findings(&domain(6), &[row(6, "quiet", "error", true)], at(1)).await.unwrap();
    store.replace_findings(&domain(6), &[], at(2)).await.unwrap();
    // Each round ends as many findings as it begins.
    const AT_ONCE: usize = 100;
    for round in 0..=CLOSED_EVENTS_OF_DOMAIN_MAX / AT_ONCE + 1 {
        let rows: Vec<_> =
            (0..AT_ONCE).map(|n| row(5, &format!("mx{n}.round{round}"), "error", true)).collect();
        store.replace_findings(&domain(5), &rows, at(3)).await.unwrap();
    }
    let kept = store.events_of(&domain(5), usize::MAX).await.unwrap();
    let (closed, open): (Vec<_>, Vec<_>) = kept.iter().partition(|event| event.until.is_some());
    assert_eq!((closed.len(), open.len()), (CLOSED_EVENTS_OF_DOMAIN_MAX, AT_ONCE));
    assert!(!closed.iter().any(|event| event.subject.ends_with("round0")), "the oldest go first");
    assert_eq!(store.events_of(&domain(6), 9).await.unwrap().len(), 1);
    store.replace_findings(&domain(5), &[], at(4)).await.unwrap();
    assert_eq!(store.forget_events(at(5), usize::MAX).await.unwrap(), CLOSED_EVENTS_OF_DOMAIN_MAX + 1);
}

async fn the_latest_certificates_of_a_host_are_told(store: &dyn Store) {
    let host = host(8);
    for month in 0..i64::try_from(CERTIFICATES_OF_HOST_MAX).unwrap() + 2 {
        let mut one = certificate(8, 0);
        one.validity.not_before = at(month * 720);
        store.save_certificate(&one).await.unwrap();
        // Storing is tried again until it is known to have succeeded.
        store.save_certificate(&one).await.unwrap();
    }
    let kept = store.certificates_of(&host).await.unwrap();
    assert_eq!(kept.len(), CERTIFICATES_OF_HOST_MAX);
    assert!(kept.is_sorted_by(|a, b| a.validity.not_before > b.validity.not_before), "{kept:?}");
    assert_eq!(kept.last().unwrap().validity.not_before, at(2 * 720), "the oldest went");
    store.remove_certificates(std::slice::from_ref(&host)).await.unwrap();
    assert!(store.certificates_of(&host).await.unwrap().is_empty());
}

async fn each_alert_has_its_own_position(store: &dyn Store) {
    assert_eq!(store.alert_position("pager").await.unwrap(), None);
    store.save_alert_position("pager", 7).await.unwrap();
    store.save_alert_position("mail", 3).await.unwrap();
    store.save_alert_position("pager", 9).await.unwrap();
    assert_eq!(store.alert_position("pager").await.unwrap(), Some(9));
    assert_eq!(store.alert_position("mail").await.unwrap(), Some(3));
}

async fn keep_the_contract(store: &dyn Store) {
    what_is_raised_opens_an_event_and_ends_it(store).await;
    numbers_are_never_used_again(store).await;
    what_grows_milder_ends_as_it_was(store).await;
    of_a_domain_the_latest_are_kept_and_others_lose_nothing(store).await;
    the_latest_certificates_of_a_host_are_told(store).await;
    each_alert_has_its_own_position(store).await;
}

#[tokio::test]
async fn the_history_in_memory_keeps_the_contract() {
    keep_the_contract(&MemoryStorage::new()).await;
}

#[tokio::test]
async fn the_history_on_disk_keeps_the_contract_and_survives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = SqliteStorage::open(&path, None).await.unwrap();
    keep_the_contract(&store).await;
    store.close().await;
    let store = SqliteStorage::open(&path, None).await.unwrap();
    assert_eq!(store.alert_position("pager").await.unwrap(), Some(9));
    assert_eq!(after(&store, 0).await, ["d3.example  error"]);
}
