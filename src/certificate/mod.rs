//! Certificates and keys of policy hosts, the tables handshakes read them from, and a judge of the
//! chains that other servers present.

mod challenge;
mod id;
mod leaf;
pub mod presented;
mod table;
mod verify;

pub use challenge::{ChallengeTable, PendingAnswer};
pub use id::CertificateId;
pub use leaf::Leaf;
pub use table::{CertificateSource, CertificateTable, SourceError};
pub use verify::RejectedChain;

use crate::name::PolicyHost;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use std::{fmt, time::Duration};
use zeroize::Zeroizing;

/// A private key as PKCS#8 DER; wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Takes PKCS#8 DER.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(Zeroizing::new(der))
    }

    /// The PKCS#8 DER, for storing and for parsing. Do not copy it elsewhere.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// From when to when a certificate may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// The whole length.
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).try_into().unwrap_or_default()
    }
}

/// A certificate for one policy host: the chain as the authority sent it, and its key.
///
/// Built only by [`Certificate::verify`] (what an authority sent) or from the store, which keeps
/// nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The one name it is for.
    pub host: PolicyHost,
    /// Leaf first, exactly as delivered (H-33).
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// The leaf's validity.
    pub validity: Validity,
    /// Directory of the authority that issued it.
    pub authority: String,
}
