//! Compares every policy with the MX records that DNS shows (RFC 8461 §4.1, §5).
//!
//! It reports and never acts: a tenant's policy is the tenant's word. [`audit::compare`](crate::audit::compare) decides
//! what there is to say, [`CrossCheck`] goes round all domains, [`CrossCheckStatus`] shows what was found.
//!
//! It does not speak to MX hosts, and of addresses it asks only whether the domain itself has one.

mod confirm;
mod cycle;
mod handle;
mod mail_hosts;
pub mod metrics;
mod place;
mod record;
mod status;

pub use cycle::CrossCheck;
pub use handle::{CrossCheckHandle, NotNow};
pub use mail_hosts::{LastAudit, MailAddress, MailHost, Transport};
pub use status::{CrossCheckStatus, DomainStatus, KnownFinding};
