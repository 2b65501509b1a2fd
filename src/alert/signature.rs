//! The signature of a webhook's request: HMAC-SHA256 (RFC 2104) over the time and the body.
//!
//! The time is signed as well, so that a receiver can refuse what somebody recorded and sends again.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use std::{io, path::Path};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// The header that names the second in which the request was signed, since 1970.
pub(super) const TIMESTAMP_HEADER: &str = "mta-stsd-timestamp";
/// The header with the signature: `v1=` and 64 hexadecimal digits.
pub(super) const SIGNATURE_HEADER: &str = "mta-stsd-signature";
/// A secret shorter than this can be guessed.
const SECRET_MIN: usize = 16;
/// The longest secret.
const SECRET_MAX: usize = 4_096;

/// What the two headers say of `body`, signed with `secret` at `now`.
pub(super) fn sign(secret: &[u8], now: Timestamp, body: &[u8]) -> (String, String) {
    let timestamp = now.as_second().to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    (timestamp, format!("v1={hex}"))
}

/// The secret in `file`, without the end of the line.
///
/// # Errors
///
/// When it cannot be read, or is not of 16 to 4096 octets.
pub(super) async fn read_secret(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = tokio::fs::File::open(file).await?;
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_MAX + 3));
    file.take(SECRET_MAX as u64 + 3).read_to_end(&mut secret).await?;
    while secret.last().is_some_and(|octet| b"\r\n".contains(octet)) {
        secret.pop();
    }
    match (SECRET_MIN..=SECRET_MAX).contains(&secret.len()) {
        true => Ok(secret),
        false => Err(io::Error::other("the secret is not of 16 to 4096 octets")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with: printf '1800000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
    #[test]
    fn a_signature_covers_time_and_body() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (timestamp, signature) = sign(b"0123456789abcdef", now, b"{}");
        assert_eq!(timestamp, "1800000000");
        assert_eq!(signature, "v1=1313ae9c874eb1a0868ad0b65f841c4243c23fdcfad69a3ada227726fad9960e");
        assert_ne!(sign(b"0123456789abcdef", now, b"{ }").1, signature);
        let later = Timestamp::from_second(1_800_000_001).unwrap();
        assert_ne!(sign(b"0123456789abcdef", later, b"{}").1, signature);
    }

    #[tokio::test]
    async fn a_secret_is_read_without_its_line_end_and_must_be_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "0123456789abcdef\r\n").unwrap();
        assert_eq!(read_secret(&file).await.unwrap().as_slice(), b"0123456789abcdef");
        for bad in ["short\n".to_owned(), "x".repeat(5_000)] {
            std::fs::write(&file, bad).unwrap();
            assert!(read_secret(&file).await.is_err());
        }
        assert!(read_secret(&folder.path().join("none")).await.is_err());
    }
}
