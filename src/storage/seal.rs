//! Secrets at rest: sealed with AES-256-GCM-SIV under a master key that is not in the database.
//!
//! What is stored begins with one octet that says how to read the rest:
//!
//! | octets | plain | sealed |
//! | --- | --- | --- |
//! | 1 | `00` | `01` |
//! | 4 | | key id: the first octets of SHA-256 of the master key |
//! | 12 | | nonce, random |
//! | rest | the secret | ciphertext and tag of 16 octets |
//!
//! The purpose and the name of the entry are authenticated with it, so that one tenant's key moved
//! into another tenant's row is noticed. Protects copies of the database (backups, stolen disks),
//! not against someone who may read the running process or the key file.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// First octet of a secret that stands as it is.
pub(super) const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const KEY_ID_LEN: usize = 4;
const TAG_LEN: usize = 16;

/// Seals and opens secrets of the store; never shown, wiped when dropped.
pub struct MasterKey {
    id: KeyId,
    key: RandomizedNonceKey,
}

/// Tells master keys apart without telling anything about them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId([u8; KEY_ID_LEN]);

impl MasterKey {
    /// Octets of a master key.
    pub const LEN: usize = 32;

    /// Takes the octets of a key; they have to be random.
    pub fn new(octets: &[u8; Self::LEN]) -> Self {
        let mut id = [0; KEY_ID_LEN];
        for (to, from) in id.iter_mut().zip(digest::digest(&digest::SHA256, octets).as_ref()) {
            *to = *from;
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, octets).expect("the key has 32 octets");
        Self { id: KeyId(id), key }
    }

    /// Reads a key file: 64 hexadecimal digits (white space around them is allowed), or 32 raw octets.
    ///
    /// Nobody but its owner may have access, unless it is one of systemd's credentials
    /// (`$CREDENTIALS_DIRECTORY`, or for commands beside the service `/run/credentials`), which systemd
    /// guards itself.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] when the file cannot be read, is open to others, or is not a key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
        Self::read_beside(path, Some(credentials.as_deref().unwrap_or(OsStr::new("/run/credentials"))))
    }

    fn read_beside(path: &Path, credentials: Option<&OsStr>) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Failed { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 && !credentials.is_some_and(|folder| lies_in(path, folder)) {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(Self::FILE_MAX));
        file.take(Self::FILE_MAX as u64).read_to_end(&mut text).map_err(failed)?;
        let octets = Zeroizing::new(octets(&text).ok_or_else(|| KeyFileError::NotAKey(path.to_owned()))?);
        Ok(Self::new(&octets))
    }

    /// More than a key with generous white space needs.
    const FILE_MAX: usize = 256;

    fn seal(&self, purpose: Purpose, name: &str, secret: &[u8]) -> Vec<u8> {
        // Room for all of it, because a vector that grows leaves a copy of the secret behind.
        let mut sealed = Vec::with_capacity(secret.len() + TAG_LEN);
        sealed.extend_from_slice(secret);
        let nonce = self
            .key
            .seal_in_place_append_tag(purpose.aad(name), &mut sealed)
            .expect("the system has random octets and a secret is shorter than 64 GiB");
        [&[SEALED][..], &self.id.0, nonce.as_ref(), &sealed].concat()
    }
}

fn lies_in(path: &Path, folder: &OsStr) -> bool {
    match (path.canonicalize(), Path::new(folder).canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn octets(text: &[u8]) -> Option<[u8; MasterKey::LEN]> {
    if let Ok(raw) = text.try_into() {
        // Random octets are never all digits: that is half a key.
        return (!text.iter().all(u8::is_ascii_hexdigit)).then_some(raw);
    }
    let digits = text.trim_ascii();
    if digits.len() != 2 * MasterKey::LEN {
        return None;
    }
    let mut octets = [0; MasterKey::LEN];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        // Digit by digit, because `from_str_radix` accepts a sign.
        *octet = pair.iter().try_fold(0, |sum, c| Some(sum << 4 | char::from(*c).to_digit(16)? as u8))?;
    }
    Some(octets)
}

/// Why a key file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there, or cannot be read.
    #[error("could not read the key file {path}", path = .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error(
        "the key file {path} has mode {mode:04o}, so others have access to it: chmod 600 it",
        path = .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its content is not a key.
    #[error(
        "the key file {path} is not a key of 64 hexadecimal digits: make one with `openssl rand -hex 32`",
        path = .0.display()
    )]
    NotAKey(PathBuf),
}

