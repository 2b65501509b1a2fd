//! Certificates from an RFC 8555 authority, driven by instant-acme; it is named nowhere else.
//!
//! Nothing here talks to the authority before the first order, so the daemon starts while it is away.
//! An order is for one name, has a fresh key, and gets one attempt with each kind of challenge.

mod account;
mod care;
mod challenge;
mod failure;
mod kept;

use self::{
    account::{Registrar, Session},
    challenge::{answer_challenge, note, why_invalid},
    failure::{Failure, Remedy, at, is_problem, is_unechoed, sort, sort_answer, unreachable},
};
use super::{
    authority::{
        AccountCare, Authority, CaaIdentity, IssueError, Issued, OrderRequest, RenewalInfo, RevocationReason,
    },
    problem::{Stage, printable},
    renewal_info,
    transport::Transport,
};
use crate::{
    certificate::{Certificate, CertificateId, ChallengeTable, PrivateKey},
    clock::Clock,
    config,
    name::PolicyHost,
    storage::Storage,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, BodyWrapper, BytesResponse, CertificateIdentifier,
    ChallengeType, Error, ExternalAccountKey, HttpClient, Identifier, Key, NewAccount, NewOrder, Order,
    OrderStatus, Problem as LibraryProblem, RetryPolicy, RevocationRequest,
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
use tracing::{debug, info, warn};

pub use self::kept::kept_identity;
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
    told: Told,
}

/// What is said once in a process.
#[derive(Default)]
struct Told {
    profile_refused: AtomicBool,
    profile_ignored: AtomicBool,
    /// Also: not worth another order that stays behind at the authority.
    replaces_ignored: AtomicBool,
}

