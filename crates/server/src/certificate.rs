//! The certificate and key that a server shows.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// A certificate chain with its private key, ready to serve.
#[derive(Clone, Debug)]
pub struct Certificate(pub(crate) Arc<CertifiedKey>);

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
        CertifiedKey::from_der(chain, key, &provider).map(|key| Self(Arc::new(key)))
    }

    /// SHA-256 of the server's own certificate: what a careful person compares.
    pub fn fingerprint(&self) -> [u8; 32] {
        let bytes = self.0.cert.first().map_or(&[][..], |certificate| certificate.as_ref());
        Sha256::digest(bytes).into()
    }
}
