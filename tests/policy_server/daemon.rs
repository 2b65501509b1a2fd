//! The vectors once more, against the whole daemon: its own configuration, store and assembly.

use crate::{
    client::Tls,
    server::{COM, NEW, ORG, Target, pend, within},
    vectors::hold,
};
use async_trait::async_trait;
use mta_stsd::{
    acme::{
        InternalAuthority,
        authority::{Authority, IssueError, Issued, OrderRequest},
    },
    certificate::ChallengeTable,
    clock::Clock,
    daemon::{Daemon, StandIns},
    storage::MemoryStorage,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{fs, sync::Arc, time::Duration};

/// Signs for everybody but the tenant whose certificate is still to come.
struct NotYetForNew(InternalAuthority);

#[async_trait]
impl Authority for NotYetForNew {
    fn directory(&self) -> &str {
        self.0.directory()
    }

    async fn order(&self, request: OrderRequest<'_>, answers: &ChallengeTable) -> Result<Issued, IssueError> {
        if request.host.as_str() == NEW {
            return Err(IssueError::NotValidated { detail: "not pointing here yet".into() });
        }
        self.0.order(request, answers).await
    }
}

#[tokio::test]
async fn every_vector_of_http_json_holds_for_the_whole_daemon() {
    let home = tempfile::tempdir().unwrap();
    // The policies of `server::TestServer`, written as a configuration; all clients have one address here,
    // and ask again and again until the first certificates are there.
    let tenant = |domain: &str| {
        format!(
            "[[tenant]]\nname = \"{domain}\"\ndomains = [\"{domain}\"]\nmode = \"enforce\"\nmax_age = \"1w\"\n\
             mx = [\"mail.{domain}\"]\n"
        )
    };
    let main = home.path().join("mta-stsd.toml");
    let server = "[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n[store]\ndirectory = \"state\"\n\
                  [acme]\ndirectory = \"internal\"\n[admin]\nsocket = \"admin.sock\"\n\
                  [cross_check]\nenabled = false\n[limits]\nhandshake_burst_per_address = 1000000\n";
    let tenants = ["example.com", "example.org", "new.example"].map(tenant).concat();
    fs::write(&main, server.to_owned() + &tenants).unwrap();

    let root_store = Arc::new(MemoryStorage::new());
    let day = Duration::from_secs(86_400);
    let authority = InternalAuthority::open(root_store, day, Clock::System).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).unwrap()).unwrap();
    let stand_ins = StandIns { authority: Some(Arc::new(NotYetForNew(authority))), lookup: None };
    let daemon = Daemon::start(&main, stand_ins).await.unwrap();

    let challenges = daemon.challenges().clone();
    let target = Target {
        https: daemon.https()[0],
        http: daemon.http()[0],
        roots: Arc::new(roots),
        pend: Box::new(move |challenge| pend(&challenges, challenge)),
    };
    for host in [COM, ORG] {
        within(async { while Tls::to(host).connect(&target).await.is_err() {} }).await;
    }
    let checked = hold(&target, include_str!("../vectors/http.json")).await;
    assert!(checked >= 23, "only {checked} vectors were checked");
}
