//! Observations as they might have come home, built by hand.

use crate::{
    audit::{HostSeen, Observations},
    certificate::{
        Validity,
        presented::{ChainJudgement, NameMatch, Trust},
    },
    dns::{Addresses, Answer, DnsName, MxAnswer, MxRecord, TlsaAnswer, TxtAnswer},
    name::DomainName,
    policy_fetch::{Answered, Fetch, HttpVersion, Offer, Outcome as Fetched},
    starttls::{EhloAfterTls, Outcome, Probe, SniLess, TlsSeen, Why},
};
use jiff::Timestamp;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

pub(in crate::audit) const ENFORCE: &str =
    "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 1209600\r\n";

pub(in crate::audit) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A chain that every sender takes, for `name`.
pub(in crate::audit) fn chain(name: &str) -> ChainJudgement {
    let [not_before, not_after] =
        ["2026-11-01T00:00:00Z", "2027-01-30T00:00:00Z"].map(|text| text.parse().unwrap());
    ChainJudgement {
        trust: Trust::Trusted { root: "Meadow Root".into() },
        name: NameMatch::San,
        validity: Some(Validity { not_before, not_after }),
        expired: false,
        not_yet: false,
        expiring: None,
        subject: format!("CN={name}"),
        issuer: "Meadow CA".into(),
        names: vec![name.into()],
        leaf: vec![],
    }
}

pub(in crate::audit) fn txt(records: &[&str]) -> Answer<TxtAnswer> {
    let records: Vec<_> = records.iter().map(|text| vec![text.as_bytes().to_vec()]).collect();
    let exists = !records.is_empty();
    let data = TxtAnswer { records, exists, ..TxtAnswer::default() };
    Answer { secure: true, ..Answer::new(data, Some(Duration::from_secs(300))) }
}

pub(in crate::audit) fn addresses(texts: &[&str]) -> Addresses {
    let mut found = Addresses { exists: true, secure: true, ..Addresses::default() };
    for text in texts {
        match text.parse().unwrap() {
            IpAddr::V4(v4) => found.a.push(v4),
            IpAddr::V6(v6) => found.aaaa.push(v6),
        }
    }
    found
}

pub(in crate::audit) fn fetch(address: &str, offer: Offer, body: &str) -> Fetch {
    let answered = Answered {
        status: 200,
        location: None,
        content_type: Some("text/plain".into()),
        content_encoding: None,
        server: None,
        body: body.as_bytes().to_vec(),
        too_large: false,
        http_version: HttpVersion::Http1,
    };
    Fetch {
        address: address.parse().unwrap(),
        offer,
        elapsed: Duration::from_millis(120),
        tls_version: Some("TLSv1.3".into()),
        chain: Some(chain("mta-sts.example.com")),
        outcome: Fetched::Answered(answered),
    }
}

/// Changes the answer of a fetch.
pub(in crate::audit) fn answered(mut fetch: Fetch, change: impl FnOnce(&mut Answered)) -> Fetch {
    let Fetched::Answered(answered) = &mut fetch.outcome else { panic!("no answer") };
    change(answered);
    fetch
}

/// A probe of a host with whom all is well.
pub(in crate::audit) fn secured(name: &str, address: &str) -> Probe {
    let tls = TlsSeen {
        version: "TLSv1.3".into(),
        suite: "TLS13_AES_256_GCM_SHA384".into(),
        chain: chain(name),
        certificates: vec![b"leaf".to_vec()],
    };
    Probe {
        address: address.parse().unwrap(),
        at: now(),
        outcome: Outcome::Secured,
        evidence: None,
        banner: Some(format!("{name} ESMTP")),
        ehlo: vec![name.into(), "STARTTLS".into()],
        elapsed: Duration::from_millis(300),
        without_sni: Some(SniLess::Served(Box::new(tls.chain.clone()))),
        unknown_sni: Some(SniLess::Served(Box::new(tls.chain.clone()))),
        tls: Some(tls),
        old_tls_accepted: Some(false),
        ehlo_after_tls: Some(EhloAfterTls::Fine),
    }
}

/// A probe that ended so.
pub(in crate::audit) fn ended(address: &str, why: Why) -> Probe {
    Probe {
        outcome: why.outcome(),
        tls: None,
        without_sni: None,
        unknown_sni: None,
        old_tls_accepted: None,
        ehlo_after_tls: None,
        ..secured("mx.example", address)
    }
}

pub(in crate::audit) fn host(name: &str, preference: u16, probes: Vec<Probe>) -> HostSeen {
    let at: Vec<String> = probes.iter().map(|probe| probe.address.to_string()).collect();
    HostSeen {
        host: DnsName::new(name),
        preference,
        addresses: Ok(addresses(&at.iter().map(String::as_str).collect::<Vec<_>>())),
        refused: vec![],
        probes: probes.into_iter().map(Into::into).collect(),
        tlsa: Some(Ok(Answer { secure: true, ..Answer::default() })),
        has_report_record: None,
        doubted_until: None,
    }
}

