//! The first page: the fleet at a glance.

use super::{
    Page, answer,
    gate::Caller,
    shown::{Bars, Frame, Moment, far, grouped},
    survey::{BANDS, Filter, Survey, Wanted},
};
use crate::{
    acme::Hour,
    admin::{
        commands,
        listing::Plan,
        server::{Silence, reload_summary, troubles, undelivered},
        status::ReloadSummary,
    },
    audit::Severity,
    name::PolicyHost,
};
use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};
use jiff::Timestamp;
use std::sync::Arc;

/// Domains that need attention, on the first page.
const ATTENTION_SHOWN: usize = 10;
/// Of 100: the height of the picture of the next 24 hours.
const HEIGHT: usize = 100;

#[derive(Template)]
#[template(path = "fleet.html")]
struct Fleet {
    frame: Frame,
    domains: String,
    generation: u64,
    served_since: Option<Moment>,
    internal_authority: bool,
    cross_check_off: bool,
    troubles: Vec<String>,
    undelivered: Vec<String>,
    reload: ReloadSummary,
    modes: Bars,
    certificates: Bars,
    findings: Bars,
    attention: String,
    worst: Vec<Attention>,
    plan: Result<Planned, String>,
    is_calm: bool,
}

/// A domain that needs attention, in one line.
struct Attention {
    domain: String,
    why: String,
}

/// The queue and the budgets, as shown.
struct Planned {
    waiting: String,
    queue: String,
    renewals: String,
    ending: String,
    astray: String,
    parked: String,
    hours: Vec<Column>,
    busiest: usize,
    authorities: Vec<AuthorityShown>,
}

/// One hour of the next 24: from the top, of [`HEIGHT`].
struct Column {
    x: usize,
    first_y: usize,
    first: usize,
    renew_y: usize,
    renew: usize,
}

struct AuthorityShown {
    directory: String,
    orders_left: String,
    paused: Option<(Moment, String)>,
}

pub(super) async fn show(State(page): State<Page>, Extension(caller): Extension<Caller>) -> Response {
    let sources = &page.0.sources;
    let surveyor = &page.0.surveyor;
    let (survey, plan) = tokio::join!(surveyor.survey(sources), surveyor.plan(sources));
    let Some(survey) = survey else {
        let why = "The fleet could not be looked through; the log says why.";
        return answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "Not now", why);
    };
    let now = sources.clock.now();
    let counts = &survey.counts;
    let silence = Silence { answered: counts.answered, unanswered: counts.silent };
    let troubles = [commands::pauses(sources), troubles(&sources.acme, silence)].concat();
    let (undelivered, reload) = (undelivered(&sources.alerts), reload_summary(&sources.reload));
    let wanted = Wanted { filter: Filter::Attention, ..Wanted::default() };
    let (worst, attention) = survey.list(&wanted, 0, ATTENTION_SHOWN);
    let line = |row: super::survey::Row| Attention {
        domain: row.host.domain().to_string(),
        why: why(&page, &row.host, row.state, now),
    };
    let is_calm = troubles.is_empty()
        && undelivered.is_empty()
        && attention == 0
        && reload.refused.is_empty()
        && reload.needs_restart.is_empty();
    let fleet = Fleet {
        frame: Frame::new("Fleet", "fleet", caller.csrf()),
        domains: grouped(survey.len()),
        generation: survey.generation(),
        served_since: reload.served_since.map(|since| Moment::new(since, now)),
        internal_authority: sources.internal_authority,
        cross_check_off: !sources.cross_check_enabled,
        troubles,
        undelivered,
        reload,
        modes: modes(&survey),
        certificates: certificates(&survey),
        findings: findings(&survey),
        attention: grouped(attention),
        worst: worst.into_iter().map(line).collect(),
        plan: plan.map(|plan| planned(&plan, now)),
        is_calm,
    };
    answer::page(StatusCode::OK, &fleet)
}

