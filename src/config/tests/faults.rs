//! Every fault and warning, with its place and its words.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// Checks the faults of one main file, each as `line:column: [tenant …:] problem; remedy`.
#[track_caller]
fn check_main(main: &str, expected: &[&str]) {
    let faults = Config::new(main).faults();
    let expected: Vec<String> = expected.iter().map(|fault| format!("main.toml:{fault}")).collect();
    assert_eq!(faults, expected, "{main}");
}

/// Checks a tenant whose fifth line is `line`.
#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    let named = line.starts_with("policy");
    let mx = if named { "" } else { "mx = [\"mx.example.net\"]" };
    let main = format!("[[tenant]]\nname = \"meadow\"\ndomains = [\"meadow.example\"]\n{mx}\n{line}\n");
    let expected: Vec<String> = expected.iter().map(|fault| format!("5:{fault}")).collect();
    check_main(&main, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Checks a tenant whose fourth line is `mx = [entry]`.
#[track_caller]
fn check_mx(entry: &str, expected: &str) {
    let main = format!(
        "[[tenant]]\nname = \"meadow\"\ndomains = [\"meadow.example\"]\nmx = [\"mx.a.example\", {entry}]\n"
    );
    check_main(&main, &[&format!("4:23: tenant meadow: {expected}")]);
}

/// Checks a tenant whose third line is `domains = [entry]`.
#[track_caller]
fn check_domain(entry: &str, expected: &str) {
    let main = format!(
        "[[tenant]]\nname = \"meadow\"\ndomains = [\"a.example\", {entry}]\nmx = [\"mx.example.net\"]\n"
    );
    check_main(&main, &[&format!("3:25: tenant meadow: {expected}")]);
}

#[test]
fn a_policy_that_cannot_be_served_is_a_fault() {
    check_line(
        "mode = \"Enforce\"",
        &["8: tenant meadow: \"Enforce\" is not a mode; did you mean \"enforce\"?"],
    );
    check_line(
        "mode = \"strict\"",
        &["8: tenant meadow: \"strict\" is not a mode; write \"testing\", \"enforce\" or \"none\""],
    );
    check_line(
        "mode = true",
        &["8: tenant meadow: mode is true or false; write a string in quotation marks"],
    );
    check_main(
        "[[tenant]]\nname = \"meadow\"\ndomains = [\"meadow.example\"]\nmx = []\n",
        &[
            "4:1: tenant meadow: a policy of mode enforce or testing needs at least one mx pattern; list the MX hosts of the domains, such as mx = [\"mx1.example.net\"]",
        ],
    );
    let many: Vec<String> = (0..65).map(|n| format!("mx{n}.example.net")).collect();
    check_main(
        &format!("[[tenant]]\nname = \"meadow\"\ndomains = [\"meadow.example\"]\nmx = {many:?}\n"),
        &[
            "4:1: tenant meadow: 65 mx patterns are too many; 64 is the most that every sender reads; let a wildcard stand for hosts of one zone, such as \"*.mail.example.net\"",
        ],
    );
}

// Standards P-07: 86400 to 31557600 seconds.
#[test]
fn max_age_is_a_length_of_time_within_what_a_tenant_may_set() {
    for good in ["1d", "24h", "86400s", "1w", "8766h", "31557600s"] {
        check_line(&format!("max_age = \"{good}\""), &[]);
    }
    for bad in ["23h", "86399s", "0s", "31557601s", "53w"] {
        let expected = format!(
            "11: tenant meadow: max_age \"{bad}\" is out of range; write something from \"1d\" to \"8766h\""
        );
        check_line(&format!("max_age = \"{bad}\""), &[&expected]);
    }
    check_line(
        "max_age = 604800",
        &[
            "11: tenant meadow: max_age has no unit; write \"604800s\" for seconds; the units are s, m, h, d and w",
        ],
    );
    check_line(
        "max_age = \"1 year\"",
        &[
            "11: tenant meadow: \"1 year\" is not a length of time; write a whole number and one unit: s, m, h, d or w, as in \"90m\"",
        ],
    );
    check_line(
        "max_age = true",
        &["11: tenant meadow: max_age is true or false; write a length of time, such as \"90m\""],
    );
}

// Standards P-12 to P-14, P-19.
#[test]
fn an_mx_that_is_no_host_pattern_is_a_fault() {
    let everybody = "write a wildcard below a domain of one owner, such as \"*.mail.example.net\"";
    for (entry, expected) in [
        (
            "\"10.0.0.1\"",
            "mx \"10.0.0.1\" is an IP address, not a name; write the MX host's name, as in its MX record",
        ),
        ("\"mx.example.net.\"", "mx \"mx.example.net.\" ends in a dot; write \"mx.example.net\""),
        ("5", "mx has a whole number in it; write a list of strings, such as [\"one\", \"two\"]"),
        (
            "\"10 mx.example.net\"",
            "mx \"10 mx.example.net\" has the character ' '; names consist of letters, digits and hyphens; write one host name a string, without preference number",
        ),
        (
            "\"mx.example.net:25\"",
            "mx \"mx.example.net:25\" has the character ':'; names consist of letters, digits and hyphens; write the host name alone, without scheme, port or mailbox",
        ),
        (
            "\"a_b.example.net\"",
            "mx \"a_b.example.net\" has the character '_'; names consist of letters, digits and hyphens; write an MX host's name, or \"*.\" and a domain",
        ),
        (
            "\"mx\"",
            "mx \"mx\" has a single label; a full domain name has at least two; write the full name, such as \"mx1.example.net\"",
        ),
        (
            "\"*.*.example.net\"",
            "mx \"*.*.example.net\" has a wildcard in the wrong place; a pattern is a host name, or one leading \"*.\" and a domain (RFC 8461 §3.2)",
        ),
        (
            "\"*.com\"",
            &format!("mx \"*.com\" is a wildcard at a public suffix: it covers everybody; {everybody}"),
        ),
        (
            "\"*.co.uk\"",
            &format!("mx \"*.co.uk\" is a wildcard at a public suffix: it covers everybody; {everybody}"),
        ),
    ] {
        check_mx(entry, expected);
    }
}

#[test]
fn a_domain_that_is_none_is_a_fault() {
    let ldh = "names consist of letters, digits and hyphens";
    let behind = "write the domain as it stands behind the @ of mail addresses";
    for (entry, expected) in [
        ("\"192.0.2.1\"", "domain \"192.0.2.1\" is an IP address, not a name; write the domain behind the @ of mail addresses, not an address".to_owned()),
        ("\"*.b.example\"", format!("domain \"*.b.example\" has the character '*'; {ldh}; write each policy domain out: a policy covers no sub-domains")),
        ("\"me@b.example\"", format!("domain \"me@b.example\" has the character '@'; {ldh}; write only what stands behind the @")),
        ("\"b..example\"", format!("domain \"b..example\" has an empty label (two dots in a row, or a dot at an end); {behind}")),
        ("\"A.example.\"", "the domain \"A.example.\" is listed twice; write it once".to_owned()),
    ] {
        check_domain(entry, &expected);
    }
    // Standards T-21: 243 octets.
    let long = format!("{}.{}", vec!["a".repeat(59); 4].join("."), "b".repeat(3));
    let shown: String = long.chars().take(80).collect();
    check_domain(
        &format!("{long:?}"),
        &format!(
            "domain \"{shown}…\" has 243 octets; a policy domain may have 242, so that _smtp._tls.<domain> still fits; {behind}"
        ),
    );
}

#[test]
fn a_tenant_says_who_it_is_and_what_it_has() {
    check_main(
        "[[tenant]]\nname = \"a b\"\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\"]\n",
        &["2:8: \"a b\" is not a tenant's name; write name = \"…\": 1 to 64 of A-Z a-z 0-9 . _ -"],
    );
    check_main(
        "[[tenant]]\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\"]\n",
        &["1:1: the tenant has no name; write name = \"…\": 1 to 64 of A-Z a-z 0-9 . _ -"],
    );
    check_main(
        "[[tenant]]\nname = \"a\"\nmx = [\"mx.a.example\"]\n",
        &["1:1: tenant a: the tenant has no domain; write domains = [\"example.com\"]"],
    );
    check_line(
        "policy = \"hosted\"",
        &["10: tenant meadow: there is no policy \"hosted\"; write [policies.hosted] in the main file"],
    );
    check_line(
        "mod = \"testing\"",
        &["1: tenant meadow: the key \"mod\" is not known in tenant; did you mean mode?"],
    );
    check_line(
        "zebra = 1",
        &[
            "1: tenant meadow: the key \"zebra\" is not known in tenant; take it out; the keys in tenant are name, domains, domains_file, policy, mode, mx, max_age",
        ],
    );
    check_main(
        "[policies.hosted]\nmx = [\"mx.a.example\"]\n[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\npolicy = \"hosted\"\nmode = \"testing\"\n[[tenant]]\nname = \"b\"\ndomains = [\"b.example\"]\npolicy = \"hostet\"\n",
        &[
            "7:1: tenant a: the tenant has a named policy and its own mode; keep one of the two: policy = \"…\", or mode, mx and max_age",
            "11:10: tenant b: there is no policy \"hostet\"; did you mean \"hosted\"?",
        ],
    );
}

#[test]
fn what_is_unwise_is_a_warning() {
    for (main, expected) in [
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"*.a.example\"]\n",
            "3:12: tenant a: mx \"*.a.example\" covers every host below the policy domain itself; name the MX hosts one by one",
        ),
        (
            "[policies.p]\nmx = [\"*.a.example\"]\n[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\npolicy = \"p\"\n",
            "5:12: tenant a: mx \"*.a.example\" covers every host below the policy domain itself; name the MX hosts one by one",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"*.github.io\"]\n",
            "4:7: tenant a: mx \"*.github.io\" covers hosts of strangers: anyone can have a name there; name the MX hosts one by one",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\", \"MX.a.example\"]\n",
            "4:23: tenant a: mx \"MX.a.example\" is listed twice; write it once",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmode = \"none\"\n",
            "1:1: tenant a: the policy of mode none has no mx; keep the mx lines: some senders refuse a none policy without, and go on enforcing",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\"]\nmode = \"enforce\"\nmax_age = \"6d\"\n",
            "6:11: tenant a: max_age is below a week in mode enforce; write \"1w\" or more, or senders forget the policy between two mails",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"mta-sts.a.example\"]\nmx = [\"mx.a.example\"]\n",
            "3:12: tenant a: domain \"mta-sts.a.example\" looks like a policy host; write the mail domain; \"mta-sts.\" is put in front of it by itself",
        ),
        (
            "[[tenant]]\nname = \"a\"\ndomains = [\"co.uk\"]\nmx = [\"mx.a.example\"]\n",
            "3:12: tenant a: domain \"co.uk\" is a public suffix: nobody's own; check the spelling",
        ),
        (
            "[policies.p]\nmx = [\"mx.a.example\"]\n",
            "1:11: no tenant uses the policy \"p\"; take it out, or give it a domains_file",
        ),
    ] {
        let mut config = Config::new(main);
        let outcome = config.check();
        assert_eq!(config.shown(&outcome), [format!("main.toml:{expected}")]);
        assert!(outcome.faults.iter().all(|fault| !fault.holds_back()), "{main}");
        assert!(outcome.refused.is_empty());
        assert_eq!(outcome.tenants.len(), main.matches("[[tenant]]").count(), "it is served all the same");
    }
}

