//! What reaches the log's end, in every format.

use super::{caught::Lines, *};
use tracing::{debug, error, info, info_span, warn};

const FORMATS: [Format; 3] = [Format::Text, Format::Json, Format::Journal];

fn turned_on(format: Format, colour: bool, level: &str) -> (Lines, Log, impl tracing::Subscriber) {
    let written = Lines::default();
    let writer = written.clone();
    let out = move |octets: &[u8]| writer.clone().write_all(octets).unwrap();
    let (log, layer) = Log::new(Printer::new(format, colour, out), level).unwrap();
    (written, log, tracing_subscriber::registry().with(layer))
}

fn logged(format: Format, log: impl FnOnce()) -> String {
    let (written, _log, subscriber) = turned_on(format, false, "info");
    tracing::subscriber::with_default(subscriber, log);
    written.text()
}

const HOSTILE: &str =
    "x\n2026-01-01T00:00:00Z ERROR forged\r\x1b[2J\u{9b}1m\u{2028}\u{202e}\u{200b}\x00\x7f\tend";

fn log_hostile() {
    let _span = info_span!("request", peer = %HOSTILE, other = HOSTILE).entered();
    info!(display = %HOSTILE, debug = ?HOSTILE, plain = HOSTILE, "message of {HOSTILE}");
    error!(error = &io::Error::other(HOSTILE) as &dyn Error, "failed");
}

#[test]
fn a_value_can_neither_begin_a_line_nor_steer_a_terminal() {
    for format in FORMATS {
        let text = logged(format, log_hostile);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.matches("forged").count() >= 6, "the value itself is there: {text}");
        let plain = |c: char| c == '\n' || !c.is_control();
        assert!(text.chars().all(plain), "{text:?}");
        assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{200b}']), "{text:?}");
    }
    let text = logged(Format::Text, log_hostile);
    assert!(text.contains(r"x\n2026") && text.contains(r"\u{1b}[2J"), "{text}");
}

#[test]
fn json_gives_the_value_back_as_it_was() {
    let text = logged(Format::Json, log_hostile);
    assert!(text.contains(r"\u001b") && text.contains(r"\u009b") && text.contains(r"\u2028"), "{text}");
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["plain"], HOSTILE);
    assert_eq!((&line["spans"][0]["name"], &line["spans"][0]["other"]), (&"request".into(), &HOSTILE.into()));
    assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"mta_stsd::logging::tests".into()));
}

#[test]
fn a_value_is_cut_and_an_error_is_given_more_room() {
    let long = "ü".repeat(5_000);
    let text =
        logged(Format::Json, || warn!(value = %long, error = long, plain = ?[0; 9_000], "said {long}"));
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, most) in [("value", 256), ("plain", 256), ("error", 1_024), ("message", 1_024)] {
        let value = line[key].as_str().unwrap();
        assert!((most - 4..=most).contains(&value.len()) && value.ends_with('…'), "{key}: {value}");
    }
    let whole = "x".repeat(256);
    assert!(logged(Format::Text, || info!(value = %whole, "said")).ends_with(&format!("value={whole}\n")));
}

#[test]
fn a_text_line_reads_as_fields_that_no_value_can_forge() {
    let text = logged(Format::Text, || info!(host = %"mta-sts.example.com", attempt = 2, "issued"));
    assert!(text.contains("Z  INFO mta_stsd::logging::tests: issued"), "{text:?}");
    assert!(text.ends_with("issued host=mta-sts.example.com attempt=2\n"), "{text:?}");
    let text = logged(Format::Text, || info!(agent = "a\" host=forged", empty = "", "asked"));
    assert!(text.ends_with("asked agent=\"a\\\" host=forged\" empty=\"\"\n"), "{text:?}");
    let text = logged(Format::Text, || info!(agent = "a\\\" host=forged", "asked"));
    assert!(text.ends_with("asked agent=\"a\\\\\\\" host=forged\"\n"), "{text:?}");
}

#[test]
fn a_json_line_is_one_object_with_numbers_and_truths() {
    let text = logged(Format::Json, || info!(host = %"a.example", attempt = 2, last = true, "issued"));
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["message"], &line["host"]), (&"issued".into(), &"a.example".into()));
    assert_eq!((&line["attempt"], &line["last"]), (&2.into(), &true.into()));
    let time = line["timestamp"].as_str().unwrap();
    assert!(time.parse::<Timestamp>().is_ok(), "{time}");
}

