//! The floors: a room may import only rooms on lower floors, and each foreign crate has one door.
//!
//! The judge reads the source as text, comments left out, and looks at every path that begins with
//! `crate::`, groups included, and at those that climb to a room by `super::super::`. What it must
//! catch is planted in the last tests.

use std::{fs, path::Path};

/// The rooms from the ground up, as drawn in `src/lib.rs`.
const FLOORS: &[&[&str]] = &[
    &["name", "clock", "listening", "logging", "dialing", "metrics"],
    &["policy", "dns", "certificate"],
    &["config", "storage", "starttls", "policy_fetch"],
    &["snapshot", "audit"],
    &["reload", "acme", "cross_check", "https", "publishing", "alert"],
    &["admin"],
    &["daemon"],
    &["cli"],
];

/// Foreign crates and the only places that may name them.
const DOORS: &[(&str, &str)] = &[
    ("hickory_resolver", "dns/"),
    ("hickory_proto", "dns/"),
    ("instant_acme", "acme/client.rs"),
    ("rustls_acme", "acme/answer.rs"),
    ("toml", "config/"),
    ("sqlx", "storage/"),
    ("axum", "admin/"),
    ("askama", "admin/"),
    ("proxy_header", "listening/"),
    ("ipnet", "listening/"),
    ("prometheus_client", "metrics.rs"),
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room that a file (relative to `src`) belongs to; none for the two roots.
fn room(file: &str) -> Option<&str> {
    let room = file.split('/').next()?;
    let room = room.strip_suffix(".rs").unwrap_or(room);
    (!["lib", "main"].contains(&room)).then_some(room)
}

/// What is wrong with one file.
fn faults(file: &str, text: &str) -> Vec<String> {
    let code: String = text.lines().map(without_comment).map(|line| format!("{line}\n")).collect();
    [forbidden_rooms(file, &code), forbidden_crates(file, &code)].concat()
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

fn forbidden_rooms(file: &str, code: &str) -> Vec<String> {
    let Some(room) = room(file) else { return vec![] };
    let Some(own) = floor(room) else { return vec![format!("{file}: {room} stands on no floor")] };
    let mut faults = Vec::new();
    let mut judge = |at, imported: &str| {
        let allowed = imported == room || floor(imported).is_some_and(|below| below < own);
        if !allowed {
            faults.push(format!("{file}:{}: {room} may not import {imported}", line(code, at)));
        }
    };
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` and `some_crate::` are other words.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        first_words(&code[at + "crate::".len()..]).into_iter().for_each(|imported| judge(at, imported));
    }
    // How far a climb goes depends on inner modules; one that ends at the name of a room arrived there.
    for (at, climb) in code.match_indices("super::super::") {
        let path = code[at + climb.len()..].trim_start_matches("super::");
        let rooms = first_words(path).into_iter().filter(|word| floor(word).is_some());
        rooms.for_each(|imported| judge(at, imported));
    }
    faults
}

/// The first word of a path, or of each path in a group `{a::b, c::{d, e}}`.
fn first_words(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut begins, mut words) = (0, true, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                words.push(word(&group[i..]));
                begins = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

fn forbidden_crates(file: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, door) in DOORS.iter().filter(|(_, door)| !file.starts_with(door)) {
        for (at, _) in code.match_indices(name) {
            let alone = !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:.\"".contains(c));
            let after = &code[at + name.len()..];
            let imported = code[..at].ends_with("use ") && after.starts_with([';', ' ']);
            if alone && (after.starts_with("::") || imported) {
                faults.push(format!("{file}:{}: {name} may be named in src/{door} only", line(code, at)));
            }
        }
    }
    faults
}

fn line(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Every file under `folder`, by its path relative to `src`.
fn sources(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

#[test]
fn every_room_imports_lower_floors_only_and_crates_come_in_by_their_door() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    assert!(files.len() > 20, "the judge saw the house: {} files", files.len());
    let faults: Vec<_> = files.iter().flat_map(|(file, text)| faults(file, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_floors_are_those_of_the_tour() {
    let tour = include_str!("../src/lib.rs");
    for (number, rooms) in FLOORS.iter().enumerate() {
        let links: Vec<_> = rooms.iter().map(|room| format!("[`{room}`]")).collect();
        let row = format!("//! | {number} | {} |", links.join(", "));
        assert!(tour.contains(&row), "src/lib.rs lacks {row}");
    }
}

#[test]
fn an_import_from_above_or_beside_is_caught() {
    let caught = |file, text| assert_eq!(faults(file, text).len(), 1, "{file}: {text}");
    caught("policy/mod.rs", "use crate::config::Tenant;");
    caught("https/respond.rs", "fn f() { crate::acme::plan::plan() }");
    caught(
        "https/respond.rs",
        "use crate::{name::PolicyHost, snapshot::{Snapshot, acme},\n reload::Reloader};",
    );
    caught("name.rs", "    pub(crate) use crate::clock::Clock;");
    caught("https/respond.rs", "use super::super::acme::plan;");
    caught("acme/client/account.rs", "use super::super::super::{config::Acme, reload::Reloader};");
    caught("attic/mod.rs", "");
    let planted = "\n\nuse crate::cli;";
    assert_eq!(faults("daemon/mod.rs", planted), ["daemon/mod.rs:3: daemon may not import cli"]);
}

#[test]
fn a_crate_through_the_window_is_caught() {
    let caught = |file, text| assert_eq!(faults(file, text).len(), 1, "{file}: {text}");
    caught("acme/plan.rs", "use instant_acme::Account;");
    caught("acme/client.rs", "use rustls_acme::is_tls_alpn_challenge;");
    caught("reload/reloader.rs", "let file: File = toml::from_str(text)?;");
    caught("https/server.rs", "use sqlx;");
    caught("cross_check/mx.rs", "use hickory_resolver as dns;");
}

#[test]
fn what_is_allowed_is_not_caught() {
    let fine = |file, text| assert_eq!(faults(file, text), Vec::<String>::new(), "{file}: {text}");
    fine(
        "https/respond.rs",
        "use crate::{https::intent, name::{DomainName, PolicyHost}, snapshot::Snapshot};",
    );
    fine("policy/mod.rs", "/// Shown by [`crate::admin`].\n// use crate::cli;");
    fine("acme/client/account.rs", "use super::super::{order::Workshop, config, super::name::DomainName};");
    fine("policy/mod.rs", "my_crate::cli(); $crate::cli!();");
    fine("acme/client.rs", "use instant_acme::{Account, Order};");
    fine("config/file.rs", "toml::from_str(text)");
    fine("cli/mod.rs", "let config_toml = \"toml::Value\"; self.toml::<u8>();");
    fine("lib.rs", "pub use crate::cli::run;");
}
