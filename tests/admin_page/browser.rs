//! What people see: every page in a real browser, by `browse.js`.

use crate::{
    TOKEN, admin, page_of,
    support::{Home, eventually},
    write_token,
    zone::{self, Zone},
};
use hickory_server::proto::rr::{Name, RData, rdata::MX};
use std::{
    fmt::Write,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

/// Domains of the list under enforce, and of all in the fleet.
const LISTED: usize = 230;
const DOMAINS: usize = LISTED + 4;

/// Where the pictures go, and where `tests/run` installs what drives the browser.
fn below_target(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(folder)
}

/// Records of which some are as they should be and some were written by somebody who means us ill.
fn zone() -> Zone {
    let label: &[u8] = b"<script>alert(1)</script>";
    let hostile = Name::from_labels([label, b"hostile", b"example"]).unwrap();
    let owner = Name::from_ascii("hostile.example.").unwrap();
    let mut records = vec![
        zone::mx("meadow.example", "mx1.meadow.example"),
        zone::mx("meadow.example", "mx1.elsewhere.example"),
        zone::a("mta-sts.meadow.example", Ipv4Addr::new(192, 0, 2, 80)),
        zone::txt("_mta-sts.meadow.example", "v=STSv1; id=20260101;"),
        (owner, RData::MX(MX::new(10, hostile))),
        zone::txt("_mta-sts.hostile.example", "v=STSv1; id=\"><script>alert(2)</script>;"),
        zone::mx("hill.example", "mx1.hill.example"),
        zone::mx("untouched.example", "mx1.untouched.example"),
    ];
    records.extend((0..LISTED).map(|number| zone::mx(&format!("d{number}.example"), "mx1.provider.example")));
    Zone::serve(records)
}

fn fleet(zone: &Zone) -> Home {
    let home = Home::new(&format!(
        "[dns]\nservers = [\"{}\"]\n[cross_check]\nenabled = true\n{}\
         [publish]\naddresses = [\"192.0.2.80\"]\n\
         [policies.provider]\nmode = \"enforce\"\nmx = [\"mx1.provider.example\"]\ndomains_file = \"list.txt\"\n",
        zone.address,
        admin("token_file = \"admin.token\""),
    ));
    write_token(&home);
    let mut list = String::new();
    (0..LISTED).for_each(|number| writeln!(list, "d{number}.example").unwrap());
    home.write("list.txt", &list);
    for name in ["meadow", "hill", "hostile", "untouched"] {
        home.tenant(name, name, &format!("{name}.example"), &format!("mx1.{name}.example"));
    }
    home
}

/// A second daemon with a certificate of its own, to be seen over TLS.
fn over_tls() -> Home {
    let home =
        Home::new(&admin("token_file = \"admin.token\"\ncertificate_file = \"a.pem\"\nkey_file = \"a.key\""));
    write_token(&home);
    write_certificate(&home);
    home.tenant("one", "one", "one.example", "mx.one.example");
    home
}

/// Makes a certificate for the page.
pub fn write_certificate(home: &Home) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    home.write("a.key", &made.signing_key.serialize_pem());
    home.write("a.pem", &made.cert.pem());
}

#[test]
fn every_page_is_whole_for_everybody_and_heeds_its_own_forms_only() {
    let tools = below_target("admin-page-browser");
    assert!(tools.join("node_modules").is_dir(), "tests/run installs what drives the browser");
    let pictures = below_target("admin-page");
    fs::create_dir_all(&pictures).unwrap();
    let zone = zone();
    let (home, tls) = (fleet(&zone), over_tls());
    let (daemon, secure) = (home.start(), tls.start());
    eventually("a certificate for every domain", || {
        let status = home.run(&["status", "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_slice(&status).ok()?;
        let summary = &status["summary"];
        (summary["domains"] == DOMAINS && summary["without_certificate"] == 0).then_some(())
    });
    // An edit that is refused, to be shown as `check` prints it.
    home.write(
        "tenants.d/bad.toml",
        "[[tenant]]\nname = \"bad\"\ndomains = [\"bad.example\"]\nmx = [\"*.*.bad.example\"]\n",
    );
    daemon.wait_for_log("refused");
    let plan = serde_json::json!({
        "url": format!("http://{}", page_of(&daemon)),
        "tlsUrl": format!("https://{}", page_of(&secure)),
        "token": TOKEN,
        "pictures": pictures,
        "domains": DOMAINS,
        "enforce": LISTED,
        "domain": "meadow.example",
        "hostile": "hostile.example",
        "untouched": "untouched.example",
        "refused": ["tenants.d/bad.toml:4", "*.*.bad.example"],
    });
    home.write("plan.json", &plan.to_string());
    let output = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admin_page/browse.js"))
        .arg(home.path("plan.json"))
        .env("NODE_PATH", tools.join("node_modules"))
        .output()
        .expect("node is installed (Debian package nodejs)");
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}");
    let renewed: Vec<_> =
        daemon.log().into_iter().filter(|line| line.contains("told by the operator")).collect();
    assert!(renewed.iter().all(|line| !line.contains("untouched")), "{renewed:?}");
    assert!(renewed.iter().any(|line| line.contains("mta-sts.meadow.example")), "{renewed:?}");
}
