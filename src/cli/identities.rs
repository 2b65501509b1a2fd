//! By what names CAA records know our authorities and our accounts there, as the store tells it.
//!
//! Nobody is asked: what the daemon was told when it opened an account is kept, and read beside it.

use super::small_runtime;
use crate::{
    acme::kept_identity,
    config::{Directory, Server},
    dns::caa::{CaaIdentity, Method},
    logging::chain,
    storage::{MasterKey, StoreReader},
};

/// Every authority with a URL, in the order of the configuration, and what the store knows of it.
///
/// # Errors
///
/// Why the store could not be read, fit to be shown.
pub(super) fn kept_identities(server: &Server) -> Result<Vec<(String, CaaIdentity)>, String> {
    let shown = |error: &dyn std::error::Error| chain(error).to_string();
    if !StoreReader::is_in(&server.store.directory) {
        return Err("there is no store yet; the first start of the daemon makes it".to_owned());
    }
    let key = server.store.key_file.as_deref().map(MasterKey::read).transpose().map_err(|e| shown(&e))?;
    let runtime = small_runtime().map_err(|e| shown(&e))?;
    runtime.block_on(async {
        let store = StoreReader::open(&server.store.directory, key).await.map_err(|e| shown(&e))?;
        let mut kept = Vec::new();
        for authority in &server.acme.authorities {
            let Directory::Url(directory) = &authority.directory else { continue };
            let identity = kept_identity(&store, directory).await.map_err(|e| shown(&e))?;
            kept.push((directory.clone(), identity));
        }
        Ok(kept)
    })
}

/// The challenges that the configuration lets us answer.
pub(super) fn methods(server: &Server) -> Vec<Method> {
    let acme = &server.acme;
    let methods = [(acme.tls_alpn_01, Method::TlsAlpn01), (acme.http_01, Method::Http01)];
    methods.into_iter().filter_map(|(answered, method)| answered.then_some(method)).collect()
}
