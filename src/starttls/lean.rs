//! What of a look is worth keeping for hours: what judging needs, and nothing else that a stranger sent.

use super::{Probe, SniLess};
use crate::certificate::presented::ChainJudgement;

impl Probe {
    /// The same look without what no judgement needs: greetings, extra chains, leaves; and without the
    /// chain itself unless `with_chain`, which only TLSA records are held against.
    #[must_use]
    pub fn lean(mut self, with_chain: bool) -> Self {
        self.banner = None;
        self.ehlo = vec![];
        if let Some(tls) = &mut self.tls {
            tls.chain.leaf = vec![];
            if !with_chain {
                tls.certificates = vec![];
            }
        }
        for seen in [&mut self.without_sni, &mut self.unknown_sni] {
            if let Some(SniLess::Served(chain)) = seen {
                (chain.leaf, chain.names) = (vec![], vec![]);
            }
        }
        self
    }

    /// About how many octets it takes in memory.
    pub fn octets(&self) -> usize {
        let mut octets = size_of::<Self>() + self.evidence.as_ref().map_or(0, String::len);
        octets += self.banner.as_ref().map_or(0, String::len) + texts(&self.ehlo);
        if let Some(tls) = &self.tls {
            octets += tls.version.len() + tls.suite.len() + of_chain(&tls.chain);
            octets += tls.certificates.iter().map(|one| size_of::<Vec<u8>>() + one.len()).sum::<usize>();
        }
        for seen in [&self.without_sni, &self.unknown_sni].into_iter().flatten() {
            octets += match seen {
                SniLess::Served(chain) => size_of::<ChainJudgement>() + of_chain(chain),
                SniLess::Refused(text) => text.len(),
                SniLess::Unknown(_) => 0,
            };
        }
        octets
    }
}

fn of_chain(chain: &ChainJudgement) -> usize {
    chain.subject.len() + chain.issuer.len() + texts(&chain.names) + chain.leaf.len()
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(|text| size_of::<String>() + text.len()).sum()
}
