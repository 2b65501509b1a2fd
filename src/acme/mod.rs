//! Getting certificates: what to order, when, from whom, and how challenges are answered.
//!
//! `plan`, `renewal` and `retry` decide and are pure; `scheduler` is the dull loop that carries
//! their decisions out; `client` and `internal` are the two authorities behind one port.

mod answer;
pub mod authority;
mod books;
pub mod client;
pub mod internal;
mod jitter;
pub mod memory;
mod order;
mod plan;
mod problem;
mod renewal;
mod renewal_info;
mod retry;
mod scheduler;
mod signed;
mod status;
mod transport;

pub use client::AcmeAuthority;
pub use internal::InternalAuthority;
pub use scheduler::{Scheduler, SchedulerParts};
pub use status::{AcmeStatus, HostStatus, Overview, Pause};
