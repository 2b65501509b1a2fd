//! Makes surveys: one at a time, and in a large fleet no more than one in a few seconds.

use super::survey::{Index, Survey};
use crate::admin::{listing::Plan, schedule, server::Sources};
use axum::{Json, extract::State};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How long a survey of a large fleet serves everybody who asks.
const FRESH: Duration = Duration::from_secs(5);
/// A fleet of this size is looked at afresh for everybody.
const SMALL: usize = 2_000;
/// How long a plan serves everybody: it takes a walk over the store.
const PLAN_FRESH: Duration = Duration::from_secs(15);

/// The last survey and the last plan, and who makes the next.
#[derive(Default)]
pub(super) struct Surveyor {
    last: Mutex<Option<Surveyed>>,
    plan: Mutex<Option<(Instant, usize, Arc<Plan>)>>,
}

struct Surveyed {
    at: Instant,
    index: Arc<Index>,
    survey: Arc<Survey>,
}

impl Surveyor {
    /// The fleet as it is now, or was a few seconds ago. `None` when the walk over it panicked.
    pub(super) async fn survey(&self, sources: &Sources) -> Option<Arc<Survey>> {
        // Held over the walk: who comes meanwhile takes what it brings.
        let mut last = self.last.lock().await;
        let generation = sources.snapshot.load().generation();
        let index = last.as_ref().map(|last| Arc::clone(&last.index));
        let index = index.filter(|index| index.generation() == generation);
        if let (Some(last), Some(_)) = (&*last, &index)
            && last.survey.len() > SMALL
            && last.at.elapsed() < FRESH
        {
            return Some(Arc::clone(&last.survey));
        }
        let sources = sources.clone();
        let walk = tokio::task::spawn_blocking(move || {
            let index = index.unwrap_or_else(|| Arc::new(Index::of(&sources.snapshot.load_full())));
            let now = sources.clock.now();
            let (acme, checks) = (&sources.acme, &sources.cross_check);
            let survey = Survey::take(Arc::clone(&index), acme, checks, sources.certificates_elsewhere, now);
            (index, Arc::new(survey))
        });
        let (index, survey) = walk.await.ok()?;
        *last = Some(Surveyed { at: Instant::now(), index, survey: Arc::clone(&survey) });
        Some(survey)
    }

    /// What the scheduler will do in the next day; else why that cannot be told.
    pub(super) async fn plan(&self, sources: &Sources) -> Result<Arc<Plan>, String> {
        let mut last = self.plan.lock().await;
        let domains = sources.snapshot.load().len();
        if let Some((at, of, plan)) = &*last
            && *of == domains
            && domains > SMALL
            && at.elapsed() < PLAN_FRESH
        {
            return Ok(Arc::clone(plan));
        }
        let Json(plan) =
            schedule::plan(State(sources.clone())).await.map_err(|refusal| refusal.told().to_owned())?;
        let plan = Arc::new(plan);
        *last = Some((Instant::now(), domains, Arc::clone(&plan)));
        Ok(plan)
    }
}
