//! `mta-stsd account show|change-key|deactivate`: our account at an authority. The daemon does it.

use super::{
    DONE, USAGE,
    asking::{DaemonArgs, patiently, tell},
};
use crate::admin::client;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct AccountArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show our account as the authority sees it; registers one where there is none yet
    Show {
        #[command(flatten)]
        which: AuthorityArgs,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give our account a new key; orders wait for it, and go on with the new one
    ChangeKey(AuthorityArgs),
    /// Close our account for good; the next order registers a new one
    Deactivate {
        #[command(flatten)]
        which: AuthorityArgs,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct AuthorityArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Directory of the authority; needed when the configuration has several
    #[arg(long, value_name = "URL")]
    authority: Option<String>,
}

pub(super) fn run(args: &AccountArgs) -> u8 {
    match &args.action {
        Action::Show { which, json } => show(which, *json),
        Action::ChangeKey(which) => which.daemon.ask(async |socket| {
            patiently(client::change_key(socket, which.authority.as_deref()))
                .await
                .map(|answer| tell(&answer))
        }),
        Action::Deactivate { which, yes: false } => {
            let named = which.authority.as_ref().map(|authority| format!(" --authority {authority}"));
            let command = format!("account deactivate --yes{}", named.unwrap_or_default());
            let command = which.daemon.config.command(&command);
            eprintln!(
                "mta-stsd: this closes the account at the authority for good, and the next order registers a \
                 new one, which CAA records that name the old account forbid; {command} does it"
            );
            USAGE
        }
        Action::Deactivate { which, yes: true } => which.daemon.ask(async |socket| {
            patiently(client::deactivate(socket, which.authority.as_deref()))
                .await
                .map(|answer| tell(&answer))
        }),
    }
}

fn show(which: &AuthorityArgs, json: bool) -> u8 {
    which.daemon.ask(async |socket| {
        let accounts = patiently(client::accounts(socket, which.authority.as_deref())).await?;
        if json {
            super::print_json(&accounts);
            return Ok(DONE);
        }
        for account in &accounts {
            let contact =
                if account.contact.is_empty() { "none".to_owned() } else { account.contact.join(", ") };
            println!("authority    {}", account.authority);
            println!("account      {}", account.url);
            println!("status       {}", account.status);
            println!("contact      {contact}");
        }
        Ok(DONE)
    })
}