/// What a secret is for; part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Key of a policy host's certificate; the name is the host.
    CertificateKey,
    /// An account or an authority's root; the name is the credential's.
    Credential,
}

impl Purpose {
    fn aad(self, name: &str) -> Aad<Vec<u8>> {
        let purpose = match self {
            Self::CertificateKey => "certificate key",
            Self::Credential => "credential",
        };
        Aad::from([purpose.as_bytes(), b"\0", name.as_bytes()].concat())
    }
}

/// How the store writes secrets: sealed when there is a master key, otherwise plain.
#[derive(Debug)]
pub(super) struct Seal(pub(super) Option<MasterKey>);

impl Seal {
    /// The octets to store for `secret`.
    pub(super) fn close(&self, purpose: Purpose, name: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.0 {
            Some(key) => key.seal(purpose, name, secret),
            None => [&[PLAIN][..], secret].concat(),
        })
    }

    /// The secret in `stored`; plain ones are read with and without a master key.
    pub(super) fn open(
        &self,
        purpose: Purpose,
        name: &str,
        stored: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match stored.split_first() {
            Some((&PLAIN, secret)) => Ok(Zeroizing::new(secret.to_vec())),
            Some((&SEALED, rest)) => self.unseal(purpose, name, rest),
            _ => Err(SealError::Format),
        }
    }

    fn unseal(&self, purpose: Purpose, name: &str, rest: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, rest) = rest.split_first_chunk().ok_or(SealError::Format)?;
        let key = self.key_for(KeyId(*id))?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Format)?;
        let mut secret = Zeroizing::new(ciphertext.to_vec());
        let len = key
            .key
            .open_in_place(Nonce::from(nonce), purpose.aad(name), &mut secret)
            .map_err(|_| SealError::Tampered)?
            .len();
        secret.truncate(len);
        Ok(secret)
    }

    /// Whether what begins with `prefix` (the first five octets of a stored secret) could be opened.
    pub(super) fn accepts(&self, prefix: &[u8]) -> Result<(), SealError> {
        match prefix {
            [PLAIN, ..] => Ok(()),
            [SEALED, a, b, c, d] => self.key_for(KeyId([*a, *b, *c, *d])).map(drop),
            _ => Err(SealError::Format),
        }
    }

    fn key_for(&self, sealed: KeyId) -> Result<&MasterKey, SealError> {
        match &self.0 {
            Some(key) if key.id == sealed => Ok(key),
            Some(key) => Err(SealError::OtherKey { sealed, given: key.id }),
            None => Err(SealError::NoKey { sealed }),
        }
    }
}

