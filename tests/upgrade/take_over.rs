//! A new daemon in the place of one that runs, and what becomes of it when the new one fails.

use crate::{
    ANSWERS, CLIENTS, UPGRADES, home,
    load::{Load, read_answer, request},
    support::{Daemon, Home, PATIENCE, SERVE, eventually},
    target,
};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};
use tokio::io::AsyncWriteExt;

/// Starts a daemon that takes over, and waits for nothing.
pub fn newcomer(home: &Home) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
    command.args(SERVE).arg(home.main_file()).arg("--take-over").stdout(Stdio::piped());
    Daemon::spawn(home, command)
}

/// Starts a daemon that takes over, and waits until it has.
pub fn take_over(home: &Home) -> Daemon {
    let mut new = newcomer(home);
    new.wait_until_ready(home);
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_take_overs_refuse_and_reset_nobody() {
    let (home, domains) = home();
    // Where none runs it is a start like any other.
    let mut daemon = take_over(&home);
    let target = target(&daemon, &domains);
    let load = Load::start(&target, &domains, &CLIENTS);
    for upgrade in 0..UPGRADES {
        load.wait_for(ANSWERS);
        let (domain, whole) = (&domains[0], request(&domains[0]));
        let (begun, rest) = whole.split_at(20);
        let mut under_way = target.connect(domain, "http/1.1").await.unwrap();
        under_way.write_all(begun.as_bytes()).await.unwrap();
        let new = take_over(&home);
        assert_eq!((new.https, new.http), (target.https, target.http));
        under_way.write_all(rest.as_bytes()).await.unwrap();
        let (status, body) = read_answer(&mut under_way).await.unwrap();
        assert!(status == 200 && body.contains("mx: mx.meadow.example"), "{status} {body:?}");
        assert_eq!(daemon.exit_code(), 0, "upgrade {upgrade}");
        daemon.wait_for_log("stopped, another daemon runs");
        daemon = new;
        assert!(home.run(&["status"]).status.success(), "the new one answers on the status socket");
    }
    load.wait_for(ANSWERS);
    assert!(load.end().await >= ANSWERS * (UPGRADES + 1));
    assert_eq!(daemon.stop(), 0);
    assert!(!home.path("admin.sock").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_daemon_that_fails_leaves_the_old_one_as_it_was() {
    let (home, domains) = home();
    let mut old = home.start();
    let target = target(&old, &domains);
    let load = Load::start(&target, &domains, &CLIENTS);

    // A faulty configuration: the old one is not even asked.
    let main = fs::read_to_string(home.main_file()).unwrap();
    home.write("mta-stsd.toml", &format!("{main}\n[dns]\ntimeout = \"soon\"\n"));
    assert_eq!(newcomer(&home).exit_code(), 78);
    // An address that cannot be had: the old one is asked, and keeps the store.
    home.write("mta-stsd.toml", &main.replacen("https = [", "https = [\"192.0.2.1:443\", ", 1));
    assert_eq!(newcomer(&home).exit_code(), 70);
    old.wait_for_log("not taken over");
    home.write("mta-stsd.toml", &main);
    assert!(!old.log().iter().any(|line| line.contains("store handed over")));

    // Killed when it has the store: it waits at a pipe in the place of a file that it reads after that.
    let root = home.path("state/internal-root.pem");
    let good = fs::read(&root).unwrap();
    fs::remove_file(&root).unwrap();
    assert!(Command::new("mkfifo").arg(&root).status().unwrap().success());
    let before = old.log().len();
    let mut new = newcomer(&home);
    old.wait_for_log("store handed over");
    load.wait_for(ANSWERS);
    new.kill();
    old.wait_for_log_after(before, "not taken over");
    old.wait_for_log("orders resumed");
    fs::remove_file(&root).unwrap();
    fs::write(&root, good).unwrap();

    // Whatever the new one cannot use shows before the old one ends.
    let broken = "enabled = true\nroot_file = \"nowhere.pem\"";
    home.write("mta-stsd.toml", &main.replacen("enabled = false", broken, 1));
    let before = old.log().len();
    assert_eq!(newcomer(&home).exit_code(), 70);
    old.wait_for_log_after(before, "orders resumed");
    home.write("mta-stsd.toml", &main);

    // It orders, stores and serves as before, and another one can take over.
    home.tenant("marsh", "marsh", "marsh.example", "mx.marsh.example");
    old.wait_for_policy("marsh.example", "mx.marsh.example");
    load.wait_for(ANSWERS);
    let new = take_over(&home);
    assert_eq!(old.exit_code(), 0);
    new.wait_for_policy("marsh.example", "mx.marsh.example");
    load.wait_for(ANSWERS);
    load.end().await;
    assert!(!new.log().iter().any(|line| line.contains("\"certificate issued\"")), "all was in the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_daemon_that_is_killed_half_way_is_replaced_all_the_same() {
    let (home, domains) = home();
    let mut old = home.start();
    let target = target(&old, &domains);
    let root = home.path("state/internal-root.pem");
    let good = fs::read(&root).unwrap();
    fs::remove_file(&root).unwrap();
    assert!(Command::new("mkfifo").arg(&root).status().unwrap().success());
    let mut new = newcomer(&home);
    old.wait_for_log("store handed over");
    old.kill();
    fs::write(&root, good).unwrap();
    new.wait_until_ready(&home);
    let load = Load::start(&target, &domains, &CLIENTS);
    load.wait_for(ANSWERS);
    load.end().await;
    eventually("the status", || home.run(&["status"]).status.success().then_some(()));
}

#[test]
fn systemd_is_told_which_process_is_the_service_now() {
    let (home, _) = home();
    let path = home.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut old = home.start_with(&[("NOTIFY_SOCKET", &path)]);
    let new = take_over(&home);
    assert_eq!(old.exit_code(), 0);
    systemd.set_nonblocking(true).unwrap();
    let mut told = String::new();
    let mut message = [0; 1024];
    while let Ok(length) = systemd.recv(&mut message) {
        told.push_str(&String::from_utf8_lossy(&message[..length]));
        told.push('\n');
    }
    assert!(told.contains(&format!("MAINPID={}", new.pid())), "{told}");
    assert!(!told.contains("STOPPING=1"), "the service goes on: {told}");
}
