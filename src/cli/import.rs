//! `mta-stsd import`: tenants that continue the policies which domains are served elsewhere (D-08).

use super::{
    CONFIG, DONE, FAILED, USAGE,
    looking::{ADDRESSES_MAX, LookingArgs},
    quickstart::{not_written, write_new},
    small_runtime,
};
use crate::{
    clock::Clock,
    config::{TenantText, continued},
    dns::{Answer, Lookup, TxtAnswer, Unanswered},
    logging::chain,
    name::PolicyHost,
    policy::{RecordOutcome, TxtSeen, judge_records, parse_body},
    policy_fetch::{Fetcher, Offer},
    publishing::served_body,
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// File to write, as a drop-in; it must not exist yet. Standard output unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    looking: LookingArgs,
    /// Mail domains, as in example.com
    #[arg(value_name = "DOMAIN", required = true)]
    domains: Vec<String>,
}

/// Why a domain is not imported: what to print, and the code to end with.
type Refusal = (Vec<String>, u8);

pub(super) fn run(args: &ImportArgs) -> u8 {
    import(args).err().unwrap_or(DONE)
}

fn import(args: &ImportArgs) -> Result<(), u8> {
    let mut hosts: Vec<PolicyHost> = Vec::new();
    for text in &args.domains {
        let host = super::policy_host(text).map_err(|error| {
            eprintln!("mta-stsd: {text:?} {error}");
            USAGE
        })?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let (lookup, fetcher) = (args.looking.lookup(None)?, args.looking.fetcher()?);
    let failed = |error: &dyn std::error::Error| {
        eprintln!("mta-stsd: {}", chain(error));
        FAILED
    };
    let runtime = small_runtime().map_err(|error| failed(&error))?;
    let (mut text, mut trouble) = (String::new(), None);
    for host in &hosts {
        match runtime.block_on(served(&lookup, &fetcher, host)) {
            Ok(tenant) => {
                text.push_str(if text.is_empty() { "" } else { "\n" });
                text.push_str(&tenant.to_string());
            }
            Err((reasons, code)) => {
                eprintln!("mta-stsd: {} cannot be taken over:", host.domain());
                reasons.iter().for_each(|reason| eprintln!("  {reason}"));
                trouble = Some(code);
            }
        }
    }
    if let Some(code) = trouble {
        eprintln!("mta-stsd: nothing was written");
        return Err(code);
    }
    match &args.output {
        None => print!("{text}"),
        Some(path) => {
            write_new(path, &text).map_err(|error| not_written(path, &error))?;
            eprintln!("mta-stsd: wrote {}", path.display());
        }
    }
    eprintln!(
        "mta-stsd: next: 1. put this where the configuration finds it, and let `mta-stsd check` read it; 2. lead \
         mta-sts.<domain> here, and let the old host answer until the TTL of its record has passed; 3. when \
         `mta-stsd records --verify` says that it is safe, publish the TXT record with its new id"
    );
    Ok(())
}

/// The tenant that continues what is served for `host` now.
async fn served(lookup: &dyn Lookup, fetcher: &Fetcher, host: &PolicyHost) -> Result<TenantText, Refusal> {
    let domain = host.domain();
    let refused = |why: String| (vec![why], CONFIG);
    let silent = |error: Unanswered| (vec![error.to_string()], FAILED);
    let indicator = crate::dns::DnsName::new(&format!("_mta-sts.{domain}"));
    let Answer { data: TxtAnswer { records, beside_cname, .. }, .. } =
        lookup.txt(&indicator).await.map_err(silent)?;
    let judged = judge_records(TxtSeen::Answer { records: &records, beside_cname });
    if let RecordOutcome::NoPolicy(defect) = judged.outcome {
        let why = format!("{indicator} has no usable record ({}), so senders hold no policy", defect.code());
        return Err(refused(why));
    }
    let addresses = lookup.addresses(&host.into()).await.map_err(silent)?;
    let (mut bodies, mut troubles): (Vec<Vec<u8>>, Vec<String>) = (Vec::new(), Vec::new());
    for address in addresses.iter().take(ADDRESSES_MAX) {
        let fetch = fetcher.fetch(host, address, Offer::Http1WithoutAlpn, Clock::System.now()).await;
        match served_body(&fetch) {
            Ok(body) => bodies.push(body.to_vec()),
            Err(why) => troubles.push(why),
        }
    }
    bodies.dedup();
    let body = match bodies.as_slice() {
        [body] => body,
        [] if troubles.is_empty() => return Err(refused(format!("{host} has no address"))),
        [] => return Err((troubles, FAILED)),
        _ => return Err(refused(format!("the addresses of {host} serve different policies"))),
    };
    let mut tenant = continued(&domain, &parse_body(body))
        .map_err(|reasons| (reasons.iter().map(ToString::to_string).collect(), CONFIG))?;
    let day = Clock::System.now().strftime("%Y-%m-%d").to_string();
    tenant.notes.insert(0, format!("Taken over from https://{host}/.well-known/mta-sts.txt on {day}."));
    if !troubles.is_empty() {
        tenant.notes.push(format!("Not every address served it: {}", troubles.join("; ")));
    }
    Ok(tenant)
}
