//! From edited files to a new snapshot, while everything keeps running.
//!
//! `watch` notices that files settled on new content, `reloader` reads them and replaces the
//! snapshot, `status` tells others what came of it. A bad edit changes nothing that is served.

mod kept;
pub mod metrics;
mod reloader;
mod status;
mod watch;

pub use kept::{last_served, served_of};
pub use reloader::{Refused, ReloadReport, Reloader};
pub use status::{ReloadState, ReloadStatus};
pub use watch::ReloadRequest;

#[cfg(test)]
mod tests;
