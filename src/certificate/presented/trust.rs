//! Whether a chain leads to a root that senders know, and what is amiss when it does not (S-08, S-10).

use super::{NAME_MAX, Roots, Trust, escaped, read, shown, validity};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{
    extensions::ParsedExtension,
    oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS,
    prelude::{FromDer, X509Certificate, X509Name},
};

/// Whether there is trust, and whether only at another time than now.
pub(super) struct Verdict {
    pub(super) trust: Trust,
    /// The chain held in the past and does no more.
    pub(super) only_before: bool,
    /// The chain will hold in the future.
    pub(super) only_later: bool,
}

pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    leaf: &X509Certificate<'_>,
    roots: &[&Roots],
    now: Timestamp,
) -> Verdict {
    let path = path(chain, leaf);
    let mut refused: Option<Error> = None;
    for moment in moments(&path, now) {
        for roots in roots {
            match verify(chain, roots.anchors(), moment) {
                Ok(root) => {
                    let (only_before, only_later) = (moment < now, moment > now);
                    return Verdict { trust: Trust::Trusted { root }, only_before, only_later };
                }
                Err(error) => refused = Some(worse(refused, error)),
            }
        }
    }
    // Nobody vouches for it, whatever the time: what is left to say is why.
    let common = common_validity(&path);
    let trust = match &path[..] {
        [.., top] if is_self_issued(top) && path.len() == 1 => Trust::SelfSigned,
        _ => refused_trust(chain, &path, roots, refused.unwrap_or(Error::UnknownIssuer), now),
    };
    let never = common.is_none() && path.len() > 1;
    let only_before = never || common.is_some_and(|(_, end)| end < now);
    Verdict { trust, only_before, only_later: common.is_some_and(|(start, _)| start > now) }
}

fn refused_trust(
    chain: &[CertificateDer<'_>],
    path: &[X509Certificate<'_>],
    roots: &[&Roots],
    refused: Error,
    now: Timestamp,
) -> Trust {
    let Some(top) = path.last() else { return Trust::Broken(words(&refused)) };
    let known = |name: &X509Name<'_>| {
        let mut anchors = roots.iter().flat_map(|roots| roots.anchors());
        anchors.any(|anchor| is_name_of(anchor, name))
    };
    let issuer = shown(top.issuer());
    if path.len() == 1 {
        return match known(top.issuer()) {
            true => Trust::Broken(words(&refused)),
            false => Trust::Incomplete { issuer },
        };
    }
    // Does it hold together at least up to its own end?
    let (start, end) = common_validity(path).unwrap_or((now, now));
    let own_end = chain.iter().find(|der| read(der).is_some_and(|certificate| certificate == *top));
    let anchor = own_end.and_then(|der| anchor_from_trusted_cert(der).ok());
    let held = match anchor {
        Some(anchor) => verify(chain, &[anchor], now.max(start).min(end)),
        None => Err(refused.clone()),
    };
    match held {
        Err(error) => Trust::Broken(words(&error)),
        Ok(_) if is_self_issued(top) => Trust::UnknownRoot { issuer },
        Ok(_) if known(top.issuer()) => Trust::Broken(words(&refused)),
        // Public authorities write into their intermediates where the issuer's certificate is to be
        // had; private ones leave the root unsent, as they should, and write nothing.
        Ok(_) if says_where_its_issuer_is(top) => Trust::Incomplete { issuer },
        Ok(_) => Trust::UnknownRoot { issuer },
    }
}

/// The leaf, its issuer, and so on as far as issuers were sent.
fn path<'a>(chain: &'a [CertificateDer<'_>], leaf: &X509Certificate<'a>) -> Vec<X509Certificate<'a>> {
    let mut others: Vec<_> = chain.iter().skip(1).filter_map(read).collect();
    let mut path = vec![leaf.clone()];
    while let Some(last) = path.last().filter(|last| !is_self_issued(last)) {
        let Some(at) = others.iter().position(|other| is_issuer(other, last)) else { break };
        path.push(others.swap_remove(at));
    }
    path
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// By name, and by key identifier where both sides have one (RFC 5280 §4.2.1.1).
fn is_issuer(issuer: &X509Certificate<'_>, of: &X509Certificate<'_>) -> bool {
    let wanted = of.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(wanted) => wanted.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    let own = issuer.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(own) => Some(own.0),
        _ => None,
    });
    issuer.subject().as_raw() == of.issuer().as_raw() && (wanted.is_none() || own.is_none() || wanted == own)
}

