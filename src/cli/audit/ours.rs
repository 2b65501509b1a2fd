//! What a configuration says that we serve for a domain, to hold against what the world sees.

use crate::{
    acme::{DnsPreflight, preflight::Ours},
    audit::Expected,
    cli::{CONFIG, ConfigArg, counted, identities, rendered, standing::Standing},
    config::Server,
    dns::{
        Lookup,
        caa::{CaaIdentity, Method},
    },
    name::{DomainName, PolicyHost},
};
use std::{net::IpAddr, sync::Arc};

/// The configuration that `--config` names, as a reload would take it.
pub(super) struct Configured {
    standing: Standing,
    server: Server,
    issuer: Option<CaaIdentity>,
}

impl Configured {
    /// Reads it. What is wrong is printed; where nothing of it would be taken, its exit code is
    /// returned.
    pub(super) fn read(config: &ConfigArg) -> Result<Self, u8> {
        let standing = Standing::of(config);
        let Some(server) = standing.reloader.server().cloned() else {
            eprint!("{}", rendered(&standing.report.faults));
            return Err(CONFIG);
        };
        let faults = standing.report.faults.len();
        if faults > 0 {
            eprintln!(
                "mta-stsd: the configuration has {}, and is taken as a reload would take it; {} says more",
                counted(faults, "fault"),
                config.command("check")
            );
        }
        let issuer = issuer(&server).unwrap_or_else(|why| {
            eprintln!("mta-stsd: CAA records are not judged: {why}");
            None
        });
        Ok(Self { standing, server, issuer })
    }

    /// The server's part.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Our addresses besides, for which `lookup` may be asked. What is not known is said, and not judged.
    pub(super) async fn known(self, lookup: Arc<dyn Lookup>) -> Served {
        let Self { standing, server, issuer } = self;
        let methods = identities::methods(&server);
        let issuer = issuer.map(|issuer| (issuer, methods.clone()));
        // Nothing is bound here; where the daemon listens by its configuration is as good.
        let listening = server.listen.https.clone();
        let preflight = DnsPreflight::new(
            lookup,
            standing.shared.clone(),
            server.acme.preflight.clone(),
            listening,
            methods,
        );
        let addresses = match preflight.ours().await {
            Ok(Ours::Known(addresses)) => addresses,
            Ok(Ours::Unknown) => {
                eprintln!(
                    "mta-stsd: whether policy hosts lead here is not judged: publish.addresses or \
                     acme.preflight.addresses would tell our addresses"
                );
                Vec::new()
            }
            Err((name, unanswered)) => {
                eprintln!("mta-stsd: whether policy hosts lead here is not judged: {name}: {unanswered}");
                Vec::new()
            }
        };
        Served { standing, addresses, issuer }
    }
}

/// By what CAA records know the authority that is tried first, if any is asked at all.
fn issuer(server: &Server) -> Result<Option<CaaIdentity>, String> {
    if server.acme.is_internal() {
        return Ok(None);
    }
    let Some((directory, identity)) = identities::kept_identities(server)?.into_iter().next() else {
        return Ok(None);
    };
    match identity.identities.is_empty() {
        true => {
            Err(format!("{directory} has not told by what name CAA records know it; the first order asks"))
        }
        false => Ok(Some(identity)),
    }
}

/// What we serve, where, and who vouches for it.
pub(super) struct Served {
    standing: Standing,
    addresses: Vec<IpAddr>,
    issuer: Option<(CaaIdentity, Vec<Method>)>,
}

impl Served {
    /// What we serve for `domain`; `None` for domains of others.
    pub(super) fn expected(&self, domain: &DomainName) -> Option<Expected> {
        let host = PolicyHost::of(domain).ok()?;
        let hosted = self.standing.snapshot.find(host.as_str())?;
        Some(Expected {
            policy: Arc::clone(&hosted.policy),
            addresses: self.addresses.clone(),
            issuer: self.issuer.clone(),
        })
    }
}
