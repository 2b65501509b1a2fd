//! Tells somebody of what was found: by a webhook, or by a command.
//!
//! The history of findings in the store is the queue: each alert keeps the number of the last change
//! that it has delivered, so nothing is lost over a restart, memory stays bounded while a receiver is
//! away, and a change may be told twice, under the same id. [`group()`] makes few alerts of many changes.
//!
//! It decides nothing about findings, and no tenant can reach it: targets are named in the main file only.

mod command;
mod deliver;
mod document;
mod grouping;
pub mod metrics;
mod signature;
mod webhook;

pub use deliver::{AlertStatus, Alerting, TargetStatus};
pub use grouping::{Alert, CAUSES_MAX, DOMAINS_SHOWN, Part, group};
