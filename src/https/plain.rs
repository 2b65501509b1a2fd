//! What plain HTTP answers: HTTP-01 challenges (RFC 8555 §8.3), and 404 to everything else.
//!
//! Never a redirect and never a policy (H-36). Authorities validate from networks of their own
//! choosing, so nothing here counts or limits by address.

use super::respond::{content, host_field, text};
use crate::{certificate::ChallengeTable, name::PolicyHost};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

/// Where authorities look for tokens.
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Answers `request` from the challenges that are pending.
///
/// A token is told only to who asks for exactly its host; the port in Host does not matter,
/// because a private authority may validate through another one.
pub(super) fn respond<B>(challenges: &ChallengeTable, request: &Request<B>) -> Response<Full<Bytes>> {
    match key_authorization(challenges, request) {
        Some(answer) => content(request, StatusCode::OK, answer.into()),
        None => text(request, StatusCode::NOT_FOUND),
    }
}

fn key_authorization<B>(challenges: &ChallengeTable, request: &Request<B>) -> Option<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let token = request.uri().path().strip_prefix(CHALLENGE_PATH).filter(|token| is_token(token))?;
    let host = PolicyHost::from_full_name(host_field(request.headers()).ok()??.host)?;
    challenges.http_01(&host, token)
}

/// Whether a text can be a token: base64url of at least 96 bits (RFC 8555 §8.3 asks for 128).
fn is_token(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

    #[track_caller]
    fn check(method: &str, host: &str, path: &str, expected: StatusCode) {
        let challenges = ChallengeTable::default();
        let own = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let _pending = challenges.answer_http_01(own, TOKEN, format!("{TOKEN}.thumbprint"));
        let request = Request::builder().method(method).uri(path).header("host", host).body(()).unwrap();
        let response = respond(&challenges, &request);
        assert_eq!(response.status(), expected, "{method} {host} {path}");
        assert!(!response.headers().contains_key("location"));
        let body = whole(response.into_body().collect()).to_bytes();
        match expected {
            StatusCode::OK => assert_eq!(body, format!("{TOKEN}.thumbprint")),
            _ => assert!(!String::from_utf8_lossy(&body).contains(TOKEN), "the token is never echoed"),
        }
    }

    /// A body that is whole is collected without waiting.
    fn whole<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(result) => result.unwrap(),
            std::task::Poll::Pending => panic!("a full body is ready"),
        }
    }

    #[test]
    fn a_token_is_told_for_exactly_its_host() {
        let path = format!("/.well-known/acme-challenge/{TOKEN}");
        check("GET", "mta-sts.example.com", &path, StatusCode::OK);
        check("GET", "MTA-STS.example.com.:5002", &path, StatusCode::OK);
        check("GET", "mta-sts.example.org", &path, StatusCode::NOT_FOUND);
        check("GET", "example.com", &path, StatusCode::NOT_FOUND);
        check("POST", "mta-sts.example.com", &path, StatusCode::NOT_FOUND);
    }

    #[test]
    fn everything_else_is_404() {
        for path in ["/", "/.well-known/mta-sts.txt", "/.well-known/acme-challenge/"] {
            check("GET", "mta-sts.example.com", path, StatusCode::NOT_FOUND);
        }
        let odd = [
            format!("{TOKEN}x"),
            format!("../{TOKEN}"),
            format!("{TOKEN}/"),
            "short".to_owned(),
            "a".repeat(129),
        ];
        for token in odd {
            check(
                "GET",
                "mta-sts.example.com",
                &format!("/.well-known/acme-challenge/{token}"),
                StatusCode::NOT_FOUND,
            );
        }
    }
}
