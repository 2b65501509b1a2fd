//! Holding TLSA records against the chain that a host presented (RFC 6698, RFC 7671, RFC 7672).
//!
//! Pure. Whether the records may be believed at all (DNSSEC) and what follows from a mismatch is the
//! caller's business: a sender that knows DANE refuses the host then, whatever MTA-STS says (S-20, S-21).
//! Names and expiry count for usage 2 only (S-23).

use crate::dns::TlsaRecord;
use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

/// DANE-TA: a certificate of the chain is the trust anchor (RFC 7672 §3.1.2).
const TRUST_ANCHOR: u8 = 2;
/// DANE-EE: the leaf itself is meant (RFC 7672 §3.1.1).
const LEAF: u8 = 3;

/// What TLSA records say about a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaneJudgement {
    /// Whether any record can be used. Without one, senders ask for TLS and check nothing (RFC 7672 §2.2).
    pub usable: bool,
    /// The first record that the chain satisfies. `None` with `usable`: DANE senders refuse the host.
    pub matches: Option<TlsaRecord>,
    /// Records that no sender can use for SMTP: usages 0 and 1, unknown numbers, digests of a wrong
    /// length (S-22).
    pub unusable_usages: Vec<TlsaRecord>,
    /// Whether all that matches is pinned to the leaf or its key, so that a certificate with a new key
    /// makes DANE senders refuse the host (S-25).
    pub pinned_leaf: bool,
}

/// Judges `certificates`, DER and leaf first as sent by `host`, by `records` at `now`.
pub fn judge(records: &[TlsaRecord], certificates: &[Vec<u8>], host: &str, now: Timestamp) -> DaneJudgement {
    let (usable, unusable_usages): (Vec<_>, Vec<_>) = records.iter().cloned().partition(is_usable);
    let matching = |record: &&TlsaRecord| match (record.usage, certificates) {
        (LEAF, [leaf, ..]) => associates(record, leaf),
        (TRUST_ANCHOR, [leaf, issuers @ ..]) => issuers
            .iter()
            .any(|anchor| associates(record, anchor) && vouches(anchor, leaf, issuers, host, now)),
        _ => false,
    };
    let matching: Vec<&TlsaRecord> = usable.iter().filter(matching).collect();
    DaneJudgement {
        usable: !usable.is_empty(),
        matches: matching.first().map(|record| (*record).clone()),
        unusable_usages,
        pinned_leaf: !matching.is_empty() && matching.iter().all(|record| record.usage == LEAF),
    }
}

/// Whether senders can use a record at all for SMTP (RFC 7672 §3.1).
fn is_usable(record: &TlsaRecord) -> bool {
    let length = match record.matching {
        0 => !record.data.is_empty(),
        1 => record.data.len() == digest::SHA256_OUTPUT_LEN,
        2 => record.data.len() == digest::SHA512_OUTPUT_LEN,
        _ => false,
    };
    matches!(record.usage, TRUST_ANCHOR | LEAF) && record.selector <= 1 && length
}

/// Whether the record names this certificate or its key (RFC 6698 §2.1.2 and §2.1.3).
fn associates(record: &TlsaRecord, certificate: &[u8]) -> bool {
    let parsed;
    let selected = match record.selector {
        0 => certificate,
        _ => match X509Certificate::from_der(certificate) {
            Ok((_, certificate)) => {
                parsed = certificate;
                parsed.tbs_certificate.subject_pki.raw
            }
            Err(_) => return false,
        },
    };
    match record.matching {
        0 => record.data == selected,
        1 => record.data == digest::digest(&digest::SHA256, selected).as_ref(),
        _ => record.data == digest::digest(&digest::SHA512, selected).as_ref(),
    }
}

/// Whether a path leads from `leaf` to `anchor` that is valid at `now`, and the leaf is for `host`.
fn vouches(anchor: &[u8], leaf: &[u8], issuers: &[Vec<u8>], host: &str, now: Timestamp) -> bool {
    let (anchor, leaf) = (CertificateDer::from(anchor), CertificateDer::from(leaf));
    let issuers: Vec<_> = issuers.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap_or(0)));
    let (Ok(anchor), Ok(leaf), Ok(name)) =
        (anchor_from_trusted_cert(&anchor), EndEntityCert::try_from(&leaf), ServerName::try_from(host))
    else {
        return false;
    };
    let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
    leaf.verify_for_usage(algorithms, &[anchor], &issuers, at, usage, None, None).is_ok()
        && leaf.verify_is_valid_for_subject_name(&name).is_ok()
}

#[cfg(test)]
mod tests;
