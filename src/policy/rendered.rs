//! A policy together with what is served and announced for it.

use super::{MxPattern, Policy, PolicyId, parse_body, render_body};
use bytes::Bytes;

/// A policy, its body and the id of that body; made once, shared by every domain that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedPolicy {
    policy: Policy,
    body: Bytes,
    id: PolicyId,
}

impl RenderedPolicy {
    /// Renders `policy` and reads the result back with the strict parser (D-12).
    ///
    /// # Errors
    ///
    /// [`Unfaithful`] when what would be served is not what was meant. No input is known to cause
    /// this; the check stands between a future mistake in the renderer and every sender's cache.
    pub fn of(policy: Policy) -> Result<Self, Unfaithful> {
        let body = render_body(&policy);
        let read = parse_body(&body);
        let patterns: Vec<String> = policy.mx().iter().map(MxPattern::to_string).collect();
        let faithful = read.is_valid()
            && read.mode == Some(policy.mode())
            && read.mx == patterns
            && read.max_age == Some(policy.max_age())
            && read.extensions.is_empty();
        if !faithful {
            return Err(Unfaithful);
        }
        let id = PolicyId::of_body(&body);
        Ok(Self { policy, body, id })
    }

    /// The policy itself.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The octets to serve.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The id to announce once the body is served.
    pub fn id(&self) -> &PolicyId {
        &self.id
    }
}

/// The rendered text does not read back as the policy it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rendered policy text does not read back as the policy; this is a bug in mta-stsd")]
pub struct Unfaithful;
