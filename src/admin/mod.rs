//! What an operator may ask the running daemon, over a unix socket that only its owner can open.

pub mod client;
mod server;
mod status;

pub use server::{AdminServer, Sources};
pub use status::{
    CertificateStatus, DomainReport, FailureReport, FindingReport, Overview, ReloadSummary, Summary,
};
