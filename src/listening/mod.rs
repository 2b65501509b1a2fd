//! Sockets that listen: binding them with a useful error, and accepting within permits.
//!
//! `bind` opens listeners so that what they accept needs no further set-up; `passed` takes in those that
//! somebody else opened, as `choose` decides; `accept` hands out connections, each with a [`Permit`], and
//! outlives every error that accepting can bring.

mod accept;
mod bind;
mod choose;
mod passed;
mod permits;

pub use accept::{Accepted, Acceptor, Arrival};
pub use bind::{BindError, bind_all};
pub use choose::{Passer, Remark, Unknown};
pub use passed::{Entrance, ListenError, Listeners, PassedSocket, listen, sockets_of_environment};
pub use permits::{Permit, Permits, Refusal, address_of};
