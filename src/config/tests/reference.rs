//! Keeps `docs/configuration.md` equal to `config.example.toml`, which says of every key what it is.

use super::{Config, example::keys};
use std::{env, fmt::Write, fs, path::Path};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// Set this variable to write the page anew.
const REWRITE: &str = "MTA_STSD_WRITE_DOCS";

const HEAD: &str = "\
# Configuration

Every key of the main file, table by table. This page is written by a test from the comments of
`config.example.toml`; with `MTA_STSD_WRITE_DOCS=1 cargo test the_configuration_page` it is written anew.

The main file is `/etc/mta-stsd/mta-stsd.toml` unless `--config` names another. Only `acme.directory` has to
be written; a key that is left out has its default. Lengths of time are a whole number and one unit: `s`,
`m`, `h`, `d` or `w`. Paths are relative to the folder of the file. A key that is not known is a fault, and
the message names the one that was perhaps meant: `mta-stsd check` shows all faults at once.

*At once* means: within a second of an edit. *At a restart* means that the log and `mta-stsd status` name the
key when it was changed, and go on with the old value.
";

/// What the example says of a table.
#[derive(Default)]
struct Section {
    /// Its header; empty for the top level.
    header: String,
    about: Vec<String>,
    keys: Vec<Key>,
    /// A table that the example only shows, in comments.
    shown: Vec<String>,
}

/// What the example says of a key.
struct Key {
    name: String,
    about: Vec<String>,
    value: String,
    /// Whether the value stands in a comment: then it is the default, unless the text says otherwise.
    commented: bool,
}

impl Section {
    /// The table's name, with the word NAME where operators choose one.
    fn name(&self) -> String {
        self.header.trim_matches(['[', ']']).replace("policies.hosted", "policies.NAME")
    }

    fn page(&self) -> String {
        let mut page = match self.header.as_str() {
            "" => "\n## The top of the file\n".to_owned(),
            header => format!("\n## `{}`\n", header.replace("policies.hosted", "policies.NAME")),
        };
        let _ = write!(page, "{}", paragraphs(&self.about));
        if !self.shown.is_empty() {
            let _ = write!(page, "\n```toml\n{}\n```\n", self.shown.join("\n"));
        }
        for key in &self.keys {
            let _ = write!(page, "{}", key.page(&self.name()));
        }
        page
    }
}

impl Key {
    fn page(&self, table: &str) -> String {
        let full = if table.is_empty() { self.name.clone() } else { format!("{table}.{}", self.name) };
        let text = self.about.join(" ");
        let said = text.contains("Default: ") || text.contains("No default: ");
        let value = self.value.split("    # ").next().unwrap_or_default();
        let value = match (said, self.commented) {
            (false, true) => format!("- Default: `{value}`\n"),
            _ => format!("- Example: `{value}`\n"),
        };
        let reloaded =
            table.is_empty() || ["tenant", "policies", "publish"].iter().any(|own| table.starts_with(own));
        let when = if reloaded { "at once" } else { "at a restart" };
        format!(
            "\n### `{full}`\n{}\n- Kind: {}\n{value}- An edit counts: {when}\n",
            paragraphs(&self.about),
            kind(&self.value)
        )
    }
}

/// What sort of value it is, as one sees.
fn kind(value: &str) -> &'static str {
    let inner = value.trim_matches('"');
    let is_time = inner.len() > 1
        && inner.ends_with(['s', 'm', 'h', 'd', 'w'])
        && inner[..inner.len() - 1].bytes().all(|c| c.is_ascii_digit());
    match value.as_bytes().first() {
        Some(b'"') if is_time => "a length of time",
        Some(b'"') => "a text",
        Some(b'[') => "a list of texts",
        Some(b'{') => "a table",
        Some(b't' | b'f') => "true or false",
        _ => "a whole number",
    }
}

/// Lines of comments as Markdown; further indented ones are tables of two columns and stay as they are.
fn paragraphs(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let text = lines.join("\n").replace('<', "\\<");
    format!("\n{text}\n")
}

/// `key = value` in a line, or in a comment.
fn key_in(line: &str) -> Option<(&str, &str, bool)> {
    let bare = line.strip_prefix("# ").unwrap_or(line);
    let (key, value) = bare.split_once(" = ")?;
    let is_key = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    (!key.is_empty() && key.bytes().all(is_key)).then_some((key, value, bare.len() != line.len()))
}

/// The sections of the example, in its order.
fn sections() -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut current = 0;
    let mut about = Vec::new();
    // The first paragraphs are about the file; the page has words of its own for that.
    let lines = EXAMPLE.lines().skip_while(|line| line.starts_with('#'));
    for line in lines {
        if let Some(shown) = line.strip_prefix("#   ") {
            if !about.is_empty() {
                let header = shown.to_owned();
                sections.push(Section { header, about: std::mem::take(&mut about), ..Section::default() });
            }
            sections.last_mut().expect("begins with one").shown.push(shown.to_owned());
        } else if line.starts_with('[') {
            current = sections.len();
            // A tenant that stands there a second time shows nothing new.
            let header = line.to_owned();
            sections.push(Section { header, about: std::mem::take(&mut about), ..Section::default() });
        } else if let Some((name, value, commented)) = key_in(line) {
            let about = std::mem::take(&mut about);
            let key = Key { name: name.to_owned(), about, value: value.to_owned(), commented };
            sections[current].keys.push(key);
        } else if let Some(text) = line.strip_prefix('#') {
            about.push(text.trim().to_owned());
        }
    }
    sections
}

/// The page. A table that stands in the example several times is one section, with each key once.
fn page() -> String {
    let mut merged: Vec<Section> = vec![];
    for section in sections() {
        match merged.iter_mut().find(|known| known.header == section.header) {
            Some(known) => {
                let new = section.keys.into_iter().filter(|key| !key.about.is_empty());
                known.keys.extend(new.collect::<Vec<_>>());
            }
            None => merged.push(section),
        }
    }
    HEAD.to_owned() + &merged.iter().map(Section::page).collect::<String>()
}

#[test]
fn the_configuration_page_is_the_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = page();
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == page, "docs/configuration.md is not the example's; {REWRITE}=1 writes it anew");
}

/// And knows no other, for the example has none: it passes the check.
#[test]
fn the_configuration_page_explains_every_key_that_is_read() {
    let page = page();
    for key in keys() {
        let known = key.replace("policies.*", "policies.NAME");
        let is_table =
            page.contains(&format!("## `[{known}]`")) || page.contains(&format!("## `[[{known}]]`"));
        // The keys of an inline table are explained with it.
        let parent = known.rsplit_once('.').map_or("", |(parent, _)| parent);
        let explained = |key: &str| page.contains(&format!("### `{key}`\n"));
        let below = ["acme.preflight", "acme.external_account"].contains(&parent) && explained(parent);
        let holds_tables = ["policies", "policies.NAME"].contains(&known.as_str());
        assert!(is_table || below || holds_tables || explained(&known), "{key} is not in the page");
    }
}

/// What the page says to count at once is not among the keys that need a restart, and the other way round.
#[test]
fn the_page_tells_what_needs_a_restart() {
    let page = page();
    let restart = Config::new("").check().server.unwrap().settings_keys();
    for section in page.split("\n### `").skip(1) {
        let key = section.split('`').next().unwrap();
        let at_restart = section.contains("An edit counts: at a restart");
        assert_eq!(restart.contains(&key), at_restart, "{key}");
    }
}
