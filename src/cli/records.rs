//! `mta-stsd records`: the DNS records that a domain's owner publishes.

use super::{CONFIG, ConfigArg, DONE, USAGE};
use crate::{
    clock::Clock,
    name::{DomainName, PolicyHost},
    reload::Reloader,
    snapshot::{SharedSnapshot, records_to_publish, target_is_known},
};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct RecordsArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Policy domain, as in example.com
    domain: String,
}

pub(super) fn run(args: &RecordsArgs) -> u8 {
    let host = match DomainName::from_user(&args.domain).and_then(|domain| PolicyHost::of(&domain)) {
        Ok(host) => host,
        Err(error) => {
            eprintln!("mta-stsd: {:?} {error}", args.domain);
            return USAGE;
        }
    };
    let snapshot = SharedSnapshot::default();
    let mut reloader = Reloader::new(args.config.path.clone(), snapshot.clone(), Clock::System);
    if let Err(refused) = reloader.first() {
        eprint!("{}", super::rendered(&refused.faults));
        return CONFIG;
    }
    let snapshot = snapshot.load();
    let Some(hosted) = snapshot.find(host.as_str()) else {
        eprintln!(
            "mta-stsd: no tenant has the domain {}; `mta-stsd check` tells whether one was refused",
            host.domain()
        );
        return CONFIG;
    };
    if !target_is_known(snapshot.publish()) {
        eprintln!(
            "mta-stsd: [publish] does not say where policy hosts point to; set publish.cname to this \
             server's name and the first record below is complete"
        );
    }
    for record in records_to_publish(&host, hosted, snapshot.publish()) {
        println!("{record}");
    }
    eprintln!(
        "mta-stsd: publish the TXT record last, when `mta-stsd status {}` shows a certificate",
        host.domain()
    );
    DONE
}
