//! What customers publish in their DNS, in which form, and when it is safe to.
//!
//! Pure but for one question to DNS ([`look_up`]): values in, values out. Which records there are is decided in `record`, how each DNS tool
//! writes them in `format`, and whether now is the time for one of them in `safety`.

mod format;
mod look;
mod record;
mod safety;
mod seen;

pub use format::Format;
pub use look::look_up;
pub use record::{
    Authorization, DnsRecord, Holder, PublishedRecord, RecordData, Role, records_to_publish, target_is_known,
};
pub use safety::{PolicySeen, Safety, policy_seen, safe_to_publish, served_body};
pub use seen::{Looked, Seen, compare};
