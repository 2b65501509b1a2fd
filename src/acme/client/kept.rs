//! What the store tells of an authority and our account there, without asking either.

use crate::{
    acme::authority::CaaIdentity,
    storage::{StorageError, StoreReader},
};

/// Where the account's URL is kept, once the authority has given one.
pub(super) fn url_name(directory: &str) -> String {
    format!("acme-account-url:{directory}")
}

/// Where the domains are kept, separated by spaces, by which CAA records name the authority.
pub(super) fn caa_name(directory: &str) -> String {
    format!("acme-caa-identities:{directory}")
}

/// What CAA records for the authority at the URL `directory` may say, as far as the store in `reader`
/// knows: nothing before our account was opened.
///
/// # Errors
///
/// [`StorageError`] when the store cannot be read.
pub async fn kept_identity(reader: &StoreReader, directory: &str) -> Result<CaaIdentity, StorageError> {
    let text = |kept: Vec<u8>| String::from_utf8(kept).ok().filter(|text| !text.is_empty());
    let mut kept = Vec::with_capacity(2);
    for name in [url_name(directory), caa_name(directory)] {
        kept.push(reader.credential(&name).await?.and_then(|kept| text(kept.to_vec())));
    }
    let identities = kept.pop().flatten().unwrap_or_default();
    Ok(CaaIdentity {
        identities: identities.split_ascii_whitespace().map(str::to_owned).collect(),
        account_uri: kept.pop().flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{SqliteStorage, Storage};

    #[tokio::test]
    async fn what_caa_records_may_say_is_read_beside_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("state");
        let store = SqliteStorage::open(&directory, None).await.unwrap();
        let reader = StoreReader::open(&directory, None).await.unwrap();
        let authority = "https://ca.example/directory";
        assert_eq!(kept_identity(&reader, authority).await.unwrap(), CaaIdentity::default());
        store.save_credential(&url_name(authority), b"https://ca.example/acct/1").await.unwrap();
        store.save_credential(&caa_name(authority), b"ca.example also.ca.example").await.unwrap();
        let known = kept_identity(&reader, authority).await.unwrap();
        assert_eq!(known.account_uri.as_deref(), Some("https://ca.example/acct/1"));
        assert_eq!(known.identities, ["ca.example", "also.ca.example"]);
        let other = kept_identity(&reader, "https://other.example/directory").await.unwrap();
        assert_eq!(other, CaaIdentity::default());
    }
}
