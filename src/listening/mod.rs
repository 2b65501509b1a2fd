//! Sockets that listen: binding them with a useful error, and accepting within permits.
//!
//! `bind` opens listeners so that what they accept needs no further set-up; `passed` takes in those that
//! somebody else opened, as `choose` decides, and `passing` sends them to another process; `accept` hands
//! out connections, each with a [`Permit`], and outlives every error that accepting can bring. Where a proxy
//! stands in front, `proxy_protocol` reads on whose behalf it connects, and `networks` says who is believed.

mod accept;
mod bind;
mod choose;
mod networks;
mod passed;
mod passing;
mod permits;
mod proxy_protocol;

pub use accept::{Accepted, Acceptor, Arrival, Front, NotMet, Visitor};
pub use bind::{BindError, bind_all};
pub use choose::{Passer, Remark, Unknown};
pub use networks::{BadNetwork, Network, Networks};
pub use passed::{Entrance, ListenError, Listeners, PassedSocket, listen, sockets_of_environment};
pub use passing::{receive_socket, send_socket};
pub use permits::{Permit, Permits, Refusal, address_of};
