//! `mta-stsd plan`: what will be done about certificates in the next 24 hours.

use super::{
    DONE,
    asking::{DaemonArgs, patiently},
    whole_seconds,
};
use crate::{
    acme::Hour,
    admin::{Plan, client},
};
use clap::Args;
use jiff::SignedDuration;
use std::fmt::Write;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PlanArgs) -> u8 {
    args.daemon.ask(async |socket| {
        let plan = patiently(client::plan(socket)).await?;
        if args.json {
            super::print_json(&plan);
        } else {
            print!("{}", describe(&plan));
        }
        Ok(DONE)
    })
}

fn describe(plan: &Plan) -> String {
    if plan.certificates_elsewhere {
        return "no certificates are ordered: without listen.https they are the affair of the proxy in front\n"
            .to_owned();
    }
    let mut text = format!("{}\n", plan.told);
    if let Some(trouble) = &plan.storage_trouble {
        writes(&mut text, format_args!("no orders while the store cannot be written: {trouble}"));
    }
    for authority in &plan.authorities {
        let (directory, left) = (&authority.authority, authority.orders_left);
        match authority.paused_until {
            Some(until) => writes(
                &mut text,
                format_args!(
                    "{directory}: no orders until {}: {}",
                    whole_seconds(until),
                    authority.pause_detail.as_deref().unwrap_or_default()
                ),
            ),
            None => {
                writes(&mut text, format_args!("{directory}: {left} orders can be placed without waiting"))
            }
        }
    }
    if plan.hours.iter().all(|hour| *hour == Hour::default()) {
        writes(&mut text, format_args!("nothing is due within 24 h"));
        return text;
    }
    writes(
        &mut text,
        format_args!(
            "\n{:<17}  {:>7}  {:>7}  {:>7}  {:>7}",
            "HOUR FROM (UTC)", "FIRST", "RENEW", "ASK", "FORGET"
        ),
    );
    let mut from = plan.now;
    for hour in &plan.hours {
        if *hour != Hour::default() {
            let Hour { first, renew, ask, forget } = hour;
            let shown = from.strftime("%Y-%m-%d %H:%M");
            writes(&mut text, format_args!("{shown:<17}  {first:>7}  {renew:>7}  {ask:>7}  {forget:>7}"));
        }
        from = from.saturating_add(SignedDuration::from_hours(1)).unwrap_or(from);
    }
    text
}

/// Appends one line.
fn writes(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("text takes what is written to it");
}