#[test]
fn the_journal_gets_a_priority_and_neither_time_nor_colour() {
    let text = logged(Format::Journal, || {
        error!("bad");
        warn!("worse");
        info!(host = %"a.example", "fine");
    });
    let expected = ["<3>", "<4>", "<6>"].map(|priority| format!("{priority}mta_stsd::logging::tests: "));
    assert!(text.lines().zip(expected).all(|(line, begin)| line.starts_with(&begin)), "{text}");
    assert!(text.ends_with(": fine host=a.example\n"), "{text}");
}

#[test]
fn colour_is_for_the_level_alone() {
    let (written, _log, subscriber) = turned_on(Format::Text, true, "info");
    tracing::subscriber::with_default(subscriber, || info!(value = "\x1b[31m", "said"));
    assert_eq!(written.text().matches('\x1b').count(), 2, "{:?}", written.text());
}

#[test]
fn a_flood_is_ten_lines_and_a_count_at_its_own_level() {
    for format in FORMATS {
        let (written, log, subscriber) = turned_on(format, false, "debug");
        let now = "2026-11-22T08:00:00Z".parse().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for peer in 0..1_000 {
                debug!(peer, "handshake aborted");
                if peer == 500 {
                    info!("something else");
                }
            }
            log.tick(now);
            log.tell_left_out();
        });
        let text = written.text();
        let lines: Vec<_> = text.lines().collect();
        // On a machine that was held up for seconds there may be several tens, each with its count.
        let counts: u64 = lines.iter().filter_map(|line| number_after(line, "left_out")).sum();
        let whole = lines.iter().filter(|line| number_after(line, "peer").is_some()).count();
        assert_eq!(counts + whole as u64, 1_000, "{text}");
        assert!(lines.len() <= 100 && text.contains("something else"), "{text}");
        let count = lines.last().unwrap();
        assert!(count.contains("left_out") && count.contains("handshake aborted"), "{count}");
        let levels = [" DEBUG ", "\"level\":\"DEBUG\"", "<7>"];
        assert!(levels.iter().any(|level| count.contains(level)), "{count}");
    }
}

fn number_after(line: &str, name: &str) -> Option<u64> {
    let rest = line.split_once(&format!("{name}=")).or_else(|| line.split_once(&format!("{name}\":")))?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn the_level_changes_at_run_time_and_falls_back() {
    let (written, log, subscriber) = turned_on(Format::Text, false, "info");
    let at =
        |minute: i8| "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + jiff::Span::new().minutes(minute);
    tracing::subscriber::with_default(subscriber, || {
        debug!("one");
        log.set("warn,mta_stsd::logging=debug", Some(at(10))).unwrap();
        debug!("two");
        log.tick(at(9));
        debug!("three");
        assert_eq!(log.level().until, Some(at(10)));
        log.tick(at(10));
        debug!("four");
        assert!(log.set("nonsense", None).is_err());
        assert_eq!(log.level().now, "info");
        log.set("error", None).unwrap();
        info!("five");
        log.reset();
        info!("six");
    });
    let text = written.text();
    let there =
        ["one", "two", "three", "four", "five", "six"].map(|word| text.contains(&format!(": {word}\n")));
    assert_eq!(there, [false, true, true, false, false, true], "{text}");
    assert!(text.contains("log level changed from=info to=\"warn,mta_stsd::logging=debug\""), "{text}");
    assert!(text.contains("log level is the usual one again to=info"), "{text}");
}

#[test]
fn records_of_the_other_log_crate_keep_their_module() {
    // As tracing-log hands them on.
    let text = logged(Format::Json, || {
        info!(target: "log", { log.target = "rustls::x", log.line = 3, log.file = "f" }, "hello");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["target"], &line["message"]), (&"rustls::x".into(), &"hello".into()));
    assert!(!text.contains("log."), "{text}");
}

#[test]
fn a_chain_names_every_cause() {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layered(&'static str, #[source] Option<Box<Layered>>);
    let error = Layered("a", Some(Box::new(Layered("b", Some(Box::new(Layered("c", None)))))));
    assert_eq!(chain(&error).to_string(), "a: b: c");
}
