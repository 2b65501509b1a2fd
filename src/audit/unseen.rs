//! Pure: what a look could have seen. For whoever keeps findings over many looks: one that is not there
//! any more has gone only where the look would have shown it; silence ends nothing (M-14, T-17).

use super::{ADDRESSES_MAX, Finding, FindingCode as Code, HostSeen, Observations, Topic};
use crate::{
    dns::{Unanswered, UnansweredKind},
    policy_fetch,
    starttls::{Outcome, Probe, SniLess, Why},
};
use std::net::IpAddr;

impl Observations {
    /// Whether `finding` would be found in these observations if it still held.
    pub fn tell_of(&self, finding: &Finding) -> bool {
        let (name, address) = place_of(&finding.subject);
        match (finding.code.entry().topic, finding.code) {
            (Topic::Record, Code::StsRecordWildcard) => self.wildcard.is_some(),
            (Topic::Record, _) | (_, Code::IdDiffers) => self.record.is_ok(),
            (Topic::Policy, Code::PolicyHostMissing) => {
                self.policy_host.as_ref().map_or_else(is_proof, |_| true)
            }
            (Topic::Policy, _) => self.tell_of_policy(address),
            (Topic::Mx, code) => self.mx.is_ok() && self.tell_of_host(name, code),
            (Topic::Transport, code) => self.mx.is_ok() && self.tell_of_transport(name, address, code),
            (Topic::Dane, code) => self.mx.is_ok() && self.tell_of_dane(name, code),
            (Topic::Tlsrpt, Code::TlsrptMxHostMissing) => {
                self.mx.is_ok() && self.host(name).is_none_or(|host| host.has_report_record.is_some())
            }
            (Topic::Tlsrpt, _) => self.report_record.is_ok(),
            (Topic::Dns, Code::DnssecUnsigned) => self.mx.is_ok(),
            (Topic::Dns, Code::DnssecBogus) => {
                let silences = [
                    self.mx.as_ref().err(),
                    self.record.as_ref().err(),
                    self.policy_host.as_ref().err(),
                    self.caa.as_ref().err().map(|(_, unanswered)| unanswered),
                ];
                silences.into_iter().flatten().all(|unanswered| unanswered.kind != UnansweredKind::Failed)
            }
            (Topic::Dns, _) => self.caa.is_ok(),
            (Topic::Consistency, Code::BodyDiffers) => {
                self.policy_host.is_ok() && self.tell_of_policy(finding.subject.parse().ok())
            }
            (Topic::Consistency, _) => self.policy_host.is_ok(),
        }
    }

    /// Whether something was left out that another look may bring: addresses whose turn did not come.
    pub fn left_out_for_now(&self) -> bool {
        let dialled = |host: &HostSeen| {
            let addresses = host.addresses.as_ref().map_or(0, |addresses| addresses.iter().count());
            addresses.saturating_sub(host.refused.len()).min(ADDRESSES_MAX)
        };
        self.smtp && self.hosts.iter().any(|host| host.probes.len() < dialled(host))
    }

    fn host(&self, name: &str) -> Option<&HostSeen> {
        self.hosts.iter().find(|host| host.host.as_str() == name)
    }

    /// Whether the policy host was seen, or its address `at`, or there is no such address any more.
    fn tell_of_policy(&self, at: Option<IpAddr>) -> bool {
        let Ok(addresses) = &self.policy_host else {
            return self.policy_host.as_ref().is_err_and(is_proof);
        };
        if at.is_some_and(|at| addresses.iter().all(|address| address != at)) {
            return true;
        }
        let mut fetches = self.fetches.iter().filter(|fetch| at.is_none_or(|at| fetch.address == at));
        addresses.iter().next().is_none() || fetches.any(|fetch| has_spoken(&fetch.outcome))
    }

    fn tell_of_host(&self, name: &str, code: Code) -> bool {
        match (self.host(name), code) {
            // About the domain, or about a host that is no MX host any more.
            (None, _) | (_, Code::MxProviderPattern) => true,
            (Some(host), _) => match &host.addresses {
                Ok(_) => true,
                Err(unanswered) => is_proof(unanswered),
            },
        }
    }