fn says_where_its_issuer_is(certificate: &X509Certificate<'_>) -> bool {
    certificate.iter_extensions().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access
            .accessdescs
            .iter()
            .any(|description| description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS),
        _ => false,
    })
}

/// When all certificates of a path are valid at once.
fn common_validity(path: &[X509Certificate<'_>]) -> Option<(Timestamp, Timestamp)> {
    let all: Option<Vec<_>> = path.iter().map(validity).collect();
    let all = all?;
    let start = all.iter().map(|validity| validity.not_before).max()?;
    let end = all.iter().map(|validity| validity.not_after).min()?;
    (start <= end).then_some((start, end))
}

/// When to ask about trust: now; else within the validity of the leaf, whose issuers may have others
/// beside them; else when all of the path was valid.
fn moments(path: &[X509Certificate<'_>], now: Timestamp) -> Vec<Timestamp> {
    let leaf = path.get(..1).and_then(common_validity);
    let within =
        |validity: Option<(Timestamp, Timestamp)>| validity.map(|(start, end)| now.clamp(start, end));
    let mut moments: Vec<_> =
        [Some(now), within(leaf), within(common_validity(path))].into_iter().flatten().collect();
    moments.dedup();
    moments
}

/// The name of the root that `chain` leads to.
fn verify(chain: &[CertificateDer<'_>], anchors: &[TrustAnchor<'_>], at: Timestamp) -> Result<String, Error> {
    let [leaf, intermediates @ ..] = chain else { return Err(Error::UnknownIssuer) };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().unwrap_or(0)));
    let leaf = EndEntityCert::try_from(leaf)?;
    let path = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        intermediates,
        at,
        KeyUsage::server_auth(),
        None,
        None,
    )?;
    Ok(name_of(path.anchor()))
}

/// Of two refusals the one that says more: that the time is wrong is said elsewhere, and that nobody
/// vouches says less than what was found wrong with somebody who does.
fn worse(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => 0,
        Error::UnknownIssuer => 1,
        _ => 2,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}

/// An anchor keeps its name without the head of the DER sequence; this puts it back.
fn with_head(subject: &[u8]) -> Vec<u8> {
    let length = subject.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
    let mut der = vec![0x30];
    if subject.len() >= 0x80 {
        der.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
    }
    der.extend(if length.is_empty() { vec![0] } else { length });
    der.extend(subject);
    der
}

fn name_of(anchor: &TrustAnchor<'_>) -> String {
    let der = with_head(&anchor.subject);
    X509Name::from_der(&der).map(|(_, name)| shown(&name)).unwrap_or_default()
}

fn is_name_of(anchor: &TrustAnchor<'_>, name: &X509Name<'_>) -> bool {
    name.as_raw() == with_head(&anchor.subject)
}

fn words(error: &Error) -> String {
    let words = match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            "its certificates were never valid at the same time"
        }
        Error::InvalidSignatureForPublicKey => "a signature does not hold",
        Error::CaUsedAsEndEntity => "the leaf is the certificate of an authority",
        Error::EndEntityUsedAsCa => "an issuer is no authority",
        Error::RequiredEkuNotFoundContext(_) => "a certificate is not meant for servers",
        Error::NameConstraintViolation => "an issuer may not vouch for this name",
        Error::PathLenConstraintViolated => "an issuer may not have issuers below it",
        Error::UnsupportedCertVersion => "a certificate is not of version 3",
        other => return escaped(&format!("{other:?}"), NAME_MAX),
    };
    words.to_owned()
}