/// What an order asks for beyond its name.
#[derive(Clone, Copy)]
struct Wishes<'a> {
    profile: Option<&'a str>,
    replaces: Option<&'a CertificateId>,
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
            told: Told::default(),
        })
    }

    /// What `session`'s authority will hear of what `request` and the configuration ask for.
    fn wishes<'a>(&'a self, session: &Session, request: &OrderRequest<'a>) -> Wishes<'a> {
        let offered = |profile: &&str| session.account.profiles().any(|offer| offer.name == *profile);
        let profile = self.profile.as_deref().filter(offered);
        if profile.is_none() {
            self.warn_of_refused_profile();
        }
        let heeds = session.directory.renewal_info.is_some() && !self.told.replaces_ignored.load(Relaxed);
        Wishes { profile, replaces: request.replaces.filter(|_| heeds) }
    }

    /// One order for each kind of challenge, until one is validated.
    async fn order_by_any_challenge(
        &self,
        session: &Session,
        host: &PolicyHost,
        wishes: Wishes<'_>,
        answers: &ChallengeTable,
    ) -> Result<Issued, Failure> {
        let mut failed = Vec::new();
        for kind in &self.challenges {
            // An authorization that failed is final; only a new order gets a new one (§7.1.6).
            match self.order_by(kind, session, host, wishes, answers).await {
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
        wishes: Wishes<'_>,
        answers: &ChallengeTable,
    ) -> Result<Issued, Failure> {
        let mut order = self.place(&session.account, host, wishes).await?;
        if order.state().status == OrderStatus::Pending {
            // Up until the authorization is final, whichever way this ends (RFC 8555 §8.3).
            let _up = answer_challenge(&mut order, kind, session, host, answers).await?;
            self.wait_until_ready(&mut order).await?;
        }
        self.finalize(&mut order, host).await
    }

    async fn place(
        &self,
        account: &Account,
        host: &PolicyHost,
        wishes: Wishes<'_>,
    ) -> Result<Order, Failure> {
        let identifiers = [Identifier::Dns(host.as_str().to_owned())];
        let mut request = NewOrder::new(&identifiers);
        if let Some(profile) = wishes.profile {
            request = request.profile(profile);
        }
        if let Some((issuer, serial)) = wishes.replaces.map(CertificateId::parts) {
            let (authority_key_identifier, serial) = (issuer.into(), serial.into());
            request = request.replaces(CertificateIdentifier { authority_key_identifier, serial });
        }
        let mut order = insist!(account.new_order(&request)).map_err(|error| {
            if is_unechoed(&error) && !self.told.replaces_ignored.swap(true, Relaxed) {
                warn!(directory = self.directory, "authority ignores what an order replaces, not told again");
            }
            match wishes.replaces {
                Some(_) => Failure::of_replacement(error),
                None => Failure::new(error, Stage::Order),
            }
        })?;
        let followed = order.state().profile.as_deref();
        if let Some(profile) = wishes.profile
            && followed != Some(profile)
            && !self.told.profile_ignored.swap(true, Relaxed)
        {
            let followed = printable(followed.unwrap_or("none"));
            warn!(profile, followed, directory = self.directory, "authority follows another profile");
        }
        Ok(order)
    }

    fn warn_of_refused_profile(&self) {
        let Some(profile) = &self.profile else { return };
        if !self.told.profile_refused.swap(true, Relaxed) {
            warn!(profile, directory = self.directory, "authority has no such profile; ordering its default");
        }
    }

    async fn wait_until_ready(&self, order: &mut Order) -> Result<(), Failure> {
        let outcome = insist!(order.poll_ready(&self.polling));
        match (outcome, order.state().status) {
            (Ok(OrderStatus::Ready), _) => Ok(()),
            (_, OrderStatus::Invalid) => Err(why_invalid(order).await),
            (Err(error), _) => Err(Failure::new(error, Stage::Order)),
            (Ok(status), _) => Err(unreachable(format!("the order became {status:?}")).into()),
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
        let chain_pem = chain_pem.map_err(at(Stage::Order))?;
        Ok(Issued { chain_pem, key, profile: order.state().profile.as_deref().map(printable) })
    }
}

#[async_trait::async_trait]
impl Authority for AcmeAuthority {
    fn directory(&self) -> &str {
        &self.directory
    }

    async fn order(&self, request: OrderRequest<'_>, answers: &ChallengeTable) -> Result<Issued, IssueError> {
        let host = request.host;
        let _in_use = self.registrar.in_use().await;
        let mut session = self.registrar.session(None).await?;
        let mut wishes = self.wishes(&session, &request);
        let mut registered_again = false;
        loop {
            let outcome = self.order_by_any_challenge(&session, host, wishes, answers).await;
            let failure = match outcome {
                Ok(issued) => return Ok(issued),
                Err(failure) => failure,
            };
            match failure.remedy {
                Some(Remedy::RegisterAgain) if !registered_again => {
                    warn!(directory = self.directory, "authority does not know our account any more");
                    session = self.registrar.session(Some(&session)).await?;
                    registered_again = true;
                }
                Some(Remedy::WithoutReplaces) if wishes.replaces.is_some() => {
                    debug!(%host, error = %failure.error, "ordered again without what it replaces");
                    wishes.replaces = None;
                }
                Some(Remedy::WithoutProfile) if wishes.profile.is_some() => {
                    self.warn_of_refused_profile();
                    wishes.profile = None;
                }
                _ => return Err(failure.error),
            }
        }
    }

    async fn renewal_info(&self, id: &CertificateId) -> Result<Option<RenewalInfo>, IssueError> {
        let session = self.registrar.session(None).await?;
        let Some(resource) = &session.directory.renewal_info else { return Ok(None) };
        let answer = self.registrar.get(&format!("{}/{id}", resource.trim_end_matches('/'))).await?;
        if !answer.status().is_success() {
            return Err(sort_answer(&answer, Stage::Certificate));
        }
        let info = renewal_info::read(answer.body(), self.registrar.retry_after(&answer));
        info.map(Some).map_err(|why| unreachable(format!("no renewal information: {why}")))
    }

    async fn revoke(&self, certificate: &Certificate, reason: RevocationReason) -> Result<(), IssueError> {
        let host = &certificate.host;
        let Some(leaf) = certificate.chain.first() else {
            return Err(IssueError::Refused { detail: "there is no certificate to revoke".to_owned() });
        };
        let _in_use = self.registrar.in_use().await;
        let session = self.registrar.session(None).await?;
        let request = RevocationRequest { certificate: leaf, reason: reason_code(reason) };
        match insist!(session.account.revoke(&request)) {
            Err(error) if is_problem(&error, "alreadyRevoked") => {
                info!(%host, "certificate was revoked before")
            }
            outcome => {
                outcome.map_err(|error| sort(&error, Stage::Certificate))?;
                info!(%host, ?reason, "certificate revoked");
            }
        }
        Ok(())
    }

    async fn caa_identity(&self) -> Option<CaaIdentity> {
        let session = self.registrar.session(None).await.ok()?;
        let account_uri = Some(session.account.id().to_owned());
        Some(CaaIdentity { identities: session.directory.meta.caa_identities.clone(), account_uri })
    }

    fn account_care(&self) -> Option<&dyn AccountCare> {
        Some(self)
    }
}

/// The library's word for a reason; none is no code at all, as authorities prefer.
fn reason_code(reason: RevocationReason) -> Option<instant_acme::RevocationReason> {
    use instant_acme::RevocationReason as Code;
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(Code::KeyCompromise),
        RevocationReason::Superseded => Some(Code::Superseded),
        RevocationReason::CessationOfOperation => Some(Code::CessationOfOperation),
    }
}

impl fmt::Debug for AcmeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeAuthority").field("directory", &self.directory).finish_non_exhaustive()
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
