//! What an operator may ask the running daemon and tell it to do, over a unix socket that only its owner can open.

pub mod client;
mod commands;
mod listing;
mod schedule;
mod server;
mod status;

#[cfg(test)]
mod tests;

pub use commands::{Answer, Desk, Reason};
pub use listing::{AccountReport, AuthorityPlan, Filter, ListedHost, Plan, Problem};
pub use server::{AdminServer, Sources};
pub use status::{
    CertificateStatus, DomainReport, FailureReport, FindingReport, MailAddressReport, MailHostReport,
    Overview, ReloadSummary, Summary,
};
