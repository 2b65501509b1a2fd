//! What a page tells to do, in its order.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::{fmt::Write, ops::Range};

/// One page.
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    text: String,
    pub steps: Vec<Step>,
}

/// One thing to do.
pub enum Step {
    /// A block with commands and what they print.
    Console(Console),
    /// Commands that readers do not see.
    Hidden(String),
    /// A file to write.
    File { path: String, text: String },
    /// A configuration that is only shown.
    Toml { text: String },
}

/// A block as one sees it in a terminal.
#[derive(Clone)]
pub struct Console {
    /// Where its lines are in the page, without the fences.
    pub range: Range<usize>,
    /// How far the block is indented.
    indent: usize,
    pub commands: Vec<Said>,
}

/// A command and its output.
#[derive(Clone)]
pub struct Said {
    pub command: String,
    pub output: String,
}

impl Page {
    /// Reads a page. What is wrong with its blocks is told, and such a block is left out.
    pub fn read(name: String, text: String) -> (Self, Vec<String>) {
        let (mut steps, mut faults) = (vec![], vec![]);
        let mut events = Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter();
        while let Some((event, range)) = events.next() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::HtmlBlock) => {
                    let hidden =
                        text[range].trim().strip_prefix("<!-- run").and_then(|rest| rest.strip_suffix("-->"));
                    steps.extend(hidden.map(|commands| Step::Hidden(commands.trim().to_owned())));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let mut code = String::new();
                    for (event, _) in events.by_ref() {
                        match event {
                            Event::Text(part) => code.push_str(&part),
                            Event::End(TagEnd::CodeBlock) => break,
                            _ => {}
                        }
                    }
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    match step(&info, code, &text, range) {
                        Ok(step) => steps.extend(step),
                        Err(fault) => faults.push(format!("{name}:{line}: {fault}")),
                    }
                }
                _ => {}
            }
        }
        (Self { name, text, steps }, faults)
    }

    /// The page with other lines in some of its blocks, which are given in their order.
    pub fn with(&self, blocks: &[(Range<usize>, String)]) -> String {
        let mut text = self.text.clone();
        for (range, new) in blocks.iter().rev() {
            text.replace_range(range.clone(), new);
        }
        text
    }
}

fn step(info: &str, code: String, text: &str, range: Range<usize>) -> Result<Option<Step>, String> {
    let (word, rest) = info.split_once(' ').unwrap_or((info, ""));
    match (word, rest) {
        ("", _) => Err("a block begins with ``` and a word; text, if it is nothing else".to_owned()),
        ("sh" | "console", "not-run") => match code.starts_with("# not tested: ") {
            true => Ok(None),
            false => Err("its first line says why it is not run: # not tested: …".to_owned()),
        },
        ("console", "") => Console::read(&code, text, range).map(|console| Some(Step::Console(console))),
        ("sh" | "bash" | "shell" | "console", _) => {
            Err("commands stand in a block `console`, or in one `sh not-run`".to_owned())
        }
        ("toml", "") => Ok(Some(Step::Toml { text: code })),
        ("toml", file) => match file.strip_prefix("file=") {
            Some(path) => Ok(Some(Step::File { path: path.to_owned(), text: code })),
            None => Err(format!("{file:?} is not known; write toml, or toml file=PATH")),
        },
        _ => Ok(None),
    }
}

impl Console {
    fn read(code: &str, text: &str, range: Range<usize>) -> Result<Self, String> {
        let mut commands: Vec<Said> = vec![];
        for line in code.lines() {
            let more = if line == ">" { Some("") } else { line.strip_prefix("> ") };
            match (line.strip_prefix("$ "), more, commands.last_mut()) {
                (Some(command), _, _) => {
                    commands.push(Said { command: command.to_owned(), output: String::new() });
                }
                (None, Some(more), Some(last)) if last.output.is_empty() => {
                    last.command.push('\n');
                    last.command.push_str(more);
                }
                (None, _, Some(last)) => {
                    last.output.push_str(line);
                    last.output.push('\n');
                }
                (None, _, None) => {
                    return Err("a block `console` begins with \"$ \" and a command".to_owned());
                }
            }
        }
        let indent = range.start - text[..range.start].rfind('\n').map_or(0, |end| end + 1);
        let block = &text[range.clone()];
        let first = range.start + block.find('\n').map_or(block.len(), |end| end + 1);
        let last = range.start + block.trim_end().rfind('\n').map_or(0, |end| end + 1);
        Ok(Self { range: first..last, indent, commands })
    }

    /// Its lines as they stand in the page.
    pub fn text(&self) -> String {
        let mut code = String::new();
        for Said { command, output } in &self.commands {
            let _ = write!(code, "$ {}\n{output}", command.replace('\n', "\n> "));
        }
        let indent = " ".repeat(self.indent);
        code.lines().map(|line| format!("{indent}{line}").trim_end().to_owned() + "\n").collect()
    }
}
