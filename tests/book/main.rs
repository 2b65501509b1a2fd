//! The book in `docs/` and the README are true: their commands run and print what stands there, their TOML
//! loads, their links lead somewhere, and mdBook makes a book of them.
//!
//! How a block of code is written says what becomes of it:
//!
//! | block | what becomes of it |
//! | --- | --- |
//! | `console` | each line after `$ ` is run (with the lines after `> `), and what follows is compared with its output. A line `…` stands for any lines. A command that fails is followed by `$ echo $?` |
//! | `sh not-run`, `console not-run` | not run; its first line says why: `# not tested: needs systemd` |
//! | `toml` | is read by `mta-stsd check` |
//! | `toml file=PATH` | is written to that file, for the commands after it |
//! | any other word | no command |
//!
//! `<!-- run … -->` is run as well and not seen by readers; it may use the functions of `world.sh`. All
//! blocks of a page are run one after another in a world of their own, as root on the machine 192.0.2.10.
//!
//! `MTA_STSD_WRITE_DOCS=1 cargo test --test book` writes the outputs that differ anew.

mod links;
mod page;
mod same;
mod world;

use page::{Page, Step};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};
use world::World;

/// Set this variable to write outputs anew.
const REWRITE: &str = "MTA_STSD_WRITE_DOCS";

/// Worlds at once.
const WORLDS: usize = 2;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and the pages of the book.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(repository().join("README.md"));
    pages.sort();
    pages
}

/// A page with its faults in how blocks are written.
fn read(path: &Path) -> (Page, Vec<String>) {
    let name = path.strip_prefix(repository()).unwrap().display().to_string();
    Page::read(name, fs::read_to_string(path).unwrap())
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_block_says_what_it_is() {
    let faults: Vec<String> = pages().iter().flat_map(|path| read(path).1).collect();
    assert_none(&faults);
}

#[test]
fn every_command_does_what_the_page_shows() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("left out: the network of the book needs root");
    }
    let runs = |step: &Step| matches!(step, Step::Console(_) | Step::Hidden(_));
    let pages: Vec<Page> = pages().iter().map(|path| read(path).0).collect();
    let waiting: Mutex<Vec<Page>> =
        pages.into_iter().filter(|page| page.steps.iter().any(runs)).collect::<Vec<_>>().into();
    assert!(waiting.lock().unwrap().len() > 3, "the book has no commands");
    let faults = Mutex::new(vec![]);
    let next = || waiting.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                while let Some(page) = next() {
                    let found = run(&page);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    assert_none(&faults.into_inner().unwrap());
}

/// Runs a page from top to bottom; what differs.
fn run(page: &Page) -> Vec<String> {
    let mut world = World::open(&page.name);
    let (mut faults, mut written) = (vec![], vec![]);
    for step in &page.steps {
        match step {
            Step::Toml { .. } => {}
            Step::File { path, text } => {
                let (output, code) =
                    world.run(&format!("cat >'{path}' <<'END OF FILE'\n{text}END OF FILE\n"));
                assert_eq!(code, 0, "{path}: {output}");
            }
            Step::Hidden(command) => {
                let (output, code) = world.run(command);
                if code != 0 {
                    faults.push(format!(
                        "{}: hidden commands ended with {code}:\n{command}\n{output}",
                        page.name
                    ));
                    break;
                }
            }
            Step::Console(console) => {
                let mut now = console.clone();
                for (index, said) in console.commands.iter().enumerate() {
                    let (output, code) = world.run(&said.command);
                    let asked = console.commands.get(index + 1).is_some_and(|next| next.command == "echo $?");
                    if code != 0 && !asked {
                        faults.push(format!(
                            "{}: `{}` ended with {code}; follow it with `$ echo $?`:\n{output}",
                            page.name, said.command
                        ));
                    }
                    if !same::same(&said.output, &output) {
                        faults.push(format!(
                            "{}: `{}` is to print\n{}and prints\n{output}",
                            page.name, said.command, said.output
                        ));
                        now.commands[index].output = output;
                    }
                }
                written.push((console.range.clone(), now.text()));
            }
        }
    }
    if std::env::var_os(REWRITE).is_some() {
        fs::write(repository().join(&page.name), page.with(&written)).unwrap();
    }
    faults.extend((!faults.is_empty()).then(|| world.logs()));
    faults
}

#[test]
fn every_configuration_that_is_shown_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tenants.d")).unwrap();
    let main = folder.path().join("mta-stsd.toml");
    let mut faults = vec![];
    for path in pages() {
        let page = read(&path).0;
        for text in page.steps.iter().filter_map(|step| match step {
            Step::Toml { text } => Some(text),
            _ => None,
        }) {
            let needs_acme = !text.contains("[acme]") && !text.contains("[[acme.");
            let rest = if needs_acme { "\n[acme]\ndirectory = \"internal\"\n" } else { "" };
            fs::write(&main, format!("{text}{rest}")).unwrap();
            let binary = env!("CARGO_BIN_EXE_mta-stsd");
            let output = Command::new(binary).args(["check", "--config"]).arg(&main).output().unwrap();
            if !output.status.success() {
                faults.push(format!("{}:\n{text}{}", page.name, String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_link_leads_somewhere() {
    assert_none(&links::faults());
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = fs::read_to_string(repository().join("docs/SUMMARY.md")).unwrap();
    for page in fs::read_dir(repository().join("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert_eq!(summary.matches(&format!("({name})")).count(), 1, "docs/{name} in docs/SUMMARY.md");
        }
    }
}

#[test]
fn mdbook_makes_a_book_without_a_warning() {
    let mdbook = repository().join("target/tools/bin/mdbook");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&mdbook);
    command.arg("build").arg(repository().join("docs")).arg("--dest-dir").arg(folder.path());
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {} ({error}): tests/run installs it, with `cargo install`", mdbook.display())
    });
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    assert!(folder.path().join("index.html").exists() && folder.path().join("concepts.html").exists());
}
