//! `mta-stsd records --verify`: whether each record is there, and whether it is safe to publish now.

use crate::{
    cli::{
        DIFFERENT, DONE, UNKNOWN,
        looking::{ADDRESSES_MAX, LookingArgs},
        small_runtime,
    },
    clock::Clock,
    config::Server,
    dns::{DnsName, Lookup, Unanswered},
    name::PolicyHost,
    policy_fetch::{Fetcher, Offer},
    publishing::{
        Looked, PolicySeen, PublishedRecord, RecordData, Role, Safety, Seen, compare, policy_seen,
        safe_to_publish,
    },
    snapshot::Snapshot,
};

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
    let parts = looking.lookup(Some(&server.dns)).and_then(|lookup| Ok((lookup, looking.fetcher()?)));
    let (lookup, fetcher) = match parts {
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
        let looker = Looker { lookup: &lookup, fetcher: &fetcher, internal: server.signs_internally() };
        let (text, verdict) = runtime.block_on(looker.look(host, records, &body.unwrap_or_default()));
        print!("{text}");
        worst = worst.max(verdict);
    }
    worst.code()
}

/// Asks the world about one domain after the other.
struct Looker<'a> {
    lookup: &'a dyn Lookup,
    fetcher: &'a Fetcher,
    internal: bool,
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
            let (seen, at) = compare(record, records, &self.looked(record).await);
            let (shown, verdict) = match &seen {
                Seen::AsExpected => ("as expected".to_owned(), Verdict::AsExpected),
                Seen::Absent => ("nothing".to_owned(), Verdict::Different),
                Seen::Different(others) => (others.join(", "), Verdict::Different),
                Seen::Unknown(why) => (format!("not known: {why}"), Verdict::Unknown),
            };
            worst = worst.max(verdict);
            text.push_str(&format!("  {record}\n    seen         {shown}\n    where        {at}.\n"));
            if seen != Seen::AsExpected {
                let safety = safe_to_publish(record, target(record, &before), &policy, self.internal);
                text.push_str(&format!("    publish now  {}\n", advice(record, &seen, safety)));
            }
            before.push((&record.name, seen));
        }
        (text, worst)
    }

    async fn looked(&self, record: &PublishedRecord) -> Looked {
        let name = DnsName::new(&record.name);
        match (record.role, &record.data) {
            (_, RecordData::CaaIssue(_)) => Looked::Caa(self.lookup.caa(&name).await),
            (Role::PolicyHost | Role::Authorization, _) => {
                Looked::Addresses(self.lookup.addresses(&name).await)
            }
            (Role::Indicator | Role::Reports, _) => {
                Looked::Txt(self.lookup.txt(&name).await.map(|answer| answer.data))
            }
        }
    }

    /// Fetches the policy from every address of its host, as both kinds of senders do.
    async fn policy(&self, host: &PolicyHost, body: &[u8]) -> PolicySeen {
        let addresses = match self.lookup.addresses(&host.into()).await {
            Ok(addresses) => addresses,
            Err(Unanswered { reason, .. }) => {
                return PolicySeen::Unknown(format!("no answer from DNS: {reason}"));
            }
        };
        let mut fetches = Vec::new();
        for address in addresses.iter().take(ADDRESSES_MAX) {
            for offer in [Offer::Http1WithoutAlpn, Offer::Http2] {
                fetches.push(self.fetcher.fetch(host, address, offer, Clock::System.now()).await);
            }
        }
        policy_seen(&fetches, body)
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
    use crate::publishing::Holder;

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
