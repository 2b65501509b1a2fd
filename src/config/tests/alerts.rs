//! Who is told of findings, and who may say so.

use super::*;

fn faults(alerts: &str) -> Vec<String> {
    Config::new(&format!("{ACME}{alerts}{}", tenant("a", &["a.example"], "mx.a.example"))).faults()
}

fn alerts(text: &str) -> Vec<Alert> {
    let mut config = Config::new(&format!("{ACME}{text}{}", tenant("a", &["a.example"], "mx.a.example")));
    let outcome = config.check();
    assert_eq!(config.shown(&outcome), [""; 0]);
    outcome.server.unwrap().alerts
}

#[test]
fn a_webhook_and_a_command_are_read_with_their_defaults() {
    let read = alerts(
        "[[alerts]]\nname = \"pager\"\nurl = \"https://hooks.example/x?y=z\"\n\
         [[alerts]]\nname = \"mail\"\ncommand = [\"/bin/notify\", \"-v\"]\nmin_severity = \"info\"\n\
         group_wait = \"5s\"\ntimeout = \"1m\"\nresolved = false\n",
    );
    let [pager, mail] = &read[..] else { panic!("{read:?}") };
    let expected = AlertTarget::Webhook {
        url: "https://hooks.example/x?y=z".to_owned(),
        secret_file: None,
        root_file: None,
        format: AlertFormat::Json,
        timeout: Duration::from_secs(10),
    };
    assert_eq!((&pager.target, pager.min_severity), (&expected, AlertSeverity::Error));
    assert_eq!((pager.group_wait, pager.resolved), (Duration::from_secs(60), true));
    let argv = ["/bin/notify", "-v"].map(str::to_owned).to_vec();
    assert_eq!(mail.target, AlertTarget::Command { argv, timeout: Duration::from_secs(60) });
    assert_eq!((mail.min_severity, mail.resolved), (AlertSeverity::Info, false));
}

#[test]
fn plain_http_goes_to_this_machine_only() {
    for url in ["http://127.0.0.1:9/x", "http://[::1]/", "http://localhost:8080/", "https://192.0.2.1/"] {
        assert_eq!(alerts(&format!("[[alerts]]\nname = \"a\"\nurl = \"{url}\"\n")).len(), 1, "{url}");
    }
    for url in ["http://hooks.example/", "http://127.0.0.1.example/", "ftp://localhost/", "hooks", ""] {
        let faults = faults(&format!("[[alerts]]\nname = \"a\"\nurl = \"{url}\"\n"));
        assert!(
            faults.iter().any(|fault| fault.contains("url is not an https address")),
            "{url}: {faults:?}"
        );
    }
}

#[test]
fn what_is_wrong_with_an_alert_is_said() {
    for (text, word) in [
        ("url = \"https://a.example\"", "no name"),
        ("name = \"a b\"\nurl = \"https://a.example\"", "no name for an alert"),
        ("name = \"a\"", "goes nowhere"),
        ("name = \"a\"\nurl = \"https://a.example\"\ncommand = [\"/x\"]", "both url and command"),
        ("name = \"a\"\ncommand = [\"notify\"]", "whole path"),
        ("name = \"a\"\ncommand = []", "whole path"),
        ("name = \"a\"\ncommand = [\"/x\"]\nformat = \"slack\"", "no meaning"),
        ("name = \"a\"\ncommand = [\"/x\"]\nroot_file = \"roots.pem\"", "no meaning"),
        ("name = \"a\"\nurl = \"https://a.example\"\nformat = \"xml\"", "format is"),
        ("name = \"a\"\nurl = \"https://a.example\"\nmin_severity = \"unknown\"", "min_severity is"),
        ("name = \"a\"\nurl = \"https://a.example\"\nurls = 1", "is not known in alerts"),
        ("name = \"a\"\ncommand = [\"/x\"]\n[[alerts]]\nname = \"a\"\ncommand = [\"/x\"]", "two alerts"),
    ] {
        let faults = faults(&format!("[[alerts]]\n{text}\n"));
        assert!(faults.iter().any(|fault| fault.contains(word)), "{text}: {faults:?}");
    }
}

// A tenant's file must not reach beyond tenants.
#[test]
fn a_drop_in_cannot_name_a_command_or_an_address() {
    let mut config = Config::new("tenants = \"tenants.d/*.toml\"\n");
    let alert = "[[alerts]]\nname = \"a\"\ncommand = [\"/bin/sh\"]\n";
    let theirs = tenant("b", &["b.example"], "mx.b.example");
    config.write("tenants.d/b.toml", &format!("{alert}{theirs}"));
    let outcome = config.check();
    let shown = config.shown(&outcome);
    assert!(shown.iter().any(|fault| fault.contains("alerts") && fault.contains("b.toml")), "{shown:?}");
    assert_eq!(outcome.server.unwrap().alerts, []);
}

#[test]
fn a_changed_alert_is_named_and_not_shown() {
    let with = |url: &str| {
        let text = format!("{ACME}[[alerts]]\nname = \"a\"\nurl = \"https://{url}\"\n");
        Config::new(&text).check().server.unwrap()
    };
    assert_eq!(with("new.example/secret").needs_restart(&with("old.example")), ["alerts (changed)"]);
}

/// The alerts in the example, which would call somebody, are shown whole and are true.
#[test]
fn the_alerts_in_the_example_show_every_key() {
    let example = include_str!("../../../config.example.toml");
    let shown: Vec<&str> = example
        .lines()
        .skip_while(|line| !line.contains("[[alerts]]"))
        .map_while(|line| line.strip_prefix("#   "))
        .collect();
    let text = shown.join("\n");
    assert_eq!(alerts(&format!("{text}\n")).len(), 2, "{text}");
    for key in [
        "name",
        "url",
        "secret_file",
        "root_file",
        "format",
        "command",
        "timeout",
        "min_severity",
        "group_wait",
        "resolved",
    ] {
        assert!(text.contains(&format!("{key} = ")), "{key} is not in the example:\n{text}");
    }
}
