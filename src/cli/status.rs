//! `mta-stsd status`: asks the running daemon and prints what an operator wants to know.

use super::{CONFIG, ConfigArg, DONE, USAGE, asking::DaemonArgs, counted};
use crate::{
    admin::{DomainReport, EventReport, ListedHost, Overview, client},
    name::DomainName,
};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Policy domain; without one, an overview and the domains that need attention
    domain: Option<String>,
}

pub(super) fn run(args: &StatusArgs) -> u8 {
    let domain = match args.domain.as_deref().map(super::policy_host).transpose() {
        Ok(host) => host.map(|host| host.domain()),
        Err(error) => {
            eprintln!("mta-stsd: {:?} {error}", args.domain.as_deref().unwrap_or_default());
            return USAGE;
        }
    };
    args.daemon.ask(async |socket| {
        let overview = client::ask(socket, domain.as_ref().map(|domain| domain.as_str())).await?;
        let config = &args.daemon.config;
        if let Some(domain) = domain.filter(|_| overview.domains.is_empty()) {
            let check = config.command("check");
            eprintln!("mta-stsd: the daemon does not serve {domain}; {check} tells whether it was refused");
            return Ok(CONFIG);
        }
        match args.json {
            true => super::print_json(&overview),
            false => print!("{}", describe(&overview, args.domain.is_some(), config)),
        }
        Ok(DONE)
    })
}

/// Findings that ended, as many as a person reads at once.
const HISTORY_SHOWN: usize = 10;

/// What the internal authority's certificates are worth.
const UNTRUSTED: &str = "signed by the internal root, which no sender trusts";

/// The answer in words.
fn describe(overview: &Overview, one_domain: bool, config: &ConfigArg) -> String {
    let mut text = String::new();
    let mut line = |content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    if !one_domain {
        let summary = &overview.summary;
        line(&format!(
            "mta-stsd {}, generation {}: {} ({} enforce, {} testing, {} none)",
            overview.version,
            summary.generation,
            counted(summary.domains, "domain"),
            summary.enforce,
            summary.testing,
            summary.none
        ));
        line(&format!(
            "without a valid certificate: {}; orders failing: {}; with serious findings: {}; with warnings: {}",
            summary.without_certificate,
            summary.orders_failing,
            summary.findings_serious,
            summary.findings_warn
        ));
        if overview.internal_authority {
            line(&format!(
                "certificates are {UNTRUSTED}; set acme.directory before you publish a TXT record"
            ));
        }
        if overview.certificates_elsewhere {
            line(
                "no certificates are ordered: without listen.https they are the affair of the proxy in front",
            );
        }
        if overview.cross_check_off {
            line("policies are not compared with MX records: cross_check.enabled is false");
        }
        if needs_nothing(overview) {
            line("nothing needs attention");
        }
    }
    for trouble in &overview.troubles {
        line(&format!("trouble: {trouble}"));
    }
    if !overview.reload.needs_restart.is_empty() {
        line(&format!("changed, but waiting for a restart: {}", overview.reload.needs_restart.join(", ")));
    }
    if !overview.reload.refused.is_empty() {
        line(if overview.reload.server_refused {
            "the configuration is refused as a whole; everything is served as before:"
        } else {
            "the configuration is refused in part; there what was good before is served, if anything:"
        });
        line(overview.reload.refused.trim_end());
    }
    for domain in &overview.domains {
        line("");
        describe_domain(overview, domain, config, &mut line);
    }
    if overview.domains_omitted > 0 {
        line(&format!("… and {} more domains; name one to see it", overview.domains_omitted));
    }
    text
}

/// Whether all is well, as far as the daemon can tell.
fn needs_nothing(overview: &Overview) -> bool {
    let Overview { reload, troubles, domains, domains_omitted, .. } = overview;
    troubles.is_empty()
        && reload.refused.is_empty()
        && reload.needs_restart.is_empty()
        && !domains.iter().any(|domain| domain.needs_attention)
        && *domains_omitted == 0
}

/// What is next for the certificate, and what an operator can do about it.
fn describe_schedule(schedule: &ListedHost, config: &ConfigArg, line: &mut impl FnMut(&str)) {
    let renew = config.command(&format!("certificate renew {}", schedule.host));
    let next = match (schedule.next.as_str(), schedule.next_at) {
        ("parked", _) | (_, None) => {
            format!("nothing, until its configuration changes; when the cause is mended, {renew} takes it up")
        }
        ("first", Some(at)) => format!("first certificate at {at}"),
        ("renew", Some(at)) => format!("renewal at {at}"),
        ("ask", Some(at)) => format!("the authority is asked about its renewal at {at}"),
        (other, Some(at)) => format!("{other} at {at}"),
    };
    line(&format!("  next         {next}"));
    if schedule.problem.is_some() && schedule.next != "parked" {
        line(&format!("               when it is mended, {renew} does not wait"));
    }
    if let Some(since) = schedule.astray_since {
        line(&format!("  astray       does not point here since {since}"));
    }
    if let Some((start, end)) = schedule.window {
        let why = schedule.explanation_url.as_ref().map(|url| format!("; it says why: {url}"));
        line(&format!(
            "  window       {start} to {end}, as the authority suggests{}",
            why.unwrap_or_default()
        ));
    }
}

