//! From DNS to the alert: a fleet behind one MX host, which moves.

use jiff::Timestamp;
use mta_stsd::{
    alert::{DOMAINS_SHOWN, group},
    clock::Clock,
    config::{self, Publish, Tenant, TenantId},
    cross_check::CrossCheck,
    dns::memory::MemoryLookup,
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy, render_record},
    snapshot::{SharedSnapshot, Snapshot},
    storage::{HistoryStorage, MemoryStorage},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const TENANTS: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

// M-18.
#[tokio::test(start_paused = true)]
async fn an_mx_that_moves_for_ten_thousand_tenants_is_one_alert_within_twenty_minutes() {
    let start: Timestamp = "2026-11-21T12:34:56Z".parse().unwrap();
    let domains: Vec<DomainName> =
        (0..TENANTS).map(|n| DomainName::from_ascii(&format!("d{n:05}.example")).unwrap()).collect();
    let mx = vec![MxPattern::from_user("mx.provider.example").unwrap()];
    let policy = RenderedPolicy::of(Policy::new(Mode::Enforce, mx, MaxAge::WEEK).unwrap()).unwrap();
    let (lookup, store) = (Arc::new(MemoryLookup::default()), Arc::new(MemoryStorage::new()));
    let record = render_record(policy.id());
    for domain in &domains {
        lookup.set_hosts(domain, &["mx.provider.example"]);
        lookup.set_txt(&format!("_mta-sts.{domain}"), &[&record]);
    }
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("provider").unwrap(),
        hosts: domains.iter().map(|domain| PolicyHost::of(domain).unwrap()).collect(),
        policy: Arc::new(policy),
        file: Path::new("provider.toml").into(),
    });
    let snapshot = SharedSnapshot::new(Snapshot::build(1, [&tenant], Publish::default()));
    let check = CrossCheck::new(
        snapshot,
        Arc::clone(&lookup) as _,
        Arc::clone(&store) as _,
        Clock::simulated(start),
        config::CrossCheck::default(),
        &config::Dns::default(),
    );
    tokio::spawn(check.run(CancellationToken::new()));
    sleep(MINUTE * 60).await;
    assert_eq!(store.events_after(0, 1).await.unwrap(), []);

    domains.iter().for_each(|domain| lookup.set_hosts(domain, &["new.provider.example"]));
    sleep(MINUTE * 20).await;
    let events = store.events_after(0, 3 * TENANTS).await.unwrap();
    let alerts = group(&events);
    let [alert] = &alerts[..] else { panic!("{} alerts", alerts.len()) };
    assert_eq!((alert.subject.as_str(), alert.count), ("new.provider.example", TENANTS));
    assert_eq!(alert.domains.len(), DOMAINS_SHOWN);
    let codes: Vec<&str> = alert.findings.iter().map(|part| part.code.as_str()).collect();
    assert_eq!(codes, ["NO_MX_COVERED", "MX_NOT_IN_POLICY"]);
}
