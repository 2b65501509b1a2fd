//! One file as it was last parsed, kept for as long as its text is the same.
//!
//! A stamp younger than the clock of file systems is fine is not trusted: such a file is read again
//! and its text compared.

use super::{
    fault::Fault,
    files::MainFile,
    list::ListFile,
    source::{Source, Stamp},
    tenants::TenantFile,
};
use jiff::Timestamp;
use std::{path::Path, sync::Arc};

/// A file touched within this many seconds before it was read may change again under the same stamp.
const STAMP_TRUSTED_AFTER_SECONDS: i64 = 2;

/// What a parsed file shows of its text.
pub(super) trait Parsed {
    fn source(&self) -> &Source;
    fn faults(&self) -> &[Fault];
}

impl Parsed for MainFile {
    fn source(&self) -> &Source {
        &self.tenants.source
    }
    fn faults(&self) -> &[Fault] {
        &self.tenants.faults
    }
}

impl Parsed for TenantFile {
    fn source(&self) -> &Source {
        &self.source
    }
    fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl Parsed for ListFile {
    fn source(&self) -> &Source {
        &self.source
    }
    fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

/// A file as it was last parsed.
#[derive(Debug)]
pub(super) struct Kept<T> {
    /// `None` when it could not be read.
    stamp: Option<Stamp>,
    stamp_trusted: bool,
    pub(super) parsed: Arc<T>,
}

/// How a file becomes a `T`.
pub(super) struct Recipe<T, P: FnOnce(Source) -> T> {
    pub(super) octets_max: u64,
    /// What to do when there is no such file.
    pub(super) if_missing: &'static str,
    pub(super) now: Timestamp,
    pub(super) parse: P,
    pub(super) unreadable: fn(&Arc<Path>, Fault) -> T,
}

/// Brings `kept` up to date; it stays the same object when the text is the same.
pub(super) fn refresh<T: Parsed, P: FnOnce(Source) -> T>(
    path: &Arc<Path>,
    kept: Option<Kept<T>>,
    recipe: Recipe<T, P>,
) -> Kept<T> {
    let stamp_now = || std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
    let kept = match kept {
        Some(kept) if kept.stamp_trusted && kept.stamp.is_some() && kept.stamp == stamp_now() => return kept,
        kept => kept,
    };
    let (source, stamp) = match Source::read(path, recipe.octets_max, recipe.if_missing) {
        Ok(read) => read,
        Err(fault) => {
            return match kept {
                Some(kept) if kept.stamp.is_none() && kept.parsed.faults() == [(*fault).clone()] => kept,
                _ => {
                    let parsed = Arc::new((recipe.unreadable)(path, *fault));
                    Kept { stamp: None, stamp_trusted: false, parsed }
                }
            };
        }
    };
    let stamp_trusted = stamp.touched() + STAMP_TRUSTED_AFTER_SECONDS < recipe.now.as_second();
    let parsed = match kept {
        Some(kept) if kept.stamp.is_some() && kept.parsed.source().is_same(&source) => kept.parsed,
        _ => Arc::new((recipe.parse)(source)),
    };
    Kept { stamp: Some(stamp), stamp_trusted, parsed }
}
