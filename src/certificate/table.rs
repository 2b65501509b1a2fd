//! Parsed certificates by policy host: a bounded cache over the store, one load at a time per name.
//!
//! Memory does not grow with the number of tenants, and a cold name costs one indexed read of the
//! local store, however many senders ask for it at once.

use super::{Certificate, RejectedChain};
use crate::name::PolicyHost;
use quick_cache::sync::Cache;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Where a certificate that is not in memory comes from; the store implements it.
#[async_trait::async_trait]
pub trait CertificateSource: Send + Sync {
    /// The certificate held for `host`, if any.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the store cannot say.
    async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError>;
}

/// The store could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read a certificate from the store")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Parsed certificates by policy host; cheap to clone, all clones are one table.
///
/// "None held" is remembered as well, so a tenant without a certificate costs one read, not one for
/// each handshake. A host must be known to the snapshot before it is asked for here: strangers'
/// names must not reach the cache.
#[derive(Clone)]
pub struct CertificateTable {
    parsed: Arc<Cache<PolicyHost, Option<Arc<CertifiedKey>>>>,
    source: Arc<dyn CertificateSource>,
    intermediates: Arc<Intermediates>,
}

impl CertificateTable {
    /// A table over `source` that keeps at most `capacity` hosts in memory (about 2 KiB each).
    pub fn new(source: Arc<dyn CertificateSource>, capacity: usize) -> Self {
        Self { parsed: Arc::new(Cache::new(capacity.max(1))), source, intermediates: Arc::default() }
    }

    /// The certificate for `host`, ready to sign with; `None` when none is held.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the store cannot be read or holds what cannot be parsed. Errors are not
    /// remembered: the next handshake asks again.
    pub async fn get(&self, host: &PolicyHost) -> Result<Option<Arc<CertifiedKey>>, SourceError> {
        self.parsed
            .get_or_insert_async(host, async {
                match self.source.certificate(host).await? {
                    Some(certificate) => self.parse(&certificate).map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    /// Serves `certificate` from now on, whether or not the store has it yet.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when its key cannot be parsed; a verified certificate's can.
    pub fn publish(&self, certificate: &Certificate) -> Result<(), SourceError> {
        let parsed = self.parse(certificate)?;
        self.parsed.insert(certificate.host.clone(), Some(parsed));
        Ok(())
    }

    /// Forgets what is in memory for `host`; the next handshake asks the store.
    pub fn forget(&self, host: &PolicyHost) {
        self.parsed.remove(host);
    }

    fn parse(&self, certificate: &Certificate) -> Result<Arc<CertifiedKey>, SourceError> {
        let mut parsed = certificate.certified_key().map_err(|e: RejectedChain| SourceError(e.into()))?;
        for issuer in parsed.cert.iter_mut().skip(1) {
            *issuer = self.intermediates.shared(issuer);
        }
        Ok(Arc::new(parsed))
    }
}

impl fmt::Debug for CertificateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateTable").field("parsed", &self.parsed.len()).finish_non_exhaustive()
    }
}

/// Intermediates by their octets, so that a fleet under one authority holds each of them once.
///
/// A handful of distinct values in practice. They are given up for ever (leaked) because rustls
/// wants to own or borrow for ever; past [`Self::MOST`] new ones are simply not shared.
#[derive(Default)]
struct Intermediates(Mutex<HashMap<Box<[u8]>, &'static [u8]>>);

impl Intermediates {
    /// The most distinct intermediates shared; authorities use a few at a time.
    const MOST: usize = 256;

    fn shared(&self, issuer: &CertificateDer<'_>) -> CertificateDer<'static> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(octets) = known.get(issuer.as_ref()) {
            return CertificateDer::from(*octets);
        }
        if known.len() >= Self::MOST {
            return issuer.clone().into_owned();
        }
        let octets: &'static [u8] = Box::leak(issuer.as_ref().into());
        known.insert(octets.into(), octets);
        CertificateDer::from(octets)
    }
}
