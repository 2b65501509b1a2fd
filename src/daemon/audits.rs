//! What the audits of our own domains need: eyes, and what the world is held against.

use super::{StartError, part, preflight_of};
use crate::{
    acme::{DnsPreflight, authority::Authority},
    audit::{Auditor, Look, Pace},
    certificate::{CertificateTable, presented::Roots},
    config::Server,
    cross_check::{CrossCheck, Expectations},
    dialing::Reach,
    dns::{
        Lookup,
        caa::{CaaIdentity, Method},
    },
    name::PolicyHost,
    policy_fetch::{self, Fetcher},
    snapshot::SharedSnapshot,
    starttls::{self, Prober},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

/// What mail hosts are greeted with when nobody says a name.
const NAMELESS: &str = "mta-stsd.invalid";

/// What the parts around the audits know.
pub(super) struct Around<'a> {
    pub server: &'a Server,
    pub lookup: &'a Arc<dyn Lookup>,
    pub snapshot: &'a SharedSnapshot,
    /// Where we listen for HTTPS.
    pub bound: &'a [SocketAddr],
    pub certificates: CertificateTable,
    pub authorities: Vec<Arc<dyn Authority>>,
}

/// Lets `checks` audit as the settings say.
///
/// # Errors
///
/// When `cross_check.root_file` cannot be used.
pub(super) fn with_audits(checks: CrossCheck, around: Around<'_>) -> Result<CrossCheck, StartError> {
    let Around { server, lookup, snapshot, bound, certificates, authorities } = around;
    let settings = &server.cross_check;
    if !settings.enabled || !settings.audit {
        return Ok(checks);
    }
    let roots = roots(settings.root_file.as_deref()).map_err(part("cross_check.root_file"))?;
    let publish = snapshot.load().publish().clone();
    let own = bound.iter().map(|at| at.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback());
    let own = own.chain(server.acme.preflight.addresses.iter().copied()).chain(publish.addresses);
    let mail = Reach { allow_private: settings.dial_private, own: own.collect() };
    let name = settings.ehlo_name.clone().or(publish.cname).unwrap_or_else(|| NAMELESS.to_owned());
    let prober =
        settings.probe_mx.then(|| Prober::new(starttls::Settings::new(name, roots.clone()), mail.clone()));
    // Policy hosts are our own addresses; only mail is never asked of ourselves.
    let policy = Reach { own: vec![], ..mail.clone() };
    let fetcher = Fetcher::new(policy_fetch::Settings { roots, ..Default::default() }, policy);
    let pace = Pace::continuous(settings.audit_every, settings.audit_recheck, settings.audits_at_once);
    let eye: Arc<dyn Look> = Arc::new(Auditor::paced(Arc::clone(lookup), prober, fetcher, mail, pace));
    let (preflight, methods) = preflight_of(server, lookup, snapshot, bound.to_vec());
    let internal = server.signs_internally();
    let issuer = authorities.into_iter().next().filter(|_| !internal);
    // Without orders a proxy in front has the certificates.
    let certificates = server.orders_certificates().then_some(certificates);
    let ours = Ours { preflight, certificates, issuer, methods };
    Ok(checks.auditing(eye, Arc::new(ours), !internal))
}

/// Mozilla's roots, and those in `file`.
fn roots(file: Option<&Path>) -> io::Result<Vec<Arc<Roots>>> {
    let mut roots = vec![Arc::new(Roots::mozilla())];
    if let Some(file) = file {
        roots.push(Arc::new(Roots::read(file)?));
    }
    Ok(roots)
}

struct Ours {
    preflight: DnsPreflight,
    /// `None`: somebody else has them.
    certificates: Option<CertificateTable>,
    issuer: Option<Arc<dyn Authority>>,
    methods: Vec<Method>,
}

#[async_trait::async_trait]
impl Expectations for Ours {
    async fn addresses(&self) -> Vec<IpAddr> {
        self.preflight.addresses().await
    }

    async fn issuer(&self) -> Option<(CaaIdentity, Vec<Method>)> {
        let identity = self.issuer.as_ref()?.caa_identity().await?;
        Some((identity, self.methods.clone()))
    }

    async fn is_served(&self, host: &PolicyHost) -> bool {
        let Some(certificates) = &self.certificates else { return true };
        // A store that cannot be read says so itself.
        certificates.get(host).await.is_ok_and(|held| held.is_some())
    }
}
