//! What an authority says of when to renew (RFC 9773 §4.2): pure, read from its answer.

use super::authority::{RenewalInfo, Window};
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// The longest page address that is shown.
const URL_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    explanation_url: Option<String>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: Timestamp,
    end: Timestamp,
}

/// Reads `body`, which came with a Retry-After of `retry_after`; or says why it is no answer.
pub fn read(body: &[u8], retry_after: Option<Duration>) -> Result<RenewalInfo, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let SuggestedWindow { start, end } = answer.suggested_window;
    // §4.2: such a window is as good as none.
    if end <= start {
        return Err(format!("a renewal window from {start} to {end}"));
    }
    let retry_after = retry_after.unwrap_or(RenewalInfo::UNSAID);
    Ok(RenewalInfo {
        window: Window { start, end },
        explanation_url: answer.explanation_url.filter(|url| can_be_shown(url)),
        retry_after: retry_after.clamp(RenewalInfo::SOONEST, RenewalInfo::LATEST),
    })
}

/// Operators will be sent there, so it is a web page by its looks and nothing that a terminal acts on.
fn can_be_shown(url: &str) -> bool {
    url.len() <= URL_MAX && url.starts_with("https://") && url.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    // RFC 9773 §4.2, its own example.
    #[test]
    fn the_example_of_the_rfc_is_read() {
        let body = br#"{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"},
            "explanationURL":"https://acme.example.com/docs/ari"}"#;
        let info = read(body, Some(hours(6))).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            info.window,
            Window { start: at("2025-01-02T04:00:00Z"), end: at("2025-01-03T04:00:00Z") }
        );
        assert_eq!(info.explanation_url.as_deref(), Some("https://acme.example.com/docs/ari"));
        assert_eq!(info.retry_after, hours(6));
    }

    fn with(start: &str, end: &str, page: &str) -> Vec<u8> {
        format!(
            r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}},"explanationURL":{page},"more":1}}"#
        )
        .into_bytes()
    }

    // Standards A-32.
    #[test]
    fn a_window_that_does_not_end_after_its_start_is_no_answer() {
        let read = |start, end| read(&with(start, end, "null"), None);
        assert!(read("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z").is_ok());
        assert!(read("2026-01-01T00:00:00+01:00", "2025-12-31T23:30:00Z").is_ok(), "offsets count");
        assert!(read("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z").is_err());
        assert!(read("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z").is_err());
        assert!(read("yesterday", "2026-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn what_is_no_renewal_info_is_no_answer() {
        for body in ["", "{}", "null", "<html>", r#"{"suggestedWindow":{}}"#] {
            assert!(read(body.as_bytes(), None).is_err(), "{body}");
        }
    }

    // Standards A-30.
    #[test]
    fn the_next_question_comes_after_a_minute_at_the_soonest_and_a_day_at_the_latest() {
        let body = with("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "null");
        let next = |retry_after| read(&body, retry_after).unwrap().retry_after;
        assert_eq!(next(Some(Duration::ZERO)), Duration::from_secs(60));
        assert_eq!(next(Some(hours(1))), hours(1));
        assert_eq!(next(Some(hours(24 * 365))), hours(24));
        assert_eq!(next(None), hours(6));
    }

    #[test]
    fn a_page_that_could_trick_a_terminal_or_a_browser_is_not_shown() {
        let shown = |page: &str| {
            let body = with("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", page);
            read(&body, None).unwrap().explanation_url
        };
        assert!(shown(r#""https://ca.example/why""#).is_some());
        for page in [r#""javascript:alert(1)""#, r#""https://ca.example/\u001b[31m""#, r#""https://a b""#] {
            assert_eq!(shown(page), None, "{page}");
        }
        assert_eq!(shown(&format!("\"https://{}\"", "a".repeat(500))), None);
    }
}
