//! `mta-stsd records`: the DNS records to publish for policy domains, in the form of one's DNS tool.

mod verify;

use super::{CONFIG, ConfigArg, DONE, USAGE, identities, looking::LookingArgs, standing::Standing};
use crate::{
    config::Server,
    dns::caa::Method,
    name::PolicyHost,
    publishing::{Authorization, Format, PublishedRecord, records_to_publish, target_is_known},
};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

#[derive(Debug, Args)]
#[command(
    mut_arg("resolver", |arg| arg.requires("verify")),
    mut_arg("ca", |arg| arg.requires("verify")),
    mut_arg("allow_private", |arg| arg.requires("verify"))
)]
pub(super) struct RecordsArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Form to print the records in
    #[arg(long, value_name = "FORM", default_value = "zone", value_parser = format_parser())]
    format: Format,
    /// Look whether the records are there, and whether each is safe to publish now; ends with 0 when all
    /// is as expected, 1 when something differs, 2 when it could not be told
    #[arg(long, conflicts_with = "format")]
    verify: bool,
    #[command(flatten)]
    looking: LookingArgs,
    /// Policy domains, as in example.com
    #[arg(value_name = "DOMAIN", required = true)]
    domains: Vec<String>,
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
        .map(|name| Format::from_name(&name).unwrap_or_default())
}

pub(super) fn run(args: &RecordsArgs) -> u8 {
    let mut hosts = Vec::new();
    for domain in &args.domains {
        match super::policy_host(domain) {
            Ok(host) => hosts.push(host),
            Err(error) => {
                eprintln!("mta-stsd: {domain:?} {error}");
                return USAGE;
            }
        }
    }
    let standing = Standing::of(&args.config);
    let Some(server) = standing.reloader.server() else {
        eprint!("{}", super::rendered(&standing.report.faults));
        return CONFIG;
    };
    let (found, code) = of_hosts(&hosts, &standing, server, &args.config);
    if args.verify && !found.is_empty() {
        let seen = verify::run(&found, &args.looking, server, &standing.snapshot);
        return if code == DONE { seen } else { code };
    }
    let records: Vec<PublishedRecord> = found.into_iter().flat_map(|(_, records)| records).collect();
    if records.is_empty() {
        return code;
    }
    print!("{}", args.format.render(&records));
    let verify = args.config.command(&format!("records --verify {}", args.domains.join(" ")));
    match server.signs_internally() {
        true => eprintln!(
            "mta-stsd: do not publish the TXT record while acme.directory is \"internal\": no sender trusts \
             that root"
        ),
        false => eprintln!("mta-stsd: publish the TXT records last: {verify} tells when it is safe"),
    }
    code
}

/// The records of those of `hosts` that are served, and [`CONFIG`] when one is not, which is printed.
pub(super) fn of_hosts(
    hosts: &[PolicyHost],
    standing: &Standing,
    server: &Server,
    config: &ConfigArg,
) -> (Vec<(PolicyHost, Vec<PublishedRecord>)>, u8) {
    let Standing { reloader, snapshot, report, .. } = standing;
    let check = config.command("check");
    let (mut found, mut code) = (Vec::new(), DONE);
    let authorized = authorizations(server);
    if !target_is_known(snapshot.publish()) {
        eprintln!(
            "mta-stsd: mta-sts.<domain> has to point to this server: set publish.cname to its name, and that \
             record is printed as well"
        );
    }
    for host in hosts {
        let domain = host.domain();
        let claimants = reloader.claimants(host);
        let refused = claimants.iter().find(|tenant| report.refused.contains(tenant));
        let Some(hosted) = snapshot.find(host.as_str()) else {
            match refused.or(claimants.first()) {
                Some(tenant) => eprintln!(
                    "mta-stsd: tenant {tenant}, which has the domain {domain}, is refused and was not served \
                     before; {check} says why"
                ),
                None => {
                    eprintln!("mta-stsd: no tenant has the domain {domain}; {check} shows what is refused")
                }
            }
            code = CONFIG;
            continue;
        };
        if let Some(tenant) = refused {
            eprintln!("mta-stsd: tenant {tenant} is refused as written; {check} says why");
            eprintln!(
                "mta-stsd: these are the records of what is still served for {domain}, for tenant {}",
                hosted.tenant
            );
        }
        let records = records_to_publish(host, hosted.policy.id(), snapshot.publish(), &authorized);
        found.push((host.clone(), records));
    }
    (found, code)
}

/// Who may issue for us, as far as the store knows: all authorities, or none. Says why there are none.
fn authorizations(server: &Server) -> Vec<Authorization> {
    // Where certificates are the proxy's, a CAA record for our account would forbid them.
    if !server.orders_certificates() || server.acme.is_internal() {
        return Vec::new();
    }
    known_authorizations(server).unwrap_or_else(|why| {
        eprintln!("mta-stsd: no CAA records are recommended yet, which name our account: {why}");
        Vec::new()
    })
}

fn known_authorizations(server: &Server) -> Result<Vec<Authorization>, String> {
    let mut authorized = Vec::new();
    for (directory, identity) in identities::kept_identities(server)? {
        let account_uri = identity
            .account_uri
            .ok_or_else(|| format!("we have no account at {directory} yet; the first order opens it"))?;
        let issuer = identity.identities.into_iter().next();
        let issuer =
            issuer.ok_or_else(|| format!("{directory} has not told by what name CAA records know it"))?;
        let methods = identities::methods(server).into_iter().map(Method::as_str).collect();
        authorized.push(Authorization { issuer, account_uri, methods });
    }
    Ok(authorized)
}
