//! One order, from the first look to keeping: is the host ready, pay, ask the authority, verify, serve,
//! store.
//!
//! The order ends only when its certificate is stored. Until then its host counts as in flight and
//! its place among the orders at once is taken, so a store that cannot write is never the reason to
//! order the same certificate twice, and new orders stop by themselves.

use super::{
    authority::{Authority, CaaIdentity, IssueError, OrderRequest, RenewalInfo},
    calendar,
    ledger::{Ledger, Payment, Unpaid},
    status::AcmeStatus,
};
use crate::{
    certificate::{Certificate, CertificateId, CertificateTable, ChallengeTable, PrivateKey, RejectedChain},
    clock::Clock,
    logging::chain,
    name::PolicyHost,
    storage::{ScheduleStorage, Scheduled, StorageError},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tracing::{debug, error, info};

/// The wait before a certificate is stored again after a refusal; doubles up to [`SAVE_WAIT_LONGEST`].
const SAVE_WAIT: Duration = Duration::from_secs(1);
const SAVE_WAIT_LONGEST: Duration = Duration::from_secs(60);

/// Looks whether an order for a host could succeed, before it costs anything.
#[async_trait::async_trait]
pub trait Readiness: Send + Sync {
    /// Whether `host` is ready for an order at the authority that calls itself `issuer`.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotReady`] with everything that is to be mended, in plain words;
    /// [`IssueError::DnsSilent`] when DNS does not say.
    async fn examine(&self, host: &PolicyHost, issuer: Option<&CaaIdentity>) -> Result<(), IssueError>;
}

/// How delivered chains are read. A simulation of a large fleet reads plain values instead.
#[derive(Clone, Copy)]
pub struct Reading {
    /// Accepts what an authority delivered, as [`Certificate::verify`] does.
    pub verify: fn(&PolicyHost, &str, PrivateKey, &str, Timestamp) -> Result<Certificate, RejectedChain>,
    /// The identifier for renewal information, as [`Certificate::id`] gives it.
    pub id: fn(&Certificate) -> Option<CertificateId>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { verify: Certificate::verify, id: Certificate::id }
    }
}

/// Everything an order needs; shared by all of them.
#[derive(Clone)]
pub struct Workshop {
    pub certificates: CertificateTable,
    pub challenges: ChallengeTable,
    pub storage: Arc<dyn ScheduleStorage>,
    pub authorities: Arc<[Arc<dyn Authority>]>,
    pub readiness: Option<Arc<dyn Readiness>>,
    pub ledger: Arc<Ledger>,
    pub reading: Reading,
    pub clock: Clock,
    pub deadline: Duration,
    pub status: AcmeStatus,
}

/// How a job for one host ended.
pub enum Ended {
    /// Its certificate is served and stored, and so is this row.
    Issued(Scheduled),
    /// An order at the authority of this number was not placed or came to nothing.
    Failed(Scheduled, usize, IssueError),
    /// The budgets are used up until then.
    Short(Scheduled, Timestamp),
    /// The store could not be asked, or not told.
    Unstored(Scheduled, StorageError),
    /// The authority was asked when to renew.
    Asked(Scheduled, Result<Option<RenewalInfo>, IssueError>),
}

impl Workshop {
    /// Carries one order for the host of `row` out at the authority of this number and returns when its
    /// certificate is served and stored. `attempt` is for the log. May be cancelled at any await; what is
    /// not stored is then lost.
    pub async fn order(self, mut row: Scheduled, number: usize, attempt: u32, unpaid: Unpaid) -> Ended {
        let Some(authority) = self.authorities.get(number).cloned() else {
            let detail = "there is no such authority".to_owned();
            return Ended::Failed(row, 0, IssueError::Unreachable { detail });
        };
        if let Err(error) = self.is_ready(&row.host, &*authority).await {
            return Ended::Failed(row, number, error);
        }
        let held = self.status.read().held.len();
        let paid = self.ledger.pay(&mut row, authority.directory(), held, self.clock.now()).await;
        drop(unpaid);
        match paid {
            Ok(Payment::Paid) => {}
            Ok(Payment::Short(until)) => return Ended::Short(row, until),
            Err(error) => return Ended::Unstored(row, error),
        }
        let ordering = self.certificate(&row, &*authority);
        let issued = tokio::time::timeout(self.deadline, ordering).await.unwrap_or_else(|_| {
            let detail = format!("the order took longer than {:?}", self.deadline);
            Err(IssueError::Unreachable { detail })
        });
        let certificate = match issued {
            Ok(certificate) => certificate,
            Err(error) => return Ended::Failed(row, number, error),
        };
        let host = &certificate.host;
        info!(%host, attempt, not_after = %certificate.validity.not_after, "certificate issued");
        calendar::issued(&mut row, certificate.validity, &certificate.authority, self.clock.now());
        self.status.write().enter(&row);
        self.keep(&certificate, &row).await;
        Ended::Issued(row)
    }

    async fn is_ready(&self, host: &PolicyHost, authority: &dyn Authority) -> Result<(), IssueError> {
        let Some(readiness) = &self.readiness else { return Ok(()) };
        let looking = async {
            let issuer = authority.caa_identity().await;
            readiness.examine(host, issuer.as_ref()).await
        };
        tokio::time::timeout(self.deadline, looking).await.unwrap_or_else(|_| {
            let detail = format!("looking at its DNS took longer than {:?}", self.deadline);
            Err(IssueError::DnsSilent { detail })
        })
    }

    async fn certificate(
        &self,
        row: &Scheduled,
        authority: &dyn Authority,
    ) -> Result<Certificate, IssueError> {
        let directory = authority.directory();
        let replaced = match row.authority.as_deref() == Some(directory) {
            true => self.id(&row.host).await,
            false => None,
        };
        let request = OrderRequest { host: &row.host, replaces: replaced.as_ref() };
        let issued = authority.order(request, &self.challenges).await?;
        (self.reading.verify)(&row.host, &issued.chain_pem, issued.key, directory, self.clock.now())
            .map_err(|rejected| IssueError::Unusable { detail: rejected.to_string() })
    }

    /// Asks the authority that issued the host's certificate when it wants it replaced.
    pub async fn ask(self, row: Scheduled) -> Ended {
        let issuer = self.authorities.iter().find(|a| row.authority.as_deref() == Some(a.directory()));
        let Some(authority) = issuer else { return Ended::Asked(row, Ok(None)) };
        let Some(id) = self.id(&row.host).await else { return Ended::Asked(row, Ok(None)) };
        let answer = tokio::time::timeout(self.deadline, authority.renewal_info(&id)).await;
        let late = |_| Err(IssueError::Unreachable { detail: "no answer in time".to_owned() });
        Ended::Asked(row, answer.unwrap_or_else(late))
    }

    /// The identifier of the certificate that is held; none when it has none, or cannot be read.
    async fn id(&self, host: &PolicyHost) -> Option<CertificateId> {
        let Some(certificate) = self.storage.certificate(host).await.ok()? else {
            self.storage.note_unusable(host);
            return None;
        };
        (self.reading.id)(&certificate)
    }

    /// Serves the certificate, then stores it, however long that takes.
    async fn keep(&self, certificate: &Certificate, row: &Scheduled) {
        let host = &certificate.host;
        let mut wait = SAVE_WAIT;
        loop {
            // At every turn: the table is bounded, and what it forgot it would look for in the store.
            if let Err(error) = self.certificates.publish(certificate) {
                error!(%host, error = %chain(&error), "certificate not served");
            }
            let Err(error) = self.storage.save_issued(certificate, row).await else { break };
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
