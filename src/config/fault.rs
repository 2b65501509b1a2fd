//! One thing wrong in the configuration: where it stands, what is wrong, what would be right.
//!
//! Faults are values, not errors of the program: all of them are collected and shown together. They
//! carry what they need to be shown, so they outlive the text they were found in. That text may be
//! anybody's: it is escaped and cut here, and the values of secret keys are masked.

use super::{
    TenantId,
    source::{Source, Span},
};
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use std::{fmt, ops::Range, path::Path};

/// The longest piece of the operator's text quoted in a sentence, in characters.
const QUOTED_MAX: usize = 80;
/// The longest piece of a source line shown, in characters, around the caret.
const LINE_MAX: usize = 160;
/// How much of a line is shown before the caret when the line is cut, in characters.
const LINE_FRONT: usize = 40;
/// Faults kept for one file; the rest are counted. A list of a million bad lines has one cause.
pub(super) const FAULTS_MAX: usize = 200;

/// Whether a fault holds something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What it is about is not applied.
    Fault,
    /// Applied, but unwise.
    Warning,
}

/// One thing wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Whether it holds something back.
    pub severity: Severity,
    /// The file, as reached from the main file's path.
    pub file: String,
    /// Line from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// Column from 1, in characters; 0 when it is about the file as a whole.
    pub column: usize,
    /// The key it is about, such as `acme.directory`; empty for the file as a whole.
    pub key: String,
    /// The tenant that is held back, when it is about one.
    pub tenant: Option<String>,
    /// What is wrong: escaped, one sentence, no full stop.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
    /// The source line: escaped, cut around the caret, secrets masked.
    pub source: String,
    /// The marked characters of `source`.
    #[serde(skip)]
    marked: Range<usize>,
}

impl Fault {
    /// A fault of the file as a whole. `problem` and `remedy` must not have foreign text unescaped.
    pub fn of_file(severity: Severity, path: &Path, problem: String, remedy: String) -> Self {
        Self {
            severity,
            file: shown(&path.to_string_lossy()),
            line: 0,
            column: 0,
            key: String::new(),
            tenant: None,
            problem,
            remedy,
            source: String::new(),
            marked: 0..0,
        }
    }

    /// A fault at `span` of `source`. `problem` must have quoted foreign text with [`quoted`].
    pub(super) fn at(
        severity: Severity,
        source: &Source,
        span: Span,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (line, column) = source.position(span.start);
        let (text, marked) = line_shown(source, span, column);
        Self {
            line,
            column,
            key: shown(key),
            source: text,
            marked,
            ..Self::of_file(severity, source.path(), problem.into(), remedy.into())
        }
    }

    /// Says which tenant it holds back.
    pub(super) fn for_tenant(mut self, tenant: &TenantId) -> Self {
        self.tenant = Some(tenant.as_str().to_owned());
        self
    }

    /// Whether something is held back, as opposed to a warning.
    pub fn holds_back(&self) -> bool {
        self.severity == Severity::Fault
    }

    /// The fault as people read it: the place, the source line with a caret, what would be right.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Fault => Level::ERROR.with_name("fault"),
            Severity::Warning => Level::WARNING,
        };
        let title = match &self.tenant {
            Some(tenant) => format!("tenant {tenant}: {}", self.problem),
            None => self.problem.clone(),
        };
        let group = level.primary_title(title).elements(None::<Origin<'_>>);
        let octet = |chars| self.source.char_indices().nth(chars).map_or(self.source.len(), |(at, _)| at);
        let marked = octet(self.marked.start)..octet(self.marked.end);
        let snippet = Snippet::source(self.source.as_str())
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(marked));
        let group = if self.line == 0 {
            group.element(Origin::path(self.file.as_str()))
        } else if self.marked.start + 1 == self.column {
            group.element(snippet.path(self.file.as_str()))
        } else {
            // The line is cut, so its column is not that of the file.
            let origin = Origin::path(self.file.as_str()).line(self.line).char_column(self.column);
            group.element(origin).element(snippet)
        };
        let help = Level::HELP.message(self.remedy.as_str());
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group.element(help)])
    }
}

/// One line for the log: the place, the matter and the remedy.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        match &self.tenant {
            Some(tenant) => write!(f, ": tenant {tenant}: {}", self.problem)?,
            None => write!(f, ": {}", self.problem)?,
        }
        write!(f, "; {}", self.remedy)
    }
}

/// The faults of one file while it is read.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kept: Vec<Fault>,
    holding_back: usize,
    left_out: usize,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.holding_back += usize::from(fault.holds_back());
        if self.kept.len() < FAULTS_MAX {
            self.kept.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    /// How many faults there are so far, warnings not counted.
    pub(super) fn holding_back(&self) -> usize {
        self.holding_back
    }

    /// The faults in the order of the file, and one more that counts those left out.
    pub(super) fn finish(mut self, path: &Path) -> Vec<Fault> {
        self.kept.sort_by_key(|fault| (fault.line, fault.column));
        if self.left_out > 0 {
            self.kept.push(Fault::of_file(
                if self.holding_back > 0 { Severity::Fault } else { Severity::Warning },
                path,
                format!("{} more like these are not shown", self.left_out),
                format!("mend the first {FAULTS_MAX} and check again"),
            ));
        }
        self.kept
    }
}

/// Foreign text in quotation marks, escaped and cut, for use within a sentence.
pub(super) fn quoted(text: &str) -> String {
    let mut cut: String = shown(&text.chars().take(QUOTED_MAX).collect::<String>());
    if text.chars().nth(QUOTED_MAX).is_some() {
        cut.push('…');
    }
    format!("\"{cut}\"")
}

/// Foreign text with every character escaped that could steer a terminal or break a line.
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The line of `span` as it may be shown, and the characters of it to mark.
fn line_shown(source: &Source, span: Span, column: usize) -> (String, Range<usize>) {
    let line = source.line(span.start);
    let start = column - 1;
    let length = source.slice(span.start, span.end).lines().next().map_or(0, |text| text.chars().count());
    let mut text: Vec<char> = line.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect();
    if line.contains('\t') {
        text.iter_mut().zip(line.chars()).filter(|(_, c)| *c == '\t').for_each(|(shown, _)| *shown = ' ');
    }
    if holds_secret(source, span.start) {
        let keep = text.iter().position(|c| *c == '=').map_or(0, |at| at + 1);
        text.truncate(keep);
        text.extend([' ', '…']);
    }
    let start = start.min(text.len());
    let end = (start + length.max(1)).min(text.len().max(start + 1));
    if text.len() <= LINE_MAX {
        return (text.into_iter().collect(), start..end);
    }
    let from = start.saturating_sub(LINE_FRONT);
    let cut: String = text.iter().skip(from).take(LINE_MAX).collect();
    (cut, start - from..(end - from).min(LINE_MAX))
}

/// Whether the line may hold a secret: judged by its words and its table alone, because a text that
/// is not TOML has no keys to go by. Domain names have no underscore, so they are not taken for keys.
fn holds_secret(source: &Source, at: u32) -> bool {
    const IN_KEY: [&str; 5] = ["key", "mac", "secret", "token", "password"];
    const ANYWHERE: [&str; 3] = ["_key", "mac_", "external_account"];
    let line = source.line(at).to_ascii_lowercase();
    if line.trim_start().starts_with('[') && !line.contains('=') {
        return false;
    }
    let key = line.split_once('=').map_or("", |(key, _)| key);
    IN_KEY.iter().any(|word| key.contains(word))
        || ANYWHERE.iter().any(|word| line.contains(word))
        || source.header_above(at).contains("external_account")
}
