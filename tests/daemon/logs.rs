//! The log of the real daemon: its form, its level at run time, and what a flood does to it.

use crate::support::{Home, eventually};
use std::{
    fs::{self, File},
    io::Write,
    net::TcpStream,
    os::unix::fs::MetadataExt,
    process::{Child, Command, Output},
    time::Instant,
};

#[track_caller]
fn said(home: &Home, args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = home.run(args);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}:\n{stdout}{stderr}");
    stdout + &stderr
}

#[test]
fn the_level_is_shown_changed_and_falls_back_while_the_daemon_runs() {
    const USUAL: &str = "debug,hyper=info,sqlx=info";
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    assert_eq!(said(&home, &["log"], 0), format!("{USUAL}\n"));
    assert_eq!(
        said(&home, &["log", "warn"], 0),
        format!("warn until the daemon ends; it was started with {USUAL}\n")
    );
    daemon.wait_for_log("\"log level changed\"");
    home.tenant("brook", "brook", "brook.example", "mx1.brook.example");
    daemon.wait_for_policy("brook.example", "mx1.brook.example");
    let lines = daemon.log();
    let edits = lines.iter().filter(|line| line.contains("\"snapshot replaced\"")).count();
    assert_eq!(edits, 1, "the first was logged, the second is below the level: {lines:#?}");

    let shown = said(&home, &["log", "error,mta_stsd::logging=info", "--for", "2s"], 0);
    assert!(shown.starts_with("error,mta_stsd::logging=info until 20") && shown.contains(USUAL), "{shown}");
    daemon.wait_for_log("log level is the usual one again");
    assert_eq!(said(&home, &["log"], 0), format!("{USUAL}\n"));
    said(&home, &["log", "trace"], 0);
    let json: serde_json::Value = serde_json::from_str(&said(&home, &["log", "--json"], 0)).unwrap();
    assert_eq!((&json["now"], &json["usual"]), (&"trace".into(), &USUAL.into()));
    assert_eq!(said(&home, &["log", "--reset"], 0), format!("{USUAL}\n"));
    assert!(said(&home, &["log", "loud"], 64).contains("neither error, warn, info, debug or trace"));
    drop(daemon);
    said(&home, &["log"], 69);
}

#[test]
fn strangers_write_ten_lines_a_second_and_the_rest_is_counted() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let daemon = home.start();
    let begun = Instant::now();
    let mut strangers = 0;
    eventually("a count of what was left out", || {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(daemon.https).unwrap();
            // The daemon may have closed already.
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n\x1b[2J");
            strangers += 1;
        }
        daemon.log().iter().any(|line| line.contains("\"left_out\"")).then_some(())
    });
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let log = daemon.log();
    let (count, aborted): (Vec<_>, Vec<_>) =
        log.iter().filter(|line| line.contains("handshake")).partition(|line| line.contains("left_out"));
    // Windows of a second, so one more may have begun.
    assert!(aborted.len() <= 10 * (seconds + 1), "{} lines in {seconds} s", aborted.len());
    assert!(aborted.len() < strangers, "{strangers}");
    let count: serde_json::Value = serde_json::from_str(count[0]).unwrap();
    assert_eq!(count["level"], "DEBUG", "a stranger makes no line above debug: {count}");
    assert!(count["target"].as_str().unwrap().starts_with("mta_stsd::https"), "{count}");
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the daemon logs to a file until it is ready; with the journal's variable about it, or about
/// another one.
fn logged_to_file(journal: bool) -> String {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let path = home.path("log");
    let file = File::create(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let inode = if journal { metadata.ino() } else { metadata.ino() + 1 };
    let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
    command.args(["serve", "--config"]).arg(home.main_file());
    command.env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev())).stderr(file);
    let _daemon = Ended(command.stdout(std::process::Stdio::null()).spawn().unwrap());
    eventually("the daemon to be ready", || {
        let text = fs::read_to_string(&path).unwrap();
        text.contains(": ready domains=1\n").then_some(text)
    })
}

#[test]
fn the_journal_gets_priorities_and_a_file_gets_times() {
    let text = logged_to_file(true);
    assert!(text.lines().all(|line| line.starts_with("<6>mta_stsd::") || line.starts_with("<4>")), "{text}");
    let text = logged_to_file(false);
    assert!(text.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{text}");
    assert!(!text.contains('\x1b'), "a file is no terminal: {text}");
}
