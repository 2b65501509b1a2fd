//! The port to whoever signs certificates.

pub use crate::dns::caa::CaaIdentity;

use crate::{
    certificate::{Certificate, CertificateId, ChallengeTable, PrivateKey},
    name::PolicyHost,
};
use jiff::Timestamp;
use std::time::Duration;

/// Signs certificates for policy hosts: an ACME CA, the internal authority, or a test's.
#[async_trait::async_trait]
pub trait Authority: Send + Sync {
    /// What names this authority in the store and in status: its directory URL, or `internal`.
    fn directory(&self) -> &str;

    /// Places `request` with a fresh key, putting challenge answers into `answers` for as long as they
    /// are needed. May be cancelled at any await.
    ///
    /// What comes back is not verified yet; the scheduler does that before anything is used.
    ///
    /// # Errors
    ///
    /// [`IssueError`], sorted by what the scheduler does next.
    async fn order(&self, request: OrderRequest<'_>, answers: &ChallengeTable) -> Result<Issued, IssueError>;

    /// When the authority wants the certificate `id` replaced (RFC 9773 §4). `None`: this authority
    /// has no renewal information.
    ///
    /// # Errors
    ///
    /// [`IssueError::Refused`] when it does not know the certificate; the others as for an order.
    async fn renewal_info(&self, _id: &CertificateId) -> Result<Option<RenewalInfo>, IssueError> {
        Ok(None)
    }

    /// Makes the world stop trusting `certificate` (RFC 8555 §7.6). One that is revoked already is as
    /// good as revoked now.
    ///
    /// # Errors
    ///
    /// [`IssueError::Refused`] when the authority will not, or cannot; the others as for an order.
    async fn revoke(&self, _certificate: &Certificate, _reason: RevocationReason) -> Result<(), IssueError> {
        Err(IssueError::Refused { detail: "this authority revokes nothing".to_owned() })
    }

    /// What CAA records must allow; `None` until it is known, or when this authority heeds none.
    async fn caa_identity(&self) -> Option<CaaIdentity> {
        None
    }

    /// Where our account there is cared for; `None`: this authority knows no accounts.
    fn account_care(&self) -> Option<&dyn AccountCare> {
        None
    }
}

/// What an operator does with our account at an authority (RFC 8555 §7.3).
#[async_trait::async_trait]
pub trait AccountCare: Send + Sync {
    /// Our account; registered first when there is none yet.
    ///
    /// # Errors
    ///
    /// [`IssueError`] as for an order.
    async fn account(&self) -> Result<AccountShown, IssueError>;

    /// Gives the account a fresh key (§7.3.5). Waits for orders under way; new ones wait for it.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; the account then has one of the two keys, and the next order finds out which.
    async fn change_key(&self) -> Result<(), IssueError>;

    /// Closes the account for good and forgets its key (§7.3.6); one that is closed already is only
    /// forgotten. Whatever orders next registers a new account, so take the authority out of the
    /// configuration, or know what you do: CAA records that name the old account forbid the new one.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; the account is then as it was, or closed and to be forgotten at the next try.
    async fn deactivate(&self) -> Result<(), IssueError>;
}

/// Our account as the authority shows it. All of it is the authority's text, escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountShown {
    /// What identifies it; CAA records may name it (RFC 8657 §3).
    pub url: String,
    /// `valid`, `deactivated` (by us) or `revoked` (by the authority).
    pub status: String,
    /// Where the authority writes to.
    pub contact: Vec<String>,
}

/// One certificate to be ordered, for one host alone.
#[derive(Clone, Copy, Debug)]
pub struct OrderRequest<'a> {
    /// Who it is for.
    pub host: &'a PolicyHost,
    /// The certificate that it renews. An authority with renewal information is told, and counts such
    /// an order against no limit (RFC 9773 §5).
    pub replaces: Option<&'a CertificateId>,
}

impl<'a> OrderRequest<'a> {
    /// A first certificate for `host`.
    pub fn first(host: &'a PolicyHost) -> Self {
        Self { host, replaces: None }
    }
}

/// When an authority wants a certificate replaced (RFC 9773 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Any moment in it will do; in the past, it means now.
    pub window: Window,
    /// A page that says why, for the operator: printable ASCII, https, at most 500 characters.
    pub explanation_url: Option<String>,
    /// When to ask again: from [`RenewalInfo::SOONEST`] to [`RenewalInfo::LATEST`].
    pub retry_after: Duration,
}

impl RenewalInfo {
    /// No authority makes us ask more often.
    pub const SOONEST: Duration = Duration::from_secs(60);
    /// No authority makes us ask more rarely: an event that moves the window should be noticed.
    pub const LATEST: Duration = Duration::from_secs(86_400);
    /// When to ask again where the authority does not say (RFC 9773 §4.3.3).
    pub const UNSAID: Duration = Duration::from_secs(6 * 3_600);
}

/// A stretch of time; its end is after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First moment.
    pub start: Timestamp,
    /// Last moment.
    pub end: Timestamp,
}

/// Why a certificate is revoked: the reasons that public authorities take (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// None is given.
    #[default]
    Unspecified,
    /// The private key is known to others. Public authorities then refuse that key for ever.
    KeyCompromise,
    /// Another certificate took its place.
    Superseded,
    /// The host is not ours to serve any more.
    CessationOfOperation,
}

/// What an authority delivered.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The PEM text exactly as delivered, leaf first.
    pub chain_pem: String,
    /// The key the request was made with.
    pub key: PrivateKey,
    /// The profile that the authority says it followed, if it knows profiles.
    pub profile: Option<String>,
}

/// Whom a rate limit holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// Everybody: orders of the account, or requests from our address.
    Account,
    /// All hosts under one registered domain.
    RegisteredDomain,
    /// The host that was ordered for.
    Name,
}

/// Why a certificate was not issued, sorted by what the scheduler does next.
///
/// `detail` is stranger's text: escaped and cut to 500 characters by whoever builds the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// Come back later; whoever else `scope` names must wait as well.
    #[error("the authority is rate limiting us: {detail}")]
    RateLimited {
        /// When the authority said how long.
        retry_after: Option<Duration>,
        /// Whom it holds back.
        scope: LimitScope,
        /// What it said.
        detail: String,
    },
    /// We looked before the authority did: the host is not ready for an order, so none was placed.
    #[error("the policy host is not ready: {detail}")]
    NotReady {
        /// What has to be mended, in plain words.
        detail: String,
    },
    /// We looked and DNS was silent, so no order was placed. Nobody's fault yet; look again soon.
    #[error("DNS said nothing of the policy host: {detail}")]
    DnsSilent {
        /// What was asked, and what happened.
        detail: String,
    },
    /// The authority looked and did not find us. Waits on the tenant's DNS: hours, not minutes.
    #[error("the authority could not validate the policy host: {detail}")]
    NotValidated {
        /// What it said.
        detail: String,
    },
    /// The authority will not sign this name, and asking again changes nothing.
    #[error("the authority refuses this name: {detail}")]
    Refused {
        /// What it said.
        detail: String,
    },
    /// Something about our account: terms, External Account Binding, contact. The operator's to mend.
    #[error("the authority does not accept our account: {detail}")]
    Account {
        /// What it said.
        detail: String,
    },
    /// What came back is not a certificate for this host and key.
    #[error("the authority sent an unusable certificate: {detail}")]
    Unusable {
        /// What is wrong with it.
        detail: String,
    },
    /// No answer, or one that made no sense. Nobody's fault yet; try again soon.
    #[error("the authority could not be reached: {detail}")]
    Unreachable {
        /// What happened.
        detail: String,
    },
}
