//! Records as the tools that people keep their DNS with write them.
//!
//! Each form is a pure renderer of the same records and escapes text by its own tool's rules. Zones
//! are cut where the policy domain begins, or our own name: whoever cut theirs elsewhere moves the
//! lines, the names stay the same.

mod hcl;
mod javascript;
mod json;
mod octodns;
#[cfg(test)]
mod tests;
mod zone;

use super::{Holder, PublishedRecord};

/// A form to print records in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Lines of a zone file (RFC 1035 §5.1).
    #[default]
    Zone,
    /// JavaScript for dnscontrol's `dnsconfig.js`.
    Dnscontrol,
    /// YAML for octoDNS, one document for each zone.
    Octodns,
    /// Terraform's language: local values that any provider's record resource can take.
    Terraform,
    /// JSON.
    Json,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Zone, Self::Dnscontrol, Self::Octodns, Self::Terraform, Self::Json];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Dnscontrol => "dnscontrol",
            Self::Octodns => "octodns",
            Self::Terraform => "terraform",
            Self::Json => "json",
        }
    }

    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// `records` in this form, each of them once, ended by a line end.
    pub fn render(self, records: &[PublishedRecord]) -> String {
        let mut once: Vec<&PublishedRecord> = Vec::with_capacity(records.len());
        let mut seen = std::collections::HashSet::new();
        // Many customers lead to one name of ours, which needs its records once.
        once.extend(records.iter().filter(|record| seen.insert(*record)));
        match self {
            Self::Zone => zone::render(&once),
            Self::Dnscontrol => javascript::render(&once),
            Self::Octodns => octodns::render(&once),
            Self::Terraform => hcl::render(&once),
            Self::Json => json::render(&once),
        }
    }
}

/// `text` between double quotes, with a backslash before quotes and backslashes, and whatever is not
/// printable ASCII as `escape` writes it.
fn double_quoted(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&escape(c)),
        }
    }
    quoted.push('"');
    quoted
}

/// Records of one zone, by owner name and type; the order is that of the records.
struct Zone<'a> {
    name: &'a str,
    holder: Holder,
    sets: Vec<Set<'a>>,
}

/// Records of one name and type.
struct Set<'a> {
    /// Owner name within the zone; empty at its top.
    within: &'a str,
    name: &'a str,
    ttl: u32,
    kind: &'static str,
    records: Vec<&'a PublishedRecord>,
}

fn zones<'a>(records: &[&'a PublishedRecord]) -> Vec<Zone<'a>> {
    let mut zones: Vec<Zone<'a>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for &record in records {
        let at = *places.entry(record.zone.as_str()).or_insert_with(|| {
            zones.push(Zone { name: &record.zone, holder: record.holder, sets: Vec::new() });
            zones.len() - 1
        });
        let Some(zone) = zones.get_mut(at) else { continue };
        let kind = record.data.kind();
        match zone.sets.iter_mut().find(|set| set.name == record.name && set.kind == kind) {
            Some(set) => set.records.push(record),
            None => {
                let within = record.name.strip_suffix(zone.name).unwrap_or(&record.name);
                let within = within.trim_end_matches('.');
                zone.sets.push(Set {
                    within,
                    name: &record.name,
                    ttl: record.ttl,
                    kind,
                    records: vec![record],
                });
            }
        }
    }
    zones
}

/// Whose zone it is, for a comment.
fn owner(holder: Holder) -> &'static str {
    match holder {
        Holder::Customer => "published by the domain's owner",
        Holder::Provider => "published by you, where the customers' CNAME records lead",
    }
}
