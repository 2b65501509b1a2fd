//! What systemd is told (sd_notify(3)): ready, reloading and ready again, stopping.

use crate::support::{Home, PATIENCE};
use std::{
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
};

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Receives until a message has this line; returns the whole message.
#[track_caller]
fn told(socket: &UnixDatagram, line: &str) -> String {
    let mut octets = [0; 4096];
    loop {
        let count = socket.recv(&mut octets).unwrap_or_else(|e| panic!("never told {line}: {e}"));
        let message = String::from_utf8_lossy(&octets[..count]).into_owned();
        if message.lines().any(|l| l == line) {
            return message;
        }
    }
}

#[test]
fn systemd_is_told_of_ready_reload_and_stop_in_order() {
    let home = Home::new("");
    home.tenant("meadow", "meadow", "meadow.example", "mx1.meadow.example");
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_mta-stsd"))
        .args(["serve", "--config"])
        .arg(home.main_file())
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("WATCHDOG_USEC", "2000000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut daemon = Ended(child);
    let signal = |name: &str| {
        let pid = daemon.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    assert!(told(&socket, "READY=1").contains("STATUS=generation 1, 1 policy hosts"));
    told(&socket, "WATCHDOG=1");
    told(&socket, "WATCHDOG=1");
    home.tenant("brook", "brook", "brook.example", "mx1.brook.example");
    for _ in 0..20 {
        signal("-HUP");
    }
    assert!(told(&socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    assert!(told(&socket, "READY=1").contains("STATUS=generation 2, 2 policy hosts"));
    signal("-TERM");
    told(&socket, "STOPPING=1");
    assert!(daemon.0.wait().unwrap().success());
}
