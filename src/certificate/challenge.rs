//! Answers to challenges in flight: TLS-ALPN-01 (RFC 8737) and HTTP-01 (RFC 8555 §8.3).

use crate::name::PolicyHost;
use rustls::sign::CertifiedKey;
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The answers that authorities may ask for at this moment; cheap to clone, all clones are one table.
///
/// Answers belong to one host: a token of one tenant is never told under another's name.
/// Where two orders for one host overlap, the newer one's answer is told as long as it is up.
#[derive(Clone, Default)]
pub struct ChallengeTable(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    tls_alpn_01: HashMap<PolicyHost, Stack<Arc<CertifiedKey>>>,
    http_01: HashMap<(PolicyHost, String), Stack<String>>,
    put_up: u64,
}

/// The answers of overlapping orders by their number, oldest first; never empty in the table.
type Stack<T> = Vec<(u64, T)>;

impl ChallengeTable {
    /// The challenge certificate pending for `host`.
    pub fn tls_alpn_01(&self, host: &PolicyHost) -> Option<Arc<CertifiedKey>> {
        newest(self.lock().tls_alpn_01.get(host)?)
    }

    /// The key authorization pending for `token` at `host`.
    pub fn http_01(&self, host: &PolicyHost, token: &str) -> Option<String> {
        // Looked up by an owned key: challenge requests are rare, and a borrowed pair is not worth a type.
        newest(self.lock().http_01.get(&(host.clone(), token.to_owned()))?)
    }

    /// Puts a challenge certificate up; it is taken down when the returned value is dropped.
    #[must_use]
    pub fn answer_tls_alpn_01(&self, host: PolicyHost, certificate: Arc<CertifiedKey>) -> PendingAnswer {
        let mut answers = self.lock();
        let number = answers.next_number();
        answers.tls_alpn_01.entry(host.clone()).or_default().push((number, certificate));
        PendingAnswer { table: self.clone(), number, host, token: None }
    }

    /// Puts a key authorization up; it is taken down when the returned value is dropped.
    #[must_use]
    pub fn answer_http_01(&self, host: PolicyHost, token: &str, key_authorization: String) -> PendingAnswer {
        let mut answers = self.lock();
        let number = answers.next_number();
        let place = (host.clone(), token.to_owned());
        answers.http_01.entry(place).or_default().push((number, key_authorization));
        PendingAnswer { table: self.clone(), number, host, token: Some(token.to_owned()) }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing in here can panic half-way, so a poisoned table is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn next_number(&mut self) -> u64 {
        self.put_up += 1;
        self.put_up
    }
}

fn newest<T: Clone>(stack: &Stack<T>) -> Option<T> {
    stack.last().map(|(_, answer)| answer.clone())
}

fn take_down<K: Hash + Eq, T>(table: &mut HashMap<K, Stack<T>>, place: &K, number: u64) {
    if let Some(stack) = table.get_mut(place) {
        stack.retain(|(other, _)| *other != number);
        if stack.is_empty() {
            table.remove(place);
        }
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
    number: u64,
    host: PolicyHost,
    token: Option<String>,
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        let mut answers = self.table.lock();
        match self.token.take() {
            Some(token) => take_down(&mut answers.http_01, &(self.host.clone(), token), self.number),
            None => take_down(&mut answers.tls_alpn_01, &self.host, self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::PrivateKeyDer;

    const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

    fn host(domain: &str) -> PolicyHost {
        PolicyHost::from_full_name(&format!("mta-sts.{domain}")).unwrap()
    }

    fn challenge_certificate() -> Arc<CertifiedKey> {
        let key = rcgen::KeyPair::generate().unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der).unwrap();
        Arc::new(CertifiedKey::new(vec![], key))
    }

    #[test]
    fn an_answer_vanishes_when_its_order_ends() {
        let table = ChallengeTable::default();
        let up = table.answer_http_01(host("example.com"), TOKEN, "token.thumbprint".to_owned());
        let certificate = challenge_certificate();
        let up_too = table.answer_tls_alpn_01(host("example.com"), certificate.clone());
        assert_eq!(table.http_01(&host("example.com"), TOKEN).as_deref(), Some("token.thumbprint"));
        assert!(Arc::ptr_eq(&table.tls_alpn_01(&host("example.com")).unwrap(), &certificate));
        drop(up);
        assert_eq!(table.http_01(&host("example.com"), TOKEN), None);
        assert!(table.tls_alpn_01(&host("example.com")).is_some(), "each answer ends by itself");
        drop(up_too);
        assert!(table.tls_alpn_01(&host("example.com")).is_none());
        assert_eq!(format!("{table:?}"), "ChallengeTable { tls_alpn_01: 0, http_01: 0 }", "nothing stays");
    }

    #[test]
    fn an_answer_is_not_told_under_another_name() {
        let table = ChallengeTable::default();
        let _up = table.answer_http_01(host("example.com"), TOKEN, "token.thumbprint".to_owned());
        let _up = table.answer_tls_alpn_01(host("example.com"), challenge_certificate());
        assert_eq!(table.http_01(&host("example.net"), TOKEN), None);
        assert_eq!(table.http_01(&host("example.com"), "another-token"), None);
        assert!(table.tls_alpn_01(&host("example.net")).is_none());
    }

    #[test]
    fn the_end_of_an_older_order_leaves_the_newer_answer_up() {
        let table = ChallengeTable::default();
        let (old, new) = (challenge_certificate(), challenge_certificate());
        let older = table.answer_tls_alpn_01(host("example.com"), old);
        let _newer = table.answer_tls_alpn_01(host("example.com"), new.clone());
        assert!(Arc::ptr_eq(&table.tls_alpn_01(&host("example.com")).unwrap(), &new));
        drop(older);
        assert!(Arc::ptr_eq(&table.tls_alpn_01(&host("example.com")).unwrap(), &new));

        let older = table.answer_http_01(host("example.com"), TOKEN, "old".to_owned());
        let _newer = table.answer_http_01(host("example.com"), TOKEN, "new".to_owned());
        drop(older);
        assert_eq!(table.http_01(&host("example.com"), TOKEN).as_deref(), Some("new"));
    }

    #[test]
    fn the_end_of_a_newer_order_brings_the_older_answer_back() {
        let table = ChallengeTable::default();
        let old = challenge_certificate();
        let _older = table.answer_tls_alpn_01(host("example.com"), old.clone());
        drop(table.answer_tls_alpn_01(host("example.com"), challenge_certificate()));
        assert!(Arc::ptr_eq(&table.tls_alpn_01(&host("example.com")).unwrap(), &old));
    }
}
