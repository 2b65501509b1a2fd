//! What the operator keeps in files: the token that lets in, and the page's own certificate.
//!
//! Both are read again when they are needed, so that they are replaced without a restart.

use super::session::Digest;
use crate::config::AdminCertificate;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{info, warn};
use zeroize::Zeroizing;

/// A token shorter than this can be guessed.
const TOKEN_MIN: usize = 16;
/// The longest token.
const TOKEN_MAX: usize = 4_096;

/// The token in `file`, without the end of the line, as its digest.
///
/// # Errors
///
/// When it cannot be read, others may read it, or it is not of 16 to 4096 octets.
pub(super) fn token(file: &Path) -> io::Result<Digest> {
    let told =
        |problem: String| io::Error::other(format!("{}: {problem} (admin.token_file)", file.display()));
    let open = fs::File::open(file).map_err(|error| told(error.to_string()))?;
    let mode = open.metadata()?.mode() & 0o777;
    // A group may read it, as systemd's credentials and secrets in containers have it.
    if mode & 0o007 != 0 {
        return Err(told(format!("mode {mode:03o} lets everybody read it; chmod 600")));
    }
    let mut token = Zeroizing::new(Vec::with_capacity(TOKEN_MAX + 3));
    open.take(TOKEN_MAX as u64 + 3).read_to_end(&mut token).map_err(|error| told(error.to_string()))?;
    while token.last().is_some_and(|octet| b"\r\n".contains(octet)) {
        token.pop();
    }
    match (TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) {
        true => Ok(Digest::of(&token)),
        false => {
            Err(told("the token is not of 16 to 4096 octets; openssl rand -hex 32 makes one".to_owned()))
        }
    }
}

/// What the page is served with over TLS; follows its files.
pub(super) struct Identity {
    files: AdminCertificate,
    current: Mutex<Current>,
}

struct Current {
    /// The files as they were when they were last looked into.
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

/// What changes when a file is replaced or written.
type Stamp = [Option<(u64, i64, i64, u64)>; 2];

impl Identity {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// When they cannot be read, are no certificate and key, or do not belong together.
    pub(super) fn open(files: &AdminCertificate) -> io::Result<Self> {
        let current = Mutex::new(Current { stamp: stamp(files), config: read(files)? });
        Ok(Self { files: files.clone(), current })
    }

    /// The configuration for the next connection: of the files as they are now, else of those that were
    /// last good. Looks at the disk.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let stamp = stamp(&self.files);
        // A panic while it was held leaves a whole configuration behind.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.stamp != stamp {
            current.stamp = stamp;
            match read(&self.files) {
                Ok(config) => {
                    current.config = config;
                    info!("certificate of the admin page replaced");
                }
                // Between the writing of the two files they do not fit together; the next look will tell.
                Err(error) => warn!(%error, "certificate of the admin page not replaced"),
            }
        }
        Arc::clone(&current.config)
    }
}

fn stamp(files: &AdminCertificate) -> Stamp {
    [&files.certificate_file, &files.key_file].map(|file| {
        let seen = fs::metadata(file).ok()?;
        Some((seen.ino(), seen.mtime(), seen.mtime_nsec(), seen.size()))
    })
}

fn read(files: &AdminCertificate) -> io::Result<Arc<ServerConfig>> {
    let AdminCertificate { certificate_file, key_file } = files;
    let told = |file: &Path, key: &str, problem: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {problem} ({key})", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| told(certificate_file, "admin.certificate_file", &error))?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| told(key_file, "admin.key_file", &error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| told(certificate_file, "admin.certificate_file", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_long_enough_and_for_few_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let check = |text: &str, mode: u32| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            token(&file).map_err(|error| error.to_string())
        };
        let right = Digest::of(b"0123456789abcdef");
        assert!(check("0123456789abcdef", 0o600).is_ok_and(|token| token == right));
        assert!(check("0123456789abcdef\r\n", 0o440).is_ok_and(|token| token == right));
        assert!(check("0123456789abcde\n", 0o600).is_err_and(|why| why.contains("16 to 4096")));
        assert!(check(&"a".repeat(4_097), 0o600).is_err_and(|why| why.contains("16 to 4096")));
        assert!(check("0123456789abcdef", 0o644).is_err_and(|why| why.contains("chmod 600")));
        fs::remove_file(&file).unwrap();
        assert!(token(&file).is_err_and(|error| error.to_string().contains("admin.token_file")));
    }

    #[test]
    fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = AdminCertificate {
            certificate_file: folder.path().join("a.pem"),
            key_file: folder.path().join("a.key"),
        };
        let write = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(&files.certificate_file, made.cert.pem()).unwrap();
            fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
        };
        write();
        let identity = Identity::open(&files).unwrap();
        let first = identity.current();
        assert!(Arc::ptr_eq(&first, &identity.current()));
        fs::write(&files.certificate_file, "none").unwrap();
        assert!(Arc::ptr_eq(&first, &identity.current()));
        write();
        assert!(!Arc::ptr_eq(&first, &identity.current()));
        fs::remove_file(&files.key_file).unwrap();
        assert!(Identity::open(&files).is_err_and(|error| error.to_string().contains("admin.key_file")));
    }
}
