//! What is logged: asked and changed while the daemon runs.

use super::{
    commands::Refusal,
    server::{Sources, whole_seconds},
};
use crate::logging::{self, Log, LogLevel};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Deserialize;
use std::time::Duration;

pub(super) fn routes() -> Router<Sources> {
    Router::new().route("/log", get(show).post(change))
}

/// The log of this process; a daemon inside another program has none of its own.
fn log() -> Result<&'static Log, Refusal> {
    logging::current().ok_or_else(|| Refusal::conflict("this daemon does not write its own log".to_owned()))
}

async fn show() -> Result<Json<LogLevel>, Refusal> {
    Ok(Json(log()?.level()))
}

#[derive(Deserialize)]
struct Wish {
    /// The usual one where it is left out.
    level: Option<String>,
    /// Seconds until the usual one is back; until the end of the process where it is left out.
    seconds: Option<u64>,
}

async fn change(State(sources): State<Sources>, Query(wish): Query<Wish>) -> Result<Json<LogLevel>, Refusal> {
    let log = log()?;
    let Some(level) = wish.level else { return Ok(Json(log.reset())) };
    let too_long = || Refusal::conflict("that is too long a time".to_owned());
    let until = wish.seconds.map(|seconds| {
        let until = sources.clock.now().checked_add(Duration::from_secs(seconds));
        until.map(whole_seconds).map_err(|_| too_long())
    });
    log.set(&level, until.transpose()?).map(Json).map_err(|error| Refusal::conflict(error.to_string()))
}
