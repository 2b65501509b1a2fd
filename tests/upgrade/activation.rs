//! Restarts under socket activation: the sockets stay open in whoever passes them.

use crate::{
    ANSWERS, CLIENTS, UPGRADES, home,
    load::{Load, read_answer, request},
    support::{Daemon, Home, SERVE},
    target,
};
use std::{
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};
use tokio::io::AsyncWriteExt;

/// Plays systemd: holds both sockets, and starts daemons with them as descriptors 3 and 4.
struct Manager {
    https: TcpListener,
    http: TcpListener,
}

impl Manager {
    fn new() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        Self { https: listen(), http: listen() }
    }

    fn start(&self, home: &Home) -> Daemon {
        let mut command = Command::new("/bin/sh");
        let script = "exec 3<&0 4<&1 </dev/null >/dev/null; \
                      LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=https:http exec \"$@\"";
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_mta-stsd")]).args(SERVE).arg(home.main_file());
        command.stdin(OwnedFd::from(self.https.try_clone().unwrap()));
        command.stdout(OwnedFd::from(self.http.try_clone().unwrap()));
        let mut daemon = Daemon::spawn(home, command);
        daemon.wait_until_ready(home);
        assert_eq!(daemon.https, self.https.local_addr().unwrap());
        assert_eq!(daemon.http, self.http.local_addr().unwrap());
        daemon
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_refuse_and_reset_nobody() {
    let (home, domains) = home();
    let manager = Manager::new();
    let mut daemon = manager.start(&home);
    let target = target(&daemon, &domains);
    let load = Load::start(&target, &domains, &CLIENTS);
    for _ in 0..UPGRADES {
        load.wait_for(ANSWERS);
        // A request under way when the stop comes, on a connection that was accepted for sure.
        let (domain, whole) = (&domains[0], request(&domains[0]));
        let (begun, rest) = whole.split_at(20);
        let mut under_way = target.connect(domain, "http/1.1").await.unwrap();
        under_way.write_all(begun.as_bytes()).await.unwrap();
        daemon.signal("TERM");
        daemon.wait_for_log("stop requested");
        under_way.write_all(rest.as_bytes()).await.unwrap();
        let (status, body) = read_answer(&mut under_way).await.unwrap();
        assert!(status == 200 && body.contains("mx: mx.meadow.example"), "{status} {body:?}");
        assert_eq!(daemon.exit_code(), 0);
        daemon = manager.start(&home);
    }
    load.wait_for(ANSWERS);
    assert!(load.end().await >= ANSWERS * (UPGRADES + 1));
}

#[test]
fn what_the_configuration_says_otherwise_is_told() {
    let (home, _) = home();
    let main = std::fs::read_to_string(home.main_file()).unwrap();
    home.write(
        "mta-stsd.toml",
        &main.replacen("https = [\"127.0.0.1:0\"]", "https = [\"127.0.0.2:443\"]", 1),
    );
    let daemon = Manager::new().start(&home);
    let line = daemon.wait_for_log("not among the sockets passed to us");
    assert!(line.contains("127.0.0.2:443 (listen.https)"), "{line}");
    daemon.wait_for_log("is listened on because it was passed to us");
}

// systemd's own tool passes the sockets, with their names, when the first connection comes.
#[test]
fn what_systemd_passes_is_understood() {
    let (home, domains) = home();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (https, http) = (free(), free());
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &https.to_string(), "--listen", &http.to_string(), "--fdname=https:http"]);
    command.arg(env!("CARGO_BIN_EXE_mta-stsd")).args(SERVE).arg(home.main_file()).stdout(Stdio::null());
    let mut daemon = Daemon::spawn(&home, command);
    daemon.wait_for_log(&format!("Listening on {http}"));
    let _first = TcpStream::connect(https).unwrap();
    daemon.wait_until_ready(&home);
    assert_eq!((daemon.https, daemon.http), (https, http));
    daemon.wait_for_policy(&domains[0], "mx.meadow.example");
    assert_eq!(daemon.stop(), 0);
}
