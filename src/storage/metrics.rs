//! What the store could not do, in figures.
//!
//! Counted where errors of the database, the disk and the seal are sorted, once for the process: it has one
//! store, and those places know no other.

use super::StorageError;
use crate::metrics::{Counter, Family, Labels, Registry};
use std::sync::LazyLock;

static ERRORS: LazyLock<Errors> = LazyLock::new(Errors::new);

struct Errors {
    not_writable: Counter,
    unreadable: Counter,
    refused: Counter,
    failed: Counter,
    family: Family<Labels<1>, Counter>,
}

impl Errors {
    fn new() -> Self {
        let family = Family::<Labels<1>, Counter>::default();
        let errors = |kind| family.get_or_create_owned(&[("kind", kind)]);
        Self {
            not_writable: errors("not_writable"),
            unreadable: errors("unreadable"),
            refused: errors("refused"),
            failed: errors("failed"),
            family,
        }
    }

    fn of(&self, error: &StorageError) -> &Counter {
        match error {
            StorageError::NotWritable(_) => &self.not_writable,
            StorageError::Unreadable { .. } => &self.unreadable,
            StorageError::Refused(_) => &self.refused,
            StorageError::Failed(_) => &self.failed,
        }
    }
}

/// The same error, counted.
pub(super) fn counted(error: StorageError) -> StorageError {
    ERRORS.of(&error).inc();
    error
}

/// Shows in `registry` how often the store did not do what it should.
pub fn register(registry: &mut Registry) {
    registry.register(
        "errors",
        "Times the store did not do what it should; not_writable: disk full, read-only or stuck; unreadable: \
         damaged, or sealed with another key",
        ERRORS.family.clone(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_counted_by_its_kind() {
        let before = ERRORS.refused.get();
        let error = counted(StorageError::Refused("planted".into()));
        assert!(matches!(error, StorageError::Refused(_)));
        assert_eq!(ERRORS.refused.get(), before + 1);
    }
}
