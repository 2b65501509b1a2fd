//! Whatever the text: no panic, and what is accepted can be served.

use super::*;
use crate::config::{
    fault::{FAULTS_MAX, Fault},
    files::MainFile,
    list::ListFile,
    source::Source,
    tenants::{Interner, TenantFile},
};
use proptest::prelude::*;

/// Standards P-02 and P-18: nothing but well-formed lines, whatever was written.
fn is_well_formed(body: &[u8]) -> bool {
    let Some(lines) = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix("\r\n")) else {
        return false;
    };
    lines.split("\r\n").all(|line| {
        line.split_once(": ").is_some_and(|(key, value)| {
            !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                && !value.is_empty()
                && value.bytes().all(|b| (b' '..=b'~').contains(&b))
        })
    })
}

fn source(text: &str) -> Source {
    Source::new(Path::new("any.toml").into(), text.to_owned())
}

/// Reads a text in every way it could be read, and shows all faults.
fn read_all(text: &str) {
    let mut interner = Interner::default();
    let main = MainFile::read(source(text), Path::new(""), &mut interner);
    let drop_in = TenantFile::read_drop_in(source(text), &mut interner);
    let list = ListFile::read(source(text));
    for faults in [&main.tenants.faults, &drop_in.faults, &list.faults] {
        assert!(faults.len() <= FAULTS_MAX + 1);
        for fault in faults.iter() {
            let shown = [fault.render(false), fault.to_string()].concat();
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
    let drafts = main.tenants.drafts.iter().chain(&drop_in.drafts);
    for draft in drafts {
        if let crate::config::tenants::DraftPolicy::Own(policy) = &draft.policy {
            assert!(is_well_formed(policy.body()), "{:?}", policy.body());
        }
    }
}

/// Pieces that make texts which are nearly a configuration.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "[[tenant]]\n",
        "[policies.a]\n",
        "[listen]\n",
        "[acme]\n",
        "name = \"a\"\n",
        "domains = [\"a.example\"]\n",
        "domains = [",
        "]",
        "mx = [\"mx.a.example\"]\n",
        "mx = [\"*.",
        "\"",
        "mode = \"enforce\"\n",
        "max_age = \"1w\"\n",
        "max_age = 1\n",
        "policy = \"a\"\n",
        "directory = \"internal\"\n",
        "=",
        "\n",
        "\r",
        "{",
        "}",
        "'''",
        "#",
        ".",
        "\u{202e}",
        "\u{1b}",
        "\u{0}",
        "\u{fc}",
        "😀",
        "domains_file = \"/\"\n",
        "external_account = { key_id = ",
    ]);
    prop_oneof![4 => words.prop_map(str::to_owned), 1 => ".{0,6}"]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        read_all(&text);
    }

    #[test]
    fn no_text_like_a_configuration_makes_the_reader_panic(pieces in prop::collection::vec(piece(), 0..30)) {
        read_all(&pieces.concat());
    }

    #[test]
    fn whatever_a_tenant_writes_its_body_is_well_formed(
        mode in prop_oneof![Just("enforce".to_owned()), Just("testing".to_owned()), Just("none".to_owned()), any::<String>()],
        mx in prop::collection::vec(prop_oneof![3 => "(\\*\\.)?[a-zA-Zü]{1,9}\\.[a-z]{2,5}\\.example", 1 => any::<String>()], 0..5),
        seconds in 0u64..40_000_000,
    ) {
        let mut tenant = toml::Table::new();
        tenant.insert("name".into(), "a".into());
        tenant.insert("domains".into(), vec!["a.example"].into());
        tenant.insert("mode".into(), mode.clone().into());
        tenant.insert("mx".into(), mx.clone().into());
        tenant.insert("max_age".into(), format!("{seconds}s").into());
        let text = toml::Table::from_iter([("tenant".to_owned(), toml::Value::Array(vec![tenant.into()]))]).to_string();
        let file = TenantFile::read_drop_in(source(&text), &mut Interner::default());
        prop_assert_eq!(file.drafts.len(), 1);
        let good = file.drafts[0].good;
        prop_assert_eq!(good, !file.faults.iter().any(Fault::holds_back));
        if let crate::config::tenants::DraftPolicy::Own(policy) = &file.drafts[0].policy {
            prop_assert!(is_well_formed(policy.body()));
            let read = crate::policy::parse_body(policy.body());
            prop_assert_eq!(read.mode, Some(policy.policy().mode()));
            prop_assert_eq!(u64::from(policy.policy().max_age().seconds()), seconds);
        } else {
            prop_assert!(!good);
        }
    }
}
