//! Certificates from an RFC 8555 authority, driven by instant-acme; it is named nowhere else.
//!
//! Nothing here talks to the authority before the first order, so the daemon starts while it is away.
//! An order is for one name, has a fresh key, and gets one attempt with each kind of challenge.

mod account;

use self::account::{Registrar, Session};
use super::{
    answer,
    authority::{Authority, IssueError, Issued, LimitScope, OrderRequest},
    problem::{Problem, Stage, printable},
    transport::{Transport, TransportError},
};
use crate::{
    certificate::{ChallengeTable, PendingAnswer, PrivateKey},
    clock::Clock,
    config,
    name::PolicyHost,
    storage::Storage,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error,
    ExternalAccountKey, HttpClient, Identifier, Key, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tracing::warn;

pub use super::transport::UnreadableRoots;

/// How often a step is repeated when the authority will not take our nonces. The library tries each
/// request three times by itself, so even an authority that turns down nine of ten is got through.
const NONCE_REPEATS: u32 = 60;

/// Between two repeats, so that an authority that takes no nonce at all is not flooded.
const NONCE_PAUSE: Duration = Duration::from_millis(50);

/// Repeats a step while the authority answers badNonce (RFC 8555 §6.5), within [`NONCE_REPEATS`].
macro_rules! insist {
    ($step:expr) => {{
        let mut repeats = 0;
        loop {
            match $step.await {
                Err(error) if is_problem(&error, "badNonce") && repeats < NONCE_REPEATS => {
                    repeats += 1;
                    tokio::time::sleep(NONCE_PAUSE).await;
                }
                outcome => break outcome,
            }
        }
    }};
}
use insist;

/// An ACME certificate authority (RFC 8555).
pub struct AcmeAuthority {
    directory: String,
    profile: Option<String>,
    challenges: Vec<ChallengeType>,
    polling: RetryPolicy,
    registrar: Arc<Registrar>,
    profile_refused: AtomicBool,
}

impl AcmeAuthority {
    /// The authority at `directory`, a URL, where `ours` is our account. Reads the trusted roots;
    /// connects to nothing.
    ///
    /// # Errors
    ///
    /// [`UnreadableRoots`] when `ours.root_file` holds no certificates.
    pub fn new(
        directory: &str,
        ours: &config::AuthoritySettings,
        settings: &config::Acme,
        storage: Arc<dyn Storage>,
        clock: Clock,
    ) -> Result<Self, UnreadableRoots> {
        let transport = Transport::new(ours.root_file.as_deref(), settings, clock)?;
        let kinds =
            [(settings.tls_alpn_01, ChallengeType::TlsAlpn01), (settings.http_01, ChallengeType::Http01)];
        Ok(Self {
            directory: directory.to_owned(),
            profile: ours.profile.clone(),
            challenges: kinds.into_iter().filter_map(|(enabled, kind)| enabled.then_some(kind)).collect(),
            // A look after a quarter of a second, then ever more rarely: waits grow with a quarter of
            // the time already waited, unless Retry-After says otherwise.
            polling: RetryPolicy::new()
                .initial_delay(Duration::from_millis(250))
                .backoff(1.3)
                .timeout(settings.order_deadline),
            registrar: Arc::new(Registrar::new(directory, ours, storage, transport)),
            profile_refused: AtomicBool::new(false),
        })
    }

    /// One order for each kind of challenge, until one is validated.
    async fn order_by_any_challenge(
        &self,
        session: &Session,
        host: &PolicyHost,
        answers: &ChallengeTable,
    ) -> Result<Issued, Failure> {
        let mut failed = Vec::new();
        for kind in &self.challenges {
            // An authorization that failed is final; only a new order gets a new one (§7.1.6).
            match self.order_by(kind, session, host, answers).await {
                Ok(issued) => return Ok(issued),
                Err(failure) => note(&mut failed, kind, failure)?,
            }
        }
        let detail = match failed.is_empty() {
            true => "no kind of challenge is enabled".to_owned(),
            false => printable(&failed.join("; ")),
        };
        Err(IssueError::NotValidated { detail }.into())
    }

    async fn order_by(
        &self,
        kind: &ChallengeType,
        session: &Session,
        host: &PolicyHost,
        answers: &ChallengeTable,
    ) -> Result<Issued, Failure> {
        let mut order = self.place(&session.account, host).await?;
        if order.state().status == OrderStatus::Pending {
            // Up until the authorization is final, whichever way this ends (RFC 8555 §8.3).
            let _up = answer_challenge(&mut order, kind, session, host, answers).await?;
            self.wait_until_ready(&mut order).await?;
        }
        self.finalize(&mut order, host).await
    }

    async fn place(&self, account: &Account, host: &PolicyHost) -> Result<Order, Failure> {
        let identifiers = [Identifier::Dns(host.as_str().to_owned())];
        if let Some(profile) = &self.profile {
            if account.profiles().any(|offered| offered.name == profile) {
                let request = NewOrder::new(&identifiers).profile(profile);
                match insist!(account.new_order(&request)) {
                    Err(error) if is_problem(&error, "invalidProfile") => self.warn_of_profile(profile),
                    outcome => return outcome.map_err(at(Stage::Order)),
                }
            } else {
                self.warn_of_profile(profile);
            }
        }
        insist!(account.new_order(&NewOrder::new(&identifiers))).map_err(at(Stage::Order))
    }

    fn warn_of_profile(&self, profile: &str) {
        if !self.profile_refused.swap(true, Relaxed) {
            warn!(profile, directory = self.directory, "authority has no such profile; ordering its default");
        }
    }

    async fn wait_until_ready(&self, order: &mut Order) -> Result<(), Failure> {
        let outcome = insist!(order.poll_ready(&self.polling));
        match (outcome, order.state().status) {
            (Ok(OrderStatus::Ready), _) => Ok(()),
            (_, OrderStatus::Invalid) => Err(why_invalid(order).await),
            (Err(error), _) => Err(Failure::new(error, Stage::Order)),
            (Ok(status), _) => Err(unreachable(format!("the order became {status:?}"))),
        }
    }

    async fn finalize(&self, order: &mut Order, host: &PolicyHost) -> Result<Issued, Failure> {
        let (request, key) = signing_request(host).map_err(|error| unreachable(error.to_string()))?;
        insist!(order.finalize_csr(&request)).map_err(at(Stage::Order))?;
        // The poll looks at the order and then fetches; what is ready already needs only fetching.
        let chain_pem = insist!(async {
            match order.state().status {
                OrderStatus::Valid => order.certificate().await?.ok_or(Error::Str("certificate")),
                _ => order.poll_certificate(&self.polling).await,
            }
        });
        Ok(Issued {
            chain_pem: chain_pem.map_err(at(Stage::Order))?,
            key,
            profile: order.state().profile.clone(),
        })
    }
}

#[async_trait::async_trait]
impl Authority for AcmeAuthority {
    fn directory(&self) -> &str {
        &self.directory
    }

    async fn order(&self, request: OrderRequest<'_>, answers: &ChallengeTable) -> Result<Issued, IssueError> {
        let host = request.host;
        let session = self.registrar.session(None).await?;
        match self.order_by_any_challenge(&session, host, answers).await {
            Err(failure) if failure.account_unknown => {
                warn!(directory = self.directory, "authority does not know our account any more");
                let session = self.registrar.session(Some(&session)).await?;
                self.order_by_any_challenge(&session, host, answers).await.map_err(|failure| failure.error)
            }
            outcome => outcome.map_err(|failure| failure.error),
        }
    }
}

impl fmt::Debug for AcmeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeAuthority").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Puts the answer to the order's challenge up, then tells the authority to look. `None` when the
/// authorization is valid already.
async fn answer_challenge(
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
        status => return Err(unreachable(format!("the authorization is {status:?}"))),
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
fn note(failed: &mut Vec<String>, kind: &ChallengeType, failure: Failure) -> Result<(), Failure> {
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
async fn why_invalid(order: &mut Order) -> Failure {
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

/// A request for `host` alone, as a subject alternative name and without a common name, and its key.
fn signing_request(host: &PolicyHost) -> Result<(Vec<u8>, PrivateKey), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut request = CertificateParams::new([host.as_str().to_owned()])?;
    request.distinguished_name = DistinguishedName::new();
    let request = request.serialize_request(&key)?;
    Ok((request.der().to_vec(), PrivateKey::from_pkcs8(key.serialize_der())))
}

/// The word for a kind of challenge.
fn word(kind: &ChallengeType) -> &'static str {
    match kind {
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        _ => "http-01",
    }
}

/// An order that failed, and whether that was because the authority has forgotten our account.
#[derive(Debug)]
struct Failure {
    error: IssueError,
    account_unknown: bool,
}

impl Failure {
    fn new(error: Error, stage: Stage) -> Self {
        Self { account_unknown: is_problem(&error, "accountDoesNotExist"), error: sort(&error, stage) }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        Self { error, account_unknown: false }
    }
}

fn at(stage: Stage) -> impl Fn(Error) -> Failure {
    move |error| Failure::new(error, stage)
}

fn unreachable(detail: String) -> Failure {
    IssueError::Unreachable { detail: printable(&detail) }.into()
}

fn is_problem(error: &Error, word: &str) -> bool {
    matches!(error, Error::Api(problem) if told(problem).word() == word)
}

fn told(problem: &instant_acme::Problem) -> Problem<'_> {
    Problem {
        kind: problem.r#type.as_deref().unwrap_or_default(),
        detail: problem.detail.as_deref().unwrap_or_default(),
        retry_after: None,
    }
}

/// What the library met, sorted by what the scheduler does next.
fn sort(error: &Error, stage: Stage) -> IssueError {
    match error {
        Error::Api(problem) => told(problem).sort(stage),
        Error::Crypto | Error::KeyRejected => {
            IssueError::Account { detail: "the account's key in the store cannot be used".to_owned() }
        }
        Error::Timeout(_) => IssueError::Unreachable { detail: "the order takes too long".to_owned() },
        Error::Other(other) => match other.downcast_ref() {
            Some(TransportError::Throttled { status, retry_after, body }) => {
                throttled(*status, *retry_after, body)
            }
            _ => IssueError::Unreachable { detail: printable(&other.to_string()) },
        },
        other => IssueError::Unreachable { detail: printable(&format!("unexpected answer: {other}")) },
    }
}

fn throttled(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> IssueError {
    let problem = serde_json::from_slice::<instant_acme::Problem>(body).ok();
    let detail = problem.and_then(|problem| problem.detail).unwrap_or_else(|| format!("status {status}"));
    IssueError::RateLimited { retry_after, scope: LimitScope::Account, detail: printable(&detail) }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let transport = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(head, body.to_bytes());
            let response = transport.send(request).await.map_err(|error| Error::Other(Box::new(error)))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::{extensions::GeneralName, prelude::*};

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

    // Standards A-14.
    #[test]
    fn a_request_names_the_host_once_and_has_no_common_name() {
        let host = PolicyHost::from_full_name("mta-sts.example.com").unwrap();
        let (request, key) = signing_request(&host).unwrap();
        let (rest, request) = X509CertificationRequest::from_der(&request).unwrap();
        assert!(rest.is_empty());
        assert_eq!(request.certification_request_info.subject.iter_attributes().count(), 0);
        let extensions: Vec<_> = request.requested_extensions().unwrap().collect();
        let [ParsedExtension::SubjectAlternativeName(names)] = extensions[..] else {
            panic!("{extensions:?}")
        };
        assert_eq!(names.general_names, [GeneralName::DNSName("mta-sts.example.com")]);
        assert_ne!(key, signing_request(&host).unwrap().1, "every request has a fresh key");
    }
}
