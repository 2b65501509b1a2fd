//! What audits hold the world against, beside the policy itself: known where the parts are put together.

use crate::{
    dns::caa::{CaaIdentity, Method},
    name::PolicyHost,
};
use std::net::IpAddr;

/// What is ours.
#[async_trait::async_trait]
pub trait Expectations: Send + Sync {
    /// The addresses where policy hosts reach us; empty when they are not known.
    async fn addresses(&self) -> Vec<IpAddr>;

    /// What CAA records must allow; `None` when it is not known, or no authority is asked.
    async fn issuer(&self) -> Option<(CaaIdentity, Vec<Method>)>;

    /// Whether there is a certificate for `host`, without which its policy cannot be fetched.
    async fn is_served(&self, host: &PolicyHost) -> bool;
}
