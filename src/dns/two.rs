//! Two resolvers that do not know each other, asked the same (M-18, X-08).
//!
//! One resolver can lie, be lied to, or keep what is no longer so. Two that say the same hardly do.

use super::{
    Addresses, Agreed, Answer, CaaAnswer, DnsName, Lookup, MxAnswer, TlsaAnswer, TxtAnswer, Unanswered,
    UnansweredKind,
};
use crate::name::DomainName;
use std::{collections::BTreeSet, sync::Arc};

/// Asks two resolvers at once; [`agree`] makes one answer of theirs.
///
/// Records are compared as sets. How one gets to them (CNAME records, TTLs) may differ.
pub struct TwoResolvers {
    first: Arc<dyn Lookup>,
    second: Arc<dyn Lookup>,
}

impl TwoResolvers {
    /// `first` is who is heard when they contradict each other.
    pub fn new(first: Arc<dyn Lookup>, second: Arc<dyn Lookup>) -> Self {
        Self { first, second }
    }
}

/// What two resolvers say together, and how much stands behind it.
///
/// The first's answer, unless it has none and the second has. An answer whose signatures one of them
/// calls bogus is contested: that is no silence. Without any answer, the more telling silence.
///
/// # Errors
///
/// [`Unanswered`] when neither answered.
pub fn agree<T>(
    first: Result<T, Unanswered>,
    second: Result<T, Unanswered>,
    same: impl FnOnce(&T, &T) -> bool,
) -> Result<(T, Agreed), Unanswered> {
    match (first, second) {
        (Ok(first), Ok(second)) if same(&first, &second) => Ok((first, Agreed::Both)),
        (Ok(first), Ok(_)) => Ok((first, Agreed::Contested)),
        (Ok(answer), Err(silence)) | (Err(silence), Ok(answer)) => match silence.kind {
            UnansweredKind::Bogus => Ok((answer, Agreed::Contested)),
            UnansweredKind::Failed | UnansweredKind::TooManyCnames => Ok((answer, Agreed::One)),
        },
        (Err(first), Err(second)) if first.kind == UnansweredKind::Failed => Err(second),
        (Err(first), Err(_)) => Err(first),
    }
}

/// Whether two lists hold the same, in whatever order and however often.
fn same_set<T: Ord>(first: &[T], second: &[T]) -> bool {
    first.iter().collect::<BTreeSet<_>>() == second.iter().collect()
}

fn same_mx(first: &MxAnswer, second: &MxAnswer) -> bool {
    match (first, second) {
        (MxAnswer::Records(first), MxAnswer::Records(second)) => same_set(first, second),
        (first, second) => first == second,
    }
}

/// The answer of both; signed only where nobody contradicts.
fn marked<T>((answer, agreed): (Answer<T>, Agreed)) -> Answer<T> {
    let secure = answer.secure && agreed != Agreed::Contested;
    Answer { agreed, secure, ..answer }
}

#[async_trait::async_trait]
impl Lookup for TwoResolvers {
    async fn mx(&self, domain: &DomainName) -> Result<Answer<MxAnswer>, Unanswered> {
        let (first, second) = tokio::join!(self.first.mx(domain), self.second.mx(domain));
        agree(first, second, |a, b| same_mx(&a.data, &b.data)).map(marked)
    }

    /// Here a contradiction is no answer: a yes or no cannot be marked as contested.
    async fn has_address(&self, domain: &DomainName) -> Result<bool, Unanswered> {
        let (first, second) = tokio::join!(self.first.has_address(domain), self.second.has_address(domain));
        match agree(first, second, |a, b| a == b)? {
            (_, Agreed::Contested) => Err(Unanswered::failed("two resolvers contradict each other")),
            (has, Agreed::Both | Agreed::One) => Ok(has),
        }
    }

    async fn addresses(&self, name: &DnsName) -> Result<Addresses, Unanswered> {
        let (first, second) = tokio::join!(self.first.addresses(name), self.second.addresses(name));
        let (answer, agreed) = agree(first, second, |a, b| {
            a.exists == b.exists && same_set(&a.a, &b.a) && same_set(&a.aaaa, &b.aaaa)
        })?;
        let secure = answer.secure && agreed != Agreed::Contested;
        Ok(Addresses { agreed, secure, ..answer })
    }

