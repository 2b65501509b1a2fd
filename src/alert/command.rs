//! Runs the operator's command for one alert.
//!
//! No shell, no environment, the document on standard input. The command leads a process group of its
//! own, and at its limit the whole group is killed.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command};

/// Runs `argv` with `document` on its standard input; it must end with status 0 within `timeout`.
///
/// # Errors
///
/// A sentence part that says what became of it; never a piece of the arguments, which may be secrets.
pub(super) async fn run(argv: &[String], timeout: Duration, document: &[u8]) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("there is no command".into()) };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the command cannot be run: {error}"))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let input = child.stdin.take();
    let work = async {
        if let Some(mut input) = input {
            // Who does not read it knows why; what counts is how it ends.
            let _ = input.write_all(document).await;
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(timeout, work).await;
    match ended {
        Err(_) => Err(format!("the command did not end within {} s and was killed", timeout.as_secs_f32())),
        Ok(Err(error)) => Err(format!("the command was lost: {error}")),
        Ok(Ok(status)) => {
            // Reaped: its number may be somebody else's from now on.
            group.0 = None;
            if status.success() { Ok(()) } else { Err(format!("the command ended with {status}")) }
        }
    }
}

/// Kills a process group when dropped, at the limit as well as when the daemon stops.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const PLENTY: Duration = Duration::from_secs(120);

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_command_gets_the_document_and_no_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let script = format!("/bin/cat > {0}; /usr/bin/env >> {0}", file.display());
        run(&sh(&script), PLENTY, b"{\"a\":1}\n").await.unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.starts_with("{\"a\":1}\n"), "{written}");
        assert!(!written.contains("HOME=") && !written.contains("CARGO"), "{written}");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_is_not_there_has_not_delivered() {
        assert!(run(&sh("exit 3"), PLENTY, b"x").await.unwrap_err().contains("exit status: 3"));
        let missing = ["/nowhere/program".to_owned()];
        assert!(run(&missing, PLENTY, b"x").await.unwrap_err().contains("cannot be run"));
    }

    #[tokio::test]
    async fn a_command_at_its_limit_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("child");
        // The limit must leave time to write the file; the wait below is for the process alone.
        let script =
            format!("/bin/sleep 1000 & echo $! > {0}.new; /bin/mv {0}.new {0}; wait", file.display());
        let argv = sh(&script);
        let running = tokio::spawn(async move { run(&argv, Duration::from_secs(1), b"x").await });
        let refused = running.await.unwrap().unwrap_err();
        assert!(refused.contains("was killed"), "{refused}");
        let Ok(child) = std::fs::read_to_string(&file) else { return };
        let process = format!("/proc/{}/stat", child.trim());
        // A killed child that nobody has reaped yet is a zombie, and as dead.
        let lives = || {
            let stat = std::fs::read_to_string(Path::new(&process)).unwrap_or_default();
            stat.contains("(sleep)") && !stat.contains(") Z ")
        };
        while lives() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
