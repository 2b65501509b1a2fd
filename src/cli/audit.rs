//! `mta-stsd audit`: what senders meet at a domain, anybody's. Needs neither daemon nor configuration; with
//! one, domains of ours are held against what we serve.

mod ours;

use super::{ConfigArg, DONE, FAILED, USAGE, looking::LookingArgs};
use crate::{
    audit::{Auditor, Observations, Report, Severity, judge, worst},
    clock::Clock,
    dns::Lookup,
    logging::chain,
    name::DomainName,
    starttls::{self, Prober},
};
use clap::Args;
use jiff::Timestamp;
use ours::{Configured, Served};
use std::{
    collections::VecDeque,
    fs,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// As many domains are looked at at once; each of them asks a few questions and dials a few hosts.
const DOMAINS_AT_ONCE: usize = 4;
/// Lines beyond these in a list are refused: a look takes seconds to minutes.
const DOMAINS_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Domains, as in example.com
    #[arg(value_name = "DOMAIN", required_unless_present = "from")]
    domains: Vec<String>,
    /// Read further domains from FILE, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Print a list of reports as JSON
    #[arg(long)]
    json: bool,
    /// Mildest finding that makes the exit code 1: info, warn, error or critical
    #[arg(long, value_name = "LEVEL", default_value = "error", value_parser = level)]
    fail_on: Severity,
    /// Configuration whose domains are held against what it serves, and whose resolvers are asked; none
    /// unless given
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    looking: LookingArgs,
    /// Look mail hosts up, but do not speak SMTP to them
    #[arg(long)]
    no_smtp: bool,
    /// Name to greet mail hosts with; best one that leads to this machine and back
    #[arg(long, value_name = "NAME", default_value = "mta-stsd-audit.invalid")]
    ehlo_name: String,
}

/// Reads a level; what is unknown is told by its own exit code.
fn level(text: &str) -> Result<Severity, String> {
    let levels = [Severity::Info, Severity::Warn, Severity::Error, Severity::Critical];
    levels
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| "a level is info, warn, error or critical".to_owned())
}

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing at or above the level asked for, and everything was seen.
    Fine,
    /// Something at or above it.
    Findings,
    /// Nothing at or above it, but not everything could be seen.
    CouldNotTell,
}

impl End {
    fn code(self) -> u8 {
        match self {
            Self::Fine => DONE,
            Self::Findings => 1,
            Self::CouldNotTell => 2,
        }
    }

    /// The end of two audits together: what was found outweighs what was not seen.
    fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Findings, _) | (_, Self::Findings) => Self::Findings,
            (Self::CouldNotTell, _) | (_, Self::CouldNotTell) => Self::CouldNotTell,
            _ => Self::Fine,
        }
    }
}

pub(super) fn run(args: &AuditArgs) -> u8 {
    let domains = match domains(args) {
        Ok(domains) => domains,
        Err(problem) => {
            eprintln!("mta-stsd: {problem}");
            return USAGE;
        }
    };
    let configured = args.config.clone().map(|path| Configured::read(&ConfigArg { path })).transpose();
    let made = configured.and_then(|configured| {
        let dns = configured.as_ref().map(|configured| &configured.server().dns);
        let lookup: Arc<dyn Lookup> = Arc::new(args.looking.lookup(dns)?);
        Ok((auditor(args, Arc::clone(&lookup))?, configured, lookup))
    });
    let (auditor, configured, lookup) = match made {
        Ok(made) => made,
        Err(code) => return code,
    };
    let runtime = match super::small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mta-stsd: {}", chain(&error));
            return FAILED;
        }
    };
    let end = runtime.block_on(async {
        let served = match configured {
            Some(configured) => Some(configured.known(lookup).await),
            None => None,
        };
        look_at_all(args, Arc::new(auditor), served.as_ref(), domains).await
    });
    // Probes that were cut off must not hold the process up.
    runtime.shutdown_timeout(Duration::ZERO);
    end.code()
}

