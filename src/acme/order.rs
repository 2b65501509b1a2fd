//! One order, from asking to keeping: ask the authority, verify, serve, store.
//!
//! The order ends only when its certificate is stored. Until then its host counts as in flight and
//! its place among the orders at once is taken, so a store that cannot write is never the reason to
//! order the same certificate twice, and new orders stop by themselves.

use super::{
    authority::{Authority, IssueError, OrderRequest},
    books::HeldCertificate,
    jitter::Jitter,
    renewal::renew_at_after_issue,
    status::AcmeStatus,
};
use crate::{
    certificate::{Certificate, CertificateTable, ChallengeTable},
    clock::Clock,
    logging::chain,
    name::PolicyHost,
    storage::Storage,
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tracing::{debug, error, info};

/// The wait before a certificate is stored again after a refusal; doubles up to [`SAVE_WAIT_LONGEST`].
const SAVE_WAIT: Duration = Duration::from_secs(1);
const SAVE_WAIT_LONGEST: Duration = Duration::from_secs(60);

/// Everything an order needs; shared by all of them.
#[derive(Clone)]
pub struct Workshop {
    pub certificates: CertificateTable,
    pub challenges: ChallengeTable,
    pub storage: Arc<dyn Storage>,
    pub authority: Arc<dyn Authority>,
    pub clock: Clock,
    pub deadline: Duration,
    pub status: AcmeStatus,
}

impl Workshop {
    /// Carries one order for `host` out and returns when its certificate is served and stored.
    /// `attempt` is for the log. May be cancelled at any await; what is not stored is then lost.
    pub async fn order(self, host: PolicyHost, attempt: u32) -> Result<(), IssueError> {
        let ordering = self.authority.order(OrderRequest::first(&host), &self.challenges);
        let issued = tokio::time::timeout(self.deadline, ordering).await.map_err(|_| {
            IssueError::Unreachable { detail: format!("the order took longer than {:?}", self.deadline) }
        })??;
        let now = self.clock.now();
        let directory = self.authority.directory();
        let certificate = Certificate::verify(&host, &issued.chain_pem, issued.key, directory, now)
            .map_err(|rejected| IssueError::Unusable { detail: rejected.to_string() })?;
        info!(%host, attempt, not_after = %certificate.validity.not_after, "certificate issued");
        self.enter(&certificate, now);
        self.keep(&certificate).await;
        Ok(())
    }

    fn enter(&self, certificate: &Certificate, now: Timestamp) {
        let validity = certificate.validity;
        let jitter = Jitter::of(&certificate.host, validity.not_after);
        let held = HeldCertificate {
            not_after: validity.not_after,
            renew_at: renew_at_after_issue(validity, jitter, now),
            expiry_told: false,
        };
        self.status.write().held.insert(certificate.host.clone(), held);
    }

    /// Serves the certificate, then stores it, however long that takes.
    async fn keep(&self, certificate: &Certificate) {
        let host = &certificate.host;
        let mut wait = SAVE_WAIT;
        loop {
            // At every turn: the table is bounded, and what it forgot it would look for in the store.
            if let Err(error) = self.certificates.publish(certificate) {
                error!(%host, error = %chain(&error), "certificate not served");
            }
            let Err(error) = self.storage.save_certificate(certificate).await else { break };
            if self.status.write().unsaved.insert(host.clone()) {
                error!(%host, error = %chain(&error), "certificate not stored, will be tried again");
            } else {
                debug!(%host, error = %chain(&error), "certificate still not stored");
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(SAVE_WAIT_LONGEST);
        }
        if self.status.write().unsaved.remove(host) {
            // Between the last turn and now a handshake may have learnt that the store has none.
            if let Err(error) = self.certificates.publish(certificate) {
                error!(%host, error = %chain(&error), "certificate not served");
            }
            info!(%host, "certificate stored after all");
        }
    }
}
