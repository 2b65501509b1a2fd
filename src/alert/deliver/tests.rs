//! Delivery over real sockets on loopback, with the store in memory.

use super::*;
use crate::{
    alert::signature::sign,
    name::DomainName,
    storage::{FindingRow, MemoryStorage, Storage},
};
use serde_json::Value;
use std::collections::VecDeque;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What the receiver got: its head in lower case, and its body.
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers requests with these statuses, then with 204.
async fn receiver(statuses: &[u16]) -> (String, mpsc::UnboundedReceiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
    let (sender, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut octets = Vec::new();
            let (head, length) = loop {
                assert!(stream.read_buf(&mut octets).await.unwrap() > 0, "closed in the middle");
                let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                let head = String::from_utf8(octets[..end].to_vec()).unwrap().to_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                break (head, end + 4 + length.unwrap_or(0));
            };
            while octets.len() < length {
                assert!(stream.read_buf(&mut octets).await.unwrap() > 0, "closed in the middle");
            }
            let body = octets.split_off(head.len() + 4);
            let status = statuses.pop_front().unwrap_or(204);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if sender.send(Got { head, body }).is_err() {
                return;
            }
        }
    });
    (url, got)
}

struct World {
    store: Arc<MemoryStorage>,
    changed: watch::Sender<()>,
    secret: tempfile::NamedTempFile,
}

impl World {
    fn new() -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), SECRET).unwrap();
        Self { store: Arc::default(), changed: watch::Sender::new(()), secret }
    }

    fn teller(&self, url: &str) -> Teller {
        let target = AlertTarget::Webhook {
            url: url.to_owned(),
            secret_file: Some(self.secret.path().to_owned()),
            root_file: None,
            format: AlertFormat::Json,
            timeout: Duration::from_secs(120),
        };
        self.teller_to(target)
    }

    fn teller_to(&self, target: AlertTarget) -> Teller {
        Teller {
            settings: config::Alert {
                name: "pager".to_owned(),
                target,
                min_severity: AlertSeverity::Error,
                group_wait: Duration::from_millis(1),
                resolved: true,
            },
            storage: Arc::clone(&self.store) as _,
            changed: self.changed.subscribe(),
            clock: Clock::System,
            webhooks: Webhooks::new(Clock::System),
            pace: Pace {
                poll: Duration::from_secs(3_600),
                first_retry: Duration::from_millis(5),
                longest_retry: Duration::from_millis(50),
            },
            status: AlertStatus::default(),
            delivered: HashSet::new(),
            failures: 0,
        }
    }

    /// Domain `n` has these raised findings from now on, each a subject and a severity.
    async fn raise(&self, n: usize, findings: &[(&str, &str)]) {
        let domain = DomainName::from_ascii(&format!("d{n}.example")).unwrap();
        let row = |(subject, severity): &(&str, &str)| FindingRow {
            domain: domain.clone(),
            code: "MX_NOT_IN_POLICY".to_owned(),
            subject: (*subject).to_owned(),
            severity: (*severity).to_owned(),
            since: Timestamp::from_second(1_800_000_000).unwrap(),
            raised: true,
        };
        let rows: Vec<_> = findings.iter().map(row).collect();
        self.store
            .replace_findings(&domain, &rows, Timestamp::from_second(1_800_000_600).unwrap())
            .await
            .unwrap();
        self.changed.send_replace(());
    }
}

