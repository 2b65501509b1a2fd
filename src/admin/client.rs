//! Asks a running daemon over its unix socket.

use super::status::Overview;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{io, path::Path, time::Duration};
use tokio::net::UnixStream;

/// The longest a question may take; the daemon answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there, or we may not connect.
    #[error("could not connect to the daemon")]
    Connect(#[source] io::Error),
    /// It took too long.
    #[error("the daemon did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The connection broke, or what came is not HTTP.
    #[error("the daemon's answer broke off")]
    Broken(#[source] hyper::Error),
    /// It answered something else: another version, or another program.
    #[error("the daemon's answer was not understood; is it the same version?")]
    NotUnderstood,
}

/// The daemon's status; of `domain` alone when given.
///
/// # Errors
///
/// [`AskError`] when there is no answer that can be read.
pub async fn ask(socket: &Path, domain: Option<&str>) -> Result<Overview, AskError> {
    tokio::time::timeout(TIMEOUT, exchange(socket, domain)).await.map_err(|_| AskError::Timeout)?
}

async fn exchange(socket: &Path, domain: Option<&str>) -> Result<Overview, AskError> {
    let stream = UnixStream::connect(socket).await.map_err(AskError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(AskError::Broken)?;
    let driver = tokio::spawn(connection);
    // A domain is LDH text, so it needs no escaping in a query.
    let query = domain.map(|domain| format!("?domain={domain}")).unwrap_or_default();
    let request = Request::get(format!("/status.json{query}"))
        .header("host", "localhost")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|_| AskError::NotUnderstood)?;
    let response = sender.send_request(request).await.map_err(AskError::Broken)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(AskError::Broken)?.to_bytes();
    driver.abort();
    if status != StatusCode::OK {
        return Err(AskError::NotUnderstood);
    }
    serde_json::from_slice(&body).map_err(|_| AskError::NotUnderstood)
}
