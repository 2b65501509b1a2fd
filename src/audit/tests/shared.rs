//! How often mail hosts are spoken to: a real listener counts.

use crate::{
    audit::{Auditor, Look, Pace, Scope},
    dialing::Reach,
    dns::memory::MemoryLookup,
    name::DomainName,
    policy_fetch::{self, Fetcher},
    starttls::{self, Prober, Why},
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

const TENANTS: usize = 10_000;
const DAY: Duration = Duration::from_secs(86_400);

// S-17.
#[tokio::test]
async fn ten_thousand_domains_behind_one_mail_host_cause_one_probe() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(b"554 not you\r\n").await;
        }
    });
    let lookup = MemoryLookup::default();
    lookup.set_addresses("mx.provider.example", &["127.0.0.1"]);
    let domains: Vec<DomainName> =
        (0..TENANTS).map(|n| DomainName::from_ascii(&format!("d{n:05}.example")).unwrap()).collect();
    for domain in &domains {
        lookup.set_hosts(domain, &["mx.provider.example"]);
    }
    let reach = Reach { allow_private: true, own: vec![] };
    let settings = starttls::Settings { port, ..starttls::Settings::new("test.example", vec![]) };
    let prober = Prober::new(settings, reach.clone());
    let fetcher = Fetcher::new(policy_fetch::Settings::default(), reach.clone());
    let pace = Pace::continuous(DAY, Duration::from_secs(900), 16);
    let auditor = Auditor::paced(Arc::new(lookup), Some(prober), fetcher, reach, pace);
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    for domain in &domains {
        let seen = auditor.look(domain, Scope { policy: false }, None, now).await;
        let [host] = &seen.hosts[..] else { panic!("{domain} has one mail host") };
        let [probe] = &host.probes[..] else { panic!("{domain}'s has one address") };
        assert_eq!(probe.outcome, Why::Refuses.outcome());
    }
    assert_eq!(visits.load(Ordering::Relaxed), 1);
}
