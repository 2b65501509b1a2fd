//! One challenge: its answer goes up, the authority is told to look, and what it saw is heard.

use super::{
    AuthorizationStatus, ChallengeType, Error, NONCE_PAUSE, NONCE_REPEATS, Order,
    account::Session,
    failure::{Failure, at, is_problem, unreachable},
    insist,
};
use crate::{
    acme::{answer, authority::IssueError, problem::Stage},
    certificate::{ChallengeTable, PendingAnswer},
    name::PolicyHost,
};
use std::sync::Arc;

/// Puts the answer to the order's challenge up, then tells the authority to look. `None` when the
/// authorization is valid already.
pub(super) async fn answer_challenge(
    order: &mut Order,
    kind: &ChallengeType,
    session: &Session,
    host: &PolicyHost,
    answers: &ChallengeTable,
) -> Result<Option<PendingAnswer>, Failure> {
    const NONE: Error = Error::Str("an order without authorizations");
    insist!(async { order.authorizations().next().await.unwrap_or(Err(NONE)).map(drop) })
        .map_err(at(Stage::Order))?;
    // Fetched above, where it can be repeated; from here it comes out of the order's memory.
    let mut authorizations = order.authorizations();
    let authorization = authorizations.next().await.unwrap_or(Err(NONE));
    let mut authorization = authorization.map_err(at(Stage::Order))?;
    match authorization.status {
        AuthorizationStatus::Valid => return Ok(None),
        AuthorizationStatus::Pending => {}
        status => return Err(unreachable(format!("the authorization is {status:?}")).into()),
    }
    let Some(mut challenge) = authorization.challenge(kind.clone()) else {
        return Err(IssueError::NotValidated { detail: "not offered by the authority".to_owned() }.into());
    };
    let up = if *kind == ChallengeType::TlsAlpn01 {
        let certificate = answer::tls_alpn_01(session.key.pkcs8(), &challenge.token, host)
            .map_err(|error| IssueError::Account { detail: error.to_string() })?;
        answers.answer_tls_alpn_01(host.clone(), Arc::new(certificate))
    } else {
        let key_authorization = challenge.key_authorization().as_str().to_owned();
        answers.answer_http_01(host.clone(), &challenge.token, key_authorization)
    };
    insist!(challenge.set_ready()).map_err(at(Stage::Validation))?;
    Ok(Some(up))
}

/// Notes that `kind` did not work, so that another may be tried; hands back what ends the order.
pub(super) fn note(failed: &mut Vec<String>, kind: &ChallengeType, failure: Failure) -> Result<(), Failure> {
    match failure.error {
        IssueError::NotValidated { detail } => failed.push(format!("{}: {detail}", word(kind))),
        // Failed validations are limited for each name. Whoever has just failed one has met that limit,
        // most likely, and other tenants shall not pause for it; an account's limit comes up again.
        IssueError::RateLimited { detail, .. } if !failed.is_empty() => {
            failed.push(format!("{}: not tried, {detail}", word(kind)));
        }
        _ => return Err(failure),
    }
    Ok(())
}

/// The challenge's own problem says more than the order's, so it is fetched.
pub(super) async fn why_invalid(order: &mut Order) -> Failure {
    let of_order = order.state().error.clone();
    let mut of_challenge = None;
    if let Some(Ok(mut authorization)) = order.authorizations().next().await
        && insist!(async { authorization.refresh().await.map(drop) }).is_ok()
    {
        of_challenge = authorization.challenges.iter().find_map(|challenge| challenge.error.clone());
    }
    match of_challenge.or(of_order) {
        Some(problem) => Failure::new(Error::Api(problem), Stage::Validation),
        None => IssueError::NotValidated { detail: "no reason given".to_owned() }.into(),
    }
}

/// The word for a kind of challenge.
fn word(kind: &ChallengeType) -> &'static str {
    match kind {
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        _ => "http-01",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::authority::LimitScope;

    // Let's Encrypt allows five failed validations of a name in an hour.
    #[test]
    fn a_limit_met_by_a_hosts_own_failures_is_its_own() {
        let limited = || IssueError::RateLimited {
            retry_after: None,
            scope: LimitScope::Account,
            detail: "too many".to_owned(),
        };
        let mut failed = Vec::new();
        let ended = note(&mut failed, &ChallengeType::TlsAlpn01, limited().into()).unwrap_err();
        assert_eq!(ended.error, limited(), "before any failure the limit is the account's");

        let nobody_there = IssueError::NotValidated { detail: "nobody there".to_owned() };
        assert!(note(&mut failed, &ChallengeType::TlsAlpn01, nobody_there.into()).is_ok());
        assert!(note(&mut failed, &ChallengeType::Http01, limited().into()).is_ok());
        assert_eq!(failed, ["tls-alpn-01: nobody there", "http-01: not tried, too many"]);
    }
}
