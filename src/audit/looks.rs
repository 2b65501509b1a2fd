//! One look at a mail host serves everybody for ten minutes (S-17): ten thousand domains behind one
//! MX host cause one probe. And whatever names lead to an address, one look at a time goes there.

use crate::{
    dns::DnsName,
    starttls::{Probe, Prober},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::{Mutex as Line, OnceCell};

/// The least time between two looks at one host at one address.
const HOST_EVERY: Duration = Duration::from_secs(600);
/// As many looks are kept; what comes beyond them is looked at and not kept.
const KEPT_MAX: usize = 10_000;

/// A prober that remembers.
pub(super) struct Looks {
    prober: Prober,
    kept: Mutex<HashMap<(DnsName, IpAddr), Kept>>,
    /// Where looks wait for one another. Whoever waits or looks holds the line; one that nobody holds
    /// is forgotten, so there are never more of them than looks under way.
    lines: Mutex<HashMap<IpAddr, Weak<Line<()>>>>,
}

struct Kept {
    since: Timestamp,
    probe: Arc<OnceCell<Arc<Probe>>>,
}

impl Looks {
    pub fn new(prober: Prober) -> Self {
        Self { prober, kept: Mutex::default(), lines: Mutex::default() }
    }

    /// What `host` shows at `address`, seen within the last ten minutes; who comes while somebody
    /// looks waits for the same answer, and who looks at the address under another name waits first.
    pub async fn look(&self, host: &DnsName, address: IpAddr, now: Timestamp) -> Arc<Probe> {
        let probe = self.place(host, address, now);
        let look = async {
            let line = self.line(address);
            let _turn = line.lock().await;
            Arc::new(self.prober.probe(host, address, now).await)
        };
        Arc::clone(probe.get_or_init(|| look).await)
    }

    fn line(&self, address: IpAddr) -> Arc<Line<()>> {
        // A panic while the lock was held leaves a whole map behind.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|_, line| line.strong_count() > 0);
        let address = address.to_canonical();
        if let Some(line) = lines.get(&address).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::default();
        lines.insert(address, Arc::downgrade(&line));
        line
    }

    fn place(&self, host: &DnsName, address: IpAddr, now: Timestamp) -> Arc<OnceCell<Arc<Probe>>> {
        let is_fresh = |kept: &Kept| now.duration_since(kept.since).unsigned_abs() < HOST_EVERY;
        // A panic while the lock was held leaves a whole map behind.
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.clone(), address.to_canonical());
        if let Some(kept) = all.get(&key).filter(|kept| is_fresh(kept)) {
            return Arc::clone(&kept.probe);
        }
        // A probe may hold a stranger's whole chain; no longer than it is of use.
        all.retain(|_, kept| is_fresh(kept));
        let probe = Arc::new(OnceCell::new());
        if all.len() < KEPT_MAX {
            all.insert(key, Kept { since: now, probe: Arc::clone(&probe) });
        }
        probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialing::Reach, starttls};
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering},
    };
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    fn looks(port: u16) -> Looks {
        let settings = starttls::Settings { port, ..starttls::Settings::new("test.example", vec![]) };
        Looks::new(Prober::new(settings, Reach { allow_private: true, own: vec![] }))
    }

    fn noon() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn one_look_at_a_time_goes_to_an_address_whatever_names_lead_there() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let looks = looks(listener.local_addr().unwrap().port());
        let (now_open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (open, noted) = (Arc::clone(&now_open), Arc::clone(&most));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                noted.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let open = Arc::clone(&open);
                tokio::spawn(async move {
                    // Whoever else wants to come gets every chance to.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.write_all(b"554 not you\r\n").await;
                });
            }
        });
        let plain = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        let hosts = ["a.example", "b.example", "c.example"].map(DnsName::new);
        let [a, b, c] = &hosts;
        tokio::join!(
            looks.look(a, plain, noon()),
            looks.look(b, mapped, noon()),
            looks.look(c, plain, noon())
        );
        assert_eq!(most.load(Ordering::SeqCst), 1);
        let elsewhere = looks.line(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(looks.lines.lock().unwrap().len(), 1, "lines where nobody waits are forgotten");
        drop(elsewhere);
    }

    #[tokio::test]
    async fn what_is_too_old_is_not_kept() {
        let looks = looks(1);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        looks.place(&DnsName::new("a.example"), address, noon());
        looks.place(&DnsName::new("b.example"), address, noon() + HOST_EVERY);
        assert_eq!(looks.kept.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn many_domains_behind_one_host_cause_one_look() {
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
        let looks = looks(port);
        let (host, address) = (DnsName::new("mx.example"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let now = noon();
        let (one, other) = tokio::join!(looks.look(&host, address, now), looks.look(&host, address, now));
        assert_eq!(one.outcome, other.outcome);
        assert_eq!(visits.load(Ordering::Relaxed), 1);
        let later = now + HOST_EVERY + Duration::from_secs(1);
        looks.look(&host, address, later).await;
        assert_eq!(visits.load(Ordering::Relaxed), 2, "after ten minutes it is another look");
    }
}
