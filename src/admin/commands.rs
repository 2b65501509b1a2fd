//! What an operator tells the daemon to do.
//!
//! Only the daemon acts: a second process that changed keys or the schedule would be at odds with it.
//! An action that was begun is ended even when whoever asked has gone.

use super::{
    listing::AccountReport,
    schedule,
    server::{Sources, whole_seconds},
};
use crate::{
    acme::{
        SchedulerHandle,
        authority::{AccountCare, Authority, IssueError, RevocationReason},
    },
    certificate::CertificateSource,
    logging::chain,
    name::PolicyHost,
    storage::{HistoryStorage, Next},
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use tracing::info;

/// What commands act on; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// The schedule, and who carries it out.
    pub scheduler: SchedulerHandle,
    /// Who signs, in the configured order.
    pub authorities: Arc<[Arc<dyn Authority>]>,
    /// The certificates that are held.
    pub certificates: Arc<dyn CertificateSource>,
    /// The findings of earlier days.
    pub history: Arc<dyn HistoryStorage>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directories: Vec<&str> = self.authorities.iter().map(|authority| authority.directory()).collect();
        f.debug_struct("Desk").field("authorities", &directories).finish_non_exhaustive()
    }
}

/// What became of a command: facts for the operator, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was done, or why it was not.
    pub told: Vec<String>,
}

/// Why a certificate is revoked, as it is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The private key is known to others
    KeyCompromise,
    /// Another certificate took its place
    Superseded,
    /// The host is not ours to serve any more
    Cessation,
    /// None is given
    Unspecified,
}

impl Reason {
    /// The word it is written as.
    pub fn word(self) -> &'static str {
        match self {
            Self::KeyCompromise => "key-compromise",
            Self::Superseded => "superseded",
            Self::Cessation => "cessation",
            Self::Unspecified => "unspecified",
        }
    }
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::Superseded => Self::Superseded,
            Reason::Cessation => Self::CessationOfOperation,
            Reason::Unspecified => Self::Unspecified,
        }
    }
}

pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/certificates", get(schedule::list))
        .route("/plan", get(schedule::plan))
        .route("/certificate/renew", post(renew))
        .route("/certificate/revoke", post(revoke))
        .route("/accounts", get(accounts))
        .route("/account/change-key", post(change_key))
        .route("/account/deactivate", post(deactivate))
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) struct Refusal(StatusCode, String);

impl Refusal {
    /// What was named is not there.
    fn unknown(told: String) -> Self {
        Self(StatusCode::NOT_FOUND, told)
    }

    /// It is there, but this cannot be done with it now.
    pub(super) fn conflict(told: String) -> Self {
        Self(StatusCode::CONFLICT, told)
    }

    fn authoritys(authority: &dyn Authority, error: &IssueError) -> Self {
        let why = match error {
            // Its sentence speaks of orders, and this was none.
            IssueError::Refused { detail } => detail.clone(),
            other => other.to_string(),
        };
        Self(StatusCode::BAD_GATEWAY, format!("{}: {why}", authority.directory()))
    }

    /// Its place among the answers of HTTP.
    pub(super) fn status(&self) -> StatusCode {
        self.0
    }

    /// The sentence.
    pub(super) fn told(&self) -> &str {
        &self.1
    }

    pub(super) fn stores(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, chain(error).to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Answer { told: vec![self.1] })).into_response()
    }
}

/// Runs `work` to its end, whether or not somebody still waits for it.
async fn in_full<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|error| Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
}

#[derive(Deserialize)]
struct HostQuestion {
    host: String,
}

fn policy_host(text: &str) -> Result<PolicyHost, Refusal> {
    PolicyHost::from_full_name(text).ok_or_else(|| Refusal::unknown(format!("{text:?} is no policy host")))
}

async fn renew(
    State(sources): State<Sources>,
    Query(question): Query<HostQuestion>,
) -> Result<Json<Answer>, Refusal> {
    let host = policy_host(&question.host)?;
    in_full(async move {
        make_due(&sources.desk, &host).await?;
        let mut told = vec![format!("{host} is due at once; budgets and pauses still hold")];
        told.extend(pauses(&sources));
        Ok(Json(Answer { told }))
    })
    .await
}

/// Makes the certificate of `host` due, or says why it cannot be.
pub(super) async fn make_due(desk: &Desk, host: &PolicyHost) -> Result<(), Refusal> {
    if desk.scheduler.renew_now(host).await {
        return Ok(());
    }
    let row = desk.scheduler.row(host).await.map_err(|error| Refusal::stores(&error))?;
    Err(match row.map(|row| row.next) {
        None => Refusal::unknown(format!("the daemon knows no host {host}")),
        Some(Next::Gone) => Refusal::conflict(format!("{host} left the configuration")),
        Some(_) => {
            Refusal::conflict(format!("an order or a question for {host} is under way; try again soon"))
        }
    })
}

#[derive(Deserialize)]
struct RevokeQuestion {
    host: String,
    reason: Reason,
    #[serde(default)]
    reissue: bool,
}

async fn revoke(
    State(sources): State<Sources>,
    Query(question): Query<RevokeQuestion>,
) -> Result<Json<Answer>, Refusal> {
    let host = policy_host(&question.host)?;
    let (reason, reissue) = (question.reason.into(), question.reissue);
    in_full(revoke_held(sources.desk, host, reason, reissue)).await.map(Json)
}

