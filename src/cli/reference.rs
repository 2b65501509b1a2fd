//! Keeps `docs/commands.md` equal to the command line's own definitions, and the other pages to it.

use super::{CONFIG, Cli, DIFFERENT, DONE, FAILED, UNAVAILABLE, UNKNOWN, USAGE};
use clap::{Arg, Command, CommandFactory};
use std::{env, fmt::Write, fs, path::Path};

/// Set this variable to write the page anew.
const REWRITE: &str = "MTA_STSD_WRITE_DOCS";

const HEAD: &str = "\
# Commands

Every command with its arguments. This page is written by a test from the definitions that the command line
is read by; with `MTA_STSD_WRITE_DOCS=1 cargo test the_commands_page` it is written anew. `mta-stsd help`
and `mta-stsd COMMAND --help` say the same.

Commands that ask or tell the running daemon do so through its socket (`admin.socket`). `check`, `records`,
`audit`, `quickstart` and `import` need no daemon; `audit`, `quickstart` and `import` need no configuration.
";

/// What every command ends with.
const CODES: [(u8, &str); 7] = [
    (DONE, "done; `audit`: nothing found at or above `--fail-on`; `records --verify`: all is as expected"),
    (
        DIFFERENT,
        "`audit`: something was found; `records --verify`: something differs; `health`: not well, or not ready",
    ),
    (UNKNOWN, "`audit`, `records --verify`: it could not be told"),
    (USAGE, "the command line was not understood"),
    (UNAVAILABLE, "the running daemon could not be asked"),
    (FAILED, "the daemon could not start, or a command could not be carried out; trying again may help"),
    (CONFIG, "the configuration, or what it names, was refused: only a person can mend it"),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    page += "\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
    for (code, meaning) in CODES {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(&mut page, &command);
    page
}

/// The sections of the commands below `command`.
fn write(page: &mut String, command: &Command) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let usage = below.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let about = below.get_long_about().or(below.get_about()).map(ToString::to_string).unwrap_or_default();
        let level = if command.get_name() == "mta-stsd" { "##" } else { "###" };
        let name = usage.split(" [").next().unwrap_or(usage).split(" <").next().unwrap_or(usage);
        let name = name.split(" --").next().unwrap_or(name);
        let _ = write!(page, "\n{level} `{name}`\n\n{about}.\n\n```text\n{usage}\n```\n");
        let arguments: Vec<&Arg> =
            below.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").collect();
        if !arguments.is_empty() {
            page.push_str("\n| argument | meaning |\n| --- | --- |\n");
        }
        for argument in arguments {
            let _ = writeln!(page, "| {} | {} |", shown(argument), meaning(argument));
        }
        write(page, below);
    }
}

fn shown(argument: &Arg) -> String {
    let names: Vec<String> = argument
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .chain(argument.get_long().map(|long| format!("--{long}")))
        .collect();
    let takes = argument.get_action().takes_values();
    let values = argument.get_value_names().filter(|_| takes).unwrap_or_default();
    let values: Vec<String> = values.iter().map(|value| format!("<{value}>")).collect();
    let whole = format!("{} {}", names.join(", "), values.join(" "));
    format!("`{}`", whole.trim())
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = help.replace('|', "\\|").replace('<', "\\<");
    let values = argument.get_possible_values();
    let values: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        let values: Vec<String> = values
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        let _ = write!(text, "; one of {}", values.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, "; also as the environment variable `{}`", variable.to_string_lossy());
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, ". Default: `{}`", defaults.join(" "));
    }
    text
}

#[test]
fn the_commands_page_is_the_command_line() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let page = page();
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == page, "docs/commands.md is not the command line's; {REWRITE}=1 writes it anew");
}

/// Commands within the text of pages name what exists; those in blocks are run by tests/book.
#[test]
fn every_command_in_the_text_of_a_page_exists() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Cli::command();
    command.build();
    let mut pages = vec![repository.join("README.md"), repository.join("config.example.toml")];
    pages.extend(fs::read_dir(repository.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut seen = 0;
    for path in pages.iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).unwrap();
        for code in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let Some(arguments) = code.strip_prefix("mta-stsd ") else { continue };
            seen += 1;
            if let Some(unknown) = unknown(&command, arguments) {
                panic!("{}: `{code}`: {unknown} is not known", path.display());
            }
        }
    }
    assert!(seen > 20, "only {seen} commands in the text");
}

/// The first word that the command line would not take.
fn unknown(command: &Command, arguments: &str) -> Option<String> {
    let words = arguments.split([' ', '=', '[', ']']).filter(|word| !word.is_empty());
    let mut known = vec![command];
    for word in words {
        // `show|export` stands for either.
        let below: Vec<&Command> =
            word.split('|').filter_map(|name| known[0].find_subcommand(name)).collect();
        if !below.is_empty() && below.len() == word.split('|').count() {
            known = below;
        } else if let Some(long) = word.strip_prefix("--") {
            let has = |command: &&Command| {
                let mut all = command.get_arguments().filter_map(Arg::get_long);
                all.any(|known| known == long) || ["help", "version"].contains(&long)
            };
            if !known.iter().any(has) {
                return Some(word.to_owned());
            }
        } else if known[0].has_subcommands() && word.bytes().all(|c| c.is_ascii_lowercase()) {
            return Some(word.to_owned());
        }
    }
    None
}

#[test]
fn a_command_that_is_not_there_is_found() {
    let mut command = Cli::command();
    command.build();
    for known in ["status DOMAIN", "certificate show|export HOST", "records --verify a.example", "help"] {
        assert_eq!(unknown(&command, known), None, "{known}");
    }
    assert_eq!(unknown(&command, "certificate exprot HOST").as_deref(), Some("exprot"));
    assert_eq!(unknown(&command, "status --colour").as_deref(), Some("--colour"));
}