/// Why a stored secret cannot be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    #[error("it is sealed with master key {sealed:?} and no key is given: set store.key_file to that key")]
    NoKey { sealed: KeyId },
    #[error(
        "it is sealed with master key {sealed:?}, but the key given is {given:?}: \
         set store.key_file to the key the store was written with"
    )]
    OtherKey { sealed: KeyId, given: KeyId },
    #[error(
        "it was changed, or moved from another entry, after it was sealed: restore the store from a backup"
    )]
    Tampered,
    #[error("its format is unknown: it is damaged, or was written by a newer version")]
    Format,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const HOST: &str = "mta-sts.example.com";

    /// `open("00 01 .. 1f", HOST) == "a private key"`, written by another implementation
    /// of AES-256-GCM-SIV in the first version of the format.
    const GOLDEN: &str = "01630dcd290123456789abcdef0123456715d116d4891569072aef1655ece0facf1582d0b4a3\
                          aadf1228122950b2";

    fn seal(key: u8) -> Seal {
        Seal(Some(MasterKey::new(&std::array::from_fn(|i| key + i as u8))))
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn what_the_first_version_sealed_is_still_read() {
        let opened = seal(0).open(Purpose::CertificateKey, HOST, &unhex(GOLDEN));
        assert_eq!(opened.unwrap().as_slice(), b"a private key");
    }

    #[test]
    fn a_sealed_secret_does_not_show_and_comes_back() {
        let (seal, secret) = (seal(0), b"a private key");
        let stored = seal.close(Purpose::CertificateKey, HOST, secret);
        assert!(!stored.windows(6).any(|w| secret.windows(6).any(|s| s == w)));
        assert_eq!(seal.open(Purpose::CertificateKey, HOST, &stored).unwrap().as_slice(), secret);
        assert_ne!(stored, seal.close(Purpose::CertificateKey, HOST, secret), "nonces are fresh");
    }

    #[test]
    fn every_changed_octet_is_noticed() {
        let seal = seal(0);
        let stored = seal.close(Purpose::CertificateKey, HOST, b"a private key");
        for i in 0..stored.len() {
            let mut changed = stored.to_vec();
            changed[i] ^= 0x80;
            assert!(seal.open(Purpose::CertificateKey, HOST, &changed).is_err(), "octet {i}");
        }
        for len in 0..stored.len() {
            assert!(seal.open(Purpose::CertificateKey, HOST, &stored[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_secret_of_another_name_or_purpose_is_noticed() {
        let seal = seal(0);
        let stored = seal.close(Purpose::CertificateKey, HOST, b"a private key");
        let elsewhere = seal.open(Purpose::CertificateKey, "mta-sts.example.net", &stored);
        assert_eq!(elsewhere, Err(SealError::Tampered));
        assert_eq!(seal.open(Purpose::Credential, HOST, &stored), Err(SealError::Tampered));
    }

    #[test]
    fn a_missing_or_wrong_key_is_named_with_its_remedy() {
        let stored = seal(0).close(Purpose::Credential, "account", b"secret");
        let without = Seal(None).open(Purpose::Credential, "account", &stored).unwrap_err();
        assert_eq!(without, Seal(None).accepts(&stored[..5]).unwrap_err());
        assert!(without.to_string().contains("set store.key_file"), "{without}");
        let other = seal(1).open(Purpose::Credential, "account", &stored).unwrap_err();
        assert_eq!(other, seal(1).accepts(&stored[..5]).unwrap_err());
        assert!(other.to_string().contains("the key the store was written with"), "{other}");
    }

    #[test]
    fn a_plain_secret_is_read_with_and_without_a_key() {
        let stored = Seal(None).close(Purpose::Credential, "account", b"\x01 begins like a sealed one");
        for seal in [Seal(None), seal(0)] {
            let secret = seal.open(Purpose::Credential, "account", &stored).unwrap();
            assert_eq!(secret.as_slice(), b"\x01 begins like a sealed one");
        }
    }

    fn read(content: &[u8], mode: u32, credentials: bool) -> Result<KeyId, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let credentials = credentials.then(|| folder.path().as_os_str());
        MasterKey::read_beside(&path, credentials).map(|key| key.id).map_err(|e| e.to_string())
    }

    #[test]
    fn a_key_file_is_hexadecimal_or_raw() {
        let raw: Vec<u8> = (0..32).collect();
        let hex: String = raw.iter().map(|octet| format!("{octet:02X}")).collect();
        let id = seal(0).0.unwrap().id;
        assert_eq!(read(&raw, 0o600, false), Ok(id));
        assert_eq!(read(hex.as_bytes(), 0o400, false), Ok(id));
        assert_eq!(read(format!("  {hex}\n").as_bytes(), 0o600, false), Ok(id));
        for bad in [&hex[1..], &hex[32..], &hex.replace('0', "+"), "", &hex.repeat(2), &"\n".repeat(999)] {
            assert!(read(bad.as_bytes(), 0o600, false).unwrap_err().contains("openssl rand"), "{bad:?}");
        }
    }

    #[test]
    fn a_key_file_that_others_can_reach_is_refused_unless_systemd_guards_it() {
        let key = "ab".repeat(32);
        assert!(read(key.as_bytes(), 0o640, false).unwrap_err().contains("chmod 600"));
        assert!(read(key.as_bytes(), 0o604, false).is_err());
        assert!(read(key.as_bytes(), 0o440, true).is_ok());
    }

    #[test]
    fn a_master_key_is_not_shown() {
        let shown = format!("{:?}", MasterKey::new(&[0xa5; 32]));
        assert!(!shown.contains("a5a5"), "{shown}");
    }
}
