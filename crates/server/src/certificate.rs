//! Certificates and private keys of the server.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// A certificate chain with its private key, ready to serve, and others with keys of other kinds
/// for clients that cannot use the first.
#[derive(Clone, Debug)]
pub struct Certificate {
    first: Arc<CertifiedKey>,
    others: Vec<Arc<CertifiedKey>>,
}

impl Certificate {
    /// From a chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// The chain is empty, the key is of an unknown kind, or it is not the certificate's.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        if chain.is_empty() {
            return Err(rustls::Error::NoCertificatesPresented);
        }
        let provider = aws_lc_rs::default_provider();
        let first = Arc::new(CertifiedKey::from_der(chain, key, &provider)?);
        Ok(Self { first, others: Vec::new() })
    }

    /// With another one for clients that accept no signature of those before, as an RSA
    /// certificate beside an ECDSA one.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.others.push(other.first);
        self.others.extend(other.others);
        self
    }

    /// SHA-256 of the server's own certificate, the first of the chain.
    pub fn fingerprint(&self) -> [u8; 32] {
        let bytes = self.first.cert.first().map_or(&[][..], |certificate| certificate.as_ref());
        Sha256::digest(bytes).into()
    }

    /// Selects a certificate by the signature schemes that the client accepts.
    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(BySignature(self.clone()))
    }
}

/// The first certificate with a key that can make a signature that the client accepts. In TLS 1.2
/// rustls requests only the signatures that the client's cipher suites allow.
#[derive(Debug)]
struct BySignature(Certificate);

impl ResolvesServerCert for BySignature {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Certificate { first, others } = &self.0;
        let suits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = std::iter::once(first).chain(others).find(suits);
        // If none matches, rustls sends the proper alert.
        Some(Arc::clone(chosen.unwrap_or(first)))
    }
}
