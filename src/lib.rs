//! mta-stsd hosts MTA-STS policies (RFC 8461) for many mail domains.
//!
//! # The tour
//!
//! The program is an hourglass. Below the waist stand plain values: names, policies, certificates.
//! The waist is the [`snapshot`]: everything we promise to serve at one moment, already rendered and
//! never changed. Above it stand the wings, which each do one thing and never import each other:
//! [`reload`] writes the snapshot from the configuration, [`acme`] writes the certificate table,
//! [`https`] reads both, [`cross_check`] holds the snapshot against what the world shows.
//!
//! | floor | rooms |
//! | --- | --- |
//! | 8 | `main.rs` |
//! | 7 | [`cli`] |
//! | 6 | [`daemon`] |
//! | 5 | [`admin`] |
//! | 4 | [`reload`], [`acme`], [`cross_check`], [`https`], [`publishing`], [`alert`] |
//! | 3 | [`snapshot`], [`audit`] |
//! | 2 | [`config`], [`storage`], [`starttls`], [`policy_fetch`] |
//! | 1 | [`policy`], [`dns`], [`certificate`] |
//! | 0 | [`name`], [`clock`], [`listening`], [`logging`], [`dialing`], [`metrics`] |
//!
//! A room may import only rooms on lower floors; `tests/architecture.rs` keeps it so.
//!
//! # Reading order
//!
//! [`name`], [`policy`], [`config`], [`snapshot`], then `https/respond.rs`: that is a policy's whole
//! way from the file to the wire. Then `acme/calendar.rs` and `acme/scheduler.rs`, then [`daemon`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Floor 0
pub mod clock;
pub mod dialing;
pub mod listening;
pub mod logging;
pub mod metrics;
pub mod name;
// Floor 1
pub mod certificate;
pub mod dns;
pub mod policy;
// Floor 2
pub mod config;
pub mod policy_fetch;
pub mod starttls;
pub mod storage;
// Floor 3
pub mod audit;
pub mod snapshot;
// Floor 4
pub mod acme;
pub mod alert;
pub mod cross_check;
pub mod https;
pub mod publishing;
pub mod reload;
// Floor 5
pub mod admin;
// Floor 6
pub mod daemon;
// Floor 7
pub mod cli;