    async fn txt(&self, name: &DnsName) -> Result<Answer<TxtAnswer>, Unanswered> {
        let (first, second) = tokio::join!(self.first.txt(name), self.second.txt(name));
        let same = |a: &TxtAnswer, b: &TxtAnswer| a.exists == b.exists && same_set(&a.records, &b.records);
        agree(first, second, |a, b| same(&a.data, &b.data)).map(marked)
    }

    async fn tlsa(&self, name: &DnsName) -> Result<Answer<TlsaAnswer>, Unanswered> {
        let (first, second) = tokio::join!(self.first.tlsa(name), self.second.tlsa(name));
        let same = |a: &TlsaAnswer, b: &TlsaAnswer| a.exists == b.exists && same_set(&a.records, &b.records);
        agree(first, second, |a, b| same(&a.data, &b.data)).map(marked)
    }

    /// The first's answer, where it has one: who asks for CAA records only wants to spare an order.
    async fn caa(&self, name: &DnsName) -> Result<CaaAnswer, Unanswered> {
        let (first, second) = tokio::join!(self.first.caa(name), self.second.caa(name));
        agree(first, second, |a, b| a.records == b.records).map(|(answer, _)| answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::memory::MemoryLookup;

    fn silence(kind: UnansweredKind) -> Unanswered {
        Unanswered { kind, reason: format!("{kind:?}") }
    }

    #[test]
    fn an_answer_stands_when_both_give_it_or_one_is_silent() {
        let agreed = |first, second| agree(first, second, |a: &u8, b: &u8| a == b);
        let mute = |kind| Err(silence(kind));
        let failed = mute(UnansweredKind::Failed);
        assert_eq!(agreed(Ok(1), Ok(1)), Ok((1, Agreed::Both)));
        assert_eq!(agreed(Ok(1), Ok(2)), Ok((1, Agreed::Contested)));
        assert_eq!(agreed(Ok(1), failed.clone()), Ok((1, Agreed::One)));
        assert_eq!(agreed(failed.clone(), Ok(2)), Ok((2, Agreed::One)));
        assert_eq!(agreed(mute(UnansweredKind::Bogus), Ok(2)), Ok((2, Agreed::Contested)));
        assert_eq!(agreed(failed, mute(UnansweredKind::Bogus)).unwrap_err().kind, UnansweredKind::Bogus);
    }

    #[tokio::test]
    async fn order_and_lifetime_are_no_difference() {
        let domain = DomainName::from_ascii("meadow.example").unwrap();
        let name = DnsName::from(&domain);
        let (first, second) = (Arc::new(MemoryLookup::default()), Arc::new(MemoryLookup::default()));
        let both = TwoResolvers::new(Arc::clone(&first) as Arc<dyn Lookup>, Arc::clone(&second) as _);
        let agreed = async || {
            [
                both.mx(&domain).await.unwrap().agreed,
                both.txt(&name).await.unwrap().agreed,
                both.addresses(&name).await.unwrap().agreed,
            ]
        };
        assert_eq!(agreed().await, [Agreed::Both; 3], "neither knows the name");

        first.set_hosts(&domain, &["mx.meadow.example"]);
        first.set_txt(name.as_str(), &["one", "two"]);
        first.set_addresses(name.as_str(), &["192.0.2.1", "192.0.2.2"]);
        first.set_secure(name.as_str(), true);
        assert_eq!(agreed().await, [Agreed::Contested; 3]);
        assert!(!both.txt(&name).await.unwrap().secure, "who is contradicted vouches for nothing");
        assert_eq!(both.txt(&name).await.unwrap().data.records.len(), 2);
        assert!(both.has_address(&domain).await.is_err());

        second.set_hosts(&domain, &["mx.meadow.example"]);
        second.set_txt(name.as_str(), &["two", "one"]);
        second.set_addresses(name.as_str(), &["192.0.2.2", "192.0.2.1"]);
        second.set_ttl(name.as_str(), std::time::Duration::from_secs(7));
        assert_eq!(agreed().await, [Agreed::Both; 3]);
        assert_eq!(both.has_address(&domain).await, Ok(true));
        assert!(both.txt(&name).await.unwrap().secure);

        second.set_trouble(name.as_str(), Some(silence(UnansweredKind::Failed)));
        assert_eq!(both.txt(&name).await.unwrap().agreed, Agreed::One);
    }
}
