//! A report as one page for a person: the verdict first, then per topic what was seen, what that means
//! for mail, and what to do.

use super::report::{Report, TopicReport};
use crate::name::DomainName;
use std::fmt::Write;

/// Columns of the page.
const WIDTH: usize = 100;

impl Report {
    /// The page: plain text, lines of at most 100 columns unless one word is longer.
    pub fn page(&self) -> String {
        let mut page = String::new();
        paragraph(&mut page, "", &self.verdict.sentence);
        for topic in &self.topics {
            page.push('\n');
            write_topic(&mut page, topic, &self.domain);
        }
        let otherwise: Vec<_> = self.compatibility.iter().filter(|sender| !sender.as_written).collect();
        if !self.compatibility.is_empty() {
            page.push_str("\nSenders\n");
            let (all, others) = (self.compatibility.len(), otherwise.len());
            paragraph(
                &mut page,
                "  ",
                &format!("{} of {all} known senders read the policy as written.", all - others),
            );
        }
        for sender in otherwise {
            paragraph(&mut page, "  ", &format!("{}: {}", sender.sender, sender.reads));
        }
        page
    }
}

fn write_topic(page: &mut String, topic: &TopicReport, domain: &DomainName) {
    line(page, topic.topic.title());
    for seen in &topic.seen {
        paragraph(page, "  ", seen);
    }
    for finding in &topic.findings {
        let entry = finding.code.entry();
        let about =
            if finding.subject.is_empty() { String::new() } else { format!(" ({})", finding.subject) };
        let severity = finding.severity.as_str();
        paragraph(page, "  ", &format!("[{severity}] {}{about}: {}", finding.code, entry.title));
        if !finding.evidence.is_empty() {
            paragraph(page, "      ", &format!("seen: {}", finding.evidence));
        }
        paragraph(page, "      ", &format!("mail: {}", entry.effect));
        paragraph(page, "      ", &format!("do:   {}", finding.remedy(domain)));
    }
}

fn line(page: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{text}");
}

/// `text` in lines that begin with `indent`; every line but the first is two columns further in.
fn paragraph(page: &mut String, indent: &str, text: &str) {
    let mut current = indent.to_owned();
    let mut begins = true;
    for word in text.split(' ') {
        if !begins && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(page, current.trim_end());
            current = format!("{indent}  ");
            begins = true;
        }
        if !begins {
            current.push(' ');
        }
        current.push_str(word);
        begins = false;
    }
    line(page, current.trim_end());
}
