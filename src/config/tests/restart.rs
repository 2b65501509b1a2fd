//! What a reload cannot change is named.

use super::*;

fn server(main: &str) -> Server {
    Config::new(main).check().server.unwrap()
}

#[test]
fn a_changed_key_is_named_with_its_old_and_new_value() {
    let old = server("[listen]\nhttps = [\"127.0.0.1:8443\"]\n[dns]\ntimeout = \"2s\"\n");
    let new = server(
        "[listen]\nhttps = [\"127.0.0.1:9443\"]\n[dns]\ntimeout = \"60s\"\n[publish]\ncname = \"a.example\"\n",
    );
    assert_eq!(
        new.needs_restart(&old).into_iter().filter(|key| !key.starts_with("store")).collect::<Vec<_>>(),
        ["listen.https: [127.0.0.1:8443] → [127.0.0.1:9443]", "dns.timeout: 2s → 1m"]
    );
    assert!(new.needs_restart(&new).is_empty());
}

#[test]
fn a_changed_secret_is_named_and_not_shown() {
    let with = |id: &str| {
        server(&format!(
            "[acme]\ndirectory = \"internal\"\nexternal_account = {{ key_id = \"{id}\", mac_key_file = \"/f\" }}\n"
        ))
    };
    assert_eq!(with("new").needs_restart(&with("old")), ["acme.external_account (changed)"]);
}

/// Every key that is read from the server's tables is compared.
#[test]
fn no_key_is_forgotten() {
    let keys: Vec<&str> = server("").settings_keys();
    for key in super::example::keys() {
        let of_server = key.contains('.')
            && !["policies.", "tenant.", "publish."].iter().any(|table| key.starts_with(table));
        let within = ["acme.external_account.", "acme.preflight."].iter().any(|table| key.starts_with(table));
        if of_server && key != "acme.budgets" && !within {
            assert!(keys.contains(&key.as_str()), "{key} is read, but not compared");
        }
    }
}
