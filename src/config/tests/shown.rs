//! How a fault is shown: under its source line, to a terminal, in JSON, and without secrets.

use super::*;

/// The rendering of every fault, the folder left out.
fn rendered(main: &str) -> String {
    let mut config = Config::new(main);
    let outcome = config.check();
    let folder = format!("{}/", config.folder.path().display());
    let all: Vec<String> =
        outcome.faults.iter().map(|fault| fault.render(false).replace(&folder, "")).collect();
    all.join("\n\n")
}

#[test]
fn a_fault_is_shown_under_its_source_line() {
    let main = "[[tenant]]\nname = \"meadow\"\ndomains = [\"b\u{fc}cher.example\", \"a_b\"]\nmx = [\"mx.a.example\",\n  \"*.*.example.net\"]\n";
    assert_eq!(rendered(main), GOLDEN_TENANT);
}

const GOLDEN_TENANT: &str = r#"fault: tenant meadow: domain "a_b" has the character '_'; names consist of letters, digits and hyphens
 --> main.toml:3:30
  |
3 | domains = ["bücher.example", "a_b"]
  |                              ^^^^^
  |
  = help: write the domain as it stands behind the @ of mail addresses

fault: tenant meadow: mx "*.*.example.net" has a wildcard in the wrong place
 --> main.toml:5:3
  |
5 |   "*.*.example.net"]
  |   ^^^^^^^^^^^^^^^^^
  |
  = help: a pattern is a host name, or one leading "*." and a domain (RFC 8461 §3.2)"#;

#[test]
fn what_steers_a_terminal_is_not_shown() {
    let main = "[[tenant]]\nname = \"a\"\ndomains = [\"\\u001b[31ma.example\", \"\u{202e}b.example\"]\nmx = [\"mx.a.example\"]\n";
    let shown = rendered(main);
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    assert!(shown.contains("\\u{1b}[31ma.example"), "{shown}");
    let faults = Config::new("x\u{1b}[31m = 1\n\u{7}").faults().concat();
    assert!(!faults.contains(['\u{1b}', '\u{7}']), "{faults:?}");
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let front: Vec<String> = (0..500).map(|n| format!("d{n}.example")).collect();
    let main = format!(
        "[[tenant]]\nname = \"a\"\nmx = [\"mx.a.example\"]\ndomains = [{}, \"a_b.example\"]\n",
        front.iter().map(|d| format!("{d:?}")).collect::<Vec<_>>().join(", ")
    );
    let mut config = Config::new(&main);
    let fault = config.check().faults.remove(0);
    assert!(fault.source.contains("a_b.example") && fault.source.chars().count() <= 160, "{}", fault.source);
    assert_eq!(fault.column, main.lines().nth(3).unwrap().find("\"a_b").unwrap() + 1);
    assert!(fault.render(false).contains(&format!("main.toml:4:{}", fault.column)));
    assert!(fault.render(false).contains("\"a_b.example\""));
}

#[test]
fn secrets_are_in_no_fault() {
    for main in [
        "[acme]\ndirectory = \"internal\"\nexternal_account = { key_id = \"SECRET\", mac_key = \"SECRET\" }\n",
        "[acme]\ndirectory = \"internal\"\n[acme.external_account]\nkey_id = \"SECRET\"\nhmac = \"SECRET\"\n",
        "[acme]\ndirectory = \"internal\"\n[acme.external_account]\nkey_id = \"SECRET\nmac_key_file = \"SECRET\"\n",
        "[acme]\ndirectory = \"internal\"\nexternal_account = \"SECRET\"\n",
        "[acme]\ndirectory = \"internal\"\n[acme.external_account]\nkey_id = [\"SECRET\"]\nmac_key_file = \"\"\n",
        "[store]\nkey_file = 'SECRET\n",
        "[store]\nkey = 'SECRET'\n[acme]\ndirectory = \"internal\"\n",
        "[acme]\nexternal_account = { mac_key \"SECRET\" }\n",
    ] {
        let mut config = Config::new(main);
        let outcome = config.check();
        assert!(!outcome.faults.is_empty(), "{main}");
        for fault in &outcome.faults {
            let json = serde_json::to_string(fault).unwrap();
            let all = format!("{fault}{}{json}{fault:?}", fault.render(false));
            assert!(!all.contains("SECRET"), "{main}: {all}");
        }
    }
}

#[test]
fn a_fault_in_json_has_its_place_and_its_words() {
    let mut config = Config::new("[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"mx\"]\n");
    let fault = config.check().faults.remove(0);
    let json: serde_json::Value = serde_json::to_value(&fault).unwrap();
    assert_eq!(json["severity"], "fault");
    assert_eq!((&json["line"], &json["column"]), (&4.into(), &7.into()));
    assert_eq!((&json["key"], &json["tenant"]), (&"tenant.mx".into(), &"a".into()));
    assert_eq!(json["source"], "mx = [\"mx\"]");
    assert!(json["file"].as_str().unwrap().ends_with("/main.toml"));
    assert!(json["problem"].is_string() && json["remedy"].is_string());
}
