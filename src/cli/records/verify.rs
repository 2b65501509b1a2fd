//! `mta-stsd records --verify`: whether each record is there, and whether it is safe to publish now.

use crate::{
    cli::{
        DIFFERENT, DONE, UNKNOWN,
        looking::{ADDRESSES_MAX, LookingArgs},
        small_runtime,
    },
    clock::Clock,
    config::Server,
    dialing::is_this_machine,
    dns::{Lookup, Unanswered},
    name::PolicyHost,
    policy_fetch::{Fetcher, Offer},
    publishing::{
        PolicySeen, PublishedRecord, RecordData, Safety, Seen, compare, look_up, policy_seen, safe_to_publish,
    },
    snapshot::Snapshot,
};
use std::net::IpAddr;

/// What was found of one policy domain, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    AsExpected,
    Unknown,
    Different,
}

impl Verdict {
    fn code(self) -> u8 {
        match self {
            Self::AsExpected => DONE,
            Self::Unknown => UNKNOWN,
            Self::Different => DIFFERENT,
        }
    }
}

/// Looks at every record of `found` and prints what is seen.
pub(super) fn run(
    found: &[(PolicyHost, Vec<PublishedRecord>)],
    looking: &LookingArgs,
    server: &Server,
    snapshot: &Snapshot,
) -> u8 {
    let parts = looking
        .lookup(Some(&server.dns))
        .and_then(|lookup| Ok((lookup, looking.second_lookup(&server.dns)?, looking.fetcher()?)));
    let (lookup, second, fetcher) = match parts {
        Ok(parts) => parts,
        Err(code) => return code,
    };
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mta-stsd: {error}");
            return crate::cli::FAILED;
        }
    };
    let mut worst = Verdict::AsExpected;
    for (host, records) in found {
        let body = snapshot.find(host.as_str()).map(|hosted| hosted.policy.body().clone());
        let looker = Looker {
            lookup: &lookup,
            second: second.as_ref().map(|second| second as &dyn Lookup),
            fetcher: &fetcher,
            internal: server.signs_internally(),
            from_outside: looking.allow_private,
        };
        let (text, verdict) = runtime.block_on(looker.look(host, records, &body.unwrap_or_default()));
        print!("{text}");
        worst = worst.max(verdict);
    }
    worst.code()
}

/// Asks the world about one domain after the other.
struct Looker<'a> {
    lookup: &'a dyn Lookup,
    /// Somebody else, who is asked the same about records.
    second: Option<&'a dyn Lookup>,
    fetcher: &'a Fetcher,
    internal: bool,
    /// Whether this machine stands for the world.
    from_outside: bool,
}

impl Looker<'_> {
    async fn look(&self, host: &PolicyHost, records: &[PublishedRecord], body: &[u8]) -> (String, Verdict) {
        let policy = self.policy(host, body).await;
        let (shown, mut worst) = match &policy {
            PolicySeen::Served => ("served as it should be".to_owned(), Verdict::AsExpected),
            PolicySeen::Other(why) | PolicySeen::NotServed(why) => {
                (format!("not served as it should be: {why}"), Verdict::Different)
            }
            PolicySeen::Unknown(why) => (format!("not seen: {why}"), Verdict::Unknown),
        };
        let mut text = format!("{}: policy {shown}\n", host.domain());
        let mut before: Vec<(&str, Seen)> = Vec::new();
        for record in records {
            let (seen, at) = compare(record, records, &look_up(self.lookup, record).await);
            text.push_str(&format!(
                "  {record}\n    seen         {}\n    where        {at}.\n",
                in_words(&seen)
            ));
            let seen = match self.second {
                None => seen,
                Some(second) => {
                    let (other, at) = compare(record, records, &look_up(second, record).await);
                    if other != seen {
                        text.push_str(&format!(
                            "    but by dns.second_servers\n    seen         {}\n",
                            in_words(&other)
                        ));
                        text.push_str(&format!("    where        {at}.\n"));
                    }
                    seen.and(other)
                }
            };
            worst = worst.max(match &seen {
                Seen::AsExpected => Verdict::AsExpected,
                Seen::Absent | Seen::Different(_) => Verdict::Different,
                Seen::Unknown(_) => Verdict::Unknown,
            });
            if seen != Seen::AsExpected {
                let safety = safe_to_publish(record, target(record, &before), &policy, self.internal);
                text.push_str(&format!("    publish now  {}\n", advice(record, &seen, safety)));
            }
            before.push((&record.name, seen));
        }
        (text, worst)
    }

    /// Fetches the policy from every address of its host, whoever names it, as both kinds of senders do.
    async fn policy(&self, host: &PolicyHost, body: &[u8]) -> PolicySeen {
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut silence = None;
        for lookup in [Some(self.lookup), self.second].into_iter().flatten() {
            match lookup.addresses(&host.into()).await {
                Ok(found) => addresses.extend(found.iter().take(ADDRESSES_MAX)),
                Err(Unanswered { reason, .. }) => silence = Some(format!("no answer from DNS: {reason}")),
            }
        }
        if let Some(why) = silence.filter(|_| addresses.is_empty()) {
            return PolicySeen::Unknown(why);
        }
        addresses.sort_unstable();
        addresses.dedup();
        let (mut fetches, mut inside) = (Vec::new(), Vec::new());
        for address in addresses {
            if !self.from_outside && is_this_machine(address).await {
                inside.push(address);
            }
            for offer in [Offer::Http1WithoutAlpn, Offer::Http2] {
                fetches.push(self.fetcher.fetch(host, address, offer, Clock::System.now()).await);
            }
        }
        policy_seen(&fetches, body, &inside)
    }
}

