//! Asks a running daemon over its unix socket.

use super::{
    commands::{Answer, Reason},
    listing::{AccountReport, Filter, ListedHost, Plan},
    status::Overview,
};
use crate::{logging::LogLevel, name::PolicyHost};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{io, ops::ControlFlow, path::Path, time::Duration};
use tokio::{net::UnixStream, time::timeout};

/// The longest wait for an answer from memory, or for the next page of a listing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for what takes a walk over the store or an authority's answer. An order under way
/// may hold an account's key for minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest line of a listing, in octets; details are cut to 500 characters long before.
const LINE_MAX: usize = 64 * 1024;

/// Why the daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there, or we may not connect.
    #[error("could not connect to the daemon")]
    Connect(#[source] io::Error),
    /// It took too long.
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection broke, or what came is not HTTP.
    #[error("the daemon's answer broke off")]
    Broken(#[source] hyper::Error),
    /// It answered something else: another version, or another program.
    #[error("the daemon's answer was not understood; is it the same version?")]
    NotUnderstood,
    /// What was named is not there.
    #[error("{0}")]
    Unknown(String),
    /// It was asked in vain.
    #[error("{0}")]
    Refused(String),
}

/// The daemon's status; of `domain` alone when given.
///
/// # Errors
///
/// [`AskError`] when there is no answer that can be read.
pub async fn ask(socket: &Path, domain: Option<&str>) -> Result<Overview, AskError> {
    let query = domain.map(|domain| format!("?domain={}", escaped(domain))).unwrap_or_default();
    exchange(socket, Method::GET, &format!("/status.json{query}"), TIMEOUT).await
}

/// Whether the daemon is well: its word, or why it is not. With `ready`, whether connections should be
/// sent to it, too.
///
/// # Errors
///
/// [`AskError`] when there is no answer that can be read.
pub async fn health(socket: &Path, ready: bool) -> Result<Result<String, String>, AskError> {
    let target = if ready { "/readyz" } else { "/livez" };
    let asked = async {
        let (_connection, response) = open(socket, Method::GET, target).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LINE_MAX).collect().await;
        let body = body.map_err(|_| AskError::NotUnderstood)?.to_bytes();
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        match status {
            StatusCode::OK => Ok(Ok(said)),
            StatusCode::SERVICE_UNAVAILABLE => Ok(Err(said)),
            _ => Err(AskError::NotUnderstood),
        }
    };
    within(TIMEOUT, asked).await
}

/// A plain stream to the daemon that answers at `socket`, over which to take over from it. The daemon waits
/// to hear something first.
///
/// # Errors
///
/// [`AskError::Connect`] when there is none, [`AskError::Refused`] when it takes nobody in now,
/// [`AskError::NotUnderstood`] when it is of a version that cannot be taken over from.
pub async fn take_over(socket: &Path) -> Result<UnixStream, AskError> {
    within(TIMEOUT, super::take_over::reach(socket)).await
}

/// What the scheduler will do in the next 24 hours.
///
/// # Errors
///
/// [`AskError`] when there is no answer that can be read.
pub async fn plan(socket: &Path) -> Result<Plan, AskError> {
    exchange(socket, Method::GET, "/plan", PATIENCE).await
}

/// Hands every host that `filter` takes to `take`, in the order of hosts and as they come, until it
/// breaks. Holds one page at a time.
///
/// # Errors
///
/// [`AskError`]; what was handed over until then is right, but not all.
pub async fn list(
    socket: &Path,
    filter: Filter,
    mut take: impl FnMut(ListedHost) -> ControlFlow<()>,
) -> Result<(), AskError> {
    let expiring = filter.expiring.map(|within| format!("&expiring={}", within.as_secs()));
    let target = format!("/certificates?failing={}{}", filter.failing, expiring.unwrap_or_default());
    let (_connection, response) = within(TIMEOUT, open(socket, Method::GET, &target)).await?;
    if response.status() != StatusCode::OK {
        return Err(AskError::NotUnderstood);
    }
    let mut body = response.into_body();
    let mut begun = Vec::new();
    loop {
        let frame = timeout(TIMEOUT, body.frame()).await.map_err(|_| AskError::Timeout(TIMEOUT))?;
        let Some(frame) = frame.transpose().map_err(AskError::Broken)? else { break };
        let Ok(octets) = frame.into_data() else { continue };
        for part in octets.split_inclusive(|octet| *octet == b'\n') {
            begun.extend_from_slice(part);
            if begun.len() > LINE_MAX {
                return Err(AskError::NotUnderstood);
            }
            if part.ends_with(b"\n") {
                let line = begun.trim_ascii();
                if !line.is_empty() {
                    let host = serde_json::from_slice(line).map_err(|_| AskError::NotUnderstood)?;
                    if take(host).is_break() {
                        return Ok(());
                    }
                }
                begun.clear();
            }
        }
    }
    if begun.is_empty() { Ok(()) } else { Err(AskError::NotUnderstood) }
}

