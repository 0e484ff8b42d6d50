//! TLS as a client: trust, handshake, and a stream on a blocking socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::ErrorKind;
use crate::target::Trust;

/// What all sessions share.
pub(crate) fn config(trust: &Trust) -> Result<ClientConfig, ErrorKind> {
    client_config(trust, rustls::ALL_VERSIONS).map_err(|error| ErrorKind::Tls(error.to_string()))
}

/// A TLS client configuration that trusts these certificates, and supports these versions.
///
/// # Errors
/// The list of versions is empty.
pub fn client_config(
    trust: &Trust,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    Ok(match trust {
        Trust::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
        Trust::Any => {
            let any = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(any)
        }
    }
    .with_no_client_auth())
}

/// The configuration of one session, with its own cache of TLS sessions, like a separate client.
pub(crate) fn of_session(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(TICKETS);
    Arc::new(config)
}

/// A server issues a few tickets at a time. With TLS 1.3 each serves for one data connection:
/// rustls uses none twice (RFC 8446 §C.4).
const TICKETS: usize = 8;

/// A TLS connection on a blocking socket.
#[derive(Debug)]
pub struct TlsStream {
    connection: ClientConnection,
    socket: TcpStream,
    is_truncated: bool,
}

impl TlsStream {
    /// Performs the handshake. With `is_exact` no bytes after it are read, so the socket still
    /// holds all records of the payload.
    pub(crate) fn handshake(
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        socket: TcpStream,
        is_exact: bool,
    ) -> Result<Self, ErrorKind> {
        let reported = |error: rustls::Error| ErrorKind::Tls(error.to_string());
        let mut connection =
            ClientConnection::new(Arc::clone(config), name.clone()).map_err(reported)?;
        connection.set_buffer_limit(None);
        let mut stream = Self { connection, socket, is_truncated: false };
        let mut records = TlsRecords::default();
        loop {
            stream.send()?;
            if !stream.connection.is_handshaking() {
                return Ok(stream);
            }
            let length = if is_exact {
                stream.connection.read_tls(&mut records.of(&stream.socket))?
            } else {
                stream.connection.read_tls(&mut stream.socket)?
            };
            if length == 0 {
                return Err(ErrorKind::Closed);
            }
            if let Err(error) = stream.connection.process_new_packets() {
                // Send the alert; if that fails, the error stays the same.
                let _ = stream.send();
                return Err(reported(error));
            }
        }
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Version and cipher suite, as in `TLSv1.3` and `TLS13_AES_256_GCM_SHA384`.
    pub(crate) fn agreed(&self) -> (String, String) {
        let version = self.connection.protocol_version().and_then(|version| version.as_str());
        let suite = self.connection.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str().map(str::to_owned));
        (version.unwrap_or_default().replace('_', "."), suite.unwrap_or_default())
    }

    /// The certificates sent by the server.
    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.connection.peer_certificates().map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Whether the peer has ended it without `close_notify`.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends `close_notify`, and nothing else.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.send()
    }

    /// Sends `close_notify`, and reads to the peer's end. Unread tickets would make the system
    /// reset the connection, and the server lose the end of an upload.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.close()?;
        self.socket.shutdown(Shutdown::Write)?;
        let mut rest = [0; 512];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Read for TlsStream {
    /// An end without `close_notify` is accepted: some servers send none, and lengths and replies
    /// are checked.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.is_truncated = true;
                    return Ok(0);
                }
                done => return done,
            }
            self.connection.read_tls(&mut self.socket)?;
            if let Err(error) = self.connection.process_new_packets() {
                let _ = self.send();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.send()?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.connection.writer().write(bytes)?;
        self.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Reads TLS records one by one, without reading ahead: one byte of type, two of version, two of
/// length, then the payload.
#[derive(Default)]
struct TlsRecords {
    header: [u8; HEADER],
    filled: usize,
    body: usize,
}

const HEADER: usize = 5;

impl TlsRecords {
    fn of<'a>(&'a mut self, socket: &'a TcpStream) -> impl Read + 'a {
        TlsRecordReader { records: self, socket }
    }

    fn consumed(&mut self, bytes: &[u8]) {
        if self.body > 0 {
            self.body -= bytes.len().min(self.body);
            return;
        }
        for (slot, byte) in self.header.iter_mut().skip(self.filled).zip(bytes) {
            *slot = *byte;
        }
        self.filled += bytes.len();
        if self.filled == HEADER {
            let [_, _, _, high, low] = self.header;
            self.body = usize::from(u16::from_be_bytes([high, low]));
            self.filled = 0;
        }
    }
}

struct TlsRecordReader<'a> {
    records: &'a mut TlsRecords,
    socket: &'a TcpStream,
}

impl Read for TlsRecordReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let missing = match self.records.body {
            0 => HEADER - self.records.filled,
            body => body,
        };
        let length = missing.min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        let length = self.socket.read(part)?;
        self.records.consumed(part.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// Accepts any certificate, but verifies the handshake signature: that work is part of what is
/// measured.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
