//! What one policy costs to look up, to answer with, and to render.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Request;
use mta_stsd::{
    config::{Tenant, TenantId},
    https::respond,
    name::{DomainName, PolicyHost},
    policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy, render_body},
    snapshot::Snapshot,
};
use std::{hint::black_box, path::Path, sync::Arc};

/// Hosts in the snapshot: the cost of a fetch must not depend on it.
const HOSTS: [usize; 2] = [100, 100_000];

fn policy() -> Policy {
    let mx = ["mx1.mail.example", "mx2.mail.example", "*.backup.example"];
    let mx = mx.iter().map(|pattern| MxPattern::from_user(pattern).expect("a pattern")).collect();
    Policy::new(Mode::Enforce, mx, MaxAge::WEEK).expect("a policy")
}

fn host(number: usize) -> PolicyHost {
    let domain = DomainName::from_ascii(&format!("customer-{number}.example")).expect("a name");
    PolicyHost::of(&domain).expect("a policy host")
}

fn snapshot(hosts: usize) -> Snapshot {
    let tenant = Tenant {
        id: TenantId::parse("meadow").expect("a tenant name"),
        hosts: (0..hosts).map(host).collect(),
        policy: Arc::new(RenderedPolicy::of(policy()).expect("it reads back")),
        file: Path::new("mta-stsd.toml").into(),
    };
    Snapshot::build(1, [&Arc::new(tenant)], Default::default())
}

fn serving(criterion: &mut Criterion) {
    for hosts in HOSTS {
        let snapshot = snapshot(hosts);
        let hosts_of_requests: Vec<_> = (0..hosts).step_by(hosts / 100).map(host).collect();
        let mut turn = hosts_of_requests.iter().cycle();
        criterion.bench_function(&format!("lookup among {hosts}"), |bencher| {
            bencher.iter(|| snapshot.find(black_box(turn.next().expect("a cycle").as_str())));
        });
        criterion.bench_function(&format!("respond among {hosts}"), |bencher| {
            bencher.iter_batched(
                || {
                    let host = turn.next().expect("a cycle");
                    let request = Request::get("/.well-known/mta-sts.txt").header("host", host.as_str());
                    (host, request.body(()).expect("a request"))
                },
                |(host, request)| respond(&snapshot, host, &request),
                BatchSize::SmallInput,
            );
        });
    }
    let policy = policy();
    criterion.bench_function("render body", |bencher| bencher.iter(|| render_body(black_box(&policy))));
}

criterion_group!(benches, serving);
criterion_main!(benches);
