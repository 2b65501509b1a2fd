//! The quick look at a domain: its MX records and its STS record, nothing else.

use crate::{
    audit::{Seen, elsewhere},
    dns::{Agreed, Answer, DnsName, Lookup, MxAnswer, TxtAnswer, Unanswered},
    name::DomainName,
};
use std::time::Duration;
use tracing::debug;

/// What one look at a domain showed.
pub(super) struct QuickLook {
    pub seen: Seen,
    pub agreed: Agreed,
    /// How long it lasts.
    pub ttl: Option<Duration>,
    /// The TXT records at `_mta-sts`; `None` when they were not asked for.
    pub record: Option<Result<Answer<TxtAnswer>, Unanswered>>,
    /// Where there is none: what stands where people put it by mistake.
    pub elsewhere: Vec<(DnsName, TxtAnswer)>,
}

impl QuickLook {
    fn at(seen: Seen, agreed: Agreed, ttl: Option<Duration>) -> Self {
        Self { seen, agreed, ttl, record: None, elsewhere: vec![] }
    }
}

/// Looks at a domain's mail hosts, and at its STS record where `records` says so.
pub(super) async fn look(lookup: &dyn Lookup, domain: &DomainName, records: bool) -> QuickLook {
    let mut look = match ask(lookup, domain).await {
        Ok(look) => look,
        Err(Unanswered { reason, .. }) => {
            debug!(%domain, reason, "mx lookup unanswered");
            return QuickLook::at(Seen::Unanswered, Agreed::One, None);
        }
    };
    if records {
        let record = lookup.txt(&DnsName::new(&format!("_mta-sts.{domain}"))).await;
        if record.as_ref().is_ok_and(|answer| answer.data.records.is_empty()) {
            look.elsewhere = elsewhere(lookup, domain).await;
        }
        look.record = Some(record);
    }
    look
}

async fn ask(lookup: &dyn Lookup, domain: &DomainName) -> Result<QuickLook, Unanswered> {
    let answer = lookup.mx(domain).await?;
    let seen = match answer.data {
        MxAnswer::Records(records) if !records.is_empty() => Seen::Records(records),
        MxAnswer::NoSuchDomain => Seen::NoSuchDomain,
        _ if lookup.has_address(domain).await? => Seen::Implicit,
        _ => Seen::Nothing,
    };
    Ok(QuickLook::at(seen, answer.agreed, answer.ttl))
}

/// What stands behind two answers together.
pub(super) fn weaker(one: Agreed, other: Agreed) -> Agreed {
    match (one, other) {
        (Agreed::Both, Agreed::Both) => Agreed::Both,
        (Agreed::Contested, _) | (_, Agreed::Contested) => Agreed::Contested,
        _ => Agreed::One,
    }
}
