//! A handshake that refuses no certificate and remembers all of them.

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, OnceLock};

/// Which versions of TLS are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl TlsVersions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        const NEW_FIRST: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        let (new, old) = NEW_FIRST.split_at(1);
        match self {
            Self::Both => NEW_FIRST,
            Self::Only12 => old,
            Self::Only13 => new,
        }
    }
}

/// Holds the chain that a server presented, even when the handshake failed afterwards.
#[derive(Clone, Debug, Default)]
pub struct Observer(Arc<OnceLock<Vec<CertificateDer<'static>>>>);

impl Observer {
    /// The chain of the first handshake, leaf first, exactly as sent; `None` while none has come.
    pub fn chain(&self) -> Option<&[CertificateDer<'static>]> {
        self.0.get().map(Vec::as_slice)
    }
}

/// The configuration of one handshake that accepts any chain, and the observer that keeps it.
///
/// That the server has the key of its leaf is still checked, so a chain belongs to who sent it. Nothing
/// is resumed. `alpn` are the protocols to offer, none for no ALPN at all. For one connection each: the
/// observer keeps the first chain it sees.
pub fn client_config(versions: TlsVersions, alpn: &[&[u8]]) -> (Arc<ClientConfig>, Observer) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let observer = Observer::default();
    let verifier = Observing { seen: observer.clone(), provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions.list())
        .expect("the provider has suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    (Arc::new(config), observer)
}

#[derive(Debug)]
struct Observing {
    seen: Observer,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Observing {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = [leaf].into_iter().chain(others).collect();
        if chain.iter().map(|certificate| certificate.len()).sum::<usize>() > super::CHAIN_OCTETS {
            return Err(Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(
                TooLong,
            )))));
        }
        let _ = self.seen.0.set(chain.into_iter().map(|der| der.clone().into_owned()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the chain is longer than 64 KiB")]
struct TooLong;
