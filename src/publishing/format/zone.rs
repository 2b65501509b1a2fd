//! Lines of a zone file (RFC 1035 §5.1), every name whole.

use crate::publishing::PublishedRecord;

pub(super) fn render(records: &[&PublishedRecord]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}
