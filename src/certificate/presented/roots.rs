//! The roots that chains are held against (S-11).

use jiff::civil::{Date, date};
use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject};
use std::{fs, io, path::Path};
use webpki::anchor_from_trusted_cert;

/// The crate that brings Mozilla's list, and the day its maker published it. A test holds the version
/// against `Cargo.lock`; whoever updates the crate writes the new day here.
const MOZILLA: (&str, Date) = ("1.0.10", date(2026, 10, 19));

/// A list of roots.
#[derive(Clone, Debug)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    list: String,
    dated: Option<Date>,
}

impl Roots {
    /// The roots of Mozilla's programme for TLS servers, compiled in: as old as [`Roots::dated`] says.
    pub fn mozilla() -> Self {
        let (version, dated) = MOZILLA;
        Self {
            anchors: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            list: format!("Mozilla's roots of {dated} (webpki-roots {version})"),
            dated: Some(dated),
        }
    }

    /// The roots that this computer trusts. Reads files; empty where there are none.
    pub fn system() -> Self {
        Self::named(rustls_native_certs::load_native_certs().certs, "the roots of this computer")
    }

    /// These roots and no others. What is no certificate is left out.
    pub fn of(roots: Vec<CertificateDer<'static>>) -> Self {
        Self::named(roots, "roots from the configuration")
    }

    /// The roots in a PEM file and no others.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has no certificate in it that can be a root; the error names it.
    pub fn read(file: &Path) -> io::Result<Self> {
        let wrong = |kind, what: String| io::Error::new(kind, format!("{}: {what}", file.display()));
        let text = fs::read(file).map_err(|error| wrong(error.kind(), error.to_string()))?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let roots = Self::of(found.map_err(|error| wrong(io::ErrorKind::InvalidData, error.to_string()))?);
        if roots.is_empty() {
            return Err(wrong(io::ErrorKind::InvalidData, "there is no certificate in it".to_owned()));
        }
        Ok(roots)
    }

    fn named(roots: Vec<CertificateDer<'static>>, list: &str) -> Self {
        let anchors = roots.iter().filter_map(|root| Some(anchor_from_trusted_cert(root).ok()?.to_owned()));
        Self { anchors: anchors.collect(), list: list.to_owned(), dated: None }
    }

    /// Which list this is, in words, with its date if it has one.
    pub fn list(&self) -> &str {
        &self.list
    }

    /// The day of the list, for a list that was compiled in: after 45 days it ought to be renewed.
    pub fn dated(&self) -> Option<Date> {
        self.dated
    }

    /// How many roots.
    pub fn len(&self) -> usize {
        self.anchors().len()
    }

    /// Whether there is none, so that no chain can be trusted.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mozillas_list_is_the_one_that_is_built_in() {
        let locked = include_str!("../../../Cargo.lock");
        let version = format!("name = \"webpki-roots\"\nversion = \"{}\"", MOZILLA.0);
        assert!(locked.contains(&version), "write version and day of the new list into MOZILLA");
        let roots = Roots::mozilla();
        assert!(roots.len() > 100 && roots.list().contains("2026-"), "{}", roots.list());
    }

    #[test]
    fn what_is_no_certificate_is_no_root() {
        assert!(Roots::of(vec![CertificateDer::from(b"no".to_vec())]).is_empty());
    }
}