async fn revoke_held(
    desk: Desk,
    host: PolicyHost,
    reason: RevocationReason,
    reissue: bool,
) -> Result<Answer, Refusal> {
    let held = desk.certificates.certificate(&host).await.map_err(|error| Refusal::stores(&error))?;
    let Some(certificate) = held else {
        return Err(Refusal::unknown(format!("no certificate is held for {host}")));
    };
    let authority = authority_named(&desk, &certificate.authority)?;
    if authority.account_care().is_none() {
        return Err(Refusal::unknown(format!(
            "the internal authority revokes nothing, for no sender trusts its root; `mta-stsd certificate renew \
             {host}` replaces the certificate"
        )));
    }
    info!(%host, ?reason, reissue, authority = authority.directory(), "told by the operator to revoke");
    authority
        .revoke(&certificate, reason)
        .await
        .map_err(|error| Refusal::authoritys(&**authority, &error))?;
    let serial = certificate.leaf().map_or_else(String::new, |leaf| format!(" {}", leaf.serial));
    let mut told = vec![format!("certificate{serial} of {host} is revoked at {}", authority.directory())];
    told.push(match reissue {
        false => "it is served until it is replaced".to_owned(),
        true => match make_due(&desk, &host).await {
            Ok(()) => {
                "another with a new key is due at once; the old one is served until it is there".to_owned()
            }
            Err(Refusal(_, why)) => format!("no other certificate is due yet: {why}"),
        },
    });
    Ok(Answer { told })
}

fn authority_named<'a>(desk: &'a Desk, directory: &str) -> Result<&'a Arc<dyn Authority>, Refusal> {
    desk.authorities.iter().find(|authority| authority.directory() == directory).ok_or_else(|| {
        let known: Vec<&str> = desk.authorities.iter().map(|authority| authority.directory()).collect();
        Refusal::unknown(format!(
            "{directory:?} is no authority of the configuration, which has {}; write it behind them to use it",
            known.join(", ")
        ))
    })
}

/// Which authorities hold back all orders.
pub(super) fn pauses(sources: &Sources) -> Vec<String> {
    let pauses = sources.acme.pauses().into_iter();
    let told = pauses.map(|(number, pause)| {
        let authority = sources.desk.authorities.get(number).map_or("an authority", |a| a.directory());
        format!("no orders at {authority} until {}: {}", whole_seconds(pause.until), pause.detail)
    });
    told.collect()
}

#[derive(Deserialize)]
struct AccountQuestion {
    /// Directory; may be left out when there is one authority with accounts.
    authority: Option<String>,
}

/// Nothing that time mends.
const NO_ACCOUNTS: &str = "the internal authority knows no accounts; acme.directory can name one that does";

/// The authorities with accounts that are meant; all of them when none is named.
fn with_accounts(desk: &Desk, question: &AccountQuestion) -> Result<Vec<Arc<dyn Authority>>, Refusal> {
    let meant = match &question.authority {
        Some(directory) => vec![Arc::clone(authority_named(desk, directory)?)],
        None => desk.authorities.to_vec(),
    };
    let meant: Vec<_> = meant.into_iter().filter(|authority| authority.account_care().is_some()).collect();
    match meant.is_empty() {
        true => Err(Refusal::unknown(NO_ACCOUNTS.to_owned())),
        false => Ok(meant),
    }
}

async fn accounts(
    State(sources): State<Sources>,
    Query(question): Query<AccountQuestion>,
) -> Result<Json<Vec<AccountReport>>, Refusal> {
    let meant = with_accounts(&sources.desk, &question)?;
    in_full(async move {
        let mut reports = Vec::new();
        for authority in meant {
            let Some(care) = authority.account_care() else { continue };
            let shown = care.account().await.map_err(|error| Refusal::authoritys(&*authority, &error))?;
            reports.push(AccountReport {
                authority: authority.directory().to_owned(),
                url: shown.url,
                status: shown.status,
                contact: shown.contact,
            });
        }
        Ok(Json(reports))
    })
    .await
}

async fn change_key(
    State(sources): State<Sources>,
    Query(question): Query<AccountQuestion>,
) -> Result<Json<Answer>, Refusal> {
    let authority = the_one(&sources.desk, &question)?;
    in_full(async move {
        care_of(&*authority)?.change_key().await.map_err(|e| Refusal::authoritys(&*authority, &e))?;
        Ok(Json(Answer { told: vec![format!("the account at {} has a new key", authority.directory())] }))
    })
    .await
}

async fn deactivate(
    State(sources): State<Sources>,
    Query(question): Query<AccountQuestion>,
) -> Result<Json<Answer>, Refusal> {
    let authority = the_one(&sources.desk, &question)?;
    in_full(async move {
        care_of(&*authority)?.deactivate().await.map_err(|e| Refusal::authoritys(&*authority, &e))?;
        let told = vec![
            format!("the account at {} is closed for good", authority.directory()),
            "the next order there registers a new account; CAA records that name the old one forbid it"
                .to_owned(),
        ];
        Ok(Json(Answer { told }))
    })
    .await
}

fn the_one(desk: &Desk, question: &AccountQuestion) -> Result<Arc<dyn Authority>, Refusal> {
    let meant = with_accounts(desk, question)?;
    match meant.as_slice() {
        [one] => Ok(Arc::clone(one)),
        several => {
            let known: Vec<&str> = several.iter().map(|authority| authority.directory()).collect();
            Err(Refusal::conflict(format!("name one with --authority: {}", known.join(", "))))
        }
    }
}

fn care_of(authority: &dyn Authority) -> Result<&dyn AccountCare, Refusal> {
    let none = || Refusal::conflict(format!("{} knows no accounts", authority.directory()));
    authority.account_care().ok_or_else(none)
}
