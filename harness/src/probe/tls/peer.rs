//! What our side of a handshake notes of the peer: its certificates, and whether it asks for ours.

use super::certificate;
use crate::probe::options::TlsOptions;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Most authorities that a server names for our certificate which are kept.
const MOST_AUTHORITIES: usize = 10;

/// The cryptography: given explicitly, so that no default of the process matters.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}

/// Takes whatever chain comes and keeps it: it is judged later. That the peer has the key is checked all the same.
#[derive(Debug)]
pub(super) struct Chain {
    came: Mutex<Vec<CertificateDer<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self { came: Mutex::default(), algorithms: provider().signature_verification_algorithms }
    }

    /// What came, the server's own first.
    pub(super) fn take(&self) -> Vec<CertificateDer<'static>> {
        std::mem::take(&mut *self.came.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates).map(|one| one.clone().into_owned()).collect();
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Our certificate, where the user gave one.
pub(super) struct Ours {
    key: Option<Arc<CertifiedKey>>,
    asked: Mutex<Option<Vec<String>>>,
    sent: std::sync::atomic::AtomicBool,
}

impl Ours {
    /// # Errors
    /// The key cannot be used.
    pub(super) fn new(options: &TlsOptions) -> Result<Self, Error> {
        let key = options
            .certificate
            .as_ref()
            .map(|(chain, key)| CertifiedKey::from_der(chain.clone(), key.clone_key(), provider()).map(Arc::new));
        Ok(Self { key: key.transpose()?, asked: Mutex::default(), sent: std::sync::atomic::AtomicBool::new(false) })
    }

    /// Whose certificates the server takes, if it asked for one; empty: it names nobody.
    pub(super) fn asked(&self) -> Option<Vec<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether ours was sent.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Without the key.
impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ours").field("has_key", &self.key.is_some()).finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = authorities.iter().filter_map(|der| certificate::distinguished_of(der)).take(MOST_AUTHORITIES);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(names.collect());
        let fits = self.key.clone().filter(|key| key.key.choose_scheme(schemes).is_some());
        self.sent.store(fits.is_some(), std::sync::atomic::Ordering::Relaxed);
        fits
    }

    fn has_certs(&self) -> bool {
        true
    }
}
