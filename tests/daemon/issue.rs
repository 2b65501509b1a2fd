//! The real daemon against a real authority: first certificates, restarts, and trouble.

use crate::{
    rig::{Rig, issued},
    support::eventually,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_gets_a_certificate_by_either_challenge() {
    for acme in ["challenges = [\"tls-alpn-01\"]", "challenges = [\"http-01\"]", ""] {
        let rig = Rig::start(|_| (), acme).await;
        rig.tenant("meadow.example");
        let daemon = rig.home.start();
        rig.wait_for("meadow.example");
        rig.tenant("brook.example");
        rig.wait_for("brook.example");
        assert_eq!(rig.pebble.accounts(), 1, "{acme}");
        assert_eq!(rig.pebble.orders(), 2, "{acme}");
        drop(daemon);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_half_a_minute_is_renewed_before_it_expires() {
    let rig = Rig::start(|options| options.validity = Duration::from_secs(30), "").await;
    rig.tenant("meadow.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    eventually("the renewal", || {
        assert_eq!(rig.fetch("meadow.example").status, 200, "not served while it is renewed");
        (issued(&daemon) > 1).then_some(())
    });
    assert_eq!(rig.pebble.accounts(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_the_nonces_refused_costs_nobody_a_certificate() {
    let rig = Rig::start(|options| options.nonce_reject = 50, "").await;
    let domains: Vec<_> = (0..6).map(|n| format!("d{n}.example")).collect();
    domains.iter().for_each(|domain| rig.tenant(domain));
    let _daemon = rig.home.start();
    domains.iter().for_each(|domain| rig.wait_for(domain));
    assert_eq!(rig.pebble.certificates(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_wants_an_external_account_gets_one() {
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let rig = Rig::start(
        |options| options.external_account = Some(("kid-1".into(), mac_key.into())),
        "external_account = { key_id = \"kid-1\", mac_key_file = \"mac.key\" }",
    )
    .await;
    rig.home.write("mac.key", mac_key);
    rig.tenant("meadow.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    assert!(!daemon.log().iter().any(|line| line.contains(mac_key)), "the key is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_cannot_be_validated_delays_nobody_and_says_why() {
    let rig =
        Rig::start(|options| options.blocked = Some("blocked.example".into()), "orders_at_once = 1").await;
    ["blocked.example", "a.example", "b.example"].iter().for_each(|domain| rig.tenant(domain));
    let _daemon = rig.home.start();
    rig.wait_for("a.example");
    rig.wait_for("b.example");
    let shown = eventually("the failure to be shown", || {
        let shown = String::from_utf8(rig.home.run(&["status", "blocked.example"]).stdout).unwrap();
        shown.contains("last failure").then_some(shown)
    });
    assert!(shown.contains("tried again at"), "{shown}");
    assert_eq!(rig.fetch("blocked.example").exit, 35);
}

//
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_dns_leads_elsewhere_costs_no_order_and_is_told() {
    let rig = Rig::start(|_| (), "orders_at_once = 1").await;
    ["away.example", "meadow.example"].iter().for_each(|domain| rig.tenant(domain));
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let line = daemon.wait_for_log("not_ready");
    assert!(line.contains("mta-sts.away.example"), "{line}");
    let shown = String::from_utf8(rig.home.run(&["status", "away.example"]).stdout).unwrap();
    assert!(shown.contains("A 192.0.2.7 is not ours: remove it or point it here"), "{shown}");
    assert_eq!(rig.pebble.orders(), 1);
    assert_eq!(rig.fetch("away.example").exit, 35);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_preflight_the_authority_finds_out() {
    let rig = Rig::start(|_| (), "preflight = { enabled = false }").await;
    rig.tenant("away.example");
    let daemon = rig.home.start();
    let line = daemon.wait_for_log("certificate not issued");
    assert!(line.contains("not_validated"), "{line}");
    assert!(rig.pebble.orders() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_store_serves_while_the_authority_is_down() {
    let mut rig = Rig::start(|_| (), "request_timeout = \"2s\"").await;
    rig.tenant("meadow.example");
    let mut daemon = rig.home.start();
    rig.wait_for("meadow.example");
    assert_eq!(daemon.stop(), 0);
    rig.pebble.stop();

    rig.tenant("late.example");
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let line = daemon.wait_for_log("certificate not issued");
    assert!(line.contains("mta-sts.late.example"), "{line}");
    assert_eq!(rig.fetch("meadow.example").status, 200);
    assert_eq!(issued(&daemon), 0);
}
