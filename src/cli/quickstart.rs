//! `mta-stsd quickstart`: from MX records to a first configuration in mode testing.

use super::{
    CONFIG, ConfigArg, DONE, FAILED, USAGE, looking::LookingArgs, records, small_runtime, standing::Standing,
};
use crate::{
    audit::providers::{recognise, recommended},
    config::{FirstAuthority, MainFileText, TenantText, is_contact},
    dns::{Lookup, MxAnswer, MxRecord},
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy},
    publishing::{Format, PublishedRecord},
};
use clap::Args;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(super) struct QuickstartArgs {
    /// Main configuration file to write; it must not exist yet
    #[arg(long, short, value_name = "FILE", default_value = "mta-stsd.toml")]
    output: PathBuf,
    /// Name of this machine, to which mta-sts.DOMAIN is to be a CNAME
    #[arg(long, value_name = "NAME")]
    cname: Option<String>,
    /// Let Let's Encrypt sign: you have read and agree to its terms of service
    #[arg(long)]
    agree_to_lets_encrypt: bool,
    /// Mail address that Let's Encrypt may write to
    #[arg(long, value_name = "ADDRESS", requires = "agree_to_lets_encrypt", value_parser = contact)]
    contact: Option<String>,
    #[command(flatten)]
    looking: LookingArgs,
    /// Mail domains, as in example.com
    #[arg(value_name = "DOMAIN", required = true)]
    domains: Vec<String>,
}

fn contact(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    match is_contact(address) {
        true => Ok(address.to_owned()),
        false => Err("write one mail address, as in postmaster@example.com".to_owned()),
    }
}

pub(super) fn run(args: &QuickstartArgs) -> u8 {
    write_and_tell(args).err().unwrap_or(DONE)
}

