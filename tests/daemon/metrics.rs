//! `/metrics` of the real binary, judged by promtool; the rules, the board and the page about them are held
//! against what is really there.
//!
//! With `MTA_STSD_WRITE_DOCS=1` docs/metrics.md is written anew.

use crate::{
    support::{Daemon, Home, eventually, fetch},
    zone::{self, Zone},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set this variable to write the page anew.
const REWRITE: &str = "MTA_STSD_WRITE_DOCS";

const HEAD: &str = "\
# Metrics

Everything `/metrics` shows. This page is written by a test from what the program really says; with
`MTA_STSD_WRITE_DOCS=1 cargo test --test daemon metrics` it is written anew.

`/metrics` is on the status socket (`curl --unix-socket /var/lib/mta-stsd/admin.sock http://localhost/metrics`)
and, for Prometheus, on `admin.listen` where that is set. It speaks OpenMetrics 1.0 to those that ask for it,
and else the text format of Prometheus.

```yaml
scrape_configs:
  - job_name: mta-stsd
    static_configs: [{targets: [\"127.0.0.1:8460\"]}]
    authorization: {credentials_file: /etc/prometheus/mta-stsd.token}   # what admin.token_file holds, if it is set
```

[admin-page.md](admin-page.md) tells how that listener is opened safely.

`contrib/prometheus/alerts.yml` has alert rules, each with a section in [runbooks.md](runbooks.md);
`contrib/grafana/mta-stsd.json` is a board. Names do not change their meaning. Counters begin at 0 with the
process. No label names a tenant or a domain, except on two lists of at most 20: the certificates that end
first and the most urgent findings. So the number of series does not grow with the fleet.

`/livez` answers 200 while the process turns; `/readyz` answers 200 while connections should be sent here,
and else 503 with the reason. `mta-stsd health [--ready]` asks them for probes that run a command, and ends with
0, 1, or 69 when nobody answers.

";

/// Labels whose values are a closed set, which the page lists.
const CLOSED: [&str; 13] = [
    "outcome", "status", "mode", "answer", "reason", "state", "kind", "lane", "record", "resolver", "budget",
    "le", "severity",
];

/// A daemon that has met everything once: it serves, orders, finds, and has somebody to alert.
struct World {
    home: Home,
    daemon: Daemon,
}

impl World {
    fn start() -> Self {
        let records = || vec![zone::mx("meadow.example", "moved.meadow.example")];
        // Two resolvers that agree: what is found is certain at once.
        let (first, second) = (Zone::serve(records()), Zone::serve(records()));
        let home = Home::new(&format!(
            "[dns]\nservers = [\"{}\"]\nsecond_servers = [\"{}\"]\n[cross_check]\nenabled = true\n\
             [[alerts]]\nname = \"script\"\ncommand = [\"/bin/true\"]\n",
            first.address, second.address
        ));
        let tenant = "[[tenant]]\nname = \"meadow\"\ndomains = [\"meadow.example\"]\nmode = \"enforce\"\n\
                      mx = [\"mx1.meadow.example\"]\n";
        home.write("tenants.d/meadow.toml", tenant);
        let daemon = home.start();
        Self { home, daemon }
    }

    fn scrape(&self, accept: &str) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "20", "--header", &format!("Accept: {accept}")])
            .arg("--unix-socket")
            .arg(self.home.path("admin.sock"))
            .arg("http://localhost/metrics")
            .output()
            .expect("curl is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The value of the one line that begins with `series`; `None` while there is none.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn promtool(args: &[&str], folder: &Path, input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {told}");
    told.into_owned()
}

#[test]
fn figures_tell_what_happened_and_promtool_has_nothing_against_them() {
    let world = World::start();
    world.daemon.wait_for_policy("meadow.example", "mx1.meadow.example");
    assert_eq!(fetch(world.daemon.https, &world.daemon.root, "stranger.example").exit, 35);
    // The loops end their first round one after the other.
    let text = eventually("every figure to show what happened", || {
        let text = world.scrape("*/*");
        EXPECTED
            .iter()
            .all(|(series, least)| value(&text, series).is_some_and(|value| value >= *least))
            .then_some(text)
    });
    for series in ["mta_stsd_panics_total", "mta_stsd_https_panics_total", "mta_stsd_reload_refused"] {
        assert_eq!(value(&text, series), Some(0.0), "{series}");
    }
    promtool(&["check", "metrics"], &root(), &text);
    let open = world.scrape("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE mta_stsd_https_requests counter"), "{open}");

    the_page_is_what_is_there(&text);
    rules_and_board_name_what_is_there(&text);
}

