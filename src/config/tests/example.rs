//! The example is whole and true.

use super::*;
use crate::config::{file::Reading, source::Source, tenants::Interner};
use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The example with every commented-out key in force.
fn uncommented() -> String {
    let key = |line: &str| {
        let (key, value) = line.strip_prefix("# ")?.split_once(" = ")?;
        let is_key =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        is_key.then(|| format!("{key} = {value}"))
    };
    let lines: Vec<String> =
        EXAMPLE.lines().map(|line| key(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}

/// Every key that the configuration is asked for, by its full name.
pub(super) fn keys() -> BTreeSet<String> {
    let source = Source::new(Path::new("example.toml").into(), uncommented());
    let reading = Reading::new(&source);
    crate::config::files::MainFile::read_with(&reading, Path::new(""), &mut Interner::default());
    reading.asked.borrow().clone()
}

#[test]
fn the_example_has_no_fault_and_needs_nothing_of_the_machine() {
    let mut config = Config::new(EXAMPLE);
    let outcome = config.check();
    assert_eq!(config.shown(&outcome), [""; 0]);
    assert_eq!(
        served(&outcome),
        [
            "hill: hill.example: mx1.provider.example",
            "meadow: meadow.example www.meadow.example: *.backup.example",
        ]
    );
    let server = outcome.server.unwrap();
    assert_eq!(server.acme.authorities, [AuthoritySettings::internal()]);
    assert!(
        server
            .listen
            .https
            .iter()
            .chain(&server.listen.http)
            .all(|a| a.ip().is_loopback() && a.port() > 1024)
    );
    assert!(server.store.directory.starts_with(config.folder.path()));
    assert!(server.admin.socket.starts_with(&server.store.directory));
    assert!(!server.cross_check.enabled);
}

/// Every key that is read stands in the example, in force or commented out.
#[test]
fn the_example_shows_every_key() {
    let text = uncommented();
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let at = |path: &str| {
        path.split('.').try_fold(toml::Value::Table(table.clone()), |value, key| match (value, key) {
            (toml::Value::Table(table), "*") => table.values().next().cloned(),
            (toml::Value::Table(table), key) => table.get(key).cloned(),
            (toml::Value::Array(items), key) => items.iter().find_map(|item| item.get(key)).cloned(),
            _ => None,
        })
    };
    let keys = keys();
    assert!(keys.len() > 50, "{keys:?}");
    for key in keys {
        assert!(at(&key).is_some(), "{key} is not in config.example.toml");
    }
}

/// What a comment says to be the default is the default.
#[test]
fn the_defaults_in_the_example_are_those_of_the_program() {
    let minimal = Config::new("").check().server.unwrap();
    let mut config = Config::new(&uncommented());
    config.write("hosted.txt", "a.example\n");
    config.write("meadow.txt", "b.example\n");
    config.write("tenants.d/c.toml", "# nobody yet\n");
    let outcome = config.check();
    assert_eq!(config.shown(&outcome), [""; 0]);
    let example = outcome.server.unwrap();
    assert_eq!(example.limits, minimal.limits);
    assert_eq!(example.dns, minimal.dns);
    assert_eq!(example.access_log, minimal.access_log);
    let (e, m) = (&example.listen, &minimal.listen);
    assert_eq!((&e.backend, &e.backend_from), (&m.backend, &m.backend_from));
    assert_eq!((&e.proxy_protocol_from, e.proxy_protocol_on), (&m.proxy_protocol_from, m.proxy_protocol_on));
    assert_eq!(example.cross_check.period, minimal.cross_check.period);
    assert_eq!(example.cross_check.recheck, minimal.cross_check.recheck);
    assert_eq!(example.cross_check.records, minimal.cross_check.records);
    let (e, m) = (&example.acme, &minimal.acme);
    assert_eq!(
        (e.orders_at_once, e.order_deadline, e.request_timeout),
        (m.orders_at_once, m.order_deadline, m.request_timeout)
    );
    assert_eq!(
        (e.internal_lifetime, e.tls_alpn_01, e.http_01),
        (m.internal_lifetime, m.tls_alpn_01, m.http_01)
    );
    assert_eq!(e.requests_per_second, m.requests_per_second);
    assert_eq!(e.preflight, m.preflight);
    let ([e], [m]) = (&e.authorities[..], &m.authorities[..]) else { panic!("{e:?} {m:?}") };
    assert_eq!((&e.contact, e.terms_of_service_agreed), (&m.contact, m.terms_of_service_agreed));
}

/// The list of authorities, which cannot stand beside the keys above it, is shown whole and is true.
#[test]
fn the_list_of_authorities_in_the_example_shows_every_key() {
    let shown: Vec<&str> = EXAMPLE
        .lines()
        .skip_while(|line| !line.contains("[[acme.authority]]"))
        .map_while(|line| line.strip_prefix("#   "))
        .collect();
    let text = shown.join("\n");
    let somebody = tenant("a", &["a.example"], "mx.a.example");
    let mut config = Config::new(&format!("[acme]\n{text}\n{somebody}"));
    let outcome = config.check();
    assert_eq!(config.shown(&outcome), [""; 0]);
    let authorities = outcome.server.unwrap().acme.authorities;
    assert_eq!(authorities.len(), 2, "{text}");
    let source = Source::new(Path::new("example.toml").into(), format!("[acme]\n{text}\n"));
    let reading = Reading::new(&source);
    crate::config::files::MainFile::read_with(&reading, Path::new(""), &mut Interner::default());
    let asked = reading.asked.borrow();
    let keys: Vec<_> = asked.iter().filter_map(|key| key.strip_prefix("acme.authority.")).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        let word = key.rsplit('.').next().unwrap_or(key);
        assert!(text.contains(&format!("{word} = ")), "{key} is not in the example");
    }
}
