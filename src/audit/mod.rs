//! Looks at a domain's MTA-STS as senders do, and says what stands in the way (RFC 8461, 8460, 7672).
//!
//! A [`Finding`] is one thing that is not as it should be; [`catalogue`] knows every kind of them:
//! how bad it is, what it does to mail, what mends it. [`compare`] sets a policy against MX records.
//!
//! It reports and never acts. What was not answered is never taken for an absence.

pub mod catalogue;
mod finding;
mod mx;

pub use catalogue::{FindingCode, Topic};
pub use finding::{Finding, Severity, shown, worst};
pub use mx::{Seen, compare};
