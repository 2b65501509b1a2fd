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

    /// Takes note that what is held for `host` cannot be served, so that another is ordered.
    fn note_unusable(&self, _host: &PolicyHost) {}
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
    /// [`SourceError`] when the store cannot be read, or holds what cannot be parsed or is another
    /// host's. Errors are not
    /// remembered: the next handshake asks again.
    pub async fn get(&self, host: &PolicyHost) -> Result<Option<Arc<CertifiedKey>>, SourceError> {
        self.parsed
            .get_or_insert_async(host, async {
                match self.source.certificate(host).await? {
                    Some(certificate) => {
                        let parsed = self.shared(certificate.certified_key_of_kept());
                        parsed.inspect_err(|_| self.source.note_unusable(host)).map(Some)
                    }
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
        let parsed = self.shared(certificate.certified_key())?;
        self.parsed.insert(certificate.host.clone(), Some(parsed));
        Ok(())
    }

    /// Forgets what is in memory for `host`; the next handshake asks the store.
    pub fn forget(&self, host: &PolicyHost) {
        self.parsed.remove(host);
    }

    fn shared(&self, parsed: Result<CertifiedKey, RejectedChain>) -> Result<Arc<CertifiedKey>, SourceError> {
        let mut parsed = parsed.map_err(|rejected| SourceError(rejected.into()))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{PrivateKey, Validity};
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };
    use tokio::sync::Semaphore;

    /// A store that counts, waits until it may answer, and fails when told to.
    struct Slow {
        held: Mutex<HashMap<PolicyHost, Certificate>>,
        loads: AtomicUsize,
        fails: AtomicBool,
        may_answer: Semaphore,
    }

    impl Slow {
        fn holding(certificates: &[&Certificate]) -> Arc<Self> {
            let held = certificates.iter().map(|&c| (c.host.clone(), c.clone())).collect();
            let may_answer = Semaphore::new(Semaphore::MAX_PERMITS);
            Arc::new(Self { held: Mutex::new(held), loads: 0.into(), fails: false.into(), may_answer })
        }

        fn loads(&self) -> usize {
            self.loads.load(SeqCst)
        }
    }

    #[async_trait::async_trait]
    impl CertificateSource for Slow {
        async fn certificate(&self, host: &PolicyHost) -> Result<Option<Certificate>, SourceError> {
            self.loads.fetch_add(1, SeqCst);
            let held = self.held.lock().unwrap().get(host).cloned();
            self.may_answer.acquire().await.unwrap().forget();
            if self.fails.load(SeqCst) {
                return Err(SourceError("broken disk".into()));
            }
            Ok(held)
        }
    }

    fn host(n: usize) -> PolicyHost {
        PolicyHost::from_full_name(&format!("mta-sts.d{n}.example")).unwrap()
    }

    fn certificate(n: usize) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new([host(n).as_str().to_owned()]).unwrap();
        let leaf = leaf.self_signed(&key).unwrap();
        Certificate {
            host: host(n),
            chain: vec![leaf.into(), vec![0x30; 700].into()],
            key: PrivateKey::from_pkcs8(key.serialize_der()),
            validity: Validity { not_before: jiff::Timestamp::MIN, not_after: jiff::Timestamp::MAX },
            authority: "internal".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_hundred_handshakes_at_once_cost_one_load() {
        let source = Slow::holding(&[&certificate(1)]);
        source.may_answer.forget_permits(Semaphore::MAX_PERMITS);
        let table = CertificateTable::new(source.clone(), 10);
        let asks: Vec<_> = (0..100)
            .map(|_| {
                let table = table.clone();
                tokio::spawn(async move { table.get(&host(1)).await.unwrap().unwrap() })
            })
            .collect();
        while source.loads() == 0 {
            tokio::task::yield_now().await;
        }
        source.may_answer.add_permits(100);
        let mut answers = Vec::new();
        for ask in asks {
            answers.push(ask.await.unwrap());
        }
        assert_eq!(source.loads(), 1);
        assert!(answers.iter().all(|answer| Arc::ptr_eq(answer, &answers[0])));
    }

    #[tokio::test]
    async fn none_held_is_remembered_until_one_is_published() {
        let source = Slow::holding(&[]);
        let table = CertificateTable::new(source.clone(), 10);
        for _ in 0..3 {
            assert!(table.get(&host(1)).await.unwrap().is_none());
        }
        assert_eq!(source.loads(), 1);
        let certificate = certificate(1);
        table.publish(&certificate).unwrap();
        assert_eq!(table.get(&host(1)).await.unwrap().unwrap().cert, certificate.chain);
        assert_eq!(source.loads(), 1, "served before the store has it");
    }

    #[tokio::test]
    async fn an_error_is_not_remembered() {
        let source = Slow::holding(&[&certificate(1)]);
        let table = CertificateTable::new(source.clone(), 10);
        source.fails.store(true, SeqCst);
        assert!(table.get(&host(1)).await.is_err());
        source.fails.store(false, SeqCst);
        assert!(table.get(&host(1)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_parsed_is_an_error_of_its_host_alone() {
        let broken = Certificate { key: PrivateKey::from_pkcs8(vec![0x30, 0]), ..certificate(1) };
        let table = CertificateTable::new(Slow::holding(&[&broken, &certificate(2)]), 10);
        assert!(table.get(&host(1)).await.is_err());
        assert!(table.publish(&broken).is_err());
        assert!(table.get(&host(2)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn another_hosts_certificate_is_not_served_whatever_the_store_says() {
        let (own, other) = (certificate(1), certificate(2));
        let wrong_row = Certificate { host: host(1), ..other.clone() };
        let wrong_chain = Certificate { chain: other.chain.clone(), ..own.clone() };
        let wrong_key = Certificate { key: other.key.clone(), ..own.clone() };
        let no_chain = Certificate { chain: vec![], ..own.clone() };
        for wrong in [wrong_row, wrong_chain, wrong_key, no_chain] {
            let table = CertificateTable::new(Slow::holding(&[&wrong]), 10);
            assert!(table.get(&host(1)).await.is_err());
        }
        assert!(CertificateTable::new(Slow::holding(&[&own]), 10).get(&host(1)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_the_hosts() {
        let source = Slow::holding(&[]);
        let table = CertificateTable::new(source.clone(), 50);
        for n in 0..1000 {
            table.get(&host(n)).await.unwrap();
        }
        assert!(table.parsed.len() <= 50, "{} are kept", table.parsed.len());
    }

    #[tokio::test]
    async fn a_forgotten_host_is_asked_for_again() {
        let source = Slow::holding(&[&certificate(1)]);
        let table = CertificateTable::new(source.clone(), 10);
        table.get(&host(1)).await.unwrap();
        source.held.lock().unwrap().clear();
        table.forget(&host(1));
        assert!(table.get(&host(1)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_intermediate_is_in_memory_once() {
        let table = CertificateTable::new(Slow::holding(&[&certificate(1)]), 10);
        table.publish(&certificate(2)).unwrap();
        let (a, b) =
            (table.get(&host(1)).await.unwrap().unwrap(), table.get(&host(2)).await.unwrap().unwrap());
        assert_eq!(a.cert[1].as_ptr(), b.cert[1].as_ptr());
        assert_ne!(a.cert[0], b.cert[0]);
    }

    #[test]
    fn past_its_limit_an_intermediate_is_copied_and_still_right() {
        let intermediates = Intermediates::default();
        for n in 0..Intermediates::MOST + 10 {
            let issuer = CertificateDer::from(n.to_be_bytes().to_vec());
            assert_eq!(intermediates.shared(&issuer), issuer);
        }
        assert_eq!(intermediates.0.lock().unwrap().len(), Intermediates::MOST);
    }

    #[tokio::test]
    async fn what_is_published_during_a_slow_load_wins() {
        let (old, new) =
            (certificate(1), Certificate { chain: vec![vec![0xff; 900].into()], ..certificate(1) });
        let source = Slow::holding(&[&old]);
        source.may_answer.forget_permits(Semaphore::MAX_PERMITS);
        let table = CertificateTable::new(source.clone(), 10);
        let asking = tokio::spawn({
            let table = table.clone();
            async move { table.get(&host(1)).await }
        });
        while source.loads() == 0 {
            tokio::task::yield_now().await;
        }
        table.publish(&new).unwrap();
        source.may_answer.add_permits(10);
        let late = tokio::time::timeout(Duration::from_secs(10), asking).await.unwrap().unwrap().unwrap();
        assert!([&old.chain, &new.chain].contains(&&late.unwrap().cert), "either is good");
        assert_eq!(table.get(&host(1)).await.unwrap().unwrap().cert, new.chain);
    }
}
