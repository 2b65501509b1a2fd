//! One log line for a change, in few words.

use super::status::Change;
use crate::{
    audit::{Finding, Severity, worst},
    name::DomainName,
};
use tracing::{debug, info, warn};

/// The most octets of findings in one log line.
const LOGGED_MAX: usize = 256;

pub(super) fn log_change(domain: &DomainName, change: &Change) {
    let there = || change.appeared.iter().chain(&change.reassessed);
    let remedy = there().max_by_key(|finding| finding.severity);
    let remedy = remedy.map(|finding| finding.remedy(domain));
    // What has nothing in it is left out of the line.
    let some = |findings| Some(listed(findings)).filter(|text| !text.is_empty());
    let appeared = some(&change.appeared);
    let reassessed = some(&change.reassessed);
    let gone = some(&change.gone);
    let severity = worst(there()).map(Severity::as_str);
    let weight = worst(there().chain(&change.gone));
    if worst(there()) >= Some(Severity::Error) {
        warn!(%domain, severity, appeared, reassessed, gone, remedy, "findings changed");
    } else if weight >= Some(Severity::Warn) {
        info!(%domain, severity, appeared, reassessed, gone, remedy, "findings changed");
    } else {
        // Notes and silences; a fleet has many, and strangers' servers make them come and go.
        debug!(%domain, severity, appeared, reassessed, gone, remedy, "findings changed");
    }
}

/// Codes with their subjects, cut: a domain's owner may publish many long names.
fn listed(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        if text.len() > LOGGED_MAX {
            text.push_str(" …");
            break;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{separator}{} {}", finding.code, finding.subject));
        text.truncate(text.trim_end().len());
    }
    text
}
