//! `/metrics`: all figures, in the format that the scraper asks for.

use super::server::Sources;
use crate::metrics::{Format, written};
use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

pub(super) fn routes() -> Router<Sources> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(sources): State<Sources>, headers: HeaderMap) -> Response {
    let format = Format::wanted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let figures = Arc::clone(&sources.figures);
    // A walk over a large fleet takes milliseconds; handshakes must not wait behind it.
    match tokio::task::spawn_blocking(move || written(&figures, format)).await {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
