//! The policy server over real sockets: what RFC 8461 and its neighbours ask of a policy host, and
//! what strangers may try. Limits are short and conditions are waited for; nothing is timed.

mod client;
mod daemon;
mod drain;
mod hello;
mod hostile;
mod http1;
mod http2;
mod proxied;
mod server;
mod tls;
mod vectors;
