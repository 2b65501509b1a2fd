//! Keeps `docs/findings.md` equal to the catalogue.

use super::{Entry, Severity, Topic, entries};
use crate::policy::Mode;
use std::{env, fmt::Write, fs, path::Path};

/// Set this variable to write the page anew.
const REWRITE: &str = "MTA_STSD_WRITE_DOCS";

const HEAD: &str = "\
# Findings

What `mta-stsd audit` and the daemon's checks can find. This page is written by a test from the
catalogue in `src/audit/catalogue/`; with `MTA_STSD_WRITE_DOCS=1 cargo test the_findings_page` it is
written anew.

A code never changes its meaning. The severity depends on the mode of the policy, and is given for
enforce, testing and none, in this order; a domain without a policy is judged as in testing. A finding
may weigh more than its row says when what was seen is worse. *Unknown* means that nothing is claimed.

| severity | meaning |
| --- | --- |
| critical | no mail arrives from senders that check |
| error | some mail is refused, or would be under enforce; or the policy cannot be found or changed |
| warn | works today, and should be mended |
| info | good to know |
| unknown | could not be seen |
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for topic in Topic::ALL {
        let _ = write!(page, "\n## {}\n", topic.title());
        for entry in entries().filter(|entry| entry.topic == topic) {
            let _ = write!(page, "\n{}", section(entry));
        }
    }
    page
}

fn section(entry: &Entry) -> String {
    let [enforce, testing, none] =
        [Mode::Enforce, Mode::Testing, Mode::None].map(|mode| entry.severity(mode).as_str());
    let severity = match enforce == testing && testing == none {
        true => enforce.to_owned(),
        false => format!("{enforce}, {testing}, {none}"),
    };
    let remedy = entry.remedy.replace("{domain}", "*domain*").replace("{subject}", "*subject*");
    format!(
        "### {}\n\n{}.\n\n- Severity: {severity}\n- Cause: {}\n- Effect on mail: {}\n- Remedy: {remedy}\n- See: {}\n",
        entry.code, entry.title, entry.cause, entry.effect, entry.rfc
    )
}

#[test]
fn the_findings_page_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
    let page = page();
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == page, "docs/findings.md is not the catalogue's; {REWRITE}=1 writes it anew");
}

#[test]
fn every_severity_is_explained() {
    for severity in Severity::ALL {
        assert!(HEAD.contains(&format!("| {severity} |")), "{severity}");
    }
}