/// What was and is no more; what is there now is told above.
fn describe_history(history: &[EventReport], line: &mut impl FnMut(&str)) {
    let over: Vec<_> = history.iter().filter_map(|event| Some((event, event.until?))).collect();
    for (event, until) in over.iter().take(HISTORY_SHOWN) {
        let EventReport { code, subject, severity, since, .. } = event;
        let about = if subject.is_empty() { String::new() } else { format!(" ({subject})") };
        line(&format!("  earlier      {severity} {code}{about} from {since} to {until}"));
    }
    if over.len() > HISTORY_SHOWN {
        line(&format!("               … and {} more; --json has them", over.len() - HISTORY_SHOWN));
    }
}

/// The mail hosts as the last audit saw them.
fn describe_mail_hosts(domain: &DomainReport, line: &mut impl FnMut(&str)) {
    let Some(at) = domain.audited_at else { return };
    line(&format!("  audited      {at}"));
    for host in &domain.mail_hosts {
        let allowed = if host.allowed { "" } else { ", not in the policy" };
        let addresses: Vec<String> = host
            .addresses
            .iter()
            .map(|one| format!("{} {}", one.address, one.transport.replace('_', " ")))
            .collect();
        let addresses = if addresses.is_empty() { "not looked at".to_owned() } else { addresses.join(", ") };
        line(&format!("  mail host    {} {}{allowed}: {addresses}", host.preference, host.host));
    }
}

fn describe_domain(
    overview: &Overview,
    domain: &DomainReport,
    config: &ConfigArg,
    line: &mut impl FnMut(&str),
) {
    // Both forms of a name in another script (P-13).
    let unicode = DomainName::from_ascii(&domain.domain).map(|name| name.to_unicode()).ok();
    let unicode = unicode.filter(|unicode| *unicode != domain.domain);
    let unicode = unicode.map(|unicode| format!(" = {unicode}")).unwrap_or_default();
    let attention = if domain.needs_attention { ": needs attention" } else { "" };
    line(&format!("{}{unicode} (tenant {}), mode {}{attention}", domain.domain, domain.tenant, domain.mode));
    line(&format!("  policy id    {}", domain.policy_id));
    match &domain.certificate {
        _ if overview.certificates_elsewhere => line("  certificate  the proxy's: none is ordered here"),
        Some(held) => line(&format!(
            "  certificate  valid until {}, to be renewed from {}{}",
            held.not_after,
            held.renew_at,
            if overview.internal_authority { format!("; {UNTRUSTED}") } else { String::new() }
        )),
        None => {
            line("  certificate  none yet: senders cannot fetch the policy; do not publish the TXT record")
        }
    }
    if domain.ordering {
        line("  order        in flight");
    }
    if let Some(failure) = &domain.failure {
        line(&format!(
            "  last failure {} ({} in a row), tried again at {}: {}",
            failure.kind, failure.attempts, failure.retry_at, failure.detail
        ));
    }
    if let Some(schedule) = domain.schedule.as_ref().filter(|_| !overview.certificates_elsewhere) {
        describe_schedule(schedule, config, line);
    }
    match (domain.checked_at, domain.answered_at) {
        (None, _) if overview.cross_check_off => {
            line("  MX records   not compared: cross_check.enabled is false");
        }
        (None, _) => {
            line("  MX records   not looked up yet: every domain has its turn once in cross_check.period")
        }
        (Some(checked), Some(answered)) if checked == answered => {
            line(&format!("  MX records   looked up {checked}"));
        }
        (Some(checked), Some(answered)) => {
            line(&format!("  MX records   no answer from DNS at {checked}; what follows is of {answered}"));
        }
        (Some(checked), None) => {
            line(&format!("  MX records   no answer from DNS yet, last asked {checked}"))
        }
    }
    describe_mail_hosts(domain, line);
    for finding in &domain.findings {
        line(&format!(
            "  {:<12} {} since {}: {}",
            finding.severity, finding.code, finding.since, finding.remedy
        ));
    }
    describe_history(&domain.history, line);
    if overview.internal_authority {
        line("  to publish, but not the TXT record while the internal root signs:");
    } else {
        line("  to publish:");
    }
    let host = format!("mta-sts.{}.", domain.domain);
    if !domain.records.iter().any(|record| record.name == host) {
        line(&format!(
            "    mta-sts.{} has to point here: set publish.cname to this server's name",
            domain.domain
        ));
    }
    for record in &domain.records {
        line(&format!("    {record}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_told_with_its_days_and_not_without_end() {
        let event = |hour: usize, until: bool| EventReport {
            code: "MX_NOT_IN_POLICY".to_owned(),
            subject: if hour == 0 { String::new() } else { "mx.example.net".to_owned() },
            severity: "error".to_owned(),
            since: format!("2026-11-21T{hour:02}:00:00Z").parse().unwrap(),
            until: until.then(|| "2026-11-22T00:00:00Z".parse().unwrap()),
        };
        let lines = |history: &[EventReport]| {
            let mut lines = Vec::new();
            describe_history(history, &mut |line: &str| lines.push(line.to_owned()));
            lines
        };
        let told = lines(&[event(2, false), event(1, true), event(0, true)]);
        assert_eq!(
            told,
            [
                "  earlier      error MX_NOT_IN_POLICY (mx.example.net) from 2026-11-21T01:00:00Z to 2026-11-22T00:00:00Z",
                "  earlier      error MX_NOT_IN_POLICY from 2026-11-21T00:00:00Z to 2026-11-22T00:00:00Z",
            ]
        );
        let many: Vec<_> = (0..HISTORY_SHOWN + 3).map(|hour| event(hour, true)).collect();
        let told = lines(&many);
        assert_eq!(told.len(), HISTORY_SHOWN + 1);
        assert!(told.last().unwrap().contains("3 more"), "{told:?}");
    }
}