/// What stands in the place of a record, in words.
fn in_words(seen: &Seen) -> String {
    match seen {
        Seen::AsExpected => "as expected".to_owned(),
        Seen::Absent => "nothing".to_owned(),
        Seen::Different(others) => others.join(", "),
        Seen::Unknown(why) => format!("not known: {why}"),
    }
}

/// What stands where the CNAME record `record` leads; records stand behind those they lead to.
fn target<'a>(record: &PublishedRecord, before: &'a [(&str, Seen)]) -> Option<&'a Seen> {
    let RecordData::Cname(target) = &record.data else { return None };
    before.iter().find(|(name, _)| name == target).map(|(_, seen)| seen)
}

/// Whether to publish `record` where `seen` stands, which is not the record.
fn advice(record: &PublishedRecord, seen: &Seen, safety: Safety) -> String {
    match (safety, seen) {
        (Safety::NotYet(why), _) => format!("not yet: {why}"),
        (Safety::Unknown(why), _) => format!("not known: {why}"),
        (Safety::Safe, Seen::Unknown(_)) => "not known: DNS gave no answer for this name".to_owned(),
        // Authorities may stand beside each other (RFC 8659 §4.2).
        (Safety::Safe, Seen::Different(others)) if !matches!(record.data, RecordData::CaaIssue(_)) => {
            format!("replace {}", others.join(" and "))
        }
        (Safety::Safe, _) => "yes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publishing::{Holder, Role};

    fn record(data: RecordData) -> PublishedRecord {
        let (zone, name) = ("a.example".to_owned(), "mta-sts.a.example".to_owned());
        PublishedRecord { role: Role::PolicyHost, holder: Holder::Customer, zone, name, ttl: 300, data }
    }

    // T-17.
    #[test]
    fn what_is_in_the_way_is_replaced_and_silence_is_no_yes() {
        let cname = record(RecordData::Cname("sts.p.example".into()));
        let other = Seen::Different(vec!["A 192.0.2.1".into(), "AAAA 2001:db8::1".into()]);
        assert_eq!(advice(&cname, &other, Safety::Safe), "replace A 192.0.2.1 and AAAA 2001:db8::1");
        assert_eq!(advice(&cname, &other, Safety::NotYet("w".into())), "not yet: w");
        assert_eq!(advice(&cname, &Seen::Absent, Safety::Safe), "yes");
        let silent = advice(&cname, &Seen::Unknown("SERVFAIL".into()), Safety::Safe);
        assert!(silent.starts_with("not known"), "{silent}");
        let permit = record(RecordData::CaaIssue("ca.example".into()));
        assert_eq!(advice(&permit, &other, Safety::Safe), "yes");
    }

    #[test]
    fn the_target_of_a_cname_is_found_among_the_records_before_it() {
        let before = [("x.example", Seen::Absent), ("sts.p.example", Seen::AsExpected)];
        let leads = |to: &str| record(RecordData::Cname(to.to_owned()));
        assert_eq!(target(&leads("sts.p.example"), &before), Some(&Seen::AsExpected));
        assert_eq!(target(&leads("y.example"), &before), None);
    }
}
