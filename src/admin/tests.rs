//! The socket's own promises; what commands do to a real authority is in `tests/daemon/operator.rs`.

use super::{AdminServer, Desk, Filter, Health, Newcomer, Sources, TakeOvers, client};
use crate::{
    acme::{Reading, Scheduler, SchedulerParts, memory::Conduct, memory::MemoryAuthority},
    alert::AlertStatus,
    certificate::{CertificateTable, ChallengeTable},
    clock::Clock,
    config::{Acme, AuthoritySettings, Budgets, Preflight},
    cross_check::CrossCheckStatus,
    name::PolicyHost,
    reload::ReloadStatus,
    snapshot::SharedSnapshot,
    storage::{MemoryStorage, Next, ScheduleStorage, Scheduled},
};
use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

const MINUTE: Duration = Duration::from_secs(60);

/// A socket over a schedule of `hosts` rows, every hundredth parked.
struct World {
    socket: PathBuf,
    take_overs: TakeOvers,
    newcomers: mpsc::Receiver<Newcomer>,
    _folder: tempfile::TempDir,
    _scheduler: Scheduler,
    ended: JoinHandle<()>,
    _stop: DropGuard,
}

impl World {
    async fn new(hosts: usize) -> Self {
        let clock = Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap());
        let storage = Arc::new(MemoryStorage::new());
        let row = |n: usize| {
            let host = PolicyHost::from_full_name(&format!("mta-sts.d{n:05}.example")).unwrap();
            let next = if n.is_multiple_of(100) { Next::Parked } else { Next::First };
            Scheduled { next, ..Scheduled::newcomer(host, "meadow", clock.now()) }
        };
        let rows: Vec<_> = (0..hosts).map(row).collect();
        storage.save_schedule(&rows, &[]).await.unwrap();
        let authority = Arc::new(MemoryAuthority::new(clock, |_| Conduct::Hang));
        let scheduler = Scheduler::new(SchedulerParts {
            snapshot: SharedSnapshot::default(),
            certificates: CertificateTable::new(storage.clone(), 1),
            challenges: ChallengeTable::default(),
            storage: storage.clone(),
            authorities: vec![authority.clone()],
            readiness: None,
            reading: Reading::default(),
            clock,
            settings: settings(),
        });
        let (take_overs, newcomers) = TakeOvers::new();
        let sources = Sources {
            snapshot: SharedSnapshot::default(),
            acme: scheduler.status(),
            cross_check: CrossCheckStatus::default(),
            alerts: AlertStatus::default(),
            reload: ReloadStatus::default(),
            clock,
            desk: Desk {
                scheduler: scheduler.handle(),
                authorities: Arc::new([authority]),
                certificates: Arc::clone(&storage) as _,
                history: storage,
            },
            health: Health::default(),
            take_overs: take_overs.clone(),
            figures: Arc::default(),
            internal_authority: false,
            certificates_elsewhere: false,
            cross_check_enabled: false,
        };
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let stop = CancellationToken::new();
        let ended = tokio::spawn(AdminServer::bind(&socket).unwrap().run(sources, stop.clone()));
        Self {
            socket,
            take_overs,
            newcomers,
            _folder: folder,
            _scheduler: scheduler,
            ended,
            _stop: stop.drop_guard(),
        }
    }

    async fn listed(&self, filter: Filter, most: usize) -> Vec<String> {
        let mut hosts = Vec::new();
        let take = |host: super::ListedHost| {
            hosts.push(host.host);
            if hosts.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        client::list(&self.socket, filter, take).await.unwrap();
        hosts
    }
}

fn settings() -> Acme {
    Acme {
        authorities: vec![AuthoritySettings::internal()],
        tls_alpn_01: true,
        http_01: true,
        preflight: Preflight::default(),
        orders_at_once: 1,
        order_deadline: MINUTE,
        request_timeout: MINUTE,
        requests_per_second: 1,
        internal_lifetime: MINUTE,
        budgets: Budgets::default(),
    }
}

#[tokio::test]
async fn a_list_of_many_pages_is_whole_and_in_order() {
    let world = World::new(2_345).await;
    let all = world.listed(Filter::default(), usize::MAX).await;
    assert_eq!(all.len(), 2_345);
    assert!(all.is_sorted());
    let failing = Filter { failing: true, expiring: None };
    assert_eq!(world.listed(failing, usize::MAX).await.len(), 24);
}

#[tokio::test]
async fn whoever_has_seen_enough_holds_up_nobody() {
    let world = World::new(2_345).await;
    assert_eq!(world.listed(Filter::default(), 3).await.len(), 3);
    let plan = client::plan(&world.socket).await.unwrap();
    assert_eq!((plan.first_waiting, plan.parked), (2_321, 24));
    // 200 at once, for the last fifth is the renewals', and 250 in 3 hours.
    let done: usize = plan.hours.iter().map(|hour| hour.first).sum();
    assert!((2_199..=2_200).contains(&done), "{done}");
}

#[tokio::test]
async fn who_takes_over_gets_a_plain_stream_and_a_second_one_has_to_wait() {
    let mut world = World::new(1).await;
    let mut newcomer = client::take_over(&world.socket).await.unwrap();
    let second = client::take_over(&world.socket).await.unwrap_err();
    assert!(second.to_string().contains("another take-over"), "{second}");
    let mut ours = world.newcomers.recv().await.unwrap().stream;
    newcomer.write_all(b"hold").await.unwrap();
    let mut said = [0; 4];
    ours.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hold");
    drop(newcomer);
    assert_eq!(ours.read(&mut said).await.unwrap(), 0, "an end is noticed");
}

#[tokio::test]
async fn a_socket_that_took_the_place_of_ours_is_left_there() {
    let World { socket, take_overs, ended, _stop, _folder, .. } = World::new(1).await;
    let _other = AdminServer::replace(&socket).unwrap();
    assert!(AdminServer::bind(&socket).is_err(), "it answers at once");
    take_overs.leave_socket();
    drop(_stop);
    ended.await.unwrap();
    assert!(socket.exists());
    assert!(!socket.with_file_name("admin.sock.new").exists());
}