    fn tell_of_transport(&self, name: &str, at: Option<IpAddr>, code: Code) -> bool {
        let Some(host) = self.host(name) else { return true };
        let Ok(addresses) = &host.addresses else {
            return host.addresses.as_ref().is_err_and(is_proof);
        };
        let dialled = |address: &IpAddr| host.refused.iter().all(|(refused, _)| refused != address);
        let mut addresses = addresses.iter().filter(dialled).filter(|one| at.is_none_or(|at| *one == at));
        // Where nothing is to be dialled there is nothing that could be wrong.
        if addresses.next().is_none() {
            return true;
        }
        let mut probes = host.probes.iter().filter(|probe| at.is_none_or(|at| probe.address == at));
        probes.any(|probe| shows(probe, code))
    }

    fn tell_of_dane(&self, name: &str, code: Code) -> bool {
        let Some(host) = self.host(name) else { return true };
        match (&host.tlsa, code) {
            (Some(Ok(answer)), Code::DaneMismatch | Code::DanePinnedLeaf | Code::DaneUnusable) => {
                answer.data.records.is_empty()
                    || !answer.secure
                    || host.probes.iter().any(|probe| probe.tls.is_some())
            }
            (Some(Ok(_)), _) => true,
            (Some(Err(unanswered)), _) => is_proof(unanswered),
            (None, _) => false,
        }
    }
}

/// The host and the address that a subject names, as in `mx.example.com [192.0.2.25]`.
fn place_of(subject: &str) -> (&str, Option<IpAddr>) {
    match subject.strip_suffix(']').and_then(|front| front.split_once(" [")) {
        Some((name, address)) => (name, address.parse().ok()),
        None => (subject, None),
    }
}

/// Whether this lack of an answer is one: a circle of aliases leads nowhere, whoever asks.
fn is_proof(unanswered: &Unanswered) -> bool {
    unanswered.kind == UnansweredKind::TooManyCnames
}

/// Whether the server itself was heard, and not only the network.
fn has_spoken(outcome: &policy_fetch::Outcome) -> bool {
    use policy_fetch::Outcome::{Answered, BadHttp, NotAsked, NotDialled, Timeout, TlsFailed, Unreachable};
    match outcome {
        Answered(_) | BadHttp(_) | TlsFailed(_) => true,
        // That it is not dialled is certain, and what was seen there before means nothing now.
        NotDialled(_) => true,
        NotAsked | Unreachable(_) | Timeout(_) => false,
    }
}

