//! `mta-stsd certificate show|export`: what the store holds for one policy host.
//!
//! Reads the store itself, beside a running daemon or without one.

use super::{CONFIG, ConfigArg, DONE, FAILED, USAGE, policy_host, small_runtime};
use crate::{
    certificate::Certificate,
    clock::Clock,
    logging::chain,
    reload::Reloader,
    snapshot::SharedSnapshot,
    storage::{MasterKey, StoreReader},
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
    /// Show what the certificate held for a host says
    Show(HostArgs),
    /// Write private key and chain as PEM into a new file of mode 0600
    Export {
        #[command(flatten)]
        host: HostArgs,
        /// File to write; it must not exist yet
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
struct HostArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Policy host or policy domain, as in mta-sts.example.com or example.com
    host: String,
}

pub(super) fn run(args: &CertificateArgs) -> u8 {
    let (host, out) = match &args.action {
        Action::Show(host) => (host, None),
        Action::Export { host, out } => (host, Some(out)),
    };
    let certificate = match read(host) {
        Ok(certificate) => certificate,
        Err(code) => return code,
    };
    let Some(out) = out else {
        print!("{}", describe(&certificate));
        return DONE;
    };
    if let Err(error) = export(&certificate, out) {
        eprintln!("mta-stsd: {}: {error}", out.display());
        return FAILED;
    }
    DONE
}

/// The certificate held for the host; what went wrong is printed.
fn read(args: &HostArgs) -> Result<Certificate, u8> {
    let host = policy_host(&args.host).map_err(|error| {
        eprintln!("mta-stsd: {:?} {error}", args.host);
        USAGE
    })?;
    let mut reloader = Reloader::new(args.config.path.clone(), SharedSnapshot::default(), Clock::System);
    let (server, _) = reloader.first().map_err(|refused| {
        eprint!("{}", super::rendered(&refused.faults));
        CONFIG
    })?;
    let failed = |error: &dyn std::error::Error| {
        eprintln!("mta-stsd: {}", chain(error));
        FAILED
    };
    let key = server.store.key_file.as_deref().map(MasterKey::read).transpose().map_err(|e| failed(&e))?;
    let runtime = small_runtime().map_err(|e| failed(&e))?;
    let read = runtime.block_on(async {
        let store = StoreReader::open(&server.store.directory, key).await.map_err(|e| failed(&e))?;
        store.certificate(&host).await.map_err(|e| failed(&e))
    })?;
    read.ok_or_else(|| {
        eprintln!(
            "mta-stsd: no certificate is held for {host}; {} says why",
            args.config.command(&format!("status {}", host.domain()))
        );
        CONFIG
    })
}

fn describe(certificate: &Certificate) -> String {
    format!(
        "host         {}\nvalid from   {}\nvalid until  {}\nauthority    {}\nchain        {}\n",
        certificate.host,
        certificate.validity.not_before,
        certificate.validity.not_after,
        certificate.authority,
        super::counted(certificate.chain.len(), "certificate")
    )
}

fn export(certificate: &Certificate, out: &Path) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out)?;
    file.write_all(certificate.key_pem().as_bytes())?;
    file.write_all(certificate.chain_pem().as_bytes())?;
    file.sync_all()
}
