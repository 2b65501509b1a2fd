//! `[admin]`: what other hosts can reach needs TLS and a token.

use super::*;

fn admin(keys: &str) -> (Admin, Vec<String>) {
    let mut config = Config::new(&format!("[admin]\n{keys}"));
    let outcome = config.check();
    let shown = config.shown(&outcome);
    let faults = shown.into_iter().filter(|fault| !fault.contains("no tenant")).collect();
    (outcome.server.map(|server| server.admin).unwrap_or_else(|| panic!("{keys}")), faults)
}

fn refused(keys: &str) -> Vec<String> {
    let mut config = Config::new(&format!("[admin]\n{keys}"));
    let outcome = config.check();
    assert!(outcome.server.is_none(), "{keys}");
    config.shown(&outcome).into_iter().filter(|fault| fault.starts_with("main.toml:")).collect()
}

#[test]
fn a_loopback_address_needs_nothing_else() {
    for address in ["127.0.0.1:8460", "[::1]:8460", "127.1.2.3:1", "[::ffff:127.0.0.1]:8460"] {
        let (admin, faults) = admin(&format!("listen = [\"{address}\"]\n"));
        assert_eq!(admin.listen, [address.parse().unwrap()]);
        assert_eq!(faults, [""; 0]);
    }
    assert!(admin("").0.listen.is_empty(), "no page unless it is asked for");
}

#[test]
fn what_other_hosts_can_reach_is_refused_without_tls_and_a_token() {
    const TLS: &str = "certificate_file = \"a.pem\"\nkey_file = \"a.key\"\n";
    const TOKEN: &str = "token_file = \"a.token\"\n";
    for (address, rest, missing) in [
        ("[::]:8460", "", "TLS and a token"),
        ("0.0.0.0:8460", TOKEN, "TLS"),
        ("192.0.2.1:8460", TLS, "a token"),
        // Somebody's private network is not ours alone.
        ("10.0.0.1:8460", "", "TLS and a token"),
    ] {
        let faults = refused(&format!("listen = [\"127.0.0.1:1\", \"{address}\"]\n{rest}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].contains(&format!("2:1: other hosts can reach {address}, without {missing};")),
            "{faults:?}"
        );
        assert!(faults[0].contains("ssh -L"), "{faults:?}");
    }
    let (admin, faults) = admin(&format!("listen = [\"[::]:8460\"]\n{TLS}{TOKEN}"));
    assert_eq!(faults, [""; 0]);
    assert!(admin.certificate.is_some_and(|tls| tls.key_file.ends_with("a.key")));
}

#[test]
fn half_a_certificate_and_a_name_that_is_none_are_faults() {
    let faults =
        refused("token_file = \"t\"\ncertificate_file = \"a.pem\"\nnames = [\"a b\", \"x:1\", \"\"]\n");
    assert_eq!(
        faults,
        [
            "main.toml:3:1: it stands without admin.key_file; write admin.key_file as well, or take it out",
            "main.toml:4:10: \"a b\" is neither a name nor an address; write it as \"mta-stsd.example.net\" or \"192.0.2.1\", without a port",
            "main.toml:4:17: \"x:1\" is neither a name nor an address; write it as \"mta-stsd.example.net\" or \"192.0.2.1\", without a port",
            "main.toml:4:24: \"\" is neither a name nor an address; write it as \"mta-stsd.example.net\" or \"192.0.2.1\", without a port",
        ]
    );
    let (admin, _) = admin(
        "token_file = \"t\"\nnames = [\"Mail\", \"STS.Example.NET\", \"::ffff:192.0.2.1\", \"2001:DB8::1\"]\n",
    );
    let faults = refused("names = [\"a.example\"]\n");
    assert!(faults.len() == 1 && faults[0].contains("2:1: who asks for the page by a name"), "{faults:?}");
    assert_eq!(admin.names, ["mail", "sts.example.net", "192.0.2.1", "2001:db8::1"]);
}
