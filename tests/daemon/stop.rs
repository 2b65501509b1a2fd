//! TERM drains and ends with 0, a second signal ends at once, a bad start ends with 78.

use crate::support::{Daemon, Home, PATIENCE, eventually};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixStream},
    },
};

#[test]
fn term_ends_with_zero_and_refuses_new_connections() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let mut daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    assert_eq!(daemon.stop(), 0);
    assert!(TcpStream::connect(daemon.https).is_err());
    assert!(!home.path("admin.sock").exists(), "the status socket is left behind");
}

/// A connection with the beginning of a request on it, accepted for sure: connections are accepted in
/// their order, so an answer on a second one shows that the first was.
fn half_a_request(daemon: &Daemon, beginning: &[u8]) -> TcpStream {
    let mut half = TcpStream::connect(daemon.http).unwrap();
    half.write_all(beginning).unwrap();
    let mut whole = TcpStream::connect(daemon.http).unwrap();
    whole.write_all(b"GET / HTTP/1.1\r\nHost: mta-sts.meadow.example\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    whole.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    half
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let home = Home::new("");
    let mut daemon = home.start();
    let mut client = half_a_request(&daemon, b"GET / HTTP/1.1\r\nHost: mta-sts.mea");
    daemon.signal("TERM");
    daemon.wait_for_log("stop requested");
    client.write_all(b"dow.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer:?}");
    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn a_second_signal_ends_at_once() {
    let home = Home::new("");
    let mut daemon = home.start();
    // A request that never ends would be waited for.
    let _unending = half_a_request(&daemon, b"GET / HTTP/1.1\r\n");
    daemon.signal("TERM");
    daemon.wait_for_log("stop requested");
    daemon.signal("TERM");
    assert_ne!(daemon.exit_code(), 0, "ended without draining");
}

#[test]
fn a_bad_server_part_ends_the_start_with_78_and_a_bad_tenant_does_not() {
    let home = Home::new("[dns]\ntimeout = \"soon\"\n");
    let refused = home.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("timeout = \"soon\""));

    home.write_main("");
    home.tenant("good", "good", "good.example", "mx.good.example");
    home.tenant("bad", "bad", "bad.example", "*.*.bad.example");
    let daemon = home.start();
    daemon.wait_for_policy("good.example", "mx.good.example");
    assert_eq!(daemon.fetch("bad.example").exit, 35);
}

/// Asks for `path` on the status socket; the whole answer, empty when there is none.
fn ask(home: &Home, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut socket) = UnixStream::connect(home.path("admin.sock")) else { return answer };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let _ = socket.write_all(request.as_bytes()).and_then(|()| socket.read_to_string(&mut answer));
    answer
}

#[test]
fn health_tells_probes_whether_the_daemon_lives_and_takes_connections() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let silent = home.run(&["health"]);
    assert_eq!(silent.status.code(), Some(69), "nobody answers");
    let mut daemon = home.start();
    for (args, word) in [(&["health"][..], "live\n"), (&["health", "--ready"], "ready\n")] {
        let well = home.run(args);
        assert_eq!(
            (well.status.code(), &*String::from_utf8_lossy(&well.stdout)),
            (Some(0), word),
            "{args:?}"
        );
    }
    // A peer that says nothing is given three seconds, and the drain lasts for as long.
    let _silent = TcpStream::connect(daemon.https).unwrap();
    daemon.wait_for_policy("meadow.example", "mx1"); // who came before is accepted
    daemon.signal("TERM");
    let answer = eventually("the drain to be told", || {
        let answer = ask(&home, "/readyz");
        (!answer.starts_with("HTTP/1.1 200")).then_some(answer)
    });
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("draining"), "{answer:?}");
    assert_eq!(daemon.exit_code(), 0);
    assert_eq!(home.run(&["health", "--ready"]).status.code(), Some(69));
}

#[test]
fn systemd_is_told_of_start_reload_and_stop() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let path = home.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let wait_for = |part: &str| {
        let mut message = [0; 1024];
        loop {
            let length = match systemd.recv(&mut message) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                received => received.unwrap(),
            };
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(part)) {
                return text;
            }
        }
    };
    let mut daemon = home.start_with(&[("NOTIFY_SOCKET", &path)]);
    assert!(wait_for("READY=1").contains("STATUS=generation 1, 1 policy hosts"));
    daemon.signal("HUP");
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    home.tenant("brook", "brook", "brook.example", "mx1.brook.example");
    wait_for("STATUS=generation 2, 2 policy hosts");
    assert_eq!(daemon.stop(), 0);
    wait_for("STOPPING=1");
}

#[test]
fn what_is_private_stays_private() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let mut daemon = home.start();
    daemon.wait_for_policy("meadow.example", "mx1");
    let mode = |path: &str| fs::metadata(home.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state"), 0o700);
    assert_eq!(mode("admin.sock"), 0o600);
    for entry in fs::read_dir(home.path("state")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
    daemon.kill();
    assert!(!daemon.log().iter().any(|line| line.contains("PRIVATE KEY")));

    fs::set_permissions(home.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = home.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(78), "only a person can mend it");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 700"));
}
