//! `mta-stsd certificates`: every host with its certificate, what is next, and what went wrong.

use super::{DONE, FAILED, asking::DaemonArgs, whole_seconds};
use crate::{
    admin::{Filter, ListedHost, client},
    config::parse_duration,
};
use clap::Args;
use jiff::Timestamp;
use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    time::Duration,
};

/// The longest problem shown in a line, in characters.
const PROBLEM_MAX: usize = 90;

#[derive(Debug, Args)]
pub(super) struct CertificatesArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Only hosts whose last order failed, that do not point here, or that are parked
    #[arg(long)]
    failing: bool,
    /// Only hosts whose certificate ends within this time, as in 10d, or has ended
    #[arg(long, value_name = "TIME", value_parser = length)]
    expiring: Option<Duration>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CertificatesArgs) -> u8 {
    let filter = Filter { failing: args.failing, expiring: args.expiring };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = 0_usize;
    let mut print = |host: &ListedHost| {
        lines += 1;
        match args.json {
            true => writeln!(out, "{}", serde_json::to_string(host)?),
            false if lines == 1 => writeln!(out, "{HEADER}\n{}", line(host)),
            false => writeln!(out, "{}", line(host)),
        }
    };
    let mut written = Ok(());
    let code = args.daemon.ask(async |socket| {
        let take = |host| {
            written = print(&host);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        client::list(socket, filter, take).await.map(|()| DONE)
    });
    match written.and_then(|()| out.flush()) {
        Ok(()) => {
            if lines == 0 && code == DONE && !args.json {
                eprintln!("mta-stsd: no host to list");
            }
            code
        }
        // Whoever read has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            eprintln!("mta-stsd: {error}");
            FAILED
        }
    }
}

/// A length of time as the configuration writes it.
fn length(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a whole number and one of s, m, h, d, w, as in 10d".to_owned())
}

const HEADER: &str = "HOST                                 VALID UNTIL           NEXT    AT                    \
                      FAILED  PROBLEM";

/// One host in one line; a longer host pushes the rest of its line.
fn line(host: &ListedHost) -> String {
    let moment = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| whole_seconds(at).to_string());
    let next = if host.ordering { "ordering" } else { &host.next };
    let problem = host.problem.as_ref().map(|problem| format!("{}: {}", problem.kind, problem.detail));
    let problem =
        problem.or_else(|| host.astray_since.map(|since| format!("not pointing here since {since}")));
    let shown = format!(
        "{:<36} {:<21} {next:<7} {:<21} {:>6}  {}",
        host.host,
        moment(host.not_after),
        moment(host.next_at),
        host.problem.as_ref().map_or(0, |problem| problem.attempts),
        cut(&problem.unwrap_or_default())
    );
    shown.trim_end().to_owned()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PROBLEM_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Problem;

    fn host() -> ListedHost {
        ListedHost {
            host: "mta-sts.meadow.example".to_owned(),
            tenant: "meadow".to_owned(),
            not_after: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            authority: Some("internal".to_owned()),
            next: "renew".to_owned(),
            next_at: Some("2026-12-01T00:00:00.5Z".parse().unwrap()),
            ordering: false,
            problem: None,
            astray_since: None,
            window: None,
            explanation_url: None,
        }
    }

    #[test]
    fn lines_stand_under_their_header() {
        let shown = line(&host());
        for (title, value) in [("VALID", "2027"), ("NEXT", "renew"), ("AT ", "2026-12-01T00:00:00Z")] {
            assert_eq!(HEADER.rfind(title), shown.find(value), "{HEADER}\n{shown}");
        }
    }

    #[test]
    fn a_long_problem_is_cut_and_a_parked_host_has_no_moment() {
        let problem = Problem {
            kind: "refused".to_owned(),
            detail: "ü".repeat(500),
            attempts: 2,
            last_at: "2026-11-22T00:00:00Z".parse().unwrap(),
        };
        let parked = ListedHost {
            next: "parked".to_owned(),
            next_at: None,
            not_after: None,
            problem: Some(problem),
            ..host()
        };
        let shown = line(&parked);
        assert!(shown.contains("parked  -   ") && shown.contains("2  refused: üü"), "{shown}");
        assert_eq!(shown.chars().filter(|c| *c == 'ü').count(), PROBLEM_MAX - "refused: ".len());
        assert!(shown.ends_with('…'), "{shown}");
    }
}
