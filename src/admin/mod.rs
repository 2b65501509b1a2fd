//! What an operator may ask the running daemon and tell it to do: everything over a unix socket that only
//! its owner can open, most of it to be looked at on the admin page.

pub mod client;
mod commands;
mod figures;
mod health;
mod listing;
mod log;
pub mod page;
mod schedule;
mod server;
mod status;
mod take_over;

#[cfg(test)]
mod tests;

pub use commands::{Answer, Desk, Reason};
pub use health::Health;
pub use listing::{AccountReport, AuthorityPlan, Filter, ListedHost, Plan, Problem};
pub use server::{AdminServer, Sources};
pub use status::{
    CertificateStatus, DomainReport, EventReport, FailureReport, FindingReport, MailAddressReport,
    MailHostReport, Overview, ReloadSummary, Summary,
};
pub use take_over::{Newcomer, TakeOvers};
