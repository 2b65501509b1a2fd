//! Take-overs while a real authority issues: nothing is lost, nothing is ordered twice.

use crate::{
    rig::{Rig, issued},
    take_over::take_over,
};

const NAMES: usize = 16;
const TAKE_OVERS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn take_overs_during_the_issuance_of_many_names_lose_nothing_and_repeat_nothing() {
    let rig = Rig::start(|_| (), "orders_at_once = 2").await;
    let domains: Vec<_> = (0..NAMES).map(|n| format!("d{n}.example")).collect();
    domains.iter().for_each(|domain| rig.tenant(domain));
    let mut daemon = take_over(&rig.home);
    let mut issued_before = 0;
    for round in 0..TAKE_OVERS {
        // Orders are under way: those of this daemon are not all done.
        let begun = rig.pebble.orders();
        crate::support::eventually("an order", || (rig.pebble.orders() > begun).then_some(()));
        let new = take_over(&rig.home);
        assert_eq!(daemon.exit_code(), 0, "round {round}");
        assert!(!daemon.log().iter().any(|line| line.contains("certificate not issued")), "round {round}");
        issued_before += issued(&daemon);
        daemon = new;
    }
    assert!(issued_before < NAMES, "everything was issued before: this proves nothing");
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(daemon.stop(), 0);
    assert!(!daemon.log().iter().any(|line| line.contains("certificate not issued")));
    assert_eq!(issued_before + issued(&daemon), NAMES);
    assert_eq!((rig.pebble.orders(), rig.pebble.accounts()), (NAMES, 1));
}
