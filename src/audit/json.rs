//! A report as JSON: fields are added, never renamed; `docs/schemas/audit.schema.json` has them all.

use super::{
    Finding,
    report::{Report, SCHEMA},
};
use serde_json::{Value, json};

impl Report {
    /// The report for programs. `mode` is null without a valid policy.
    pub fn to_json(&self) -> Value {
        let finding = |finding: &Finding| {
            let entry = finding.code.entry();
            json!({
                "code": finding.code.as_str(),
                "subject": &*finding.subject,
                "severity": finding.severity.as_str(),
                "title": entry.title,
                "evidence": &*finding.evidence,
                "cause": entry.cause,
                "effect": entry.effect,
                "remedy": finding.remedy(&self.domain),
                "rfc": entry.rfc,
            })
        };
        let topics: Vec<Value> = self
            .topics
            .iter()
            .map(|topic| {
                let findings: Vec<Value> = topic.findings.iter().map(finding).collect();
                json!({ "topic": topic.topic.as_str(), "seen": topic.seen, "findings": findings })
            })
            .collect();
        json!({
            "schema": SCHEMA,
            "domain": self.domain.as_str(),
            "at": self.at.to_string(),
            "mode": self.mode.map(|mode| mode.as_str()),
            "verdict": self.verdict,
            "topics": topics,
            "compatibility": self.compatibility,
        })
    }
}
