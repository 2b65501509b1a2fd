//! Rest before another daemon takes over.

use super::*;

const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn at_rest_nothing_is_under_way_nothing_begins_and_all_is_stored() {
    let names = ["a", "b", "c"];
    let world = World::new(&names, |_| good());
    let scheduler = world.scheduler(1);
    let handle = scheduler.handle();
    let running = Running::of(scheduler);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.orders(names), [1, 0, 0]);

    assert!(handle.rest(PATIENCE).await);
    assert!(world.stores("a").await, "what was under way came to its end");
    world.snapshot.replace(desired(2, &["a", "b", "c", "d"]));
    assert!(!handle.renew_now(&host("a")).await);
    sleep(DAY).await;
    assert_eq!(world.orders(["a", "b", "c", "d"]), [1, 0, 0, 0]);

    handle.wake().await;
    sleep(MINUTE).await;
    assert_eq!(world.orders(["a", "b", "c", "d"]), [1, 1, 1, 1]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_stored_is_not_left_behind() {
    let world = World::new(&["a"], |_| good());
    let scheduler = world.scheduler(1);
    let handle = scheduler.handle();
    let running = Running::of(scheduler);
    sleep(Duration::from_secs(1)).await;
    world.storage.refuse_writes(true);
    assert!(!handle.rest(PATIENCE).await, "it is in memory alone");
    handle.wake().await;
    world.storage.refuse_writes(false);
    sleep(2 * MINUTE).await;
    assert!(world.stores("a").await);
    assert_eq!(world.orders(["a"]), [1]);
    running.stop().await;
}