/// The domains of the command line and of the list, each once, in their order.
fn domains(args: &AuditArgs) -> Result<Vec<DomainName>, String> {
    let on_the_line = |text: &String| (String::new(), text.clone());
    let mut texts: Vec<(String, String)> = args.domains.iter().map(on_the_line).collect();
    if let Some(path) = &args.from {
        let list = match path.as_os_str() == "-" {
            true => io::read_to_string(io::stdin()),
            false => fs::read_to_string(path),
        };
        let list = list.map_err(|error| format!("{}: {error}", path.display()))?;
        for (line, number) in list.lines().zip(1..) {
            let text = line.split('#').next().unwrap_or("").trim();
            if !text.is_empty() {
                texts.push((format!("{}:{number}: ", path.display()), text.to_owned()));
            }
        }
    }
    if texts.len() > DOMAINS_MAX {
        return Err(format!("{} domains are too many; {DOMAINS_MAX} is the most", texts.len()));
    }
    let mut domains: Vec<DomainName> = vec![];
    for (place, text) in &texts {
        let host = super::policy_host(text).map_err(|error| format!("{place}{text:?} {error}"))?;
        let domain = host.domain();
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if domains.is_empty() {
        return Err("the list names no domain".to_owned());
    }
    Ok(domains)
}

/// What is wrong is printed, and its exit code returned.
fn auditor(args: &AuditArgs, lookup: Arc<dyn Lookup>) -> Result<Auditor, u8> {
    let (fetcher, reach) = (args.looking.fetcher()?, args.looking.reach());
    let prober = match args.no_smtp {
        true => None,
        false => {
            let probing = starttls::Settings::new(args.ehlo_name.as_str(), args.looking.roots()?);
            Some(Prober::new(probing, reach.clone()))
        }
    };
    Ok(Auditor::new(lookup, prober, fetcher, reach))
}

/// Looks at all domains, a few at once, and prints each report in the order of the domains.
async fn look_at_all(
    args: &AuditArgs,
    auditor: Arc<Auditor>,
    served: Option<&Served>,
    domains: Vec<DomainName>,
) -> End {
    let clock = Clock::System;
    let count = domains.len();
    let progress = count > 1 && io::stderr().is_terminal();
    let mut waiting: VecDeque<(usize, DomainName)> = domains.into_iter().enumerate().collect();
    let mut looking: JoinSet<(usize, Judged)> = JoinSet::new();
    let mut seen: Vec<Option<Judged>> = (0..count).map(|_| None).collect();
    loop {
        while looking.len() < DOMAINS_AT_ONCE
            && let Some((at, domain)) = waiting.pop_front()
        {
            let auditor = Arc::clone(&auditor);
            let expected = served.and_then(|served| served.expected(&domain));
            looking.spawn(async move {
                let observations = auditor.audit(&domain, expected, clock.now()).await;
                (at, Judged::of(observations, clock.now()))
            });
        }
        let Some(done) = looking.join_next().await else { break };
        match done {
            Ok((at, judged)) => {
                if let Some(place) = seen.get_mut(at) {
                    *place = Some(judged);
                }
            }
            Err(error) => eprintln!("mta-stsd: a look failed: {error}"),
        }
        if progress {
            let done = seen.iter().flatten().count();
            eprint!("\r{done} of {count} domains looked at");
        }
    }
    if progress {
        eprintln!();
    }
    print_all(args, seen)
}

/// What is kept of a domain: what was said of it, not what strangers sent.
struct Judged {
    report: Report,
    /// Whether anything answered at port 25 when it was looked at.
    port_25_answers: bool,
    /// What to say instead when port 25 turns out to be open from here; only where that matters.
    if_port_25_answers: Option<Report>,
}

impl Judged {
    fn of(observations: Observations, now: Timestamp) -> Self {
        let port_25_answers = observations.port_25_answers;
        let report = judge(&observations, now);
        let depends = !port_25_answers && observations.hosts.iter().any(|host| !host.probes.is_empty());
        let if_port_25_answers =
            depends.then(|| judge(&Observations { port_25_answers: true, ..observations }, now));
        Self { report, port_25_answers, if_port_25_answers }
    }

    /// What to say, now that it is known whether port 25 is open from here.
    fn report(self, port_25_answers: bool) -> Report {
        self.if_port_25_answers.filter(|_| port_25_answers).unwrap_or(self.report)
    }
}

fn print_all(args: &AuditArgs, seen: Vec<Option<Judged>>) -> End {
    let mut end = End::Fine;
    // Whether port 25 is open from here is known of the run as a whole.
    let port_25_answers = seen.iter().flatten().any(|judged| judged.port_25_answers);
    let mut reports = vec![];
    for judged in seen {
        let Some(judged) = judged else {
            end = end.worse(End::CouldNotTell);
            continue;
        };
        let report = judged.report(port_25_answers);
        let unknown = report.findings().any(|finding| finding.severity == Severity::Unknown);
        if worst(report.findings()).is_some_and(|worst| worst >= args.fail_on) {
            end = end.worse(End::Findings);
        } else if unknown {
            end = end.worse(End::CouldNotTell);
        }
        reports.push(report);
    }
    if args.json {
        let all: Vec<_> = reports.iter().map(|report| report.to_json()).collect();
        super::print_json(&all);
    } else {
        let pages: Vec<String> = reports.iter().map(|report| report.page()).collect();
        // Printing can only fail when nobody reads; the exit code says the rest.
        let _ = io::stdout().write_all(pages.join("\n").as_bytes());
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AuditArgs,
    }

    fn parse(words: &[&str]) -> Result<AuditArgs, clap::Error> {
        Ok(Line::try_parse_from([&["audit"], words].concat())?.args)
    }

    #[test]
    fn domains_come_from_the_line_and_the_list_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("domains");
        fs::write(&list, "# ours\nb.example  # the second\n\nMTA-STS.a.example.\n").unwrap();
        let args = parse(&["a.example", "--from", list.to_str().unwrap()]).unwrap();
        let found: Vec<String> = domains(&args).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a.example", "b.example"]);
        assert!(parse(&[]).is_err(), "some domain must be named");
        assert!(domains(&parse(&["a..b"]).unwrap()).is_err());
        fs::write(&list, "a.example\n\nb..example\n").unwrap();
        let error = domains(&parse(&["--from", list.to_str().unwrap()]).unwrap()).unwrap_err();
        assert!(error.contains("domains:3: \"b..example\""), "{error}");
    }

    #[test]
    fn a_level_is_one_of_four() {
        assert_eq!(parse(&["a.example"]).unwrap().fail_on, Severity::Error);
        assert_eq!(parse(&["a.example", "--fail-on", "warn"]).unwrap().fail_on, Severity::Warn);
        assert!(parse(&["a.example", "--fail-on", "unknown"]).is_err());
    }

    // Silence at port 25 is our network's doing until anything answers there, for whichever domain.
    #[test]
    fn what_silence_at_port_25_means_is_decided_by_the_run_as_a_whole() {
        use crate::audit::{FindingCode, tests::fixed};
        let codes = |report: Report| -> Vec<FindingCode> {
            let transport = [FindingCode::MxPort25BlockedHere, FindingCode::MxUnreachable];
            report.findings().map(|finding| finding.code).filter(|code| transport.contains(code)).collect()
        };
        let now = fixed::blocked().at;
        let silent = || Judged::of(fixed::blocked(), now);
        assert_eq!(codes(silent().report(false)), [FindingCode::MxPort25BlockedHere]);
        assert_eq!(codes(silent().report(true)), [FindingCode::MxUnreachable; 2]);
        // Who was looked at when another had answered already needs no second report.
        let later = Judged::of(Observations { port_25_answers: true, ..fixed::blocked() }, now);
        assert!(later.if_port_25_answers.is_none() && later.port_25_answers);
        assert_eq!(codes(later.report(true)), [FindingCode::MxUnreachable; 2]);
        // Who was not spoken to can say nothing of it.
        let mute = Observations { hosts: vec![], port_25_answers: false, ..fixed::good() };
        assert!(Judged::of(mute, now).if_port_25_answers.is_none());
    }

    #[test]
    fn a_finding_outweighs_what_could_not_be_told() {
        let (fine, findings, unknown) = (End::Fine, End::Findings, End::CouldNotTell);
        assert_eq!(fine.worse(unknown).worse(findings).code(), 1);
        assert_eq!(findings.worse(unknown).code(), 1);
        assert_eq!(fine.worse(unknown).code(), 2);
        assert_eq!(fine.code(), DONE);
    }
}
