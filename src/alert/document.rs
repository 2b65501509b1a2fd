//! What an alert looks like on the wire: `mta-stsd-alert/1`, or a message for Slack.
//!
//! The JSON form is an interface: within a version fields are added, never renamed.

use super::{Alert, Part};
use crate::audit::FindingCode;
use serde_json::{Value, json};

/// The version of our own document.
pub(super) const VERSION: &str = "mta-stsd-alert/1";

/// The document of `alert`, as told by the alert of the configuration named `name`.
pub(super) fn as_json(alert: &Alert, name: &str) -> Value {
    let part = |part: &Part| {
        let title = FindingCode::parse(&part.code).map(|code| code.entry().title);
        json!({
            "code": part.code,
            "title": title,
            "severity": part.severity.as_str(),
            "domains": part.count,
            "remedy": remedy(alert, part),
        })
    };
    json!({
        "version": VERSION,
        "id": alert.id,
        "alert": name,
        "state": if alert.resolved { "resolved" } else { "firing" },
        "severity": alert.severity.as_str(),
        "summary": summary(alert),
        "subject": alert.subject,
        "findings": alert.findings.iter().map(part).collect::<Vec<_>>(),
        "domains": alert.domains.iter().map(|domain| domain.as_str()).collect::<Vec<_>>(),
        "domains_total": alert.count,
        "since": alert.since.to_string(),
        "until": alert.until.map(|until| until.to_string()),
    })
}

/// A message that Slack shows; what comes from DNS is no markup there.
pub(super) fn as_slack(alert: &Alert) -> Value {
    let mark = match (alert.resolved, alert.severity.as_str()) {
        (true, _) => ":white_check_mark:",
        (false, "critical" | "error") => ":rotating_light:",
        (false, _) => ":warning:",
    };
    json!({ "text": format!("{mark} {}", escaped(&format!("{}\n{}", summary(alert), domains(alert)))) })
}

/// What mends a finding, said of the first of the domains.
fn remedy(alert: &Alert, part: &Part) -> Option<String> {
    let (code, domain) = (FindingCode::parse(&part.code)?, alert.domains.first()?);
    let sentence = code.entry().remedy.replace("{domain}", domain.as_str());
    Some(sentence.replace("{subject}", &alert.subject))
}

/// One sentence: how bad, what, about what, for how many.
fn summary(alert: &Alert) -> String {
    let codes: Vec<&str> = alert.findings.iter().map(|part| part.code.as_str()).collect();
    let about = match alert.subject.as_str() {
        "" => String::new(),
        subject => format!(" {subject}"),
    };
    let state = if alert.resolved { "resolved" } else { alert.severity.as_str() };
    let domains = if alert.count == 1 { "domain" } else { "domains" };
    format!("{state}: {}{about}, {} {domains}", codes.join(", "), alert.count)
}

fn domains(alert: &Alert) -> String {
    let mut text: Vec<String> = alert.domains.iter().map(ToString::to_string).collect();
    if let Some(others) = alert.count.checked_sub(text.len()).filter(|others| *others > 0) {
        text.push(format!("and {others} more"));
    }
    text.join(", ")
}

/// The three characters that are control characters in Slack's messages.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{group, grouping::tests::event};

    fn alert(domains: usize, subject: &str) -> Alert {
        let events: Vec<_> =
            (0..domains).map(|n| event(n as i64, n, "MX_NOT_IN_POLICY", subject, "error")).collect();
        group(&events).remove(0)
    }

    #[test]
    fn the_document_names_its_version_the_matter_and_how_many() {
        let document = as_json(&alert(22, "new.example"), "pager");
        assert_eq!(document["version"], "mta-stsd-alert/1");
        assert_eq!((&document["state"], &document["severity"]), (&json!("firing"), &json!("error")));
        assert_eq!(document["summary"], "error: MX_NOT_IN_POLICY new.example, 22 domains");
        let found = &document["findings"][0];
        assert_eq!((&found["code"], &found["domains"]), (&json!("MX_NOT_IN_POLICY"), &json!(22)));
        let remedy = found["remedy"].as_str().unwrap();
        assert!(remedy.contains("new.example") && remedy.contains("d00000.example"), "{remedy}");
        assert_eq!(document["domains"].as_array().unwrap().len(), 20);
        assert_eq!((&document["domains_total"], &document["until"]), (&json!(22), &Value::Null));
        assert_eq!(
            (&document["alert"], &document["since"]),
            (&json!("pager"), &json!("2027-01-15T08:00:00Z"))
        );
    }

    #[test]
    fn a_strangers_name_is_no_markup_in_slack() {
        let text = as_slack(&alert(21, "<!channel>&.example"))["text"].as_str().unwrap().to_owned();
        assert!(text.contains("&lt;!channel&gt;&amp;.example") && !text.contains('<'), "{text}");
        assert!(text.ends_with("d00019.example, and 1 more"), "{text}");
    }
}