#[tokio::test]
async fn a_refused_alert_is_sent_again_signed_and_under_the_same_id() {
    let world = World::new();
    let (url, mut got) = receiver(&[500, 302]).await;
    world.raise(1, &[("new.example", "error")]).await;
    let teller = world.teller(&url);
    let status = teller.status.clone();
    let running = tokio::spawn(teller.run());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let got = got.recv().await.unwrap();
        assert!(got.head.starts_with("post /hook http/1.1\r\n"), "{}", got.head);
        let at = Timestamp::from_second(got.header("mta-stsd-timestamp").parse().unwrap()).unwrap();
        let (_, expected) = sign(SECRET, at, &got.body);
        assert_eq!(got.header("mta-stsd-signature"), expected);
        assert_eq!(got.header("content-type"), "application/json");
        ids.push(got.json()["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    while world.store.alert_position("pager").await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    running.abort();
    let [target] = &status.targets()[..] else { panic!() };
    assert!(target.delivered_at.is_some());
}

#[tokio::test]
async fn an_alert_is_about_what_is_bad_enough_and_its_end_is_told() {
    let world = World::new();
    let (url, mut got) = receiver(&[]).await;
    let running = tokio::spawn(world.teller(&url).run());
    world.raise(1, &[("a.example", "warn"), ("b.example", "critical")]).await;
    let first = got.recv().await.unwrap().json();
    assert_eq!((&first["subject"], &first["state"]), (&"b.example".into(), &"firing".into()));
    world.raise(1, &[]).await;
    let second = got.recv().await.unwrap().json();
    assert_eq!((&second["subject"], &second["state"]), (&"b.example".into(), &"resolved".into()));
    assert_eq!(second["until"], "2027-01-15T08:10:00Z");
    running.abort();
}

#[tokio::test]
async fn what_grows_too_mild_to_be_told_is_told_as_over() {
    let world = World::new();
    let (url, mut got) = receiver(&[]).await;
    let running = tokio::spawn(world.teller(&url).run());
    world.raise(1, &[("a.example", "error")]).await;
    assert_eq!(got.recv().await.unwrap().json()["state"], "firing");
    world.raise(1, &[("a.example", "warn")]).await;
    let end = got.recv().await.unwrap().json();
    assert_eq!((&end["subject"], &end["state"]), (&"a.example".into(), &"resolved".into()));
    assert_eq!((&end["severity"], &end["until"]), (&"error".into(), &"2027-01-15T08:10:00Z".into()));
    running.abort();
}

#[tokio::test]
async fn what_was_pending_at_a_restart_is_delivered_after_it() {
    let world = World::new();
    let (url, mut got) = receiver(&[503, 503, 503]).await;
    let running = tokio::spawn(world.teller(&url).run());
    world.raise(1, &[("a.example", "error")]).await;
    got.recv().await.unwrap();
    // Killed while it is not delivered; meanwhile something else is found.
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    world.raise(2, &[("b.example", "error")]).await;

    let running = tokio::spawn(world.teller(&url).run());
    let last = world.store.events_after(0, 9).await.unwrap().last().unwrap().number;
    while world.store.alert_position("pager").await.unwrap() != Some(last) {
        tokio::task::yield_now().await;
    }
    running.abort();
    let mut subjects = Vec::new();
    while let Ok(got) = got.try_recv() {
        subjects.push(got.json()["subject"].as_str().unwrap().to_owned());
    }
    assert!(
        subjects.ends_with(&["a.example".to_owned(), "b.example".to_owned()])
            || subjects.ends_with(&["b.example".to_owned(), "a.example".to_owned()]),
        "{subjects:?}"
    );
}

#[tokio::test]
async fn a_new_alert_is_told_what_stands_and_not_what_was() {
    let world = World::new();
    world.raise(1, &[("old.example", "error")]).await;
    world.raise(1, &[]).await;
    world.raise(2, &[("stands.example", "error")]).await;
    let (url, mut got) = receiver(&[]).await;
    let running = tokio::spawn(world.teller(&url).run());
    assert_eq!(got.recv().await.unwrap().json()["subject"], "stands.example");
    world.raise(3, &[("later.example", "error")]).await;
    assert_eq!(got.recv().await.unwrap().json()["subject"], "later.example");
    running.abort();
}

#[tokio::test]
async fn a_store_that_refuses_delays_and_does_not_lose() {
    let world = World::new();
    let (url, mut got) = receiver(&[]).await;
    world.raise(1, &[("a.example", "error")]).await;
    world.store.refuse_writes(true);
    let running = tokio::spawn(world.teller(&url).run());
    assert_eq!(got.recv().await.unwrap().json()["subject"], "a.example");
    assert_eq!(world.store.alert_position("pager").await.unwrap(), None);
    world.store.refuse_writes(false);
    while world.store.alert_position("pager").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.abort();
    assert!(got.try_recv().is_err(), "the same id is not sent twice by one process");
}

#[tokio::test]
async fn trouble_with_the_store_is_over_when_it_reads_again_though_there_is_nothing_to_tell() {
    let world = World::new();
    world.store.refuse_reads(true);
    let mut teller = world.teller("http://127.0.0.1:9/");
    let trouble = teller.tell().await.unwrap_err();
    teller.wait_after(&trouble).await;
    assert!(teller.status.targets()[0].trouble.is_some());
    world.store.refuse_reads(false);
    assert!(!teller.tell().await.unwrap());
    let [target] = &teller.status.targets()[..] else { panic!() };
    assert_eq!((&target.trouble, target.delivered_at, teller.failures), (&None, None, 0));
}

#[tokio::test]
async fn a_command_that_hangs_is_tried_again_and_noted() {
    let world = World::new();
    world.raise(1, &[("a.example", "error")]).await;
    let argv = ["/bin/sh", "-c", "/bin/sleep 1000"].map(str::to_owned).to_vec();
    let teller = world.teller_to(AlertTarget::Command { argv, timeout: Duration::from_millis(50) });
    let status = teller.status.clone();
    let running = tokio::spawn(teller.run());
    let trouble = loop {
        if let Some((why, _)) = status.targets().pop().and_then(|target| target.trouble) {
            break why;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    running.abort();
    assert!(trouble.contains("was killed"), "{trouble}");
    assert_eq!(world.store.alert_position("pager").await.unwrap(), None);
}

#[test]
fn waits_double_up_to_an_hour_and_differ_between_alerts() {
    let pace = Pace::default();
    assert_eq!([1, 2, 3].map(|failures| pace.retry(failures, 0.0).as_secs()), [5, 10, 20]);
    assert_eq!(pace.retry(u32::MAX, 0.0).as_secs(), 3_600);
    assert_eq!(pace.retry(u32::MAX, 1.0).as_secs(), 1_800);
    assert_ne!(share(("a", 1)).to_bits(), share(("b", 1)).to_bits());
}
