//! Answers to challenges in flight: TLS-ALPN-01 (RFC 8737) and HTTP-01 (RFC 8555 §8.3).

use crate::name::PolicyHost;
use rustls::sign::CertifiedKey;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The answers that authorities may ask for at this moment; cheap to clone, all clones are one table.
///
/// Answers belong to one host: a token of one tenant is never told under another's name.
#[derive(Clone, Default)]
pub struct ChallengeTable(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    tls_alpn_01: HashMap<PolicyHost, Arc<CertifiedKey>>,
    http_01: HashMap<(PolicyHost, String), String>,
}

impl ChallengeTable {
    /// The challenge certificate pending for `host`.
    pub fn tls_alpn_01(&self, host: &PolicyHost) -> Option<Arc<CertifiedKey>> {
        self.lock().tls_alpn_01.get(host).cloned()
    }

    /// The key authorization pending for `token` at `host`.
    pub fn http_01(&self, host: &PolicyHost, token: &str) -> Option<String> {
        let answers = self.lock();
        // Looked up by an owned key: challenge requests are rare, and a borrowed pair is not worth a type.
        answers.http_01.get(&(host.clone(), token.to_owned())).cloned()
    }

    /// Puts a challenge certificate up; it is taken down when the returned value is dropped.
    #[must_use]
    pub fn answer_tls_alpn_01(&self, host: PolicyHost, certificate: Arc<CertifiedKey>) -> PendingAnswer {
        self.lock().tls_alpn_01.insert(host.clone(), certificate);
        PendingAnswer { table: self.clone(), host, token: None }
    }

    /// Puts a key authorization up; it is taken down when the returned value is dropped.
    #[must_use]
    pub fn answer_http_01(&self, host: PolicyHost, token: &str, key_authorization: String) -> PendingAnswer {
        self.lock().http_01.insert((host.clone(), token.to_owned()), key_authorization);
        PendingAnswer { table: self.clone(), host, token: Some(token.to_owned()) }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing in here can panic half-way, so a poisoned table is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ChallengeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.lock();
        f.debug_struct("ChallengeTable")
            .field("tls_alpn_01", &answers.tls_alpn_01.len())
            .field("http_01", &answers.http_01.len())
            .finish()
    }
}

/// An answer that is up for as long as this value lives, so that no path forgets to take it down.
#[derive(Debug)]
pub struct PendingAnswer {
    table: ChallengeTable,
    host: PolicyHost,
    token: Option<String>,
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        let mut answers = self.table.lock();
        match self.token.take() {
            Some(token) => drop(answers.http_01.remove(&(self.host.clone(), token))),
            None => drop(answers.tls_alpn_01.remove(&self.host)),
        }
    }
}
