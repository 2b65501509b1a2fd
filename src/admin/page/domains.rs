//! The list of domains: searched, filtered, in pages.

use super::{
    Page, answer,
    gate::Caller,
    shown::{Frame, far, grouped},
    survey::{Filter, Row, Wanted},
};
use crate::{name::DomainName, policy::Mode};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

/// Domains on one page.
const PAGE: usize = 100;
/// The longest text that is searched for, in characters.
const TEXT_MAX: usize = 253;

/// What may stand in the query.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "domains.html")]
struct Domains {
    frame: Frame,
    text: String,
    modes: Vec<Choice>,
    states: Vec<Choice>,
    rows: Vec<Listed>,
    total: String,
    page: usize,
    pages: usize,
    before: Option<String>,
    after: Option<String>,
}

struct Choice {
    word: &'static str,
    label: &'static str,
    chosen: bool,
}

struct Listed {
    domain: String,
    /// As people of its language write it, where that is another spelling.
    spelt: Option<String>,
    mode: &'static str,
    certificate: String,
    certificate_class: &'static str,
    finding: &'static str,
    finding_class: &'static str,
    notes: Vec<&'static str>,
}

pub(super) async fn show(
    State(page): State<Page>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(survey) = page.0.surveyor.survey(&page.0.sources).await else {
        let why = "The fleet could not be looked through; the log says why.";
        return answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "Not now", why);
    };
    let text: String = asked.q.trim().chars().take(TEXT_MAX).collect();
    let mode = Mode::from_keyword(&asked.mode);
    let filter =
        Filter::ALL.into_iter().find(|(_, word, _)| *word == asked.state).map(|(filter, _, _)| filter);
    let filter = filter.unwrap_or_default();
    let wanted = Wanted { text: text.to_lowercase(), mode, filter };
    let number: usize = asked.page.parse().ok().filter(|number| *number > 0).unwrap_or(1);
    let now = survey.at;
    // A search through 100,000 names takes milliseconds; handshakes must not wait behind it.
    let from = number.saturating_sub(1).saturating_mul(PAGE);
    let listing = tokio::task::spawn_blocking(move || survey.list(&wanted, from, PAGE));
    let Ok((rows, total)) = listing.await else {
        return answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "Not now", "The log says why.");
    };
    let pages = total.div_ceil(PAGE).max(1);
    let leads =
        |to: usize| (to != number && (1..=pages).contains(&to)).then(|| address(&text, mode, filter, to));
    let domains = Domains {
        frame: Frame::new("Domains", "domains", caller.csrf()),
        modes: modes(mode),
        states: states(filter),
        rows: rows.iter().map(|row| listed(row, now)).collect(),
        total: grouped(total),
        page: number,
        pages,
        before: leads(number.saturating_sub(1).min(pages)),
        after: leads(number.saturating_add(1)),
        text,
    };
    answer::page(StatusCode::OK, &domains)
}

fn modes(chosen: Option<Mode>) -> Vec<Choice> {
    let all = Choice { word: "", label: "all modes", chosen: chosen.is_none() };
    let each = [Mode::Enforce, Mode::Testing, Mode::None].map(|mode| Choice {
        word: mode.as_str(),
        label: mode.as_str(),
        chosen: chosen == Some(mode),
    });
    std::iter::once(all).chain(each).collect()
}

fn states(chosen: Filter) -> Vec<Choice> {
    let choice = |(filter, word, label)| Choice { word, label, chosen: filter == chosen };
    Filter::ALL.into_iter().map(choice).collect()
}

/// The address of another page of the same list.
fn address(text: &str, mode: Option<Mode>, filter: Filter, page: usize) -> String {
    let word = Filter::ALL.into_iter().find(|(one, _, _)| *one == filter).map_or("", |(_, word, _)| word);
    let text: String = text.bytes().map(escaped).collect();
    format!("/domains?q={text}&mode={}&state={word}&page={page}", mode.map_or("", |mode| mode.as_str()))
}

/// An octet as a query may have it.
fn escaped(octet: u8) -> String {
    match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(octet).into(),
        _ => format!("%{octet:02X}"),
    }
}

fn listed(row: &Row, now: Timestamp) -> Listed {
    let domain: DomainName = row.host.domain();
    let spelt = Some(domain.to_unicode()).filter(|spelt| spelt != domain.as_str());
    let end = row.state.not_after.and_then(|end| Timestamp::from_second(end).ok());
    let (certificate, certificate_class) = match end {
        None if row.state.elsewhere => ("the proxy's".to_owned(), "dull"),
        None => ("none".to_owned(), "bad"),
        Some(end) if end <= now => (format!("ended {}", far(end, now)), "bad"),
        Some(end) => (format!("ends {}", far(end, now)), if row.state.failing { "fair" } else { "good" }),
    };
    let finding = row.state.worst.map_or("none", |worst| worst.as_str());
    let mut notes = Vec::new();
    if row.state.failing {
        notes.push("order failed");
    }
    if row.state.silent {
        notes.push("DNS does not answer");
    }
    Listed {
        domain: domain.to_string(),
        spelt,
        mode: row.mode.as_str(),
        certificate,
        certificate_class,
        finding,
        finding_class: super::domain::class(row.state.worst),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_the_search_and_nothing_in_it_breaks_out() {
        let address = address("a&b=\"ü", Some(Mode::None), Filter::Failing, 2);
        assert_eq!(address, "/domains?q=a%26b%3D%22%C3%BC&mode=none&state=failing&page=2");
    }
}
