//! Looks at a domain's MTA-STS as senders do, and says what stands in the way (RFC 8461, 8460, 7672).
//!
//! [`Auditor::audit`] looks and brings home [`Observations`]; [`judge`] is pure and makes a [`Report`]
//! of them, topic by topic. A [`Finding`] is one thing that is not as it should be; [`catalogue`]
//! knows every kind of them: how bad it is, what it does to mail, what mends it. [`compare`] sets a
//! policy against MX records, for whoever needs nothing else.
//!
//! It reports and never acts. What was not answered is never taken for an absence, and what cannot be
//! judged brings no findings that follow from it: each matter is told once.

mod beside;
pub mod catalogue;
mod finding;
mod hosts;
mod json;
mod looks;
mod mx;
mod observations;
mod observe;
mod page;
mod policy;
pub mod providers;
mod reading;
mod record;
mod report;
mod transport;
mod unseen;

pub use catalogue::{FindingCode, Topic};
pub use finding::{Finding, Severity, shown, worst};
pub use looks::Pace;
pub use mx::{Seen, compare, compare_texts};
pub use observations::{Expected, HostSeen, Observations, Scope};
pub use observe::{ADDRESSES_MAX, Auditor, HOSTS_MAX, Look, elsewhere};
pub use report::{Compatibility, Report, SCHEMA, TopicReport, Verdict, judge, judge_record};
pub use transport::never_connected;

#[cfg(test)]
pub(crate) mod tests;