pub(in crate::audit) fn tlsa(records: Vec<crate::dns::TlsaRecord>) -> Answer<TlsaAnswer> {
    Answer { secure: true, ..Answer::new(TlsaAnswer { records, exists: true }, None) }
}

/// Hangs `hosts` below the domain, with their MX records.
pub(in crate::audit) fn with_hosts(mut seen: Observations, hosts: Vec<HostSeen>) -> Observations {
    let record = |host: &HostSeen| MxRecord { preference: host.preference, host: host.host.clone() };
    let records = hosts.iter().map(record).collect();
    seen.mx = Ok(Answer { secure: true, ..Answer::new(MxAnswer::Records(records), None) });
    seen.hosts = hosts;
    seen
}

/// `example.com`, with nothing to object to.
pub(crate) fn good() -> Observations {
    let served = |address, offer| fetch(address, offer, ENFORCE);
    let seen = Observations {
        domain: DomainName::from_ascii("example.com").unwrap(),
        at: now(),
        record: Ok(txt(&["v=STSv1; id=20261121T120000Z;"])),
        elsewhere: vec![],
        wildcard: Some(false),
        policy_host: Ok(addresses(&["198.20.0.1", "2a00::1"])),
        no_way_to: vec![],
        fetches: vec![
            served("198.20.0.1", Offer::Http1WithoutAlpn),
            served("198.20.0.1", Offer::Http2),
            served("2a00::1", Offer::Http1WithoutAlpn),
            served("2a00::1", Offer::Http2),
        ],
        mx: Ok(Answer::default()),
        own_address: true,
        hosts: vec![],
        left_out: 0,
        smtp: true,
        port_25_answers: true,
        report_record: Ok(txt(&["v=TLSRPTv1; rua=mailto:tls@example.com"])),
        caa: Ok(None),
        expected: None,
    };
    let mx = |name, preference, at: [&str; 2]| {
        host(name, preference, at.map(|address| secured(name, address)).into())
    };
    with_hosts(
        seen,
        vec![
            mx("mx1.example.com", 10, ["198.20.0.25", "2a00::25"]),
            mx("mx2.example.net", 20, ["198.20.1.25", "2a00::1:25"]),
        ],
    )
}

/// A domain that has heard nothing of all this.
pub(in crate::audit) fn without() -> Observations {
    Observations {
        record: Ok(txt(&[])),
        policy_host: Ok(Addresses::default()),
        fetches: vec![],
        report_record: Ok(txt(&[])),
        ..good()
    }
}

/// [`good`], seen from a network that lets nobody connect to port 25.
pub(crate) fn blocked() -> Observations {
    let mut seen = Observations { port_25_answers: false, ..good() };
    for host in &mut seen.hosts {
        for probe in &mut host.probes {
            let address = probe.address.to_string();
            let why = if probe.address.is_ipv6() { Why::NoRouteHere } else { Why::ConnectTimeout };
            *probe = ended(&address, why).into();
        }
    }
    seen
}

/// A domain where much is wrong at once.
pub(in crate::audit) fn faulty() -> Observations {
    let body = "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: old.example.com\nmax_age: 0\n";
    let html = |fetch| answered(fetch, |answered| answered.content_type = Some("text/html".into()));
    let mut late = chain("mta-sts.example.com");
    (late.expired, late.name) = (true, NameMatch::Nothing);
    late.names = vec!["www.example.com".into()];
    let moved = answered(fetch("2a00::1", Offer::Http1WithoutAlpn, ""), |answered| {
        (answered.status, answered.location) = (301, Some("https://www.example.com/".into()));
    });
    let mut self_signed = secured("mx1.example.com", "198.20.0.25");
    if let Some(tls) = &mut self_signed.tls {
        tls.chain.trust = Trust::SelfSigned;
    }
    let mut mx1 = host("mx1.example.com", 10, vec![self_signed, secured("mx1.example.com", "2a00::25")]);
    let record = crate::dns::TlsaRecord { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
    mx1.tlsa = Some(Ok(tlsa(vec![record])));
    let mut gone = host("mx9.example.net", 30, vec![]);
    gone.addresses = Ok(Addresses::default());
    let mut inner = host("mx3.example.net", 40, vec![]);
    inner.addresses = Ok(addresses(&["10.0.0.1"]));
    inner.refused = vec![(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), "10.0.0.0/8")];
    let hosts =
        vec![mx1, host("mx2.example.net", 20, vec![ended("198.20.1.25", Why::NoStarttls)]), gone, inner];
    let seen = Observations {
        record: Ok(txt(&["v=STSv1; id=1;", "v=spf1 -all"])),
        fetches: vec![
            html(fetch("198.20.0.1", Offer::Http1WithoutAlpn, body)),
            html(fetch("198.20.0.1", Offer::Http2, body)),
            Fetch { chain: Some(late), ..moved },
        ],
        report_record: Ok(txt(&[
            "v=TLSRPTv1; rua=mailto:a@example.com",
            "v=TLSRPTv1; rua=mailto:b@example.com",
        ])),
        ..good()
    };
    with_hosts(seen, hosts)
}
