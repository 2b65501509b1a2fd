//! What the store promises when it is killed at any moment, and when the rights on it are gone: played
//! by children, because a kill and another user need a process of their own.

use super::{
    SqliteStorage, Storage, StorageError,
    contract::{certificate, host},
    durability::{open, store_in},
};
use crate::{certificate::CertificateSource, logging::chain};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

const CHILD: &str = "MTA_STSD_STORE_OF_CHILD";

/// This test binary again, running one test that is a child's part.
fn child(part: &str, directory: &Path) -> Command {
    child_of(&std::env::current_exe().unwrap(), part, directory)
}

fn child_of(binary: &Path, part: &str, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["--exact", "--nocapture", "--test-threads=1"]);
    command.arg(format!("storage::unwell::{part}")).env(CHILD, directory);
    command
}

#[tokio::test]
async fn child_saves_until_killed() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&directory)).await;
    let first = store.held().await.unwrap().len();
    for n in first.. {
        store.save_certificate(&certificate(n, n as u8)).await.unwrap();
        println!("\nsaved {n}");
        std::io::stdout().flush().unwrap();
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = None;
    for saves in [1, 7, 20, 43, 0] {
        let mut child = child("child_saves_until_killed", &store_in(&folder))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut saved = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("saved ")?.parse::<usize>().ok());
        acknowledged = saved.by_ref().take(saves).last().or(acknowledged);
        child.kill().unwrap();
        // What it said before it died counts as well.
        acknowledged = saved.last().or(acknowledged);
        child.wait().unwrap();

        let store = open(&store_in(&folder)).await;
        let held = store.held().await.unwrap().len();
        assert!(Some(held) > acknowledged, "{acknowledged:?} was acknowledged, {held} are held");
        for n in 0..held {
            assert_eq!(store.certificate(&host(n)).await.unwrap(), Some(certificate(n, n as u8)));
        }
        store.close().await;
    }
    assert!(acknowledged > Some(60), "the children did work: {acknowledged:?}");
}

#[tokio::test]
async fn child_serves_from_a_folder_it_cannot_write() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&directory)).await;
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)));
    assert_eq!(store.held().await.unwrap().len(), 1);
    let refused = store.save_certificate(&certificate(2, 1)).await;
    assert!(matches!(refused, Err(StorageError::NotWritable(_))), "{refused:?}");
    assert!(matches!(store.check_writable().await, Err(StorageError::NotWritable(_))));
    assert_eq!(store.certificate(&host(1)).await.unwrap(), Some(certificate(1, 1)), "reads go on");
    // Given back the right to write, the same process writes.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    for file in fs::read_dir(&directory).unwrap() {
        fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
    }
    store.check_writable().await.unwrap();
    store.save_certificate(&certificate(2, 1)).await.unwrap();
    assert_eq!(store.held().await.unwrap().len(), 2);
    store.close().await;
    println!("\nserved");
}

const NOBODY: u32 = 65_534;

/// A child that plays `part` on the store in `folder`, by a copy of this binary that any user can run.
/// Root may read and write everything, so then the child is another user.
fn child_without_rights(folder: &tempfile::TempDir, part: &str) -> Command {
    let binary = folder.path().join("child");
    // Made by another process, because a file that we hold open for writing cannot be run.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&binary).status();
    assert!(copied.unwrap().success());
    let mut command = child_of(&binary, part, &store_in(folder));
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

#[track_caller]
fn succeeds(mut child: Command, says: &str) {
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(says), "{said}");
}

/// Makes the store one that its owner cannot write, and lets a child serve from it.
fn serve_without_writing(folder: &tempfile::TempDir) {
    let directory = store_in(folder);
    let child = child_without_rights(folder, "child_serves_from_a_folder_it_cannot_write");
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    if rustix::process::geteuid().is_root() {
        for path in files.iter().chain([&directory]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    for path in &files {
        fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).unwrap();
    succeeds(child, "\nserved\n");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_still_serves() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    store.close().await;
    serve_without_writing(&folder);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_still_serves_after_an_unclean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&store_in(&folder)).await;
    store.save_certificate(&certificate(1, 1)).await.unwrap();
    // What a kill leaves: the files as they are now, the log not yet in the database.
    let left = tempfile::tempdir().unwrap();
    fs::create_dir(store_in(&left)).unwrap();
    for file in fs::read_dir(store_in(&folder)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), store_in(&left).join(file.file_name())).unwrap();
    }
    serve_without_writing(&left);
}

#[tokio::test]
async fn child_is_told_whose_the_database_is() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let error = SqliteStorage::open(Path::new(&directory), None).await.unwrap_err();
    println!("\ntold {}", chain(&error));
}

// What root leaves behind that restores a backup with `cp`.
#[tokio::test]
async fn a_database_of_another_user_is_refused_with_the_remedy() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("only root can make files of another user: not judged");
    }
    let folder = tempfile::tempdir().unwrap();
    open(&store_in(&folder)).await.close().await;
    chown(store_in(&folder), Some(NOBODY), Some(NOBODY)).unwrap();
    succeeds(child_without_rights(&folder, "child_is_told_whose_the_database_is"), "chown -R 65534");
}
