//! From files to snapshot, for 100,000 tenants: at start, and after one edit.
//!
//! The aim: one domain changed among 100,000 is reloaded in less than 100 ms.

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use mta_stsd::{clock::Clock, reload::Reloader, snapshot::SharedSnapshot};
use std::{fmt::Write as _, fs, path::Path, time::Duration};

const TENANTS: usize = 100_000;
const DROP_INS: usize = 1_000;

fn reloader(folder: &Path) -> Reloader {
    Reloader::new(folder.join("main.toml"), SharedSnapshot::default(), Clock::System)
}

/// A drop-in with its share of the tenants; they differ in their MX hosts by file and `version`.
fn drop_in(number: usize, version: usize) -> String {
    let share = TENANTS / DROP_INS;
    let mut text = String::new();
    for tenant in number * share..(number + 1) * share {
        write!(
            text,
            "[[tenant]]\nname = \"t{tenant}\"\ndomains = [\"d{tenant}.example\"]\nmode = \"enforce\"\n\
             mx = [\"mx{number}.v{version}.example.net\", \"*.backup.example.net\"]\nmax_age = \"2w\"\n\n"
        )
        .expect("a String takes everything");
    }
    text
}

/// Measures the start, and hands out a reloader that has started.
fn started(group: &mut BenchmarkGroup<'_, WallTime>, folder: &Path) -> Reloader {
    group.bench_function("start", |b| {
        b.iter_batched_ref(
            || reloader(folder),
            |reloader| reloader.first().expect("good").1.generation,
            BatchSize::PerIteration,
        );
    });
    let mut running = reloader(folder);
    running.first().expect("good");
    running
}

fn drop_ins(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "tenants = \"d/*.toml\"\n[acme]\ndirectory = \"internal\"\n";
    fs::create_dir(folder.path().join("d")).expect("writable");
    fs::write(folder.path().join("main.toml"), main).expect("writable");
    let write = |number: usize, version: usize| {
        fs::write(folder.path().join(format!("d/{number:04}.toml")), drop_in(number, version))
            .expect("writable");
    };
    (0..DROP_INS).for_each(|number| write(number, 0));
    // Stamps are trusted once they are older than two seconds.
    std::thread::sleep(Duration::from_secs(4));

    let mut group = c.benchmark_group("100,000 tenants in 1,000 drop-ins");
    group.sample_size(10);
    let mut running = started(&mut group, folder.path());
    let mut version = 0;
    group.bench_function("one file changed", |b| {
        b.iter_batched(
            || {
                version += 1;
                write(500, version);
            },
            |()| assert_eq!(running.reload().changed.len(), TENANTS / DROP_INS),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("nothing changed", |b| b.iter(|| running.reload_if_changed().is_some()));
    group.finish();
}

fn list(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "[acme]\ndirectory = \"internal\"\n[policies.hosted]\nmx = [\"mx.example.net\"]\n\
                domains_file = \"list.txt\"\n";
    fs::write(folder.path().join("main.toml"), main).expect("writable");
    let write = |version: usize| {
        let mut text = format!("v{version}.example\n");
        (1..TENANTS).for_each(|n| text.push_str(&format!("d{n}.example\n")));
        fs::write(folder.path().join("list.txt"), text).expect("writable");
    };
    write(0);

    let mut group = c.benchmark_group("100,000 domains in one list");
    group.sample_size(10);
    let mut running = started(&mut group, folder.path());
    let mut version = 0;
    group.bench_function("one domain changed", |b| {
        b.iter_batched(
            || {
                version += 1;
                write(version);
            },
            |()| assert_eq!(running.reload().changed.len(), 1),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, drop_ins, list);
criterion_main!(benches);
