//! Configuration as this program writes it for an operator: tenants, and a first main file.
//!
//! What is written here is read by the rest of this room; tests hold the two against each other. Names
//! and patterns are checked values, so they need no escape; everything else stands in comments.

use super::{TenantId, duration::duration_shown, fault::shown};
use crate::{name::DomainName, policy::Policy};
use std::fmt;

/// A tenant to be written into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantText {
    /// Its name.
    pub name: TenantId,
    /// Its policy domains.
    pub domains: Vec<DomainName>,
    /// Its policy.
    pub policy: Policy,
    /// What a reader of the file should know, a line each.
    pub notes: Vec<String>,
}

impl TenantText {
    /// A tenant named after the first of `domains`, without notes; `None` when there is no domain.
    pub fn named_after_domain(domains: Vec<DomainName>, policy: Policy) -> Option<Self> {
        let first = domains.first()?.as_str();
        // LDH labels and dots are what names of tenants may have, but they must be shorter.
        let name = TenantId::parse(first.get(..TenantId::LONGEST).unwrap_or(first))?;
        Some(Self { name, domains, policy, notes: Vec::new() })
    }
}

/// As a `[[tenant]]` of a main file or a drop-in.
impl fmt::Display for TenantText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comment(f, &self.notes)?;
        let domains: Vec<String> = self.domains.iter().map(quoted).collect();
        let mx: Vec<String> = self.policy.mx().iter().map(quoted).collect();
        writeln!(f, "[[tenant]]\nname = {}", quoted(&self.name))?;
        writeln!(f, "domains = [{}]", domains.join(", "))?;
        writeln!(f, "mode = {}", quoted(self.policy.mode()))?;
        writeln!(f, "mx = [{}]", mx.join(", "))?;
        writeln!(f, "max_age = {}", quoted(duration_shown(self.policy.max_age().duration())))
    }
}

/// Who signs, in a first main file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstAuthority {
    /// The internal one: works at once, and no sender trusts it.
    Internal,
    /// Let's Encrypt, whose terms of service the operator has agreed to.
    LetsEncrypt {
        /// Where it may write to; a mail address.
        contact: Option<String>,
    },
}

/// A first main file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainFileText {
    /// Who signs.
    pub authority: FirstAuthority,
    /// Name that `mta-sts.<domain>` is to be a CNAME to.
    pub cname: Option<DomainName>,
    /// Its tenants.
    pub tenants: Vec<TenantText>,
}

impl fmt::Display for MainFileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETS_ENCRYPT: &str = "directory = \"https://acme-v02.api.letsencrypt.org/directory\"";
        f.write_str(
            "# mta-stsd: one file to begin with. `mta-stsd check` says what is wrong with an edit, and an edit\n\
             # of tenants is live within a second. Every other key is explained in config.example.toml.\n\n\
             [acme]\n\
             # Who signs the certificates of mta-sts.<domain>.\n",
        )?;
        match &self.authority {
            FirstAuthority::Internal => write!(
                f,
                "# This root is made on first start and trusted by no sender. For production write instead:\n\
                 #   {LETS_ENCRYPT}\n\
                 #   terms_of_service_agreed = true    # you have read https://letsencrypt.org/repository/\n\
                 directory = \"internal\"\n\n"
            )?,
            FirstAuthority::LetsEncrypt { contact } => {
                writeln!(f, "{LETS_ENCRYPT}\nterms_of_service_agreed = true")?;
                match contact {
                    Some(contact) => writeln!(f, "contact = [{}]\n", quoted(format!("mailto:{contact}")))?,
                    None => writeln!(f, "# contact = [\"mailto:postmaster@example.com\"]\n")?,
                }
            }
        }
        f.write_str("[publish]\n# The name of this machine, to which mta-sts.<domain> is to be a CNAME.\n")?;
        match &self.cname {
            Some(cname) => writeln!(f, "cname = {}", quoted(cname))?,
            None => writeln!(f, "# cname = \"sts.example.net\"")?,
        }
        f.write_str(
            "# Where senders report failures to (RFC 8460); prints a record _smtp._tls.<domain> as well.\n\
             # tlsrpt_rua = [\"mailto:tlsrpt@reports.example.net\"]\n",
        )?;
        self.tenants.iter().try_for_each(|tenant| write!(f, "\n{tenant}"))
    }
}

fn comment(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    lines.iter().try_for_each(|line| writeln!(f, "# {}", shown(line)))
}

/// A basic string of TOML.
fn quoted(text: impl fmt::Display) -> String {
    let mut quoted = String::from("\"");
    for c in text.to_string().chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
