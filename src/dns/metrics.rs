//! Questions to DNS, in figures: a [`Lookup`] that counts what another one is asked.

use super::{
    Addresses, Answer, CaaAnswer, DnsName, Lookup, MxAnswer, TlsaAnswer, TxtAnswer, Unanswered,
    UnansweredKind,
};
use crate::{
    metrics::{Counter, Family, Histogram, Labels, NETWORK_SECONDS, Registry, Unit},
    name::DomainName,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Questions by resolver, record and outcome; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Lookups {
    lookups: Family<Labels<3>, Counter>,
    seconds: Family<Labels<1>, Histogram, fn() -> Histogram>,
}

impl Default for Lookups {
    fn default() -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(NETWORK_SECONDS)) as fn() -> Histogram);
        Self { lookups: Family::default(), seconds }
    }
}

impl Lookups {
    /// `lookup`, with what it is asked counted under the name `resolver`.
    pub fn count(&self, resolver: &'static str, lookup: Arc<dyn Lookup>) -> Arc<dyn Lookup> {
        let records = ["mx", "address", "txt", "tlsa", "caa"];
        let counters = records.map(|record| {
            ["answered", "failed", "bogus", "too_many_cnames"].map(|outcome| {
                let labels = [("resolver", resolver), ("record", record), ("outcome", outcome)];
                self.lookups.get_or_create_owned(&labels)
            })
        });
        let [mx, address, txt, tlsa, caa] = counters;
        let seconds = self.seconds.get_or_create_owned(&[("resolver", resolver)]);
        Arc::new(Counted { lookup, mx, address, txt, tlsa, caa, seconds })
    }

    /// Shows in `registry` what was asked.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lookups",
            "Questions to DNS; answered: with records or with their absence; bogus: the signatures do not hold; \
             resolver: first (dns.servers) or second (dns.second_servers)",
            self.lookups.clone(),
        );
        registry.register_with_unit(
            "lookup",
            "How long questions to DNS took, waits for a free place and further tries included",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }
}

/// By outcome: answered, failed, bogus, too many CNAME records.
type ByOutcome = [Counter; 4];

struct Counted {
    lookup: Arc<dyn Lookup>,
    mx: ByOutcome,
    address: ByOutcome,
    txt: ByOutcome,
    tlsa: ByOutcome,
    caa: ByOutcome,
    seconds: Histogram,
}

impl Counted {
    async fn note<T>(
        &self,
        [answered, failed, bogus, too_many_cnames]: &ByOutcome,
        asked: impl Future<Output = Result<T, Unanswered>>,
    ) -> Result<T, Unanswered> {
        let begun = Instant::now();
        let answer = asked.await;
        self.seconds.observe(begun.elapsed().as_secs_f64());
        let counter = match answer.as_ref().err().map(|silence| silence.kind) {
            None => answered,
            Some(UnansweredKind::Failed) => failed,
            Some(UnansweredKind::Bogus) => bogus,
            Some(UnansweredKind::TooManyCnames) => too_many_cnames,
        };
        counter.inc();
        answer
    }
}

#[async_trait::async_trait]
impl Lookup for Counted {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        self.note(&self.mx, self.lookup.mx(domain)).await
    }

    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        self.note(&self.address, self.lookup.has_address(domain)).await
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        self.note(&self.address, self.lookup.addresses(name)).await
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        self.note(&self.txt, self.lookup.txt(name)).await
    }

    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        self.note(&self.tlsa, self.lookup.tlsa(name)).await
    }

    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered> {
        self.note(&self.caa, self.lookup.caa(name)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dns::memory::MemoryLookup,
        metrics::{Format, written},
    };

    #[tokio::test]
    async fn a_question_is_counted_by_what_came_of_it_and_answered_unchanged() {
        let memory = Arc::new(MemoryLookup::default());
        let [well, silent] =
            ["well.example", "silent.example"].map(|name| DomainName::from_ascii(name).unwrap());
        memory.set_hosts(&well, &["mx.well.example"]);
        memory.set_mx(&silent, Err(Unanswered { kind: UnansweredKind::Bogus, reason: "planted".to_owned() }));
        let lookups = Lookups::default();
        let counted = lookups.count("first", memory.clone());
        assert_eq!(counted.mx(&well).await.unwrap(), memory.mx(&well).await.unwrap());
        assert_eq!(counted.mx(&silent).await.unwrap_err().reason, "planted");
        let mut registry = Registry::default();
        lookups.register(&mut registry);
        let text = written(&registry, Format::Text);
        let line = |record, outcome, count| {
            format!("lookups_total{{resolver=\"first\",record=\"{record}\",outcome=\"{outcome}\"}} {count}\n")
        };
        for line in [line("mx", "answered", 1), line("mx", "bogus", 1), line("txt", "failed", 0)] {
            assert!(text.contains(&line), "{line} is missing:\n{text}");
        }
        assert!(text.contains("lookup_seconds_count{resolver=\"first\"} 2\n"), "{text}");
    }
}
