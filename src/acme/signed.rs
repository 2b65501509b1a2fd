//! Requests signed with the account's key (RFC 8555 §6.2), for the few things that the ACME library
//! cannot do: showing an account, and changing its key with the new one kept beforehand.

use super::authority::IssueError;
use crate::certificate::PrivateKey;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An account's key, ready to sign: ECDSA with P-256.
pub(super) struct SigningKey(EcdsaKeyPair);

impl SigningKey {
    /// # Errors
    ///
    /// [`IssueError::Account`] when `key` is no P-256 key.
    pub fn new(key: &PrivateKey) -> Result<Self, IssueError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.pkcs8());
        key.map(Self).map_err(|_| unusable())
    }

    /// The public half (RFC 7517, RFC 7518 §6.2.1).
    pub fn jwk(&self) -> Value {
        // An uncompressed point: a four, then both coordinates.
        let point = self.0.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len().saturating_sub(1) / 2);
        json!({ "crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y) })
    }

    /// A request to `url` by the account `account`.
    pub fn request(&self, account: &str, nonce: &str, url: &str, payload: &str) -> Result<Value, IssueError> {
        self.sign(&json!({ "alg": "ES256", "kid": account, "nonce": nonce, "url": url }), payload)
    }

    /// The proof that we hold this key, which `account` is to have instead of `old` (§7.3.5).
    pub fn key_change(&self, account: &str, old: &Self, url: &str) -> Result<Value, IssueError> {
        let payload = json!({ "account": account, "oldKey": old.jwk() }).to_string();
        self.sign(&json!({ "alg": "ES256", "jwk": self.jwk(), "url": url }), &payload)
    }

    fn sign(&self, protected: &Value, payload: &str) -> Result<Value, IssueError> {
        let (protected, payload) = (encoded(protected.to_string().as_bytes()), encoded(payload.as_bytes()));
        let text = format!("{protected}.{payload}");
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| unusable())?;
        let signature = encoded(signature.as_ref());
        Ok(json!({ "protected": protected, "payload": payload, "signature": signature }))
    }
}

fn encoded(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn unusable() -> IssueError {
    IssueError::Account { detail: "the account's key in the store cannot be used".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    fn key() -> SigningKey {
        let key = rcgen::KeyPair::generate().unwrap();
        SigningKey::new(&PrivateKey::from_pkcs8(key.serialize_der())).unwrap()
    }

    fn decoded(value: &Value) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_signed_over_its_head_and_its_payload() {
        let key = key();
        let request = key.request("https://ca.example/acct/1", "n1", "https://ca.example/x", "{}").unwrap();
        let head: Value = serde_json::from_slice(&decoded(&request["protected"])).unwrap();
        assert_eq!(
            head,
            json!({ "alg": "ES256", "kid": "https://ca.example/acct/1", "nonce": "n1", "url": "https://ca.example/x" })
        );
        assert_eq!(decoded(&request["payload"]), b"{}");
        let text =
            format!("{}.{}", request["protected"].as_str().unwrap(), request["payload"].as_str().unwrap());
        let jwk = key.jwk();
        let point = [vec![4], decoded(&jwk["x"]), decoded(&jwk["y"])].concat();
        assert_eq!(point.len(), 65);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        public.verify(text.as_bytes(), &decoded(&request["signature"])).unwrap();
    }

    #[test]
    fn what_is_no_key_of_an_account_is_said() {
        let refused = SigningKey::new(&PrivateKey::from_pkcs8(vec![1, 2, 3])).err();
        assert!(matches!(refused, Some(IssueError::Account { .. })));
    }
}
