//! The two buttons of a domain: check it now, renew its certificate now.

use super::{Page, answer, domain::served, gate::Acting};
use crate::{admin::commands, cross_check::NotNow, name::PolicyHost, publishing::records_to_publish};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The least time between two renewals of one host from here: an authority gives a few certificates for
/// one name in a week, and an impatient finger must not spend them.
const RENEWED_EVERY: Duration = Duration::from_secs(10 * 60);
/// Hosts whose renewal is remembered.
const REMEMBERED_MAX: usize = 4_096;
/// How long a check is waited for before the page is shown as it is.
const CHECK_WAIT: Duration = Duration::from_secs(5);
/// The time between two looks whether it is through.
const CHECK_POLL: Duration = Duration::from_millis(50);

/// Which hosts were renewed from here a moment ago.
#[derive(Default)]
pub(super) struct Lately(Mutex<HashMap<PolicyHost, Instant>>);

impl Lately {
    /// Notes `host`; else says how long to wait.
    fn note(&self, host: &PolicyHost, now: Instant) -> Result<(), Duration> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| now.duration_since(*at) < RENEWED_EVERY);
        if let Some(at) = lately.get(host) {
            return Err(RENEWED_EVERY.saturating_sub(now.duration_since(*at)));
        }
        if lately.len() >= REMEMBERED_MAX {
            return Err(RENEWED_EVERY);
        }
        lately.insert(host.clone(), now);
        Ok(())
    }

    /// What came to nothing does not count.
    fn forget(&self, host: &PolicyHost) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }
}

/// Compares the policy with DNS and looks at the records, then shows the domain.
pub(super) async fn check(State(page): State<Page>, Path(name): Path<String>, _: Acting) -> Response {
    let shared = &page.0;
    let snapshot = shared.sources.snapshot.load_full();
    let Some((host, hosted)) = served(&snapshot, &name) else { return answer::not_found().await };
    let (domain, before) = (host.domain(), shared.sources.clock.now());
    let waits = match shared.parts.checks.check_now(&host) {
        Ok(()) => true,
        // The records can be looked at all the same.
        Err(NotNow::Off) => false,
        Err(not_now @ (NotNow::TooSoon { .. } | NotNow::Busy)) => {
            return told(StatusCode::TOO_MANY_REQUESTS, &host, &not_now.to_string());
        }
    };
    let records = records_to_publish(&host, hosted.policy.id(), snapshot.publish(), &[]);
    shared.looks.look(&host, records, before).await;
    let begun = Instant::now();
    let checked = || shared.sources.cross_check.of(&domain).and_then(|status| status.checked_at);
    while waits && checked().is_none_or(|at| at < before) && begun.elapsed() < CHECK_WAIT {
        sleep(CHECK_POLL).await;
    }
    Redirect::to(&format!("/domains/{domain}?done=check")).into_response()
}

/// Makes the certificate due at once; budgets and pauses still hold.
pub(super) async fn renew(State(page): State<Page>, Path(name): Path<String>, _: Acting) -> Response {
    let shared = &page.0;
    let snapshot = shared.sources.snapshot.load_full();
    let Some((host, _)) = served(&snapshot, &name) else { return answer::not_found().await };
    if let Err(wait) = shared.renewals.note(&host, Instant::now()) {
        let why =
            format!("It was renewed from here a moment ago. Try again in {} min.", wait.as_secs() / 60 + 1);
        return told(StatusCode::TOO_MANY_REQUESTS, &host, &why);
    }
    match commands::make_due(&shared.sources.desk, &host).await {
        Ok(()) => Redirect::to(&format!("/domains/{}?done=renew", host.domain())).into_response(),
        Err(refusal) => {
            shared.renewals.forget(&host);
            told(refusal.status(), &host, refusal.told())
        }
    }
}

/// Why it was not done, with the way back.
fn told(status: StatusCode, host: &PolicyHost, why: &str) -> Response {
    let back = format!("/domains/{}", host.domain());
    answer::message(status, "Not done", &[why.to_owned()], Some(&back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_is_renewed_once_in_ten_minutes_unless_it_came_to_nothing() {
        let lately = Lately::default();
        let [one, two] = ["mta-sts.one.example", "mta-sts.two.example"]
            .map(|name| PolicyHost::from_full_name(name).unwrap());
        let now = Instant::now();
        assert_eq!(lately.note(&one, now), Ok(()));
        assert_eq!(lately.note(&two, now), Ok(()));
        assert_eq!(lately.note(&one, now + Duration::from_secs(60)), Err(Duration::from_secs(540)));
        lately.forget(&two);
        assert_eq!(lately.note(&two, now), Ok(()));
        assert_eq!(lately.note(&one, now + RENEWED_EVERY), Ok(()));
    }
}