#[test]
fn a_text_that_is_not_toml_is_said_to_be_so_in_few_faults() {
    let mut config = Config::new("a = \nb = = 1\n[[x\nc = \"\ny = '\nz = 2020-99-99\n");
    let outcome = config.check();
    assert!((1..=3).contains(&outcome.faults.len()), "{:?}", outcome.faults);
    assert!(outcome.faults.iter().all(|fault| fault.problem.starts_with("this is not TOML: ")));
    assert_eq!((outcome.faults[0].line, outcome.faults[0].column), (1, 5));
}

// Limits 34: who may write tenants cannot reach the server.
#[test]
fn a_drop_in_holds_tenants_and_nothing_else() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write(
        "d/a.toml",
        "[store]\ndirectory = \"/\"\n[policies.x]\nmx = [\"mx.a.example\"]\n[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\"]\ndomains_file = \"/etc/passwd\"\n",
    );
    assert_eq!(
        config.faults(),
        [
            "d/a.toml:1:2: the key \"store\" is not known here; write it in the main file: a drop-in has [[tenant]] tables only",
            "d/a.toml:3:2: the key \"policies\" is not known here; write it in the main file: a drop-in has [[tenant]] tables only",
            "d/a.toml:9:1: tenant a: the key \"domains_file\" is not known in tenant; write it in the main file: only that may name list files",
        ]
    );
}

