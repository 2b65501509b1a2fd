//! Rows of the database, read back as values.

use super::{
    Held,
    seal::{Purpose, Seal},
};
use crate::{
    certificate::{Certificate, PrivateKey, Validity},
    logging::chain,
    name::PolicyHost,
};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::error::Error;
use tracing::warn;
use zeroize::Zeroizing;

/// Why a row is not understood.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Validity (two columns), authority, chain, key.
pub(super) type CertificateRow = (String, String, String, String, Vec<u8>);

/// The certificate of `host` from its row.
pub(super) fn certificate(
    host: &PolicyHost,
    (not_before, not_after, authority, chain, key): CertificateRow,
    seal: &Seal,
) -> Result<Certificate, Cause> {
    let key = Zeroizing::new(key);
    let key = seal.open(Purpose::CertificateKey, host.as_str(), &key)?;
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err("its chain is empty".into());
    }
    Ok(Certificate {
        host: host.clone(),
        chain,
        key: PrivateKey::from_pkcs8(key.to_vec()),
        validity: validity(&not_before, &not_after)?,
        authority,
    })
}

/// Two moments as they are kept.
pub(super) fn validity(not_before: &str, not_after: &str) -> Result<Validity, Cause> {
    Ok(Validity { not_before: not_before.parse::<Timestamp>()?, not_after: not_after.parse()? })
}

/// A host as it is kept.
/// A certificate without its key: host, not_before, not_after and authority.
pub(super) fn held(
    (host, not_before, not_after, authority): (String, String, String, String),
) -> Result<Held, Cause> {
    let validity = validity(&not_before, &not_after)?;
    Ok(Held { host: policy_host(&host)?, validity, authority })
}

pub(super) fn policy_host(text: &str) -> Result<PolicyHost, Cause> {
    PolicyHost::from_full_name(text).ok_or_else(|| format!("{text:?} is no policy host").into())
}

/// The rows that can be understood. One that cannot is one host's trouble and not a reason to hide
/// all others: it counts as not there, so it is made anew and written over.
pub(super) fn readable<R, T>(what: &str, rows: Vec<R>, read: impl Fn(R) -> Result<T, Cause>) -> Vec<T> {
    let understood = rows.into_iter().filter_map(|row| {
        let read = read(row);
        read.inspect_err(|error| warn!(what, error = %chain(&**error), "stored row not understood")).ok()
    });
    understood.collect()
}