/// Whether a look would have shown `code`.
fn shows(probe: &Probe, code: Code) -> bool {
    let handshake = |seen: &Option<SniLess>| matches!(seen, Some(SniLess::Served(_) | SniLess::Refused(_)));
    match code {
        Code::MxNeedsSni => handshake(&probe.without_sni) && handshake(&probe.unknown_sni),
        Code::MxTlsOldAccepted => probe.old_tls_accepted.is_some(),
        Code::MxNoEhloAfterTls | Code::MxStarttlsAfterTls => probe.ehlo_after_tls.is_some(),
        // Silence is its own proof, and whatever else is heard ends it.
        Code::MxUnreachable | Code::MxTimeout | Code::MxNotReady => {
            probe.outcome != Outcome::Unknown(Why::NoRouteHere)
        }
        _ => !matches!(probe.outcome, Outcome::Unknown(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{judge, tests::fixed},
        dns::Unanswered,
        policy::Mode,
        policy_fetch::Stage,
        starttls::Probe,
    };

    fn about(code: Code, subject: &str) -> Finding {
        Finding::about(code, subject, Mode::Enforce)
    }

    #[track_caller]
    fn check(seen: &Observations, code: Code, subject: &str, told: bool) {
        assert_eq!(seen.tell_of(&about(code, subject)), told, "{code} {subject}");
    }

    /// `mx1.example.com` with the first address as `change` leaves it.
    fn with_first(change: impl FnOnce(&mut Probe)) -> Observations {
        let mut seen = fixed::good();
        let mut probe = (*seen.hosts[0].probes[0]).clone();
        change(&mut probe);
        seen.hosts[0].probes[0] = probe.into();
        seen
    }

    #[test]
    fn whoever_saw_everything_tells_of_everything() {
        let (good, faulty) = (fixed::good(), fixed::faulty());
        for &code in Code::ALL {
            check(&good, code, "", true);
        }
        for finding in judge(&faulty, fixed::now()).findings() {
            assert!(faulty.tell_of(finding), "{} {}", finding.code, finding.subject);
        }
    }

    // M-14, T-17.
    #[test]
    fn a_silent_resolver_ends_nothing() {
        let silent = || Unanswered::failed("no answer in time");
        let mut seen = fixed::good();
        (seen.mx, seen.record, seen.policy_host) = (Err(silent()), Err(silent()), Err(silent()));
        (seen.report_record, seen.caa) = (Err(silent()), Err((seen.hosts[0].host.clone(), silent())));
        (seen.wildcard, seen.hosts, seen.fetches) = (None, vec![], vec![]);
        for &code in Code::ALL {
            check(&seen, code, "mx1.example.com", false);
        }
        let mut seen = fixed::good();
        seen.hosts[0].addresses = Err(silent());
        seen.hosts[0].probes.clear();
        check(&seen, Code::MxNoStarttls, "mx1.example.com", false);
        check(&seen, Code::MxHostNotFound, "mx1.example.com", false);
        check(&seen, Code::MxNoStarttls, "mx2.example.net", true);
        check(&seen, Code::MxNoStarttls, "gone.example.net", true);
    }

    #[test]
    fn a_silent_address_ends_nothing_that_was_seen_there() {
        let mut seen = with_first(|probe| *probe = fixed::ended("198.20.0.25", Why::ConnectTimeout));
        check(&seen, Code::MxNoStarttls, "mx1.example.com [198.20.0.25]", false);
        check(&seen, Code::MxNoStarttls, "mx1.example.com [2a00::25]", true);
        check(&seen, Code::MxNoStarttls, "mx1.example.com [198.20.0.99]", true);
        check(&seen, Code::MxNoStarttls, "mx1.example.com", true);
        check(&seen, Code::MxTimeout, "mx1.example.com [198.20.0.25]", true);
        seen.hosts[0].probes.truncate(1);
        check(&seen, Code::MxCertExpired, "mx1.example.com", false);
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let later = with_first(|probe| probe.without_sni = Some(SniLess::Unknown(Why::NotReady)));
        check(&later, Code::MxNeedsSni, "mx1.example.com [198.20.0.25]", false);
        check(&later, Code::MxCertName, "mx1.example.com [198.20.0.25]", true);
        let mut late = fixed::good();
        for fetch in &mut late.fetches {
            fetch.outcome = policy_fetch::Outcome::Timeout(Stage::Connect);
        }
        check(&late, Code::PolicyCertExpired, "mta-sts.example.com", false);
        check(&late, Code::BodyDiffers, "198.20.0.1", false);
        check(&late, Code::BodyDiffers, "198.20.0.2", true);
        check(&late, Code::PolicyHostElsewhere, "198.20.0.1", true);
    }

    #[test]
    fn a_host_is_as_bad_as_its_addresses_that_can_be_heard() {
        let mut seen = fixed::good();
        let probes = ["198.20.0.25", "2a00::25"];
        let codes = |seen: &Observations| -> Vec<String> {
            let report = judge(seen, fixed::now());
            report.findings().map(|finding| format!("{} {}", finding.code, finding.subject)).collect()
        };
        let set = |seen: &mut Observations, whys: [Why; 2]| {
            for (n, why) in whys.into_iter().enumerate() {
                seen.hosts[0].probes[n] = fixed::ended(probes[n], why).into();
            }
        };
        set(&mut seen, [Why::NoStarttls, Why::NoStarttls]);
        assert_eq!(codes(&seen), ["MX_NO_STARTTLS mx1.example.com"]);
        set(&mut seen, [Why::NoStarttls, Why::ReplyTimeout]);
        assert_eq!(codes(&seen), ["MX_NO_STARTTLS mx1.example.com", "MX_TIMEOUT mx1.example.com [2a00::25]"]);
    }
}
