//! What every answer has in common: the headers that bind browsers, the pages that say no, and the
//! files that do not change.

use super::shown::Frame;
use askama::Template;
use aws_lc_rs::digest;
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use std::sync::OnceLock;

/// Nothing may be loaded, sent or framed but our own stylesheet, icon and forms.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every answer carries. The referrer stays within the page: with `no-referrer` browsers would
/// withhold the origin of our own forms as well.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const STYLE: &str = include_str!("../../../templates/style.css");
const ICON: &str = include_str!("../../../templates/icon.svg");

/// Puts the headers on that every answer has.
pub(super) fn bound(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A template as an answer.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n").into_response(),
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    lines: &'a [String],
    back: Option<&'a str>,
}

/// A page that says why there is no other.
pub(super) fn message(status: StatusCode, title: &str, lines: &[String], back: Option<&str>) -> Response {
    page(status, &Message { frame: Frame::plain(title), lines, back })
}

/// The same in one line.
pub(super) fn refusal(status: StatusCode, title: &str, line: &str) -> Response {
    message(status, title, &[line.to_owned()], None)
}

pub(super) async fn not_found() -> Response {
    refusal(StatusCode::NOT_FOUND, "Not found", "There is no such page.")
}

pub(super) async fn wrong_method() -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "Not like this", "This page is not asked for in that way.")
}

pub(super) async fn style(request: Request) -> Response {
    static TAG: OnceLock<HeaderValue> = OnceLock::new();
    file(request.headers(), "text/css; charset=utf-8", STYLE, &TAG)
}

pub(super) async fn icon(request: Request) -> Response {
    static TAG: OnceLock<HeaderValue> = OnceLock::new();
    file(request.headers(), "image/svg+xml", ICON, &TAG)
}

/// A file that changes with the program only; browsers ask whether it did.
fn file(asked: &HeaderMap, media: &'static str, text: &'static str, tag: &OnceLock<HeaderValue>) -> Response {
    let tag = tag.get_or_init(|| entity_tag(text)).clone();
    let known = asked.get(header::IF_NONE_MATCH) == Some(&tag);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag),
    ];
    match known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, text).into_response(),
    }
}

fn entity_tag(text: &str) -> HeaderValue {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits and quotes stand in a header")
}
