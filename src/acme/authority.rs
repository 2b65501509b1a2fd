//! The port to whoever signs certificates.

use crate::{
    certificate::{ChallengeTable, PrivateKey},
    name::PolicyHost,
};
use std::time::Duration;

/// Signs certificates for policy hosts: an ACME CA, the internal authority, or a test's.
#[async_trait::async_trait]
pub trait Authority: Send + Sync {
    /// What names this authority in the store and in status: its directory URL, or `internal`.
    fn directory(&self) -> &str;

    /// Orders one certificate for `host` alone, with a fresh key, putting challenge answers into
    /// `answers` for as long as they are needed. May be cancelled at any await.
    ///
    /// What comes back is not verified yet; the scheduler does that before anything is used.
    ///
    /// # Errors
    ///
    /// [`IssueError`], sorted by what the scheduler does next.
    async fn order(&self, host: &PolicyHost, answers: &ChallengeTable) -> Result<Issued, IssueError>;
}

/// What an authority delivered.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The PEM text exactly as delivered, leaf first.
    pub chain_pem: String,
    /// The key the request was made with.
    pub key: PrivateKey,
}

/// Why a certificate was not issued, sorted by what the scheduler does next.
///
/// `detail` is stranger's text: escaped and cut to 500 characters by whoever builds the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// Come back later. Ordering sooner costs every tenant, so the whole account pauses.
    #[error("the authority is rate limiting us: {detail}")]
    RateLimited {
        /// When the authority said how long.
        retry_after: Option<Duration>,
        /// What it said.
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
