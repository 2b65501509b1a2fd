//! Sockets that listen: binding them with a useful error, and accepting within permits.
//!
//! `bind` opens listeners so that what they accept needs no further set-up; `accept` hands out
//! connections, each with a [`Permit`], and outlives every error that accepting can bring. Where a
//! proxy stands in front, `proxy_protocol` reads on whose behalf it connects, and `networks` says who
//! is believed.

mod accept;
mod bind;
mod networks;
mod permits;
mod proxy_protocol;

pub use accept::{Accepted, Acceptor, Arrival, Front, NotMet, Visitor};
pub use bind::{BindError, bind_all};
pub use networks::{BadNetwork, Network, Networks};
pub use permits::{Permit, Permits, Refusal, address_of};
