//! Getting certificates: what to order, when, from whom, and how challenges are answered.
//!
//! `plan`, `renewal` and `retry` decide and are pure; `scheduler` is the dull loop that carries
//! their decisions out; `client` and `internal` are the two authorities behind one port.

mod answer;
pub mod authority;
pub mod client;
pub mod internal;
mod problem;
mod transport;
