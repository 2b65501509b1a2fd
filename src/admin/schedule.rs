//! The schedule for people and programs: every host, and the next 24 hours.
//!
//! Both walk the store page by page. A listing streams, so that a million hosts cost no more memory than
//! a thousand, and a reader that is slow or gone holds up nobody else.

use super::{
    commands::Refusal,
    listing::{AuthorityPlan, Filter, ListedHost, Plan},
    server::Sources,
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use hyper::body::Frame;
use serde::Deserialize;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;

/// Rows read in one go.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct ListQuestion {
    #[serde(default)]
    failing: bool,
    /// Seconds.
    expiring: Option<u64>,
}

/// One object a line; an empty line for a page without any, so that whoever waits sees us at work.
pub(super) async fn list(State(sources): State<Sources>, Query(question): Query<ListQuestion>) -> Response {
    let filter = Filter { failing: question.failing, expiring: question.expiring.map(Duration::from_secs) };
    let (pages, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut after = None;
        loop {
            let rows = match sources.desk.scheduler.page(after.as_ref(), PAGE).await {
                Ok(rows) if rows.is_empty() => return,
                Ok(rows) => rows,
                Err(error) => {
                    // Whoever asked sees the answer break off, or has gone.
                    let _ = pages.send(Err(io::Error::other(error))).await;
                    return;
                }
            };
            after = rows.last().map(|row| row.host.clone());
            let now = sources.clock.now();
            let taken = rows.into_iter().filter(|row| filter.takes(row, now));
            let listed = taken.map(|row| {
                let ordering = sources.acme.of(&row.host).in_flight;
                ListedHost { ordering, ..row.into() }
            });
            let lines = listed.filter_map(|host| serde_json::to_string(&host).ok());
            let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
            let text = if text.is_empty() { "\n".to_owned() } else { text };
            if pages.send(Ok(text.into())).await.is_err() {
                return;
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(Lines(lines))).into_response()
}

/// A body that is written while it is sent.
struct Lines(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|page| page.map(|page| page.map(Frame::data)))
    }
}

pub(super) async fn plan(State(sources): State<Sources>) -> Result<Json<Plan>, Refusal> {
    let (desk, now) = (&sources.desk, sources.clock.now());
    let forecast = desk.scheduler.forecast(now).await.map_err(|error| Refusal::stores(&error))?;
    let pauses = sources.acme.pauses();
    let mut authorities = Vec::new();
    for (number, authority) in desk.authorities.iter().enumerate() {
        let left = desk.scheduler.orders_left(authority.directory(), now).await;
        let pause = pauses.iter().find(|(paused, _)| *paused == number).map(|(_, pause)| pause);
        authorities.push(AuthorityPlan {
            authority: authority.directory().to_owned(),
            orders_left: left.map_err(|error| Refusal::stores(&error))?,
            paused_until: pause.map(|pause| pause.until),
            pause_detail: pause.map(|pause| pause.detail.clone()),
        });
    }
    // The first authority that takes orders gets those of newcomers.
    let open = authorities.iter().find(|authority| authority.paused_until.is_none());
    Ok(Json(Plan {
        now,
        told: forecast.to_string(),
        first_waiting: forecast.first_waiting,
        queue_seconds: forecast.queue_takes().as_secs(),
        renewals: forecast.renewals,
        ending: forecast.ending,
        astray: forecast.astray,
        parked: forecast.parked,
        storage_trouble: sources.acme.overview().storage_trouble,
        certificates_elsewhere: sources.certificates_elsewhere,
        hours: forecast.hours(open.map_or(0, |authority| authority.orders_left)).to_vec(),
        authorities,
    }))
}