/// What is at least there after one fetch of a policy, one of a stranger's, one order and one finding.
const EXPECTED: [(&str, f64); 19] = [
    ("mta_stsd_https_requests_total{status=\"200\",mode=\"enforce\"}", 1.0),
    ("mta_stsd_https_connections_total{outcome=\"served\"}", 1.0),
    ("mta_stsd_https_connections_total{outcome=\"unknown_name\"}", 1.0),
    ("mta_stsd_https_handshake_seconds_count", 1.0),
    ("mta_stsd_https_first_answer_seconds_count", 1.0),
    ("mta_stsd_snapshot_generation", 1.0),
    ("mta_stsd_snapshot_domains{mode=\"enforce\"}", 1.0),
    ("mta_stsd_reload_attempts_total{outcome=\"applied\"}", 1.0),
    ("mta_stsd_acme_orders_total{authority=\"internal\",outcome=\"issued\"}", 1.0),
    ("mta_stsd_acme_certificates{state=\"valid\"}", 1.0),
    ("mta_stsd_acme_certificate_not_after_timestamp_seconds{host=\"mta-sts.meadow.example\"}", 1.0),
    ("mta_stsd_cross_check_domains{state=\"answered\"}", 1.0),
    ("mta_stsd_dns_lookups_total{resolver=\"second\",record=\"mx\",outcome=\"answered\"}", 1.0),
    ("mta_stsd_ready", 1.0),
    ("process_resident_memory_bytes", 1_000_000.0),
    ("process_cpu_seconds_total", 0.001),
    ("process_open_fds", 5.0),
    (
        "mta_stsd_cross_check_worst_finding_timestamp_seconds{domain=\"meadow.example\",\
             code=\"MX_NOT_IN_POLICY\",severity=\"error\"}",
        1.0,
    ),
    ("mta_stsd_acme_due_lag_seconds{lane=\"renew\"}", 0.0),
];

/// One figure: its kind, its meaning, its labels with their values.
#[derive(Debug, Default)]
struct Figure {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

fn figures(text: &str) -> BTreeMap<String, Figure> {
    let mut figures = BTreeMap::<String, Figure>::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            figures.entry(name.to_owned()).or_default().help = help.to_owned();
            last = name.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            figures.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let labels = labels.rsplit_once('}').unwrap().0;
            let figure = figures.get_mut(&last).unwrap();
            // No value of ours has a comma or a quote in it.
            for label in labels.split(',') {
                let (label, value) = label.split_once('=').unwrap();
                figure.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    figures
}

fn page(text: &str) -> String {
    let mut page = HEAD.to_owned() + "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n";
    for (name, figure) in figures(text) {
        let label = |(label, values): (&String, &BTreeSet<String>)| {
            let values: Vec<_> =
                values.iter().map(|value| if value.is_empty() { "–" } else { value }).collect();
            match (label.as_str(), CLOSED.contains(&label.as_str())) {
                ("le", _) => None,
                ("severity", true) => Some("`severity`".to_owned()),
                (_, true) => Some(format!("`{label}`: {}", values.join(", "))),
                (_, false) => Some(format!("`{label}`")),
            }
        };
        let labels: Vec<_> = figure.labels.iter().filter_map(label).collect();
        let Figure { kind, help, .. } = &figure;
        page += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join("; "));
    }
    page
}

fn the_page_is_what_is_there(text: &str) {
    let path = root().join("docs/metrics.md");
    let page = page(text);
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/metrics.md is not what /metrics shows; {REWRITE}=1 writes it anew");
}

/// Names of figures in an expression; those of labels and functions begin otherwise.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| ["mta_stsd_", "process_"].iter().any(|ours| word.starts_with(ours)))
        .map(Into::into)
        .collect()
}

fn rules_and_board_name_what_is_there(text: &str) {
    let there = figures(text);
    for file in [
        "contrib/prometheus/alerts.yml",
        "contrib/prometheus/alerts_test.yml",
        "contrib/grafana/mta-stsd.json",
    ] {
        let names = named(&fs::read_to_string(root().join(file)).unwrap());
        assert!(names.len() > 10, "{file} names {names:?}");
        for name in names {
            let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
            let of_histogram =
                parts.filter_map(|base| there.get(base)).any(|figure| figure.kind == "histogram");
            assert!(
                of_histogram || there.contains_key(&name),
                "{file} names {name}, which /metrics does not have"
            );
        }
    }
}

#[test]
fn rules_are_sound_fire_when_they_should_and_have_a_runbook() {
    let folder = root().join("contrib/prometheus");
    promtool(&["check", "rules", "alerts.yml"], &folder, "");
    promtool(&["test", "rules", "alerts_test.yml"], &folder, "");
    let (rules, tests) = (
        fs::read_to_string(folder.join("alerts.yml")).unwrap(),
        fs::read_to_string(folder.join("alerts_test.yml")).unwrap(),
    );
    let runbooks = fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let field = |rule: &str, key: &str| {
        let line = rule.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {key} in {rule}"))
    };
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    for rule in &alerts {
        let name = rule.lines().next().unwrap();
        assert!(["critical", "warning"].contains(&&*field(rule, "severity: ")), "{name}");
        assert!(!field(rule, "summary: ").is_empty());
        let anchor = format!("docs/runbooks.md#{}", name.to_ascii_lowercase());
        assert_eq!(field(rule, "runbook_url: "), anchor, "{name}");
        assert!(runbooks.lines().any(|line| line == format!("## {name}")), "{name} has no runbook");
        let is_critical = field(rule, "severity: ") == "critical";
        let section = runbooks.split(&format!("## {name}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert_eq!(section.contains("*Critical.*"), is_critical, "the runbook of {name} and its severity");
        assert!(tests.contains(name.trim_start_matches("MtaStsd")), "no test of rules has {name}");
    }
    let sections = runbooks.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(sections, alerts.len(), "a runbook without an alert");
}

#[test]
fn the_board_is_json_with_a_query_in_every_panel() {
    let text = fs::read_to_string(root().join("contrib/grafana/mta-stsd.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(
            !targets.is_empty()
                && targets.iter().all(|target| !named(target["expr"].as_str().unwrap()).is_empty())
        );
    }
}
