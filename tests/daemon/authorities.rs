//! The real daemon with two authorities, the first of which has bad days.

use crate::{
    fault_proxy::{Fault, FaultProxy, NEW_ORDER},
    pebble::{Options, Pebble},
    rig::Rig,
    support::{Home, eventually},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{fs, time::Duration};

/// Long enough to be looked at, and renewed within a test.
const VALIDITY: Duration = Duration::from_secs(40);

/// More than an order makes of one request.
const TRIES: usize = 16;

const DOMAIN: &str = "meadow.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_at_the_first_goes_to_the_second_and_back_at_its_renewal() {
    let mut rig = Rig::start(|options| options.validity = VALIDITY, "").await;
    let first = FaultProxy::start(&rig.pebble).await;
    let (https, http) = rig.ports;
    let (tls_port, http_port) = (https, http);
    let second =
        Pebble::start(Options { tls_port, http_port, validity: VALIDITY, ..Options::default() }).await;
    let authority = |directory: &str, root_file: &std::path::Path| {
        let root_file = root_file.display();
        format!(
            "[[acme.authority]]\ndirectory = \"{directory}\"\nroot_file = \"{root_file}\"\n\
             terms_of_service_agreed = true\n"
        )
    };
    rig.home.write_main(&format!(
        "[listen]\nhttps = [\"127.0.0.1:{https}\"]\nhttp = [\"127.0.0.1:{http}\"]\n[acme]\n{}{}\
         [dns]\nservers = [\"{}\"]\n[publish]\naddresses = [\"127.0.0.1\"]\n",
        authority(&first.directory(), &first.root_file()),
        authority(&second.directory(), &second.root_file()),
        rig.pebble.dns(),
    ));
    let roots = [&rig.root, &second.issuing_root()].map(|root| fs::read_to_string(root).unwrap());
    rig.root = rig.home.path("roots.pem");
    fs::write(&rig.root, roots.concat()).unwrap();
    rig.tenant(DOMAIN);

    let unwell =
        Fault::Problem { status: 500, word: "serverInternal", detail: "not today", retry_after: None };
    for fault in [unwell, Fault::Cut, Fault::Page(502)] {
        first.fail(NEW_ORDER, std::array::from_fn::<_, TRIES, _>(|_| fault.clone()));
        let mut daemon = rig.home.start();
        let line = daemon.wait_for_log("certificate not issued");
        assert!(line.contains("does not answer") && line.contains(&first.directory()), "{line}");
        assert_eq!(daemon.stop(), 0);
        assert!((1..TRIES).contains(&first.faults_left()), "the authority was asked without end");
        first.be_well();
        end_the_wait(&rig.home).await;
        assert_eq!((rig.pebble.orders(), second.orders()), (0, 0));
    }

    // The first is well again, but this order goes to the second.
    let daemon = rig.home.start();
    rig.wait_for(DOMAIN);
    assert_eq!((rig.pebble.certificates(), second.certificates()), (0, 1));
    eventually("the renewal at the first", || {
        assert_eq!(rig.fetch(DOMAIN).status, 200, "not served while it is renewed");
        (rig.pebble.certificates() > 0).then_some(())
    });
    assert_eq!(second.certificates(), 1);
    drop(daemon);
}

/// Takes the minutes that a host waits between tries out of the store of a daemon that has stopped.
async fn end_the_wait(home: &Home) {
    let options = SqliteConnectOptions::new().filename(home.path("state/mta-stsd.db"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let now = "UPDATE schedule SET next_at = failed_at, retry_at = failed_at WHERE retry_at IS NOT NULL";
    let changed = sqlx::query(now).execute(&mut database).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
    database.close().await.unwrap();
}