fn write_and_tell(args: &QuickstartArgs) -> Result<(), u8> {
    let cname = args.cname.as_deref().map(named).transpose()?;
    let mut hosts = Vec::new();
    for text in &args.domains {
        let host = super::policy_host(text).map_err(|error| refused(text, &error.to_string(), USAGE))?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let lookup = args.looking.lookup(None)?;
    let runtime = small_runtime().map_err(|error| refused("the runtime", &error.to_string(), FAILED))?;
    let mut tenants = Vec::new();
    let mut trouble = None;
    for domain in hosts.iter().map(PolicyHost::domain) {
        match runtime.block_on(mx_records(&lookup, &domain)).and_then(|records| tenant(&domain, &records)) {
            Ok(tenant) => tenants.push(tenant),
            Err((why, code)) => trouble = Some(refused(domain.as_str(), &why, code)),
        }
    }
    if let Some(code) = trouble {
        eprintln!("mta-stsd: nothing was written");
        return Err(code);
    }
    let authority = match args.agree_to_lets_encrypt {
        true => FirstAuthority::LetsEncrypt { contact: args.contact.clone() },
        false => FirstAuthority::Internal,
    };
    let text = MainFileText { authority, cname, tenants }.to_string();
    write_new(&args.output, &text).map_err(|error| not_written(&args.output, &error))?;
    tell(args, &hosts)
}

/// The MX records of `domain`, the implicit one among them (M-12).
async fn mx_records(lookup: &dyn Lookup, domain: &DomainName) -> Result<Vec<MxRecord>, (String, u8)> {
    let silent = |error: crate::dns::Unanswered| (error.to_string(), FAILED);
    let refused = |why: &str| Err((why.to_owned(), CONFIG));
    match lookup.mx(domain).await.map_err(silent)?.data {
        MxAnswer::NoSuchDomain => refused("does not exist"),
        MxAnswer::Records(records) if records.iter().any(|record| record.host.is_root()) => {
            refused("takes no mail (null MX, RFC 7505), and a policy would protect nothing")
        }
        MxAnswer::Records(records) => Ok(records),
        MxAnswer::NoRecords if lookup.has_address(domain).await.map_err(silent)? => {
            Ok(vec![MxRecord { preference: 0, host: domain.into() }])
        }
        MxAnswer::NoRecords => refused("has neither MX nor address records, so no mail reaches it"),
    }
}

fn tenant(domain: &DomainName, records: &[MxRecord]) -> Result<TenantText, (String, u8)> {
    let pattern = |text: String| {
        MxPattern::from_user(&text).map_err(|error| (format!("has an MX host {text} that {error}"), CONFIG))
    };
    let patterns = recommended(records).into_iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    let policy = Policy::new(Mode::Testing, patterns, MaxAge::default_of(Mode::Testing));
    let policy = policy.map_err(|error| (error.to_string(), CONFIG))?;
    let tenant = TenantText::named_after_domain(vec![domain.clone()], policy);
    let mut tenant = tenant.ok_or_else(|| ("has no name for a tenant".to_owned(), CONFIG))?;
    let hosts: Vec<String> = records.iter().map(|record| record.host.to_string()).collect();
    tenant.notes.push(format!("MX records of {domain}: {}", hosts.join(", ")));
    if let Some(provider) = recognise(records) {
        tenant.notes.push(format!("Mail provider: {}", provider.name));
    }
    tenant
        .notes
        .push("Senders report and mail flows. Write \"enforce\" after two weeks without failures.".into());
    Ok(tenant)
}

/// What comes next: the records, and three steps.
fn tell(args: &QuickstartArgs, hosts: &[PolicyHost]) -> Result<(), u8> {
    let config = ConfigArg { path: args.output.clone() };
    eprintln!("mta-stsd: wrote {}", args.output.display());
    let standing = Standing::of(&config);
    let Some(server) = standing.reloader.server() else {
        eprint!("{}", super::rendered(&standing.report.faults));
        return Err(CONFIG);
    };
    let (found, code) = records::of_hosts(hosts, &standing, server, &config);
    let found: Vec<PublishedRecord> = found.into_iter().flat_map(|(_, records)| records).collect();
    print!("{}", Format::Zone.render(&found));
    let domains: Vec<String> = hosts.iter().map(|host| host.domain().to_string()).collect();
    let domains = domains.join(" ");
    let sign = match args.agree_to_lets_encrypt {
        true => "",
        false => {
            "; before you publish a TXT record, let an authority sign that senders trust (acme.directory)"
        }
    };
    eprintln!(
        "\nNext:\n  1. {} then {}\n  2. publish what leads mta-sts.<domain> here, and wait until {} shows certificates{sign}\n  \
         3. publish the TXT records once {} says that it is safe",
        config.command("check"),
        config.command("serve"),
        config.command("status"),
        config.command(&format!("records --verify {domains}")),
    );
    if code == DONE { Ok(()) } else { Err(code) }
}

fn named(text: &str) -> Result<DomainName, u8> {
    DomainName::from_user(text).map_err(|error| refused(text, &error.to_string(), USAGE))
}

fn refused(what: &str, why: &str, code: u8) -> u8 {
    eprintln!("mta-stsd: {what} {why}");
    code
}

/// Writes a new file; one that is there already stays as it is.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Prints why the file was not written, with what to do, and returns the exit code.
pub(super) fn not_written(path: &Path, error: &io::Error) -> u8 {
    eprintln!("mta-stsd: {}: {}", path.display(), why_not_written(error));
    FAILED
}

fn why_not_written(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => "exists: name a new file with --output".to_owned(),
        io::ErrorKind::NotFound => "its folder does not exist: make it first".to_owned(),
        _ => format!("{error}: name a file with --output that you may write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::DnsName;

    fn written(hosts: &[&str]) -> String {
        let domain = DomainName::from_user("bücher.example").unwrap();
        let record = |host: &&str| MxRecord { preference: 10, host: DnsName::new(host) };
        let tenant = tenant(&domain, &hosts.iter().map(record).collect::<Vec<_>>()).unwrap();
        let cname = Some(DomainName::from_user("sts.example.net").unwrap());
        MainFileText { authority: FirstAuthority::Internal, cname, tenants: vec![tenant] }.to_string()
    }

    #[test]
    fn what_is_written_passes_the_check_and_is_in_testing() {
        for hosts in [
            &["mx1.bücher.example", "mx2.meadow.example"][1..],
            &["meadow-example.mail.protection.outlook.com"],
            &["aspmx.l.google.com", "alt1.aspmx.l.google.com"],
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("mta-stsd.toml");
            write_new(&path, &written(hosts)).unwrap();
            let Standing { snapshot, report, .. } = Standing::of(&ConfigArg { path: path.clone() });
            assert!(report.faults.is_empty() && report.warnings.is_empty(), "{:?}", report.faults);
            let hosted = snapshot.find("mta-sts.xn--bcher-kva.example").unwrap();
            assert_eq!(hosted.policy.policy().mode(), Mode::Testing);
            for host in hosts {
                assert!(hosted.policy.policy().allowing(host).is_some(), "{host}");
            }
            let stays = write_new(&path, "").unwrap_err();
            assert_eq!(why_not_written(&stays), "exists: name a new file with --output");
            let nowhere = write_new(&folder.path().join("none").join("file"), "").unwrap_err();
            assert!(why_not_written(&nowhere).contains("make it first"), "{nowhere}");
        }
    }

    #[test]
    fn a_contact_is_one_address_that_the_configuration_takes() {
        for good in ["post@a.example", "mailto:post@a.example"] {
            assert_eq!(contact(good).as_deref(), Ok("post@a.example"));
        }
        for bad in ["post", "@a.example", "post@", "a@a.example,b@a.example", "a b@a.example", ""] {
            assert!(contact(bad).is_err(), "{bad:?}");
        }
    }
}
