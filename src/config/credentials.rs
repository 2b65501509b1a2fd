//! Files of the configuration, among them the secrets that systemd hands to a service
//! (systemd.exec(5), "Credentials").
//!
//! `credential:NAME` stands for the file NAME in the folder that systemd makes for one run of the
//! service. Commands that an operator runs beside the service look where our unit's folder is.

use super::{
    Store,
    fault::quoted,
    file::{Reading, Table},
};
use std::{
    env, io,
    path::{Path, PathBuf},
};

const PREFIX: &str = "credential:";
/// Where systemd puts the credentials of the unit that we ship.
const FOLDER: &str = "/run/credentials/mta-stsd.service";
/// The credential that is the master key where `store.key_file` says nothing.
const STORE_KEY: &str = "store-key";
/// The longest name of a file.
const NAME_MAX: usize = 255;

/// Reads the file that `key` names: a path relative to `folder`, or `credential:NAME`.
pub(super) fn file(
    table: &mut Table<'_, '_>,
    reading: &Reading<'_>,
    folder: &Path,
    key: &'static str,
) -> Option<PathBuf> {
    let text = table.text(key)?;
    let path = resolved(&text.value, folder, &credentials());
    if path.is_none() {
        let (problem, remedy) = match text.value.starts_with(PREFIX) {
            true => (
                format!("{} names no credential", quoted(&text.value)),
                "write credential:NAME, as LoadCredential= in the unit names it",
            ),
            false => (format!("{key} is not a path"), "write a path, relative to this file"),
        };
        reading.fault(text.span, &table.key(key), problem, remedy);
    }
    path
}

/// The master key that systemd hands over, when it does. To a command beside the service it counts for the
/// service's own store alone: another one is not to be sealed with it.
pub(super) fn store_key(store: &Path) -> Option<PathBuf> {
    let ours = env::var_os("CREDENTIALS_DIRECTORY").is_some() || store == Path::new(Store::DEFAULT_DIRECTORY);
    ours.then(|| present(credentials().join(STORE_KEY)))?
}

/// What cannot be looked at is taken for present, so that no key is ever left out in silence.
fn present(path: PathBuf) -> Option<PathBuf> {
    let absent = path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    (!absent).then_some(path)
}

fn credentials() -> PathBuf {
    env::var_os("CREDENTIALS_DIRECTORY").map_or_else(|| FOLDER.into(), PathBuf::from)
}

fn resolved(text: &str, folder: &Path, credentials: &Path) -> Option<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let Some(name) = text.strip_prefix(PREFIX) else { return Some(folder.join(text)) };
    let is_name = (1..=NAME_MAX).contains(&name.len()) && !name.contains('/') && ![".", ".."].contains(&name);
    is_name.then(|| credentials.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_lies_in_systemds_folder_and_never_outside() {
        let at = |text: &str| {
            let path = resolved(text, Path::new("/etc/mta-stsd"), Path::new("/run/credentials/x.service"));
            path.map(|path| path.display().to_string())
        };
        assert_eq!(at("store.key").as_deref(), Some("/etc/mta-stsd/store.key"));
        assert_eq!(at("/root/store.key").as_deref(), Some("/root/store.key"));
        assert_eq!(at("credential:eab-key").as_deref(), Some("/run/credentials/x.service/eab-key"));
        for bad in ["", "a\0b", "credential:", "credential:.", "credential:..", "credential:../../etc/shadow"]
        {
            assert_eq!(at(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_seen_is_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(present(folder.path().join("store-key")), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(present(file.clone()), Some(file.clone()));
        // Not a folder, so nobody can tell whether it is there: the start will say so.
        assert!(present(file.join("store-key")).is_some());
    }
}
