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
