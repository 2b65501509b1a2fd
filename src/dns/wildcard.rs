//! Whether a name answers whatever it is asked: a wildcard stands there (RFC 4592).

use super::{DnsName, Lookup, Unanswered};
use aws_lc_rs::digest::{SHA256, digest};

/// Whether some name beside `label` under `under` that nobody set up has TXT records all the same. What
/// is found at `label` may then be a wildcard's (T-19).
///
/// # Errors
///
/// [`Unanswered`] when the question was not answered.
pub async fn answers_anything(lookup: &dyn Lookup, under: &DnsName, label: &str) -> Result<bool, Unanswered> {
    let found = lookup.txt(&unlikely(under, label)).await?;
    Ok(!found.data.records.is_empty())
}

/// A name beside `label` that nobody sets up by chance; the same one each time, so that resolvers can
/// keep the answer.
fn unlikely(under: &DnsName, label: &str) -> DnsName {
    let digest = digest(&SHA256, format!("{label}.{under}").as_bytes());
    let unlikely: String = digest.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    match under.is_root() {
        true => DnsName::new(&unlikely),
        false => DnsName::new(&format!("{unlikely}.{}", under.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::memory::MemoryLookup;

    #[tokio::test]
    async fn a_wildcard_answers_for_names_that_nobody_set_up() {
        let (lookup, under) = (MemoryLookup::default(), DnsName::new("meadow.example"));
        lookup.set_txt("_mta-sts.meadow.example", &["v=STSv1; id=1;"]);
        assert_eq!(answers_anything(&lookup, &under, "_mta-sts").await, Ok(false));

        let other = unlikely(&under, "_mta-sts");
        lookup.set_addresses(other.as_str(), &["192.0.2.1"]);
        assert_eq!(answers_anything(&lookup, &under, "_mta-sts").await, Ok(false), "of another type");
        lookup.set_txt(other.as_str(), &["v=STSv1; id=1;"]);
        assert_eq!(answers_anything(&lookup, &under, "_mta-sts").await, Ok(true));

        lookup.set_trouble(other.as_str(), Some(Unanswered::failed("silence")));
        assert!(answers_anything(&lookup, &under, "_mta-sts").await.is_err());
    }

    #[test]
    fn the_unlikely_name_stays_the_same_and_differs_by_domain() {
        let of = |under| unlikely(&DnsName::new(under), "_mta-sts");
        assert_eq!(of("meadow.example"), of("Meadow.Example."));
        assert_ne!(of("meadow.example").as_str()[..16], of("other.example").as_str()[..16]);
        assert_eq!(of("meadow.example").parent(), Some(DnsName::new("meadow.example")));
        assert_eq!(of("").parent(), Some(DnsName::new("")));
    }
}
