//! `check`, `status` and `records`: what they print and how they end.

use crate::support::{Home, eventually};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).unwrap()
}

#[test]
fn check_shows_every_fault_with_its_place_and_ends_with_78() {
    let home = Home::new("");
    home.tenant("good", "good", "good.example", "mx.good.example");
    assert_eq!(home.run(&["check"]).status.code(), Some(0));

    home.tenant("bad", "bad", "bad.example", "*.*.bad.example");
    home.tenant("worse", "worse", "good.example", "192.0.2.1");
    let refused = home.run(&["check"]);
    assert_eq!(refused.status.code(), Some(78));
    let shown = text(refused.stderr) + &text(refused.stdout);
    for part in ["bad.toml:4:7", "*.*.bad.example", "worse.toml:4:7", "192.0.2.1", "IP address"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }

    let json = home.run(&["check", "--json"]);
    assert_eq!(json.status.code(), Some(78));
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(value["faults"].as_array().unwrap().len() >= 2, "{value}");
}

#[test]
fn a_warning_fails_the_check_only_when_denied() {
    let home = Home::new("");
    let text = "[[tenant]]\nname = \"w\"\ndomains = [\"w.example\"]\nmx = [\"mx.w.example\"]\n\
                mode = \"enforce\"\nmax_age = \"1d\"\n";
    home.write("tenants.d/w.toml", text);
    assert_eq!(home.run(&["check"]).status.code(), Some(0));
    assert_eq!(home.run(&["check", "--deny-warnings"]).status.code(), Some(78));
}

#[test]
fn records_prints_what_to_publish_without_a_daemon() {
    let home = Home::new("[publish]\ncname = \"mta-sts.provider.example\"\n");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let records = home.run(&["records", "MEADOW.example."]);
    assert_eq!(records.status.code(), Some(0));
    let shown = text(records.stdout);
    assert!(shown.contains("mta-sts.meadow.example. 300 IN CNAME mta-sts.provider.example."), "{shown}");
    assert!(shown.contains("_mta-sts.meadow.example. 300 IN TXT \"v=STSv1; id="), "{shown}");
    assert_eq!(home.run(&["records", "stranger.example"]).status.code(), Some(78));
    let both = home.run(&["records", "meadow.example", "stranger.example", "--format", "json"]);
    assert_eq!(both.status.code(), Some(78), "who is served is printed, and the other is told");
    let shown: serde_json::Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(shown[0]["value"], "mta-sts.provider.example", "{shown}");
}

#[test]
fn status_shows_certificate_id_and_records_of_a_domain() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    assert_eq!(home.run(&["status"]).status.code(), Some(69), "nobody listens yet");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let shown = text(home.run(&["status", "meadow.example"]).stdout);
    for part in ["meadow.example", "testing", "_mta-sts.meadow.example.", "valid until", "renew"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    let json = home.run(&["status", "meadow.example", "--json"]);
    let overview: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(overview["domains"][0]["tenant"], "meadow");
    assert!(overview["domains"][0]["certificate"]["not_after"].is_string());
    assert_ne!(home.run(&["status", "stranger.example"]).status.code(), Some(0));
    home.tenant("books", "books", "bücher.example", "mx1.meadow.example");
    daemon.wait_for_policy("xn--bcher-kva.example", "mx1");
    let shown = text(home.run(&["status", "bücher.example"]).stdout);
    assert!(shown.contains("xn--bcher-kva.example = bücher.example (tenant books)"), "{shown}");
}

#[test]
fn certificate_export_writes_key_and_chain_for_us_alone_beside_a_running_daemon() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let out = home.path("meadow.pem");
    let export = || home.run(&["certificate", "export", "meadow.example", "--out", out.to_str().unwrap()]);
    // A certificate is served before it is stored.
    eventually("the certificate to be stored", || (export().status.code() == Some(0)).then_some(()));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let public_key = |command: &[&str]| {
        let output = Command::new("openssl").args(command).arg("-in").arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", text(output.stderr));
        output.stdout
    };
    let of_key = public_key(&["pkey", "-pubout"]);
    assert!(text(of_key.clone()).contains("PUBLIC KEY"));
    assert_eq!(of_key, public_key(&["x509", "-noout", "-pubkey"]), "the key is not the certificate's");
    assert_ne!(export().status.code(), Some(0), "an existing file is not written over");

    let shown = text(home.run(&["certificate", "show", "mta-sts.meadow.example"]).stdout);
    assert!(shown.contains("valid until") && shown.contains("internal"), "{shown}");
    assert_eq!(home.run(&["certificate", "show", "stranger.example"]).status.code(), Some(78));
}

#[test]
fn status_is_answered_while_the_last_edit_is_refused() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    home.write_main("[lisen]\n");
    daemon.wait_for_log("config refused");
    let status = home.run(&["status"]);
    assert_eq!(status.status.code(), Some(0));
    let shown = text(status.stdout);
    for part in ["refused as a whole", "lisen", "did you mean listen?", "meadow.example (tenant meadow)"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    let json = text(home.run(&["status", "--json"]).stdout);
    let overview: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(overview["reload"]["server_refused"], true);
    assert!(!has_fraction(&json), "times in whole seconds: {json}");
}

