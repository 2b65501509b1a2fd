//! `quickstart`, `records --verify` and `import`: commands that look at the world.

use crate::{
    support::{Daemon, Home},
    zone::{self, Zone},
};
use std::{
    fs,
    net::Ipv4Addr,
    process::{Command, Output},
};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mta-stsd")).args(args).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// What makes a command look at `zone` and `daemon` in place of the world.
fn looking(zone: &Zone, daemon: &Daemon) -> Vec<String> {
    let (resolver, port) = (zone.address.to_string(), daemon.https.port().to_string());
    let root = daemon.root.to_str().unwrap();
    ["--resolver", &resolver, "--ca", root, "--allow-private", "--policy-port", &port]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn quickstart_writes_what_passes_the_check_and_never_writes_over_a_file() {
    let zone = Zone::serve(vec![
        zone::mx("meadow.example", "meadow-example.mail.protection.outlook.com"),
        zone::mx("nowhere.example", ""),
    ]);
    let resolver = zone.address.to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mta-stsd.toml");
    let output = file.to_str().unwrap();
    let quickstart = |domain| {
        run(&["quickstart", domain, "--output", output, "--resolver", &resolver, "--cname", "sts.p.example"])
    };

    let refused = quickstart("nowhere.example");
    assert_eq!(refused.status.code(), Some(78), "{}", text(&refused.stderr));
    assert!(!file.exists(), "a null MX has nothing to protect");

    let written = quickstart("meadow.example");
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let shown = text(&written.stdout);
    assert!(shown.contains("mta-sts.meadow.example. 300 IN CNAME sts.p.example."), "{shown}");
    assert!(text(&written.stderr).contains("Next:"));
    let config = fs::read_to_string(&file).unwrap();
    for part in ["Exchange Online", "mode = \"testing\"", "mx = [\"*.mail.protection.outlook.com\"]"] {
        assert!(config.contains(part), "{part} is missing in:\n{config}");
    }
    let checked = run(&["check", "--deny-warnings", "--config", output]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));

    assert_eq!(quickstart("meadow.example").status.code(), Some(70));
    assert_eq!(fs::read_to_string(&file).unwrap(), config);
}

#[test]
fn verify_tells_what_is_there_and_what_is_safe_to_publish() {
    let home = Home::new("[publish]\naddresses = [\"127.0.0.1\"]\n");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    home.tenant("broken", "broken", "broken.example", "mx1.broken.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let zone = Zone::serve(vec![zone::a("mta-sts.meadow.example", Ipv4Addr::LOCALHOST)]);
    let verify = |domain: &str| {
        let looking = looking(&zone, &daemon);
        let looking: Vec<&str> = looking.iter().map(String::as_str).collect();
        home.run(&[&["records", "--verify", domain], looking.as_slice()].concat())
    };
    let seen = verify("meadow.example");
    assert_eq!(seen.status.code(), Some(1), "{}", text(&seen.stderr));
    let shown = text(&seen.stdout);
    for part in [
        "meadow.example: policy served as it should be",
        "A 127.0.0.1\n    seen         as expected\n    where        mta-sts.meadow.example.",
        "seen         nothing\n    where        _mta-sts.meadow.example.\n    publish now  not yet: no sender trusts",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    let unknown = verify("broken.example");
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stdout));
}

#[test]
fn verify_asks_both_resolvers_and_shows_where_they_differ() {
    let id = "v=STSv1; id=20261121;";
    let host = || zone::a("mta-sts.meadow.example", Ipv4Addr::LOCALHOST);
    let (first, second) =
        (Zone::serve(vec![host(), zone::txt("_mta-sts.meadow.example", id)]), Zone::serve(vec![host()]));
    let home = Home::new(&format!(
        "[publish]\naddresses = [\"127.0.0.1\"]\n[dns]\nservers = [\"{}\"]\nsecond_servers = [\"{}\"]\n",
        first.address, second.address
    ));
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let port = daemon.https.port().to_string();
    let verify = |more: &[&str]| {
        let looking = ["--ca", daemon.root.to_str().unwrap(), "--policy-port", &port];
        text(
            &home
                .run(&[&["records", "--verify", "meadow.example"], looking.as_slice(), more].concat())
                .stdout,
        )
    };
    let shown = verify(&["--allow-private"]);
    for part in [
        "A 127.0.0.1\n    seen         as expected\n    where        mta-sts.meadow.example.\n  _mta-sts",
        "seen         TXT \"v=STSv1; id=20261121;\"\n    where        _mta-sts.meadow.example.\n    but by \
         dns.second_servers\n    seen         nothing\n    where        _mta-sts.meadow.example.\n    publish now",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    let alone = verify(&["--allow-private", "--resolver", &first.address.to_string()]);
    assert!(!alone.contains("second_servers"), "who is named is asked alone:\n{alone}");
}

#[test]
fn import_continues_what_is_served_elsewhere() {
    let elsewhere = Home::new("");
    let served = "[[tenant]]\nname = \"m\"\ndomains = [\"meadow.example\"]\nmode = \"enforce\"\n\
                  mx = [\"*.mx.meadow.example\", \"mx1.meadow.example\"]\nmax_age = \"20d\"\n";
    elsewhere.write("tenants.d/m.toml", served);
    let daemon = elsewhere.start();
    let body = daemon.wait_for_policy("meadow.example", "mx1");
    let zone = Zone::serve(vec![
        zone::a("mta-sts.meadow.example", Ipv4Addr::LOCALHOST),
        zone::txt("_mta-sts.meadow.example", "v=STSv1; id=20261122;"),
        zone::a("mta-sts.hill.example", Ipv4Addr::LOCALHOST),
    ]);
    let here = Home::new("");
    let file = here.path("tenants.d/meadow.toml");
    let looking = looking(&zone, &daemon);
    let looking: Vec<&str> = looking.iter().map(String::as_str).collect();
    let import = |domain| {
        let args = [&["import", domain, "--output", file.to_str().unwrap()], looking.as_slice()].concat();
        run(&args)
    };
    let refused = import("hill.example");
    assert_eq!(refused.status.code(), Some(78), "no record: {}", text(&refused.stderr));
    let imported = import("meadow.example");
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    let continued = here.start();
    assert_eq!(continued.wait_for_policy("meadow.example", "mx1"), body);
}