/// Makes the certificate of `host` due at once.
///
/// # Errors
///
/// [`AskError::Unknown`] when the daemon knows no such host, [`AskError::Refused`] when it cannot be now.
pub async fn renew(socket: &Path, host: &PolicyHost) -> Result<Answer, AskError> {
    exchange(socket, Method::POST, &format!("/certificate/renew?host={host}"), PATIENCE).await
}

/// Revokes the certificate of `host`, and orders another when `reissue`.
///
/// # Errors
///
/// [`AskError::Unknown`] when none is held or its authority is not configured, [`AskError::Refused`] when
/// the authority will not.
pub async fn revoke(
    socket: &Path,
    host: &PolicyHost,
    reason: Reason,
    reissue: bool,
) -> Result<Answer, AskError> {
    let reason = reason.word();
    let target = format!("/certificate/revoke?host={host}&reason={reason}&reissue={reissue}");
    exchange(socket, Method::POST, &target, PATIENCE).await
}

/// Our accounts: the one at `authority`, or all.
///
/// # Errors
///
/// [`AskError::Unknown`] when there is no such authority, [`AskError::Refused`] when it does not answer.
pub async fn accounts(socket: &Path, authority: Option<&str>) -> Result<Vec<AccountReport>, AskError> {
    exchange(socket, Method::GET, &at("/accounts", authority), PATIENCE).await
}

/// Gives our account a new key. An authority must be named when there are several.
///
/// # Errors
///
/// As [`accounts`].
pub async fn change_key(socket: &Path, authority: Option<&str>) -> Result<Answer, AskError> {
    exchange(socket, Method::POST, &at("/account/change-key", authority), PATIENCE).await
}

/// Closes our account for good. An authority must be named when there are several.
///
/// # Errors
///
/// As [`accounts`].
pub async fn deactivate(socket: &Path, authority: Option<&str>) -> Result<Answer, AskError> {
    exchange(socket, Method::POST, &at("/account/deactivate", authority), PATIENCE).await
}

/// What the daemon logs.
///
/// # Errors
///
/// [`AskError::Refused`] when it does not write its own log.
pub async fn log_level(socket: &Path) -> Result<LogLevel, AskError> {
    exchange(socket, Method::GET, "/log", TIMEOUT).await
}

/// Logs at `level`, for `time` or until the daemon ends.
///
/// # Errors
///
/// [`AskError::Refused`] also when `level` makes no sense.
pub async fn set_log_level(socket: &Path, level: &str, time: Option<Duration>) -> Result<LogLevel, AskError> {
    let seconds = time.map(|time| format!("&seconds={}", time.as_secs())).unwrap_or_default();
    let target = format!("/log?level={}{seconds}", escaped(level));
    exchange(socket, Method::POST, &target, TIMEOUT).await
}

/// Logs as the daemon was started with.
///
/// # Errors
///
/// As [`log_level`].
pub async fn reset_log_level(socket: &Path) -> Result<LogLevel, AskError> {
    exchange(socket, Method::POST, "/log", TIMEOUT).await
}

fn at(path: &str, authority: Option<&str>) -> String {
    authority.map_or_else(|| path.to_owned(), |authority| format!("{path}?authority={}", escaped(authority)))
}

/// Text as it may stand in a query (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let octet = |octet: u8| match octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
        true => char::from(octet).to_string(),
        false => format!("%{octet:02X}"),
    };
    text.bytes().map(octet).collect()
}

async fn exchange<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    target: &str,
    longest: Duration,
) -> Result<T, AskError> {
    let asked = async {
        let (_connection, response) = open(socket, method, target).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(AskError::Broken)?.to_bytes();
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|_| AskError::NotUnderstood);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| AskError::NotUnderstood)?;
        let told = answer.told.join("; ");
        Err(if status == StatusCode::NOT_FOUND { AskError::Unknown(told) } else { AskError::Refused(told) })
    };
    within(longest, asked).await
}

async fn within<T>(
    longest: Duration,
    asked: impl Future<Output = Result<T, AskError>>,
) -> Result<T, AskError> {
    timeout(longest, asked).await.map_err(|_| AskError::Timeout(longest))?
}

/// Sends a request; the connection lives as long as the first part of what is returned.
async fn open(
    socket: &Path,
    method: Method,
    target: &str,
) -> Result<(SendRequest<Empty<Bytes>>, Response<Incoming>), AskError> {
    let stream = UnixStream::connect(socket).await.map_err(AskError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(AskError::Broken)?;
    // Ends by itself when the sender is dropped.
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(target).header("host", "localhost");
    let request = request.body(Empty::new()).map_err(|_| AskError::NotUnderstood)?;
    let response = sender.send_request(request).await.map_err(AskError::Broken)?;
    Ok((sender, response))
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_directory_stands_in_a_query_unread() {
        assert_eq!(
            escaped("https://a.example/d?x=1&y=ü"),
            "https%3A%2F%2Fa.example%2Fd%3Fx%3D1%26y%3D%C3%BC"
        );
        assert_eq!(escaped("mta-sts.meadow.example"), "mta-sts.meadow.example");
    }
}
