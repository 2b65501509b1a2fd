//! Policies as they are written: `[policies.*]`, and mode, mx and max_age wherever they stand.

use super::{
    TenantId,
    fault::quoted,
    file::Table,
    tenants::{Draft, DraftPolicy, NamedPolicy, TenantReader},
};
use crate::{
    name::NameError,
    policy::{MaxAge, Mode, MxPattern, PatternError, Policy, PolicyError, RenderedPolicy},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What a tenant may set as max_age (P-07).
pub(super) const MAX_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(86_400)..=Duration::from_secs(31_557_600);
const WILDCARD_REMEDY: &str = "write a wildcard below a domain of one owner, such as \"*.mail.example.net\"";

impl TenantReader<'_, '_> {
    /// `[policies.*]`: the policies by name, and a draft for each that lists its own domains.
    pub(super) fn policies(
        &mut self,
        table: Option<Table<'_, '_>>,
    ) -> (HashMap<String, NamedPolicy>, Vec<Draft>, bool) {
        let mut policies = HashMap::new();
        let mut drafts = Vec::new();
        let mut complete = true;
        for (name, mut table) in table.map(Table::named_tables).unwrap_or_default() {
            let before = self.reading.faults_so_far();
            let id = TenantId::parse(&name.value);
            if id.is_none() {
                let problem = format!("{} is not a policy's name", quoted(&name.value));
                let remedy = "use 1 to 64 of A-Z a-z 0-9 . _ -";
                self.reading.fault(name.span, "policies", problem, remedy);
            }
            let policy = self.policy(&mut table);
            let has_list = table.has("domains_file");
            let list = self.folder.and_then(|folder| self.list(&mut table, folder));
            table.finish();
            let good = self.reading.faults_so_far() == before;
            if has_list {
                let by_name = DraftPolicy::Named(name.clone());
                match id {
                    Some(id) => drafts.push(Draft {
                        id,
                        span: name.span,
                        hosts: Vec::new(),
                        list,
                        policy: by_name,
                        good,
                    }),
                    None => complete = false,
                }
            }
            policies.insert(name.value, NamedPolicy { span: name.span, policy: policy.filter(|_| good) });
        }
        (policies, drafts, complete)
    }

    /// `mode`, `mx` and `max_age` of a table; `None` when there was a fault.
    pub(super) fn policy(&mut self, table: &mut Table<'_, '_>) -> Option<Arc<RenderedPolicy>> {
        let before = self.reading.faults_so_far();
        let span = table.span();
        let mode = self.mode(table);
        let mx_span = table.span_of("mx");
        let misspelt = table.is_misspelt("mx");
        let mx = self.mx(table);
        let age = table.duration("max_age", MAX_AGE);
        let age_span = age.as_ref().map_or(span, |age| age.span);
        let seconds = age.map_or(MaxAge::default_of(mode).seconds().into(), |age| age.value.as_secs());
        let max_age = MaxAge::from_seconds(seconds).ok()?;
        if self.reading.faults_so_far() > before {
            return None;
        }
        if mode == Mode::None && mx.is_empty() {
            let problem = "the policy of mode none has no mx";
            let remedy = "keep the mx lines: some senders refuse a none policy without, and go on enforcing";
            self.reading.warning(mx_span, &table.key("mx"), problem, remedy);
        }
        if mode == Mode::Enforce && max_age < MaxAge::WEEK {
            let problem = "max_age is below a week in mode enforce";
            let remedy = "write \"1w\" or more, or senders forget the policy between two mails";
            self.reading.warning(age_span, &table.key("max_age"), problem, remedy);
        }
        let policy = match Policy::new(mode, mx, max_age) {
            Ok(policy) => policy,
            Err(PolicyError::NoMx) if misspelt => return None,
            Err(error) => {
                let remedy = match error {
                    PolicyError::NoMx => {
                        "list the MX hosts of the domains, such as mx = [\"mx1.example.net\"]"
                    }
                    PolicyError::TooManyMx { .. } | PolicyError::BodyTooLarge { .. } => {
                        "let a wildcard stand for hosts of one zone, such as \"*.mail.example.net\""
                    }
                };
                self.reading.fault(mx_span, &table.key("mx"), error.to_string(), remedy);
                return None;
            }
        };
        match self.interner.rendered(policy) {
            Ok(rendered) => Some(rendered),
            Err(error) => {
                let remedy = "report it; the last good policy is served meanwhile";
                self.reading.fault(span, &table.key("mode"), error.to_string(), remedy);
                None
            }
        }
    }

    fn mode(&self, table: &mut Table<'_, '_>) -> Mode {
        let Some(text) = table.text("mode") else { return Mode::Testing };
        if let Some(mode) = Mode::from_keyword(&text.value) {
            return mode;
        }
        let modes = [Mode::Enforce, Mode::Testing, Mode::None].map(Mode::as_str);
        let lower = text.value.to_lowercase();
        let like = modes.into_iter().find(|mode| strsim::jaro_winkler(mode, &lower) > 0.85);
        let remedy = match like {
            Some(mode) => format!("did you mean \"{mode}\"?"),
            None => "write \"testing\", \"enforce\" or \"none\"".to_owned(),
        };
        let problem = format!("{} is not a mode", quoted(&text.value));
        self.reading.fault(text.span, &table.key("mode"), problem, remedy);
        Mode::Testing
    }

    fn mx(&self, table: &mut Table<'_, '_>) -> Vec<MxPattern> {
        let key = table.key("mx");
        let mut patterns: Vec<MxPattern> = Vec::new();
        for text in table.texts("mx").map(|texts| texts.value).unwrap_or_default() {
            let pattern = match MxPattern::from_user(&text.value) {
                Ok(pattern) => pattern,
                Err(error) => {
                    let (problem, remedy) = pattern_fault(&text.value, error);
                    self.reading.fault(text.span, &key, problem, remedy);
                    continue;
                }
            };
            let shown = quoted(&text.value);
            if pattern.is_wildcard() && pattern.name().is_shared_hosting_suffix() {
                let problem = format!("mx {shown} covers hosts of strangers: anyone can have a name there");
                self.reading.warning(text.span, &key, problem, "name the MX hosts one by one");
            } else if pattern.is_wildcard() && pattern.name().is_public_suffix() {
                let problem = format!("mx {shown} is a wildcard at a public suffix: it covers everybody");
                self.reading.fault(text.span, &key, problem, WILDCARD_REMEDY);
                continue;
            }
            if patterns.contains(&pattern) {
                let problem = format!("mx {shown} is listed twice");
                self.reading.warning(text.span, &key, problem, "write it once");
                continue;
            }
            patterns.push(pattern);
        }
        patterns
    }
}

/// Says what is wrong with an MX host pattern, and what would be right.
fn pattern_fault(text: &str, error: PatternError) -> (String, String) {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if text.len() > name.len() && error == PatternError::Name(NameError::SingleLabel) {
        let problem = format!("mx {} is a wildcard at a public suffix: it covers everybody", quoted(text));
        return (problem, WILDCARD_REMEDY.to_owned());
    }
    let problem = match error {
        PatternError::Wildcard => "has a wildcard in the wrong place".to_owned(),
        PatternError::TrailingDot => "ends in a dot".to_owned(),
        PatternError::Name(_) => error.to_string(),
    };
    let remedy = match error {
        PatternError::Wildcard => {
            "a pattern is a host name, or one leading \"*.\" and a domain (RFC 8461 §3.2)".to_owned()
        }
        PatternError::TrailingDot => format!("write {}", quoted(text.trim_end_matches('.'))),
        PatternError::Name(NameError::IpAddress) => {
            "write the MX host's name, as in its MX record".to_owned()
        }
        PatternError::Name(NameError::Character(' ' | ',' | ';' | '\t')) => {
            "write one host name a string, without preference number".to_owned()
        }
        PatternError::Name(NameError::Character(':' | '/' | '@')) => {
            "write the host name alone, without scheme, port or mailbox".to_owned()
        }
        PatternError::Name(NameError::SingleLabel) => {
            "write the full name, such as \"mx1.example.net\"".to_owned()
        }
        PatternError::Name(_) => "write an MX host's name, or \"*.\" and a domain".to_owned(),
    };
    (format!("mx {} {problem}", quoted(text)), remedy)
}
