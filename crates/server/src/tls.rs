//! TLS: certificates, handshakes, and the tie between a data connection and its control session.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

/// A certificate chain with its private key, ready to serve.
#[derive(Clone, Debug)]
pub struct Certificate(pub(crate) Arc<CertifiedKey>);
