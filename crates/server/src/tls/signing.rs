//! Recognises a full handshake while it runs: rustls signs in no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::SubjectPublicKeyInfoDer;

/// Set once the server has signed.
#[derive(Clone, Debug, Default)]
pub(super) struct HasSigned(Arc<AtomicBool>);

impl HasSigned {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Selects certificates like another resolver, and sets a flag when one is used to sign.
#[derive(Debug)]
pub(super) struct ObservedResolver {
    pub(super) inner: Arc<dyn ResolvesServerCert>,
    pub(super) has_signed: HasSigned,
}

impl ResolvesServerCert for ObservedResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.inner.resolve(hello)?;
        let inner = Arc::clone(&found.key);
        let key = Arc::new(ObservedKey { inner, has_signed: self.has_signed.clone() });
        Some(Arc::new(CertifiedKey { cert: found.cert.clone(), key, ocsp: found.ocsp.clone() }))
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }
}

#[derive(Debug)]
struct ObservedKey {
    inner: Arc<dyn SigningKey>,
    has_signed: HasSigned,
}

impl SigningKey for ObservedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.has_signed.0.store(true, Ordering::Relaxed);
        self.inner.choose_scheme(offered)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.inner.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
}