// Reading order would give the domain to aaa.toml; the daemon, and a restart, leave it with its owner.
#[test]
fn check_and_records_settle_a_clash_as_the_daemon_does() {
    let home = Home::new("");
    home.tenant("brook", "brook", "brook.example", "mx.brook.example");
    let mut daemon = home.start();
    daemon.wait_for_policy("brook.example", "mx.brook");
    let served = text(home.run(&["records", "brook.example"]).stdout);
    home.tenant("aaa", "thief", "brook.example", "mx.thief.example");
    // What is served is kept just after it is logged.
    eventually("the present owner to be kept", || {
        text(home.run(&["check"]).stderr).contains("belongs to tenant brook").then_some(())
    });
    for running in [true, false] {
        let check = home.run(&["check"]);
        assert_eq!(check.status.code(), Some(78), "running: {running}");
        let shown = text(check.stderr);
        assert!(
            shown.contains("fault: tenant thief:") && shown.contains("belongs to tenant brook"),
            "{shown}"
        );
        assert!(shown.contains("1 domain to serve; 1 fault, 0 warnings"), "{shown}");
        let records = home.run(&["records", "mta-sts.brook.example"]);
        assert_eq!(text(records.stdout), served, "running: {running}");
        let said = text(records.stderr);
        assert!(said.contains("tenant thief is refused") && said.contains("for tenant brook"), "{said}");
        if running {
            daemon.kill();
        }
    }
}

#[test]
fn records_tells_a_refused_tenant_from_none() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "192.0.2.1");
    let said = |domain| text(home.run(&["records", domain]).stderr);
    let refused = said("meadow.example");
    assert!(refused.contains("tenant meadow") && refused.contains("is refused"), "{refused}");
    assert!(refused.contains("mta-stsd.toml` says why"), "the hint names the configuration: {refused}");
    assert!(said("stranger.example").contains("no tenant has the domain"));
}

#[test]
fn records_without_a_target_prints_only_what_is_true() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx.meadow.example");
    let records = home.run(&["records", "meadow.example"]);
    let (records, said) = (text(records.stdout), text(records.stderr));
    assert!(!records.contains("CNAME") && records.contains("TXT"), "{records}");
    assert!(said.contains("set publish.cname"), "{said}");
    assert!(said.contains("no sender trusts"), "the authority is the internal one: {said}");
}

#[test]
fn check_says_what_a_start_would_refuse() {
    let home = Home::new("[lisen]\n");
    let shown = text(home.run(&["check"]).stderr);
    assert!(shown.contains("nothing of this would be taken") && !shown.contains("0 domains"), "{shown}");

    home.write_main("[store]\ndirectory = \"state\"\nkey_file = \"store.key\"\n");
    let check = || home.run(&["check"]).status.code();
    assert_eq!(check(), Some(0), "the key may be there for the service alone");
    home.write("store.key", &"0f".repeat(32));
    let mode = |mode| fs::set_permissions(home.path("store.key"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert_eq!(check(), Some(78));
    let serve = home.run(&["serve"]);
    assert_eq!(serve.status.code(), Some(78), "{}", text(serve.stderr));
    mode(0o600);
    assert_eq!(check(), Some(0));
    home.write("store.key", "not a key");
    mode(0o600);
    assert_eq!(check(), Some(78));
}

#[test]
fn check_looks_into_the_files_with_roots() {
    let home = Home::new("");
    home.write_main("[cross_check]\nenabled = true\nroot_file = \"roots.pem\"\n");
    let check = home.run(&["check"]);
    assert_eq!(check.status.code(), Some(0), "it may be there for the service alone");
    assert!(text(check.stderr).contains("cross_check.root_file"));
    home.write("roots.pem", "no certificate");
    let check = home.run(&["check"]);
    assert_eq!(check.status.code(), Some(78));
    let said = text(check.stderr);
    assert!(said.contains("roots.pem") && said.contains("PEM certificates"), "{said}");
}

#[test]
fn a_master_key_that_does_not_fit_is_told_of_before_a_restart() {
    let home = Home::new("[store]\ndirectory = \"state\"\nkey_file = \"store.key\"\n");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let key = |pair: &str| {
        home.write("store.key", &pair.repeat(32));
        fs::set_permissions(home.path("store.key"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    key("0f");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    assert_eq!(home.run(&["check"]).status.code(), Some(0), "beside the daemon");
    eventually("the certificate to be kept", || {
        (home.run(&["certificate", "show", "meadow.example"]).status.code() == Some(0)).then_some(())
    });
    key("f0");
    let check = home.run(&["check"]);
    assert_eq!(check.status.code(), Some(78));
    let said = text(check.stderr);
    assert!(said.contains("store.key_file") && said.contains("sealed"), "{said}");
    assert_eq!(home.run(&["certificate", "show", "meadow.example"]).status.code(), Some(78));
}

#[test]
fn status_finds_the_daemon_while_the_main_file_is_broken() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    home.write_main("[publish\n");
    daemon.wait_for_log("config refused");
    let status = home.run(&["status", "mta-sts.meadow.example"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(status.stderr));
    let shown = text(status.stdout);
    for part in ["no sender trusts", "cross_check.enabled is false", "set publish.cname"] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    fs::remove_file(home.main_file()).unwrap();
    let said = text(home.run(&["status"]).stderr);
    assert!(said.contains("/var/lib/mta-stsd/admin.sock is tried"), "{said}");
}

#[test]
fn status_says_when_nothing_needs_attention() {
    let home = Home::new("[publish]\ncname = \"mta-sts.provider.example\"\n");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let shown = || text(home.run(&["status"]).stdout);
    eventually("nothing to attend to", || shown().contains("nothing needs attention").then_some(()));
    home.tenant("brook", "brook", "brook.example", "192.0.2.1");
    daemon.wait_for_log("tenants refused");
    assert!(!shown().contains("nothing needs attention"));
}

/// Whether some time in the text has a fraction of a second.
fn has_fraction(text: &str) -> bool {
    let digit = |c: Option<&str>| c.is_some_and(|c| c.bytes().all(|b| b.is_ascii_digit()));
    text.match_indices('.').any(|(at, _)| {
        at >= 3
            && text.get(at - 3..at - 2) == Some(":")
            && digit(text.get(at - 2..at))
            && digit(text.get(at + 1..at + 2))
    })
}
