//! What an operator lists, plans and orders by command: the real binary beside the real daemon, with a
//! real authority.

use crate::{
    rig::Rig,
    support::{Home, eventually},
};
use std::{
    fs,
    process::{Command, Output, Stdio},
};

/// What a command printed, when it ended with `code`.
#[track_caller]
fn said(home: &Home, args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = home.run(args);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}:\n{stdout}{stderr}");
    stdout + &stderr
}

/// The hosts that `certificates` lists.
#[track_caller]
fn listed(home: &Home, filter: &[&str]) -> Vec<serde_json::Value> {
    let text = said(home, &[&["certificates", "--json"], filter].concat(), 0);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn hosts(listed: &[serde_json::Value]) -> Vec<&str> {
    listed.iter().map(|host| host["host"].as_str().unwrap()).collect()
}

/// The serial number that is served, by openssl.
fn served_serial(rig: &Rig, domain: &str) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{}", rig.ports.0)])
        .args(["-servername", &format!("mta-sts.{domain}")])
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    let pem = rig.home.path("served.pem");
    fs::write(&pem, output.stdout).unwrap();
    let shown = Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(pem).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8(shown.stdout).unwrap().trim().trim_start_matches("serial=").to_owned()
}

#[track_caller]
fn wait_for_other_serial(rig: &Rig, domain: &str, serial: &str) -> String {
    eventually("another certificate to be served", || {
        let now = served_serial(rig, domain);
        (now != serial).then_some(now)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_host_is_listed_and_filters_take_what_they_name() {
    let rig = Rig::start(|options| options.blocked = Some("blocked.example".into()), "").await;
    ["blocked.example", "away.example", "meadow.example"].iter().for_each(|domain| rig.tenant(domain));
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    eventually("both failures to be listed", || {
        let failing = listed(&rig.home, &["--failing"]);
        (hosts(&failing) == ["mta-sts.away.example", "mta-sts.blocked.example"]).then_some(())
    });
    // A certificate is served a moment before it is in the store, where the list comes from.
    let all = eventually("the certificate to be listed", || {
        let all = listed(&rig.home, &[]);
        all.iter().any(|host| host["not_after"].is_string()).then_some(all)
    });
    assert_eq!(hosts(&all), ["mta-sts.away.example", "mta-sts.blocked.example", "mta-sts.meadow.example"]);
    let [away, blocked, meadow] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&away["next"], &away["not_after"]), (&"first".into(), &serde_json::Value::Null));
    assert!(away["problem"]["detail"].as_str().unwrap().contains("192.0.2.7"), "{away}");
    assert_eq!(blocked["next"], "parked", "{blocked}");
    assert!(meadow["not_after"].is_string() && meadow["problem"].is_null(), "{meadow}");
    assert_eq!(meadow["authority"], rig.pebble.directory());

    // Pebble's certificates are valid for 90 days here.
    assert_eq!(hosts(&listed(&rig.home, &["--expiring", "100d"])), ["mta-sts.meadow.example"]);
    assert!(listed(&rig.home, &["--expiring", "10d"]).is_empty());
    assert!(listed(&rig.home, &["--failing", "--expiring", "100d"]).is_empty());
    said(&rig.home, &["certificates", "--expiring", "soon"], 64);

    let table = said(&rig.home, &["certificates", "--failing"], 0);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("HOST") && lines.len() == 3, "{table}");
    assert!(lines[2].contains("parked") && lines[2].contains("refused: "), "{table}");

    let shown = said(&rig.home, &["status", "blocked.example"], 0);
    assert!(shown.contains("certificate renew mta-sts.blocked.example --config"), "{shown}");
    drop(daemon);
    said(&rig.home, &["certificates"], 69);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_tells_the_day_and_what_is_left_of_the_budget() {
    let acme = "budgets = { account_orders = 20, account_period = \"2d\" }";
    let rig = Rig::start(|_| (), acme).await;
    ["meadow.example", "away.example"].iter().for_each(|domain| rig.tenant(domain));
    let daemon = rig.home.start();
    rig.wait_for("meadow.example");
    daemon.wait_for_log("not_ready");
    let plan = eventually("both to be planned", || {
        let plan = said(&rig.home, &["plan", "--json"], 0);
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        (plan["astray"] == 1 && plan["renewals"] == 0).then_some(plan)
    });
    let hours = plan["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    let sum = |what: &str| hours.iter().map(|hour| hour[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("first"), 1, "{plan}");
    assert_eq!(plan["authorities"][0]["authority"], rig.pebble.directory());
    let left = plan["authorities"][0]["orders_left"].as_u64().unwrap();
    assert!((18..20).contains(&left), "one order and one that came to nothing: {plan}");
    let shown = said(&rig.home, &["plan"], 0);
    let left = format!("{}: {left} orders can be placed without waiting", rig.pebble.directory());
    for part in ["first certificates", "not pointing here: 1", "HOUR FROM (UTC)", &left] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_by_command_is_served_and_shown() {
    let rig = Rig::start(|_| (), "").await;
    rig.tenant("meadow.example");
    let _daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let first = served_serial(&rig, "meadow.example");
    eventually("the renewal to be taken", || {
        (rig.home.run(&["certificate", "renew", "meadow.example"]).status.code() == Some(0)).then_some(())
    });
    let second = wait_for_other_serial(&rig, "meadow.example", &first);
    let shown = said(&rig.home, &["certificate", "show", "meadow.example"], 0);
    assert!(shown.replace(':', "").contains(&second), "{second} is missing in:\n{shown}");
    for part in ["issuer", "Pebble", "sha-256", "next"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    let unknown = said(&rig.home, &["certificate", "renew", "stranger.example"], 78);
    assert!(unknown.contains("knows no host mta-sts.stranger.example"), "{unknown}");
    said(&rig.home, &["certificate", "renew", "not a name"], 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_replaced_by_one_with_a_new_key() {
    let rig = Rig::start(|_| (), "").await;
    rig.tenant("meadow.example");
    let _daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let first = served_serial(&rig, "meadow.example");
    let key = |name: &str| {
        let out = rig.home.path(name);
        said(&rig.home, &["certificate", "export", "meadow.example", "--out", out.to_str().unwrap()], 0);
        let output = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(out).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let old_key = key("old.pem");
    let revoke = |domain: &str| {
        rig.home.run(&["certificate", "revoke", domain, "--reason", "key-compromise", "--reissue", "--yes"])
    };
    let told = revoke("meadow.example");
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("is revoked at https://127.0.0.1"), "{told}");
    wait_for_other_serial(&rig, "meadow.example", &first);
    assert_ne!(key("new.pem"), old_key);
    assert_eq!(revoke("stranger.example").status.code(), Some(78));
    said(&rig.home, &["certificate", "revoke", "meadow.example", "--reason", "boredom"], 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_after_the_account_has_a_new_key_and_after_it_was_closed() {
    let rig = Rig::start(|_| (), "").await;
    rig.tenant("meadow.example");
    let _daemon = rig.home.start();
    rig.wait_for("meadow.example");
    let account = || -> serde_json::Value {
        serde_json::from_str(&said(&rig.home, &["account", "show", "--json"], 0)).unwrap()
    };
    let first = account();
    assert_eq!(first[0]["status"], "valid");
    assert_eq!(first[0]["contact"][0], "mailto:postmaster@provider.example");
    let directory = rig.pebble.directory();
    let told = said(&rig.home, &["account", "change-key", "--authority", &directory], 0);
    assert!(told.contains("has a new key"), "{told}");
    assert_eq!(account(), first, "the same account by another key");
    rig.tenant("brook.example");
    rig.wait_for("brook.example");
    assert_eq!(rig.pebble.accounts(), 1);

    let refused = said(&rig.home, &["account", "deactivate"], 64);
    assert!(refused.contains("account deactivate --yes --config"), "{refused}");
    assert_eq!(account()[0]["status"], "valid");
    let told = said(&rig.home, &["account", "deactivate", "--yes"], 0);
    assert!(told.contains("registers a new account"), "{told}");
    rig.tenant("hill.example");
    rig.wait_for("hill.example");
    assert_eq!(rig.pebble.accounts(), 2);
    assert_ne!(account()[0]["url"], first[0]["url"]);
    let unknown = said(&rig.home, &["account", "show", "--authority", "https://other.example/dir"], 78);
    assert!(unknown.contains(&directory), "{unknown}");
}

#[test]
fn the_internal_authority_has_no_account_and_revokes_nothing() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    assert!(said(&home, &["account", "show"], 78).contains("knows no accounts"));
    let told = said(&home, &["certificate", "revoke", "meadow.example", "--reason", "superseded"], 78);
    assert!(told.contains("revokes nothing"), "{told}");
    said(&home, &["certificate", "revoke", "meadow.example"], 64);
}
