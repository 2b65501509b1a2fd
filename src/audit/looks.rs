//! One look at a mail host serves everybody for ten minutes (S-17): ten thousand domains behind one
//! MX host cause one probe.

use crate::{
    dns::DnsName,
    starttls::{Probe, Prober, pace::HOST_EVERY},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// As many looks are kept; what comes beyond them is looked at and not kept.
const KEPT_MAX: usize = 10_000;

/// A prober that remembers.
pub(super) struct Looks {
    prober: Prober,
    kept: Mutex<HashMap<(DnsName, IpAddr), Kept>>,
}

struct Kept {
    since: Timestamp,
    probe: Arc<OnceCell<Probe>>,
}

impl Looks {
    pub fn new(prober: Prober) -> Self {
        Self { prober, kept: Mutex::default() }
    }

    /// What `host` shows at `address`, seen within the last ten minutes; who comes while somebody
    /// looks waits for the same answer.
    pub async fn look(&self, host: &DnsName, address: IpAddr, now: Timestamp) -> Probe {
        let probe = self.place(host, address, now);
        probe.get_or_init(|| self.prober.probe(host, address, now)).await.clone()
    }

    fn place(&self, host: &DnsName, address: IpAddr, now: Timestamp) -> Arc<OnceCell<Probe>> {
        let is_fresh = |kept: &Kept| now.duration_since(kept.since).unsigned_abs() < HOST_EVERY;
        // A panic while the lock was held leaves a whole map behind.
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.clone(), address.to_canonical());
        if let Some(kept) = all.get(&key).filter(|kept| is_fresh(kept)) {
            return Arc::clone(&kept.probe);
        }
        if all.len() >= KEPT_MAX {
            all.retain(|_, kept| is_fresh(kept));
        }
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
        time::Duration,
    };
    use tokio::{io::AsyncWriteExt, net::TcpListener};

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
        let settings = starttls::Settings { port, ..starttls::Settings::new("test.example", vec![]) };
        let looks = Looks::new(Prober::new(settings, Reach { allow_private: true, own: vec![] }));
        let (host, address) = (DnsName::new("mx.example"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let (one, other) = tokio::join!(looks.look(&host, address, now), looks.look(&host, address, now));
        assert_eq!(one.outcome, other.outcome);
        assert_eq!(visits.load(Ordering::Relaxed), 1);
        let later = now + HOST_EVERY + Duration::from_secs(1);
        looks.look(&host, address, later).await;
        assert_eq!(visits.load(Ordering::Relaxed), 2, "after ten minutes it is another look");
    }
}
