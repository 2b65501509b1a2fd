//! What stands in DNS in the place of a record that should.

use super::{PublishedRecord, RecordData, Role};
use crate::{
    certificate::presented::escaped,
    dns::{Addresses, CaaAnswer, DnsName, TxtAnswer, Unanswered},
};
use std::net::IpAddr;

/// The most octets of a stranger's record that are shown.
const SHOWN_MAX: usize = 300;

/// What DNS said about the name of a record, by its type.
#[derive(Clone, Debug)]
pub enum Looked {
    /// Where the name leads; asked for A, AAAA and CNAME records at policy hosts.
    Addresses(Result<Addresses, Unanswered>),
    /// Its TXT records; asked for CNAME records at indicator records too.
    Txt(Result<TxtAnswer, Unanswered>),
    /// Its CAA records.
    Caa(Result<CaaAnswer, Unanswered>),
}

/// What stands in the place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The record.
    AsExpected,
    /// Nothing.
    Absent,
    /// Something else, as a zone file has it; escaped and cut.
    Different(Vec<String>),
    /// No resolver answered, which says nothing about the name.
    Unknown(String),
}

impl Seen {
    /// What two resolvers see together: where they contradict each other, that which is not expected,
    /// because some sender will see it, too; where one is silent, what the other sees.
    #[must_use]
    pub fn and(self, second: Self) -> Self {
        match (self, second) {
            (Self::Unknown(_), second) => second,
            (Self::AsExpected, second @ (Self::Absent | Self::Different(_))) => second,
            (first, _) => first,
        }
    }
}

/// What stands in the place of `record`, and the name at the end of the CNAME records that lead there.
/// `all` are all records to publish: two addresses of one name are both expected.
pub fn compare(record: &PublishedRecord, all: &[PublishedRecord], looked: &Looked) -> (Seen, DnsName) {
    let own = DnsName::new(&record.name);
    match looked {
        Looked::Addresses(Err(error)) | Looked::Txt(Err(error)) | Looked::Caa(Err(error)) => {
            (Seen::Unknown(escaped(&error.to_string(), SHOWN_MAX)), own)
        }
        Looked::Addresses(Ok(found)) => {
            let at = found.chain.last().cloned().unwrap_or(own);
            (compare_addresses(record, all, found), at)
        }
        Looked::Txt(Ok(found)) => {
            let at = found.chain.last().cloned().unwrap_or(own);
            (compare_text(record, found), at)
        }
        Looked::Caa(Ok(found)) => {
            let at = found.chain.last().cloned().unwrap_or(own);
            (compare_caa(record, found), at)
        }
    }
}

fn compare_addresses(record: &PublishedRecord, all: &[PublishedRecord], found: &Addresses) -> Seen {
    if let RecordData::Cname(target) = &record.data {
        return match found.chain.first() {
            Some(first) if first.as_str() == target => Seen::AsExpected,
            Some(other) => Seen::Different(vec![format!("CNAME {other}.")]),
            None => of(found.iter().map(shown_address).collect()),
        };
    }
    if let Some(target) = found.chain.first() {
        return Seen::Different(vec![format!("CNAME {target}.")]);
    }
    let expected: Vec<IpAddr> =
        all.iter().filter(|other| other.name == record.name).filter_map(address).collect();
    let strange: Vec<String> =
        found.iter().filter(|address| !expected.contains(address)).map(shown_address).collect();
    let there = address(record).is_some_and(|address| found.iter().any(|found| found == address));
    if there && strange.is_empty() { Seen::AsExpected } else { of(strange) }
}

fn address(record: &PublishedRecord) -> Option<IpAddr> {
    match record.data {
        RecordData::A(address) => Some(address.into()),
        RecordData::Aaaa(address) => Some(address.into()),
        _ => None,
    }
}

fn shown_address(address: IpAddr) -> String {
    format!("{} {address}", if address.is_ipv4() { "A" } else { "AAAA" })
}

