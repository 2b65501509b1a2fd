//! Holds every policy against what the world shows, again and again (RFC 8461 §4.1, §5).
//!
//! It reports and never acts: a tenant's policy is the tenant's word. [`CrossCheck`] goes round all domains
//! twice over: quickly, which asks DNS for MX records and the STS record every hour at the latest, and
//! slowly, which audits each domain once a day with all that [`audit`](crate::audit) can see. Each round
//! answers for its own findings. [`CrossCheckStatus`] shows what was found.

mod audits;
mod confirm;
mod cycle;
mod expectations;
mod handle;
mod look;
mod mail_hosts;
pub mod metrics;
mod place;
mod source;
mod status;
mod told;
mod vantage;
mod verdict;

pub use cycle::CrossCheck;
pub use expectations::Expectations;
pub use handle::{CrossCheckHandle, NotNow};
pub use mail_hosts::{LastAudit, MailAddress, MailHost, Transport};
pub use status::{CrossCheckStatus, DomainStatus, KnownFinding};
