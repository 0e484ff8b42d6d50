//! The client's side of a connection, with or without TLS.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wharf_server::certificate::Certificate;

use crate::link::SimLink;

/// The server name of the test certificate.
const SERVER_NAME: &str = "wharf.test";

/// A connection of a client.
pub(crate) enum ClientStream {
    Plain(SimLink),
    Tls(Box<TlsStream<SimLink>>),
}

impl ClientStream {
    /// The connection below TLS.
    pub(crate) fn link(&mut self) -> &mut SimLink {
        match self {
            Self::Plain(link) => link,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// Ends the stream: with TLS by `close_notify`, then with a FIN.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(link) => {
                link.finish(None);
                Ok(())
            }
            Self::Tls(stream) => stream.shutdown().await,
        }
    }

    /// Starts TLS on a plain connection.
    pub(crate) async fn secured(self, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let Self::Plain(link) = self else {
            return Err(io::Error::other("TLS is active already"));
        };
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, link).await?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

/// A certificate and its key in DER.
type TestCertificate = (CertificateDer<'static>, Vec<u8>);

/// The certificates for tests. Their keys are fixed and their signatures have a fixed size, so that
/// a seed gives the same segments in each process.
fn test_certificates() -> &'static [TestCertificate; 2] {
    static MADE: OnceLock<[TestCertificate; 2]> = OnceLock::new();
    MADE.get_or_init(|| [1, 2].map(made_certificate))
}

fn made_certificate(number: u8) -> TestCertificate {
    // An Ed25519 private key in PKCS #8 (RFC 8410): a fixed prefix and 32 bytes.
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.extend([number; 32]);
    let pkcs8 = PrivatePkcs8KeyDer::from(key.clone());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519)
        .expect("the key is valid");
    let certificate = CertificateParams::new([SERVER_NAME.to_owned()])
        .and_then(|params| params.self_signed(&pair))
        .expect("a certificate for a fixed name can be made");
    (certificate.der().clone(), key)
}

/// The test certificate for the settings of a server.
pub(crate) fn certificate() -> Certificate {
    let [first, _] = test_certificates();
    for_server(first)
}

/// The certificate that follows it, in a reload.
pub(crate) fn next_certificate() -> Certificate {
    let [_, next] = test_certificates();
    for_server(next)
}

fn for_server((certificate, key): &TestCertificate) -> Certificate {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
    Certificate::from_der(vec![certificate.clone()], key)
        .expect("the key was made for the certificate")
}

/// The TLS configuration of a client that trusts the test certificates only.
pub(crate) fn client_config(resumes: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for (certificate, _) in test_certificates() {
        roots.add(certificate.clone()).expect("the certificate was made here");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resumes {
        config.resumption = Resumption::disabled();
    }
    Arc::new(config)
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