fn compare_text(record: &PublishedRecord, found: &TxtAnswer) -> Seen {
    let texts: Vec<Vec<u8>> = found.records.iter().map(|strings| strings.concat()).collect();
    let version = match record.role {
        Role::Reports => "v=TLSRPT",
        _ => "v=STS",
    };
    // What is no such record at all is for an audit to tell; here it is only in nobody's way.
    let candidates = texts.iter().filter(|text| text.starts_with(version.as_bytes()));
    let shown = |text: &Vec<u8>| format!("TXT \"{}\"", escaped(&String::from_utf8_lossy(text), SHOWN_MAX));
    match &record.data {
        RecordData::Cname(target) => match found.chain.first() {
            Some(first) if first.as_str() == target => Seen::AsExpected,
            Some(other) => Seen::Different(vec![format!("CNAME {other}.")]),
            // Nothing may stand beside a CNAME record (RFC 1034 §3.6.2).
            None => of(texts.iter().map(shown).collect()),
        },
        RecordData::Txt(expected) => match (candidates.collect::<Vec<_>>().as_slice(), found.chain.first()) {
            ([one], _) if one.as_slice() == expected.as_bytes() => Seen::AsExpected,
            (_, Some(target)) => Seen::Different(vec![format!("CNAME {target}.")]),
            (several, None) => of(several.iter().copied().map(shown).collect()),
        },
        _ => of(candidates.map(shown).collect()),
    }
}

fn compare_caa(record: &PublishedRecord, found: &CaaAnswer) -> Seen {
    let RecordData::CaaIssue(expected) = &record.data else { return Seen::Absent };
    let issue: Vec<_> =
        found.records.iter().filter(|record| record.tag.eq_ignore_ascii_case("issue")).collect();
    if issue.iter().any(|record| record.value == expected.as_bytes()) {
        return Seen::AsExpected;
    }
    let shown =
        |value: &[u8]| format!("CAA issue \"{}\"", escaped(&String::from_utf8_lossy(value), SHOWN_MAX));
    of(issue.iter().map(|record| shown(&record.value)).collect())
}