#[test]
fn a_tenant_without_its_header_is_told_about_it() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write("d/a.toml", "name = \"a\"\n");
    let expected = "d/a.toml:1:1: the key \"name\" is not known here; write a line [[tenant]] above it";
    assert_eq!(config.faults(), [expected]);
    check_main(
        "domains = [\"a.example\"]\n",
        &["1:1: the key \"domains\" is not known here; write a line [[tenant]] above it"],
    );
}

#[test]
fn a_pattern_that_finds_no_file_is_a_warning() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write("d/a.tml", "");
    let outcome = config.check();
    let expected = "main.toml:1:11: no file is found here; check the pattern, or put the first one there";
    assert_eq!(config.shown(&outcome), [expected]);
    assert!(outcome.server.is_some() && !outcome.faults[0].holds_back());
}

// Limits 32.
#[test]
fn a_file_that_everybody_may_write_is_a_warning_until_it_is_not() {
    let mut config = Config::new(&tenant("a", &["a.example"], "mx.a.example"));
    let path = config.folder.path().join("main.toml");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let expected = "main.toml: every user of this machine may write the file; take that away: chmod o-w";
    assert_eq!(config.faults(), [expected]);
    mode(0o664);
    assert!(config.faults().is_empty());
}

#[test]
fn a_list_that_cannot_be_read_is_a_fault_where_it_is_named() {
    let mut config = Config::new("[policies.hosted]\nmx = [\"mx.a.example\"]\ndomains_file = \"list.txt\"\n");
    assert_eq!(
        config.faults(),
        [
            "main.toml:3:16: tenant hosted: the list \"list.txt\": the file cannot be read: No such file or directory (os error 2); put it back, or take the domains_file key out"
        ]
    );
}

