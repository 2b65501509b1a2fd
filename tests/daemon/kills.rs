//! The real daemon, killed again and again while it orders from a real authority.

use crate::{
    rig::{Rig, issued},
    support::{Daemon, Home, eventually},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const NAMES: usize = 50;
const KILLS: usize = 20;
/// So few that there are names left for all kills.
const AT_ONCE: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_during_the_issuance_of_fifty_names_lose_nothing_and_repeat_nothing() {
    let rig = Rig::start(|_| (), &format!("orders_at_once = {AT_ONCE}")).await;
    let domains: Vec<_> = (0..NAMES).map(|n| format!("d{n}.example")).collect();
    domains.iter().for_each(|domain| rig.tenant(domain));
    let mut held = BTreeMap::new();
    for kill in 0..KILLS {
        let mut daemon = rig.home.start();
        assert_eq!(read_at_start(&daemon), held.len(), "kill {kill}");
        // At the beginning of an order, when the authority has signed, and when the store should have it.
        let count = || match kill % 3 {
            0 => rig.pebble.orders(),
            1 => rig.pebble.certificates(),
            _ => issued(&daemon),
        };
        let before = count();
        // The log line of an issued certificate comes before its commit, so that only one more line than
        // there are orders at once says that the store has one.
        let more = if kill % 3 == 2 { AT_ONCE } else { 0 };
        eventually("the moment of the kill", || (count() > before + more).then_some(()));
        daemon.kill();
        let store = Store::of(&rig.home).await;
        // No more than was under way may lie between the line and the commit.
        let stored = store.held.len() - held.len();
        let said = issued(&daemon);
        assert!((said.saturating_sub(AT_ONCE)..=said).contains(&stored), "kill {kill}: {stored} of {said}");
        store.check_untouched(&held);
        held = store.held;
    }
    assert!((KILLS / 3..NAMES).contains(&held.len()), "{} held: the kills prove nothing", held.len());

    let mut daemon = rig.home.start();
    assert_eq!(read_at_start(&daemon), held.len());
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(held.len() + issued(&daemon), NAMES, "what was held was ordered again");
    let store = Store::of(&rig.home).await;
    store.check_untouched(&held);
    assert_eq!(store.held.len(), NAMES);
    // Ordered more than once is only what a kill met under way.
    assert!(rig.pebble.orders() <= NAMES + KILLS * AT_ONCE, "{} orders", rig.pebble.orders());
    assert_eq!(rig.pebble.accounts(), 1, "the account survives every kill");

    let daemon = rig.home.start();
    assert_eq!(read_at_start(&daemon), NAMES);
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(issued(&daemon), 0);
    assert!(rig.home.run(&["certificate", "show", &domains[0]]).status.success());
    // No half-written file and no key outside the store.
    let mut files = fs::read_dir(rig.home.path("state")).unwrap().map(|e| e.unwrap().file_name());
    assert!(files.all(|name| name.to_string_lossy().starts_with("mta-stsd.db")));
}

/// Certificates that the daemon found in its store when it started.
fn read_at_start(daemon: &Daemon) -> usize {
    let line = daemon.wait_for_log("certificates read from the store");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    usize::try_from(json["held"].as_u64().unwrap()).unwrap()
}

/// What a daemon that is gone has left in its store.
struct Store {
    /// Chains by host.
    held: BTreeMap<String, String>,
    /// Hosts for which an order was placed that has not ended: kept before the authority hears of it,
    /// and forgotten with the certificate.
    ordered: BTreeSet<String>,
}

impl Store {
    /// Reads a copy, so that it is left to the daemon to recover from the kill. The copy has to be whole.
    async fn of(home: &Home) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in ["mta-stsd.db", "mta-stsd.db-wal"] {
            let from = home.path("state").join(file);
            // After a stop in good order there is no log.
            if from.exists() {
                fs::copy(from, copy.path().join(file)).unwrap();
            }
        }
        let options = SqliteConnectOptions::new().filename(copy.path().join("mta-stsd.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let whole: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut database).await.unwrap();
        assert_eq!(whole, ["ok"]);
        let torn: Vec<String> = sqlx::query_scalar(
            "SELECT host FROM certificates LEFT JOIN schedule USING (host)
             WHERE schedule.not_after IS NOT unixepoch(certificates.not_after)",
        )
        .fetch_all(&mut database)
        .await
        .unwrap();
        assert_eq!(torn, [""; 0], "certificates without their rows");
        let held = sqlx::query_as("SELECT host, chain FROM certificates");
        let held: Vec<(String, String)> = held.fetch_all(&mut database).await.unwrap();
        let ordered = sqlx::query_scalar("SELECT host FROM schedule WHERE placed_at IS NOT NULL");
        let ordered: Vec<String> = ordered.fetch_all(&mut database).await.unwrap();
        Self { held: held.into_iter().collect(), ordered: ordered.into_iter().collect() }
    }

    /// What was held before is held still, and nobody ordered it again.
    #[track_caller]
    fn check_untouched(&self, before: &BTreeMap<String, String>) {
        for (host, chain) in before {
            assert_eq!(self.held.get(host), Some(chain), "{host}");
            assert!(!self.ordered.contains(host), "{host} is held and was ordered");
        }
    }
}
