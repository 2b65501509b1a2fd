//! Tells the program which commit it was built from (`mta-stsd --version`).
//!
//! `MTA_STSD_COMMIT` says it where there is no repository: in a tarball, an image, a package. Otherwise
//! git is asked; a tree that differs from its commit is marked as `-dirty`. Debug builds leave it out, for
//! every commit would build everything anew. Nothing of the machine or the hour is taken in, so the same
//! commit gives the same program.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MTA_STSD_COMMIT");
    let named = env::var("MTA_STSD_COMMIT").ok().filter(|commit| !commit.is_empty());
    let folder = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let commit = match env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        true => named,
        false => named.or_else(|| of_repository(folder.as_ref())),
    };
    println!("cargo:rustc-env=MTA_STSD_VERSION={}", shown(env!("CARGO_PKG_VERSION"), commit.as_deref()));
}

pub(crate) fn shown(version: &str, commit: Option<&str>) -> String {
    commit.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"))
}

/// The commit that is checked out in `folder`, when that is a repository with git at hand.
pub(crate) fn of_repository(folder: &Path) -> Option<String> {
    // A repository around this folder is about something else.
    if !folder.join(".git").exists() {
        return None;
    }
    for moved in ["HEAD", "logs/HEAD"] {
        println!("cargo:rerun-if-changed={}", git(folder, &["rev-parse", "--git-path", moved])?);
    }
    for part in ["src", "templates", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={part}");
    }
    git(folder, &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(folder).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
