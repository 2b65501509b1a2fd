//! Links between pages.

use crate::repository;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// What other pages link to, and what a page links to.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

/// A line for each link that leads nowhere, and for each that leads out of the book.
pub fn faults() -> Vec<String> {
    let mut pages: BTreeMap<PathBuf, Page> = BTreeMap::new();
    for folder in ["", "docs", "tests/zoo"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.insert(path.strip_prefix(repository()).unwrap().to_owned(), read(&text));
            }
        }
    }
    let mut faults = vec![];
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains(':')) {
            if let Some(fault) = fault(path, link, &pages) {
                faults.push(format!("{}: {link} {fault}", path.display()));
            }
        }
    }
    faults
}

fn fault(from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Option<&'static str> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = match file {
        "" => from.to_owned(),
        file => whole(&from.parent().unwrap_or(Path::new("")).join(file)),
    };
    if from.starts_with("docs") && !target.starts_with("docs") {
        return Some("leads out of the book, where nobody can follow; name the file instead");
    }
    if !repository().join(&target).exists() {
        return Some("is not there");
    }
    let there = |anchor| pages.get(&target).is_some_and(|page| page.anchors.contains(anchor));
    anchor.is_some_and(|anchor| !there(anchor)).then_some("has no such heading")
}

/// The path without `..`.
fn whole(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut whole, component| {
        match component {
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
        whole
    })
}

fn read(text: &str) -> Page {
    let (mut page, mut heading) = (Page::default(), None::<String>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = slug(&heading.take().unwrap_or_default());
                let again = |n: &usize| match n {
                    0 => anchor.clone(),
                    n => format!("{anchor}-{n}"),
                };
                let free = (0..).map(|n| again(&n)).find(|anchor| !page.anchors.contains(anchor));
                page.anchors.extend(free);
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            _ => {}
        }
    }
    page
}

/// How GitHub and mdBook call a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn headings_are_called_as_others_call_them() {
    assert_eq!(slug("What it does, and what `check` prints"), "what-it-does-and-what-check-prints");
}
