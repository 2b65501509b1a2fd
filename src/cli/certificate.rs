//! `mta-stsd certificate show|export|renew|revoke`: the certificate of one policy host.
//!
//! What only looks reads the store itself, beside a running daemon or without one. What acts is told to
//! the daemon, which alone changes keys and the schedule.

use super::{
    CONFIG, ConfigArg, DONE, FAILED, USAGE,
    asking::{DaemonArgs, is_confirmed, patiently, tell},
    policy_host, small_runtime, whole_seconds,
};
use crate::{
    admin::{Reason, client},
    certificate::Certificate,
    clock::Clock,
    logging::chain,
    name::PolicyHost,
    reload::Reloader,
    snapshot::SharedSnapshot,
    storage::{MasterKey, Next, Scheduled, StorageError, StoreReader},
};
use clap::{Args, Subcommand};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(super) struct CertificateArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what the certificate held for a host says, and what is next for it
    Show(HostArgs),
    /// Write private key and chain as PEM into a new file of mode 0600
    Export {
        #[command(flatten)]
        host: HostArgs,
        /// File to write; it must not exist yet
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make another certificate due at once, and take up a host that is parked
    Renew(ToldArgs),
    /// Make the world stop trusting the certificate
    Revoke {
        #[command(flatten)]
        told: ToldArgs,
        /// Why; the authority publishes it
        #[arg(long, value_enum)]
        reason: Reason,
        /// Order another with a new key at once
        #[arg(long)]
        reissue: bool,
        /// Do not ask whether to go on
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct HostArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Policy host or policy domain, as in mta-sts.example.com or example.com
    host: String,
}

/// A host that the daemon is told about.
#[derive(Debug, Args)]
struct ToldArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Policy host or policy domain, as in mta-sts.example.com or example.com
    host: String,
}

pub(super) fn run(args: &CertificateArgs) -> u8 {
    let done = match &args.action {
        Action::Show(host) => {
            read(host).map(|(certificate, row)| print!("{}", describe(&certificate, row.as_ref())))
        }
        Action::Export { host, out } => read(host).and_then(|(certificate, _)| {
            export(&certificate, out).map_err(|error| {
                eprintln!("mta-stsd: {}: {error}", out.display());
                FAILED
            })
        }),
        Action::Renew(told) => renew(told),
        Action::Revoke { told, reason, reissue, yes } => revoke(told, *reason, *reissue, *yes),
    };
    done.err().unwrap_or(DONE)
}

fn renew(told: &ToldArgs) -> Result<(), u8> {
    let host = named_host(&told.host)?;
    let code = told.daemon.ask(async |socket| {
        let answer = patiently(client::renew(socket, &host)).await?;
        tell(&answer);
        let show = told.daemon.config.command(&format!("certificate show {host}"));
        println!("{show} tells when another is held");
        Ok(DONE)
    });
    if code == DONE { Ok(()) } else { Err(code) }
}

fn revoke(told: &ToldArgs, reason: Reason, reissue: bool, yes: bool) -> Result<(), u8> {
    let host = named_host(&told.host)?;
    let after = match reissue {
        true => "Another with a new key is ordered at once.",
        false => "It is served until it is replaced: --reissue orders another at once.",
    };
    let question = format!(
        "The certificate of {host} is revoked for good, with the reason {}. {after} Go on?",
        reason.word()
    );
    if !yes && !is_confirmed(&question, true) {
        eprintln!("mta-stsd: nothing was revoked");
        return Err(FAILED);
    }
    let code = told.daemon.ask(async |socket| {
        let answer = patiently(client::revoke(socket, &host, reason, reissue)).await?;
        tell(&answer);
        if !reissue {
            let renew = told.daemon.config.command(&format!("certificate renew {host}"));
            println!("{renew} replaces it");
        }
        Ok(DONE)
    });
    if code == DONE { Ok(()) } else { Err(code) }
}

fn named_host(text: &str) -> Result<PolicyHost, u8> {
    policy_host(text).map_err(|error| {
        eprintln!("mta-stsd: {text:?} {error}");
        USAGE
    })
}

/// The certificate held for the host, and its row in the schedule; what went wrong is printed.
fn read(args: &HostArgs) -> Result<(Certificate, Option<Scheduled>), u8> {
    let host = named_host(&args.host)?;
    let mut reloader = Reloader::new(args.config.path.clone(), SharedSnapshot::default(), Clock::System);
    let (server, _) = reloader.first().map_err(|refused| {
        eprint!("{}", super::rendered(&refused.faults));
        CONFIG
    })?;
    let failed = |error: &dyn std::error::Error| {
        eprintln!("mta-stsd: {}", chain(error));
        FAILED
    };
    let refused = |error: StorageError| {
        let code = failed(&error);
        if error.needs_a_person() { CONFIG } else { code }
    };
    // No time mends a key that is not there, or is none.
    let key = server.store.key_file.as_deref().map(MasterKey::read).transpose();
    let key = key.map_err(|error| {
        failed(&error);
        CONFIG
    })?;
    let runtime = small_runtime().map_err(|e| failed(&e))?;
    let read = runtime.block_on(async {
        let store = StoreReader::open(&server.store.directory, key).await.map_err(refused)?;
        let certificate = store.certificate(&host).await.map_err(refused)?;
        // A store of an older version has no schedule; what it holds can be shown all the same.
        let row = store.scheduled(&host).await.ok().flatten();
        Ok::<_, u8>(certificate.map(|certificate| (certificate, row)))
    })?;
    read.ok_or_else(|| {
        eprintln!(
            "mta-stsd: no certificate is held for {host}; {} says why",
            args.config.command(&format!("status {}", host.domain()))
        );
        CONFIG
    })
}

fn describe(certificate: &Certificate, row: Option<&Scheduled>) -> String {
    let mut lines = vec![
        ("host", certificate.host.to_string()),
        ("valid from", whole_seconds(certificate.validity.not_before).to_string()),
        ("valid until", whole_seconds(certificate.validity.not_after).to_string()),
        ("authority", certificate.authority.clone()),
        ("chain", super::counted(certificate.chain.len(), "certificate")),
    ];
    if let Some(leaf) = certificate.leaf() {
        lines.extend([("issuer", leaf.issuer), ("serial", leaf.serial), ("sha-256", leaf.fingerprint)]);
    }
    if let Some(row) = row {
        lines.push(("next", next_of(row)));
        if let Some((start, end)) = row.renewal.window {
            lines.push(("window", format!("{start} to {end}, as the authority suggests")));
        }
        lines.extend(row.renewal.explanation_url.clone().map(|url| ("explained", url)));
        lines.extend(row.failures.as_ref().map(|failures| {
            let attempts = failures.attempts;
            ("problem", format!("{} ({attempts} in a row): {}", failures.kind, failures.detail))
        }));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

fn next_of(row: &Scheduled) -> String {
    let at = whole_seconds(row.next_at);
    match row.next {
        Next::First => format!("first certificate at {at}"),
        Next::Renew => format!("renewal at {at}"),
        Next::Ask => format!("the authority is asked about its renewal at {at}"),
        Next::Gone => format!("forgotten at {at}, for it left the configuration"),
        Next::Parked => "nothing, until its configuration changes or you renew it".to_owned(),
    }
}

fn export(certificate: &Certificate, out: &Path) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out)?;
    file.write_all(certificate.key_pem().as_bytes())?;
    file.write_all(certificate.chain_pem().as_bytes())?;
    file.sync_all()
}
