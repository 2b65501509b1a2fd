//! Runs the real binary in a folder of its own, and fetches from it as senders do.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Long enough for anything on a busy machine; waiting ends as soon as the condition holds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives a value, asking again and again.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder with a configuration; the daemon's folders lie inside it.
pub struct Home {
    pub folder: TempDir,
}

impl Home {
    /// `rest` follows a server part with free ports and the internal authority; a section that
    /// `rest` has itself is left out of that part.
    pub fn new(rest: &str) -> Self {
        let home = Self { folder: TempDir::with_prefix("mta-stsd-").unwrap() };
        fs::create_dir(home.path("tenants.d")).unwrap();
        home.write_main(rest);
        home
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub fn main_file(&self) -> PathBuf {
        self.path("mta-stsd.toml")
    }

    pub fn write_main(&self, rest: &str) {
        let sections = [
            ("[listen]", "https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]"),
            ("[store]", "directory = \"state\""),
            ("[acme]", "directory = \"internal\""),
            ("[cross_check]", "enabled = false"),
            ("[admin]", "socket = \"admin.sock\""),
        ];
        let mut text = "tenants = \"tenants.d/*.toml\"\n".to_owned();
        for (header, body) in sections {
            if !rest.contains(header) {
                text.push_str(&format!("{header}\n{body}\n"));
            }
        }
        self.write("mta-stsd.toml", &(text + rest));
    }

    /// Writes beside and renames into place, as careful editors do.
    pub fn write(&self, relative: &str, text: &str) {
        let (path, temporary) = (self.path(relative), self.path(&format!("{relative}.tmp~")));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, path).unwrap();
    }

    pub fn tenant(&self, file: &str, name: &str, domain: &str, mx: &str) {
        let text = format!("[[tenant]]\nname = \"{name}\"\ndomains = [\"{domain}\"]\nmx = [\"{mx}\"]\n");
        self.write(&format!("tenants.d/{file}.toml"), &text);
    }

    /// Runs a command of the binary to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
        command.args(args).arg("--config").arg(self.main_file()).output().unwrap()
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(self, &[])
    }

    /// Starts with these environment variables as well.
    pub fn start_with(&self, environment: &[(&str, &Path)]) -> Daemon {
        Daemon::start(self, environment)
    }
}

/// Arguments of a daemon whose log is read; the main file follows.
pub const SERVE: [&str; 6] =
    ["serve", "--log-format", "json", "--log-level", "debug,hyper=info,sqlx=info", "--config"];

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Log>,
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub backend: SocketAddr,
    pub root: PathBuf,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Daemon {
    fn start(home: &Home, environment: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mta-stsd"));
        command.args(SERVE).arg(home.main_file()).envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut daemon = Self::spawn(home, command);
        daemon.wait_until_ready(home);
        daemon
    }

    /// Runs `command`, which becomes a daemon, and waits for nothing.
    pub fn spawn(home: &Home, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::<Log>::default();
        let stdout = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        for stream in [stdout, stderr].into_iter().flatten() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lines.lock().unwrap().push(line);
                    log.more.notify_all();
                }
            });
        }
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        let (https, http, backend) = (unbound, unbound, unbound);
        Self { child, log, https, http, backend, root: home.path("state/internal-root.pem") }
    }

    /// Waits until everything is served, and learns where.
    #[track_caller]
    pub fn wait_until_ready(&mut self, home: &Home) {
        let main = fs::read_to_string(home.main_file()).unwrap();
        // The example has such a line in a comment.
        let is_none = |key: &str| main.lines().any(|line| line == format!("{key} = []"));
        let with_https = !is_none("https");
        if with_https {
            self.https = self.address("listening for https");
        }
        if with_https && !is_none("http") {
            self.http = self.address("listening for http\"");
        }
        if main.contains("\nbackend = [") {
            self.backend = self.address("listening for proxies");
        }
        self.wait_for_log("\"ready\"");
    }

    #[track_caller]
    fn address(&mut self, message: &str) -> SocketAddr {
        let line = self.wait_for_log(message);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        json["address"].as_str().unwrap().parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every line logged or printed so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// The first line that contains `part`, as soon as there is one.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str) -> String {
        self.wait_for_log_after(0, part)
    }

    /// The same among the lines after the first `skip`.
    #[track_caller]
    pub fn wait_for_log_after(&self, skip: usize, part: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().skip(skip).find(|line| line.contains(part)).cloned();
        let lines = self.log.lines.lock().unwrap();
        let (lines, _) =
            self.log.more.wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none()).unwrap();
        found(&lines).unwrap_or_else(|| panic!("no log line has {part:?}; the log:\n{}", lines.join("\n")))
    }

    pub fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end; the code, or minus the signal.
    pub fn exit_code(&mut self) -> i32 {
        let status: ExitStatus = eventually("the daemon's end", || self.child.try_wait().unwrap());
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }

    /// TERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        self.signal("TERM");
        self.exit_code()
    }

    /// One fetch as a sender does it, by real curl.
    pub fn fetch(&self, domain: &str) -> Fetched {
        fetch(self.https, &self.root, domain)
    }

    /// Fetches until the answer is a policy with `part` in it.
    #[track_caller]
    pub fn wait_for_policy(&self, domain: &str, part: &str) -> String {
        eventually(&format!("{domain} to serve {part:?}"), || {
            let fetched = self.fetch(domain);
            (fetched.status == 200 && fetched.body.contains(part)).then_some(fetched.body)
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl got.
#[derive(Debug)]
pub struct Fetched {
    /// 0 when there was no answer.
    pub status: u16,
    pub body: String,
    /// curl's exit code; 35 is a failed TLS handshake.
    pub exit: i32,
}

/// Fetches `domain`'s policy from `address`, trusting `root`.
pub fn fetch(address: SocketAddr, root: &Path, domain: &str) -> Fetched {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "--cacert"])
        .arg(root)
        .args(["--connect-to", &format!("::{address}")])
        .arg(format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"))
        .output()
        .expect("curl is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    Fetched { status: status.parse().unwrap(), body: body.to_owned(), exit: output.status.code().unwrap() }
}