fn of(others: Vec<String>) -> Seen {
    if others.is_empty() { Seen::Absent } else { Seen::Different(others) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dns::CaaRecord, publishing::Holder};

    fn record(role: Role, name: &str, data: RecordData) -> PublishedRecord {
        let zone = "a.example".to_owned();
        PublishedRecord { role, holder: Holder::Customer, zone, name: name.to_owned(), ttl: 300, data }
    }

    fn address(text: &str) -> PublishedRecord {
        let data = match text.parse().unwrap() {
            IpAddr::V4(address) => RecordData::A(address),
            IpAddr::V6(address) => RecordData::Aaaa(address),
        };
        record(Role::PolicyHost, "mta-sts.a.example", data)
    }

    fn leads(addresses: &[&str], chain: &[&str]) -> Looked {
        let mut found = Addresses::default();
        for text in addresses {
            match text.parse().unwrap() {
                IpAddr::V4(address) => found.a.push(address),
                IpAddr::V6(address) => found.aaaa.push(address),
            }
        }
        found.chain = chain.iter().map(|name| DnsName::new(name)).collect();
        Looked::Addresses(Ok(found))
    }

    fn text(records: &[&str], chain: &[&str]) -> Looked {
        let records = records.iter().map(|text| vec![text.as_bytes().to_vec()]).collect();
        let chain = chain.iter().map(|name| DnsName::new(name)).collect();
        Looked::Txt(Ok(TxtAnswer { records, chain, ..TxtAnswer::default() }))
    }

    fn different(shown: &[&str]) -> Seen {
        Seen::Different(shown.iter().map(|text| text.to_string()).collect())
    }

    #[test]
    fn an_address_is_as_expected_only_without_strange_ones_beside_it() {
        let all = [address("192.0.2.1"), address("2001:db8::1")];
        let seen = |addresses: &[&str], chain: &[&str]| compare(&all[0], &all, &leads(addresses, chain)).0;
        assert_eq!(seen(&["192.0.2.1", "2001:db8::1"], &[]), Seen::AsExpected);
        assert_eq!(seen(&["192.0.2.1"], &[]), Seen::AsExpected);
        assert_eq!(seen(&["2001:db8::1"], &[]), Seen::Absent);
        assert_eq!(seen(&["192.0.2.1", "192.0.2.9"], &[]), different(&["A 192.0.2.9"]));
        assert_eq!(seen(&["192.0.2.1"], &["x.example"]), different(&["CNAME x.example."]));
        assert_eq!(seen(&[], &[]), Seen::Absent);
    }

    // D-05: both must see it.
    #[test]
    fn of_two_resolvers_the_one_that_sees_something_else_is_heard() {
        let (good, silent) = (|| Seen::AsExpected, || Seen::Unknown(String::new()));
        assert_eq!(good().and(good()), Seen::AsExpected);
        for seen in [Seen::Absent, different(&["A 192.0.2.1"])] {
            assert_eq!(good().and(seen.clone()), seen);
            assert_eq!(seen.clone().and(good()), seen);
            assert_eq!(silent().and(seen.clone()), seen);
            assert_eq!(seen.clone().and(silent()), seen);
        }
        assert_eq!(good().and(silent()), Seen::AsExpected);
        assert_eq!(silent().and(silent()), silent());
    }

    #[test]
    fn a_cname_is_told_by_its_first_step() {
        let cname = record(Role::PolicyHost, "mta-sts.a.example", RecordData::Cname("sts.p.example".into()));
        let seen = |chain: &[&str], addresses: &[&str]| compare(&cname, &[], &leads(addresses, chain));
        let (as_expected, at) = seen(&["sts.p.example", "edge.p.example"], &["192.0.2.1"]);
        assert_eq!((as_expected, at.as_str()), (Seen::AsExpected, "edge.p.example"));
        assert_eq!(seen(&["edge.p.example"], &[]).0, different(&["CNAME edge.p.example."]));
        assert_eq!(seen(&[], &["192.0.2.1"]).0, different(&["A 192.0.2.1"]));
    }

    #[test]
    fn other_text_is_in_nobodys_way_but_a_second_record_is() {
        let ours = record(Role::Indicator, "_mta-sts.a.example", RecordData::Txt("v=STSv1; id=1;".into()));
        let seen = |records: &[&str]| compare(&ours, &[], &text(records, &[])).0;
        assert_eq!(seen(&["v=STSv1; id=1;", "other"]), Seen::AsExpected);
        assert_eq!(seen(&["other"]), Seen::Absent);
        assert_eq!(seen(&["v=STSv1; id=2;\u{1b}"]), different(&["TXT \"v=STSv1; id=2;\\u{1b}\""]));
        assert!(
            matches!(seen(&["v=STSv1; id=1;", "v=STSv1; id=2;"]), Seen::Different(two) if two.len() == 2)
        );
        let led = record(Role::Indicator, "_mta-sts.a.example", RecordData::Cname("a.r.example".into()));
        assert_eq!(compare(&led, &[], &text(&[], &["a.r.example"])).0, Seen::AsExpected);
        assert_eq!(compare(&led, &[], &text(&[], &[])).0, Seen::Absent);
    }

    #[test]
    fn neither_text_nor_another_cname_can_stay_where_a_cname_stands() {
        let led = record(Role::Indicator, "_mta-sts.a.example", RecordData::Cname("a.r.example".into()));
        assert_eq!(compare(&led, &[], &text(&["other"], &[])).0, different(&["TXT \"other\""]));
        let ours = record(Role::Indicator, "_mta-sts.a.example", RecordData::Txt("v=STSv1; id=1;".into()));
        let through = |records: &[&str]| compare(&ours, &[], &text(records, &["x.example"])).0;
        assert_eq!(through(&[]), different(&["CNAME x.example."]));
        assert_eq!(through(&["v=STSv1; id=2;"]), different(&["CNAME x.example."]));
        assert_eq!(through(&["v=STSv1; id=1;"]), Seen::AsExpected);
    }

    #[test]
    fn a_caa_record_is_as_expected_beside_others() {
        let ours =
            record(Role::Authorization, "sts.p.example", RecordData::CaaIssue("ca.example; x=1".into()));
        let seen = |values: &[&str]| {
            let value = |value: &&str| CaaRecord {
                critical: false,
                tag: "Issue".into(),
                value: value.as_bytes().to_vec(),
            };
            let records = values.iter().map(value).collect();
            compare(&ours, &[], &Looked::Caa(Ok(CaaAnswer { records, ..CaaAnswer::default() }))).0
        };
        assert_eq!(seen(&["other.example", "ca.example; x=1"]), Seen::AsExpected);
        assert_eq!(seen(&["other.example"]), different(&["CAA issue \"other.example\""]));
        assert_eq!(seen(&[]), Seen::Absent);
    }

    // T-17.
    #[test]
    fn silence_is_neither_presence_nor_absence() {
        let silent = Looked::Txt(Err(Unanswered::failed("SERVFAIL")));
        let ours = record(Role::Indicator, "_mta-sts.a.example", RecordData::Txt("v=STSv1; id=1;".into()));
        assert!(matches!(compare(&ours, &[], &silent).0, Seen::Unknown(_)));
    }
}
