//! `mta-stsd log`: what the running daemon logs, shown and changed without a restart.

use super::{DONE, asking::DaemonArgs, print_json};
use crate::{
    admin::client,
    config::parse_duration,
    logging::{LogLevel, check_level},
};
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// A level (error, warn, info, debug, trace), or levels by module (info,mta_stsd::acme=debug); what is
    /// logged now is shown unless given
    #[arg(value_name = "LEVEL", value_parser = level)]
    level: Option<String>,
    /// Fall back to the usual level after this time, as in 10m
    #[arg(long = "for", value_name = "TIME", value_parser = length, requires = "level")]
    time: Option<Duration>,
    /// Go back to the level that the daemon was started with
    #[arg(long, conflicts_with = "level")]
    reset: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &LogArgs) -> u8 {
    args.daemon.ask(async |socket| {
        let level = match (&args.level, args.reset) {
            (Some(level), _) => client::set_log_level(socket, level, args.time).await?,
            (None, true) => client::reset_log_level(socket).await?,
            (None, false) => client::log_level(socket).await?,
        };
        match args.json {
            true => print_json(&level),
            false => println!("{}", shown(&level)),
        }
        Ok(DONE)
    })
}

fn level(text: &str) -> Result<String, String> {
    check_level(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn length(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a whole number and one of s, m, h, d, w, as in 10m".to_owned())
}

fn shown(level: &LogLevel) -> String {
    let LogLevel { now, usual, until } = level;
    match until {
        Some(until) => format!("{now} until {until}, then {usual}"),
        None if now == usual => now.clone(),
        None => format!("{now} until the daemon ends; it was started with {usual}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_now_is_told_with_its_end() {
        let level = |now: &str, until: Option<&str>| LogLevel {
            now: now.into(),
            usual: "info".into(),
            until: until.map(|until| until.parse().unwrap()),
        };
        assert_eq!(shown(&level("info", None)), "info");
        assert_eq!(shown(&level("debug", None)), "debug until the daemon ends; it was started with info");
        let until = Some("2026-11-22T08:10:00Z");
        assert_eq!(shown(&level("debug", until)), "debug until 2026-11-22T08:10:00Z, then info");
    }
}
