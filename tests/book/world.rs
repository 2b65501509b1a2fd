//! A machine in a private Internet (`world.sh`), and a shell on it.

use std::{
    fs,
    io::{BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// For hangs only; waiting ends as soon as there is an answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Pages show addresses that are kept for documentation. The program dials none of these, so the world
/// has others.
const ADDRESSES: [(&str, &str); 2] = [("192.0.2.", "11.1.0."), ("198.51.100.", "11.0.0.")];

/// The world of one page; all of it ends with this value.
pub struct World {
    page: String,
    folder: TempDir,
    shell: Child,
    input: ChildStdin,
    parts: Receiver<String>,
}

impl World {
    /// Returns when everything in it answers.
    pub fn open(page: &str) -> Self {
        let folder = TempDir::with_prefix("mta-stsd-book-").unwrap();
        // Postfix and Knot look in as other users.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut shell = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/book/world.sh"))
            .arg(env!("CARGO_BIN_EXE_mta-stsd"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv and unshare are installed (Debian package util-linux)");
        let (input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let (sender, parts) = channel();
        thread::spawn(move || {
            let mut part = vec![];
            for octet in BufReader::new(output).bytes().map_while(Result::ok) {
                match octet {
                    0 => {
                        let text = String::from_utf8_lossy(&std::mem::take(&mut part)).into_owned();
                        // Whoever does not listen any more has ended the world.
                        let _ = sender.send(text);
                    }
                    octet => part.push(octet),
                }
            }
        });
        let world = Self { page: page.to_owned(), folder, shell, input, parts };
        let said = world.part("the world to come up");
        assert!(said.ends_with("the world is up"), "{page}: {said}");
        world
    }

    /// What the next part of the output is.
    fn part(&self, what: &str) -> String {
        self.parts.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("{}: waited in vain ({error}) for {what}\n{}", self.page, self.logs())
        })
    }

    /// Runs a command; what it printed, and with which code it ended.
    pub fn run(&mut self, command: &str) -> (String, i32) {
        let command =
            ADDRESSES.iter().fold(command.to_owned(), |text, (shown, real)| text.replace(shown, real));
        self.input.write_all(command.as_bytes()).unwrap();
        self.input.write_all(&[0]).unwrap();
        let output = self.part(&command);
        let code = self.part(&command).parse().unwrap();
        let output = ADDRESSES.iter().fold(output, |text, (shown, real)| text.replace(real, shown));
        let ended = output.is_empty() || output.ends_with('\n');
        (if ended { output } else { output + "\n" }, code)
    }

    /// The last lines of what its servers logged.
    pub fn logs(&self) -> String {
        let mut shown = String::new();
        for name in ["daemon", "pebble", "knot", "unbound", "nginx", "mail"] {
            let text = fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(15)..].join("\n");
            shown += &format!("--- {}: {name}.log\n{last}\n", self.page);
        }
        shown
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Already ended is fine: this only makes sure of it.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