#[test]
fn every_domain_that_is_somebody_elses_is_named_at_once() {
    let one = tenant("one", &["a.example", "b.example"], "mx.example.net");
    let two = tenant("two", &["c.example", "b.example", "a.example"], "mx.example.net");
    let faults = Config::new(&(one + &two)).faults();
    let of_two = |fault: &&String| fault.contains("tenant two: the domain");
    assert_eq!(faults.iter().filter(of_two).count(), 2, "{faults:?}");
}

#[test]
fn a_bad_line_of_a_list_is_a_fault_at_that_line() {
    let mut config = Config::new("[policies.hosted]\nmx = [\"mx.a.example\"]\ndomains_file = \"list.txt\"\n");
    config.write(
        "list.txt",
        "\u{feff}a.example # ours\r\n\n# nothing\n  b_c.example\nA.EXAMPLE\nb\u{fc}cher.example\n",
    );
    let outcome = config.check();
    assert_eq!(config.shown(&outcome), [
        "list.txt:4:3: domain \"b_c.example\" has the character '_'; names consist of letters, digits and hyphens; write the domain as it stands behind the @ of mail addresses",
        &format!("list.txt:5:1: the domain \"A.EXAMPLE\" is listed twice; take this line out; {}/list.txt:1 has it already", config.folder.path().display()).replace(&format!("{}/", config.folder.path().display()), ""),
    ]);
    assert_eq!(served(&outcome), ["hosted: a.example xn--bcher-kva.example: mx.a.example"]);
    assert!(outcome.refused.is_empty());
}

#[test]
fn a_million_bad_lines_do_not_make_a_million_faults() {
    let mut config = Config::new("[policies.hosted]\nmx = [\"mx.a.example\"]\ndomains_file = \"list.txt\"\n");
    config.write("list.txt", &format!("a.example\n{}", "_\n".repeat(1_000)));
    let faults = config.faults();
    assert_eq!(faults.len(), 201);
    assert_eq!(
        faults[200],
        "list.txt: 800 more like these are not shown; mend the first 200 and check again"
    );
}

// One mistake is one fault: what is misspelt is not missed as well.
#[test]
fn a_misspelt_key_is_not_missed_as_well() {
    for (main, misspelt) in [
        ("[[tenant]]\nnam = \"a\"\ndomains = [\"a.example\"]\nmx = [\"mx.a.example\"]\n", "nam"),
        ("[[tenant]]\nname = \"a\"\ndomain = [\"a.example\"]\nmx = [\"mx.a.example\"]\n", "domain"),
        ("[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\nmxs = [\"mx.a.example\"]\n", "mxs"),
        ("[policies.p]\nmxs = [\"mx.a.example\"]\ndomains_file = \"list.txt\"\n", "mxs"),
        ("[acme]\ndirectry = \"internal\"\n", "directry"),
    ] {
        let mut config = Config::new(main);
        config.write("list.txt", "a.example\n");
        let outcome = config.check();
        let shown = config.shown(&outcome);
        assert_eq!(shown.len(), 1, "{main}: {shown:?}");
        assert!(shown[0].contains(&format!("the key \"{misspelt}\" is not known")), "{shown:?}");
        assert!(outcome.tenants.is_empty(), "{main}");
    }
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write(
        "d/a.toml",
        "[[tenant]]\nname = \"a\"\ndomains_file = \"list.txt\"\nmx = [\"mx.a.example\"]\n",
    );
    let faults = config.faults();
    assert!(faults.len() == 1 && faults[0].contains("write it in the main file"), "{faults:?}");
}

#[test]
fn a_file_that_is_missing_is_missed_by_its_own_remedy() {
    let mut config = Config::new("");
    config.remove("main.toml");
    let faults = config.faults();
    assert!(faults.len() == 1 && faults[0].ends_with("create it, or name yours with --config"), "{faults:?}");
    config.write("main.toml", "tenants = \"none.d/*.toml\"\n[policies.p]\nmx = [\"mx.a.example\"]\n");
    let faults = config.faults();
    assert!(faults.len() == 1 && faults[0].contains("make the folder"), "its tenants may use p: {faults:?}");
}
