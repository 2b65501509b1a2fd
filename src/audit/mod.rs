//! Looks at a domain's MTA-STS as senders do, and says what stands in the way (RFC 8461, 8460, 7672).

pub mod providers;
