//! `mta-stsd records`: the DNS records that a domain's owner publishes.

use super::{CONFIG, ConfigArg, DONE, USAGE, standing::Standing};
use crate::snapshot::{records_to_publish, target_is_known};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct RecordsArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Policy domain, as in example.com
    domain: String,
}

pub(super) fn run(args: &RecordsArgs) -> u8 {
    let host = match super::policy_host(&args.domain) {
        Ok(host) => host,
        Err(error) => {
            eprintln!("mta-stsd: {:?} {error}", args.domain);
            return USAGE;
        }
    };
    let Standing { reloader, snapshot, report } = Standing::of(&args.config);
    let Some(server) = reloader.server() else {
        eprint!("{}", super::rendered(&report.faults));
        return CONFIG;
    };
    let (domain, check) = (host.domain(), args.config.command("check"));
    let claimants = reloader.claimants(&host);
    let refused = claimants.iter().find(|tenant| report.refused.contains(tenant));
    let Some(hosted) = snapshot.find(host.as_str()) else {
        match refused.or(claimants.first()) {
            Some(tenant) => eprintln!(
                "mta-stsd: tenant {tenant}, which has the domain {domain}, is refused and was not served \
                 before; {check} says why"
            ),
            None => eprintln!("mta-stsd: no tenant has the domain {domain}; {check} shows what is refused"),
        }
        return CONFIG;
    };
    if let Some(tenant) = refused {
        eprintln!("mta-stsd: tenant {tenant} is refused as written; {check} says why");
        eprintln!("mta-stsd: these are the records of what is still served, for tenant {}", hosted.tenant);
    }
    if !target_is_known(snapshot.publish()) {
        eprintln!(
            "mta-stsd: {host} has to point to this server: set publish.cname to its name, and that record \
             is printed as well"
        );
    }
    for record in records_to_publish(&host, hosted, snapshot.publish()) {
        println!("{record}");
    }
    let status = args.config.command(&format!("status {domain}"));
    match server.acme.is_internal() {
        true => eprintln!(
            "mta-stsd: do not publish the TXT record while acme.directory is \"internal\": no sender trusts \
             that root"
        ),
        false => eprintln!("mta-stsd: publish the TXT record last, when {status} shows a certificate"),
    }
    DONE
}
