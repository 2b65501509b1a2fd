//! Taking over a policy that somebody else serves today (D-08).
//!
//! Senders hold what they fetched for as long as its max_age says, so the tenant that continues it has
//! the same mode and patterns and lets nothing expire sooner. What cannot be continued is refused with
//! its reasons: a policy that quietly became another would be noticed when mail is refused.

use super::{TenantText, fault::quoted};
use crate::{
    name::DomainName,
    policy::{
        DefectCode, MaxAge, Mode, MxPattern, ParsedPolicy, PatternError, Policy, PolicyError, RemarkCode,
    },
};

/// Why a policy cannot be continued as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotContinue {
    /// No sender that is strict reads it as a policy.
    #[error("line {line}, column {column}: {}", code.code())]
    Invalid {
        /// Line in the text, from 1; 0 for the whole.
        line: usize,
        /// Column in that line, from 1; 0 for the whole.
        column: usize,
        /// What is wrong.
        code: DefectCode,
    },
    /// A pattern that no policy of ours may have.
    #[error("mx {}: {why}", quoted(pattern))]
    Pattern {
        /// The pattern as it is served; a stranger's text.
        pattern: String,
        /// Why it is refused.
        why: String,
    },
    /// The whole is not a policy that every sender reads.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// The tenant that continues `served`, the policy of `domain`: with its mode and patterns, and its
/// max_age, which is raised to what a tenant may have where it was shorter. Notes say what is not as it
/// was.
///
/// # Errors
///
/// Every reason why it cannot be continued.
pub fn continued(domain: &DomainName, served: &ParsedPolicy) -> Result<TenantText, Vec<CannotContinue>> {
    if !served.is_valid() {
        let defects = served.defects.iter();
        return Err(defects
            .map(|defect| CannotContinue::Invalid {
                line: defect.line,
                column: defect.column,
                code: defect.code,
            })
            .collect());
    }
    let (mut mx, mut reasons) = (Vec::new(), Vec::new());
    for text in &served.mx {
        match pattern(text) {
            Ok(pattern) => mx.push(pattern),
            Err(why) => reasons.push(CannotContinue::Pattern { pattern: text.clone(), why }),
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    // A valid policy has both.
    let mode = served.mode.unwrap_or(Mode::Testing);
    let served_age = served.max_age.unwrap_or(MaxAge::SHORTEST_TO_SET);
    let policy =
        Policy::new(mode, mx, served_age.max(MaxAge::SHORTEST_TO_SET)).map_err(|e| vec![e.into()])?;
    let notes = notes(served, served_age, &policy);
    let tenant = TenantText::named_after_domain(vec![domain.clone()], policy);
    // Every domain's name, cut to length, is a tenant's.
    let mut tenant = tenant.ok_or_else(Vec::new)?;
    tenant.notes = notes;
    Ok(tenant)
}

fn pattern(text: &str) -> Result<MxPattern, String> {
    let pattern = MxPattern::from_user(text).map_err(|error| match error {
        PatternError::Wildcard => "has a wildcard in the wrong place".to_owned(),
        other => other.to_string(),
    })?;
    if pattern.is_wildcard()
        && pattern.name().is_public_suffix()
        && !pattern.name().is_shared_hosting_suffix()
    {
        return Err("is a wildcard at a public suffix: it covers everybody".to_owned());
    }
    Ok(pattern)
}

/// What is not as it was, and what was unwise about it.
fn notes(served: &ParsedPolicy, served_age: MaxAge, policy: &Policy) -> Vec<String> {
    let mut notes = Vec::new();
    if served_age < policy.max_age() {
        notes.push(format!("max_age was {served_age} s; one day is the least that every sender takes."));
    }
    let ours: Vec<String> = policy.mx().iter().map(ToString::to_string).collect();
    if served.mx != ours {
        notes.push("The mx patterns are sorted, and each is written once.".to_owned());
    }
    for (name, _) in &served.extensions {
        notes.push(format!(
            "The field {} is left out: nothing defines it, and senders disagree about such fields.",
            quoted(name)
        ));
    }
    let remarked = |code| served.remarks.iter().any(|remark| remark.code == code);
    if remarked(RemarkCode::DuplicateFieldDivergent) {
        notes.push("A field was written twice with two values; the first counts (RFC 8461 §3.2).".to_owned());
    }
    if remarked(RemarkCode::MxNotLowercase) {
        notes.push("The mx patterns are in lower case.".to_owned());
    }
    if remarked(RemarkCode::MxWildcardSharedSuffix) {
        notes.push("A wildcard covers hosts of strangers: name the MX hosts one by one.".to_owned());
    }
    if remarked(RemarkCode::NoneWithoutMx) {
        notes.push("A none policy should have its mx patterns: some senders refuse it without.".to_owned());
    }
    notes
}
