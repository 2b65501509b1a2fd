//! How TLS is spoken on the policy listener (RFC 8461 §7.2, RFC 9325).
//!
//! One base configuration; a connection's own differs in the certificate alone. Nothing is kept
//! between connections: no tickets, no session storage, no early data. Senders come once a week,
//! and a session of one tenant must never be resumed for another.

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, ResolvesServerCertUsingSni},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use std::sync::Arc;

/// The base for connections that speak one of `protocols`; it holds no certificate.
pub(super) fn config(protocols: &[&[u8]]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("suites of both versions are listed below")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

/// `base` with a certificate; costs about 0.2 µs.
pub(super) fn with_certificate(base: &ServerConfig, certificate: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    let mut config = base.clone();
    config.cert_resolver = Arc::new(SingleCertAndKey::from(certificate));
    Arc::new(config)
}

/// AES-128 with SHA-256 first and our order kept: the SHA-384 key schedule, which clients ask for
/// first, costs a fifth of a handshake. P-256 stands for OpenSSL clients of TLS 1.2.
fn provider() -> CryptoProvider {
    use aws_lc_rs::{cipher_suite, kx_group};
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        config::{Tenant, TenantId},
        name::PolicyHost,
        policy::{MaxAge, Mode, MxPattern, Policy, RenderedPolicy},
        snapshot::Snapshot,
    };
    use rcgen::{CertificateParams, KeyPair};
    use std::path::Path;

    /// A certificate that nobody vouches for.
    pub(in crate::https) fn self_signed(name: &str) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = aws_lc_rs::sign::any_ecdsa_type(&key.into()).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate.into()], key))
    }

    /// A snapshot in which one tenant has these policy hosts.
    pub(in crate::https) fn snapshot(hosts: &[&str]) -> Snapshot {
        let mx = MxPattern::from_user("mail.example.com").unwrap();
        let policy = Policy::new(Mode::Enforce, vec![mx], MaxAge::WEEK).unwrap();
        let tenant = Tenant {
            id: TenantId::parse("meadow").unwrap(),
            hosts: hosts.iter().map(|host| PolicyHost::from_full_name(host).unwrap()).collect(),
            policy: Arc::new(RenderedPolicy::of(policy).unwrap()),
            file: Path::new("mta-stsd.toml").into(),
        };
        Snapshot::build(1, [&Arc::new(tenant)], Default::default())
    }

    #[test]
    fn nothing_is_kept_between_connections() {
        let config = config(&[b"h2"]);
        assert!(!config.session_storage.can_cache());
        assert!(!config.ticketer.enabled());
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    }
}