/// Why a domain needs attention, in a few words.
fn why(page: &Page, host: &PolicyHost, state: super::survey::State, now: Timestamp) -> String {
    let mut reasons = Vec::new();
    let end = state.not_after.and_then(|end| Timestamp::from_second(end).ok());
    match end {
        None if state.elsewhere => {}
        None => reasons.push("no certificate".to_owned()),
        Some(end) if end <= now => reasons.push(format!("certificate ended {}", far(end, now))),
        Some(end) if state.failing => reasons.push(format!("certificate ends {}", far(end, now))),
        Some(_) => {}
    }
    if state.failing {
        reasons.push("order failed".to_owned());
    }
    let checked = page.0.sources.cross_check.of(&host.domain()).unwrap_or_default();
    let mut known: Vec<_> =
        checked.findings.iter().filter(|known| known.finding.severity >= Severity::Warn).collect();
    known.sort_by_key(|known| std::cmp::Reverse(known.finding.severity));
    reasons.extend(known.into_iter().map(|known| known.finding.code.entry().title.to_owned()));
    reasons.dedup();
    if let (None, Some(end)) = (reasons.first(), end) {
        reasons.push(format!("certificate ends {}", far(end, now)));
    }
    reasons.join(", ")
}

fn modes(survey: &Survey) -> Bars {
    let (counts, all) = (&survey.counts, survey.len());
    Bars::new("Modes", "domains")
        .with("enforce", "good", "/domains?mode=enforce", (counts.enforce, all))
        .with("testing", "fair", "/domains?mode=testing", (counts.testing, all))
        .with("none", "dull", "/domains?mode=none", (counts.none, all))
}

fn certificates(survey: &Survey) -> Bars {
    let (counts, all) = (&survey.counts, survey.len());
    let mut bars = Bars::new("Certificates by time left", "domains")
        .with("none", "bad", "/domains?state=uncertified", (counts.without, all))
        .with("ended", "bad", "/domains?state=uncertified", (counts.ended, all));
    if counts.elsewhere > 0 {
        bars = bars.with("the proxy's", "dull", "", (counts.elsewhere, all));
    }
    for ((below, label), count) in BANDS.into_iter().zip(counts.left) {
        let class = match below {
            ..=3 => "bad",
            4..=7 => "fair",
            _ => "good",
        };
        bars = bars.with(label, class, "", (count, all));
    }
    bars
}

fn findings(survey: &Survey) -> Bars {
    let (counts, all) = (&survey.counts, survey.len());
    let mut bars = Bars::new("Domains by worst finding", "domains");
    for (severity, count) in Severity::ALL.into_iter().zip(counts.worst).rev() {
        let (class, href) = match severity {
            Severity::Critical | Severity::Error => ("bad", "/domains?state=serious"),
            Severity::Warn => ("fair", "/domains?state=warnings"),
            Severity::Info | Severity::Unknown => ("dull", ""),
        };
        bars = bars.with(severity.as_str(), class, href, (count, all));
    }
    bars.with("no findings", "good", "", (counts.clean, all))
}

fn planned(plan: &Arc<Plan>, now: Timestamp) -> Planned {
    let most = plan.hours.iter().map(|hour| hour.first + hour.renew).max().unwrap_or(0);
    let high = |count: usize| match (count, most) {
        (0, _) | (_, 0) => 0,
        (count, most) => (count * HEIGHT / most).max(1),
    };
    let column = |(x, hour): (usize, &Hour)| {
        let (first, renew) = (high(hour.first), high(hour.renew));
        let renew_y = HEIGHT.saturating_sub(renew);
        Column { x: x * 10, first_y: renew_y.saturating_sub(first), first, renew_y, renew }
    };
    let authorities = plan.authorities.iter().map(|one| AuthorityShown {
        directory: one.authority.clone(),
        orders_left: grouped(one.orders_left as usize),
        paused: one
            .paused_until
            .map(|until| (Moment::new(until, now), one.pause_detail.clone().unwrap_or_default())),
    });
    Planned {
        waiting: grouped(plan.first_waiting),
        queue: match plan.queue_seconds {
            0 => "no time".to_owned(),
            1..=7_200 => format!("{} min", plan.queue_seconds.div_ceil(60)),
            seconds => format!("{} h", seconds.div_ceil(3_600)),
        },
        renewals: grouped(plan.renewals),
        ending: grouped(plan.ending),
        astray: grouped(plan.astray),
        parked: grouped(plan.parked),
        hours: plan.hours.iter().enumerate().map(column).collect(),
        busiest: most,
        authorities: authorities.collect(),
    }
}
