//! The slow round's part of the loop: starting audits, and taking in what they brought home.

use super::CrossCheck;
use crate::{
    audit::{Finding, Observations, Severity},
    cross_check::{
        KnownFinding,
        audits::{Audited, CameTo, Outcome},
        source::Source,
        verdict::{self, Terms},
    },
    logging::chain,
    name::PolicyHost,
};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// What is said while nobody answers at port 25.
const PORT_25_BLOCKED: &str = "no mail host answers at port 25: it may be closed from here; mail hosts are not judged (cross_check.probe_mx)";
/// What is said while none of our own policy hosts is reached.
const POLICY_HOSTS_AWAY: &str =
    "no policy host of ours is reached from here: see whether this network leads to its own public addresses";

impl CrossCheck {
    /// Starts the audits that are due.
    pub(super) fn audit_due(&mut self, auditing: &mut JoinSet<Audited>) {
        let (domains, fetches) = (&self.domains, self.fetches);
        let policy_of = |host: &PolicyHost| domains.get(host).map(|checked| Arc::clone(&checked.policy));
        if let Some(audits) = &mut self.audits {
            audits.start_due(auditing, policy_of, fetches);
        }
    }

    /// Takes an audit in.
    pub(super) async fn take_audit(&mut self, audited: Audited) {
        let Audited { host, policy, came_to } = audited;
        let (Some(checked), Some(audits)) = (self.domains.get(&host), &mut self.audits) else { return };
        let (seen, scope) = match came_to {
            CameTo::Observations(seen, scope) => (*seen, scope),
            CameTo::NoCertificate => return audits.put_off(&host),
            CameTo::TooLong => return audits.place(&host, Outcome { unseen: true, ..Outcome::default() }),
        };
        if checked.policy.id() != policy.id() {
            // What was seen may be of either policy, and the new one has its turn.
            return;
        }
        let (domain, now) = (host.domain(), self.clock.now());
        self.note_ways(&host, &seen);
        let Some(audits) = &mut self.audits else { return };
        let terms = Terms {
            policy: scope.policy,
            records: self.settings.records,
            port_25: audits.port_25.is_open(),
            policy_hosts: audits.policy_hosts.is_open(),
            recheck: audits.apart(),
        };
        let seen = Observations { port_25_answers: terms.port_25, ..seen };
        let sightings = verdict::sightings(&seen, terms, now);
        let covers = |known: &Finding| verdict::covers(&seen, terms, known);
        let last = verdict::mail_hosts(&seen, &policy);
        let mode = policy.policy().mode();
        let unknown = sightings.iter().any(|sighting| sighting.finding.severity == Severity::Unknown);
        let unreached = scope.policy && verdict::reached(&seen) == Some(false);
        let change = self.status.audited(&domain, sightings, mode, covers, last, now);
        let serious = |known: &KnownFinding| {
            Source::of(known.finding.code) == Source::Audit && known.finding.severity >= Severity::Error
        };
        let known = self.status.of(&domain).unwrap_or_default();
        let outcome = Outcome {
            suspected: change.suspected,
            doubted_until: verdict::doubted_until(&seen),
            unseen: unknown || unreached || seen.left_out_for_now(),
            serious: known.findings.iter().any(serious),
        };
        audits.place(&host, outcome);
        if let Err(error) = self.storage.save_audit(&domain, now).await {
            // Without it the next process audits sooner than it need.
            debug!(%domain, error = %chain(&error), "time of an audit not kept");
        }
        self.tell(&domain, &change).await;
    }

    /// Notes whether anybody was heard, and says once when nobody is, and once when somebody is again.
    fn note_ways(&mut self, host: &PolicyHost, seen: &Observations) {
        let Some(audits) = &mut self.audits else { return };
        for (address, heard) in verdict::heard_at_port_25(seen) {
            match audits.port_25.note(&address, heard) {
                Some(true) => warn!("{PORT_25_BLOCKED}"),
                Some(false) => info!("mail hosts answer at port 25 again"),
                None => {}
            }
        }
        if let Some(reached) = verdict::reached(seen) {
            match audits.policy_hosts.note(host, reached) {
                Some(true) => warn!("{POLICY_HOSTS_AWAY}"),
                Some(false) => info!("policy hosts of ours are reached again"),
                None => {}
            }
        }
        self.status.set_trouble(PORT_25_BLOCKED, audits.port_25.is_blocked());
        self.status.set_trouble(POLICY_HOSTS_AWAY, audits.policy_hosts.is_blocked());
    }
}
