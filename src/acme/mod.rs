//! Getting certificates: what to order, when, from whom, and how challenges are answered.
//!
//! `calendar`, `renewal`, `retry` and `budget` decide and are pure; `scheduler` is the dull loop that
//! carries their decisions out; `client` and `internal` are the two authorities behind one port.

mod answer;
pub mod authority;
mod books;
mod budget;
mod calendar;
pub mod client;
mod forecast;
pub mod internal;
mod jitter;
mod ledger;
pub mod memory;
pub mod metrics;
mod order;
pub mod preflight;
mod problem;
mod reconcile;
mod renewal;
mod renewal_info;
mod retry;
mod scheduler;
mod signed;
mod status;
mod transport;

pub use client::{AcmeAuthority, kept_identity};
pub use forecast::{Forecast, Hour};
pub use internal::InternalAuthority;
pub use order::{Readiness, Reading};
pub use preflight::DnsPreflight;
pub use scheduler::{Scheduler, SchedulerHandle, SchedulerParts};
pub use status::{AcmeStatus, HostStatus, Overview, Pause};
