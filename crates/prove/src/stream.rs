//! A client's end of a connection, with or without TLS, which can end in every way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use socket2::SockRef;
use wharf_load::{Trust, client_config};

/// A connection.
#[derive(Debug)]
pub(crate) enum ProofStream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// The TLS configuration that clients share. Making it takes a while.
#[derive(Clone, Debug)]
pub(crate) struct Security(ClientConfig);

impl Security {
    /// Trusts any certificate: certificate checks are not tested here.
    ///
    /// # Errors
    /// The TLS library supports no protocol version.
    pub(crate) fn new() -> Result<Self, String> {
        let config = client_config(&Trust::Any, rustls::ALL_VERSIONS);
        config.map(Self).map_err(|error| error.to_string())
    }

    /// The configuration of one client: with its own cache of TLS sessions.
    pub(crate) fn of_one_client(&self) -> Arc<ClientConfig> {
        let mut config = self.0.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Arc::new(config)
    }
}

const SESSIONS: usize = 8;

impl ProofStream {
    /// Performs the TLS handshake on a connection.
    pub(crate) fn secured(mut socket: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let connection = ClientConnection::new(Arc::clone(config), name);
        let mut connection = connection.map_err(io::Error::other)?;
        connection.complete_io(&mut socket)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    /// The plain connection below, to begin TLS on it. `None` if it has TLS already.
    pub(crate) fn into_plain(self) -> Option<TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(_) => None,
        }
    }

    /// Ends the sending direction: `close_notify` with TLS, and FIN. Reads to the peer's end, so
    /// that nothing is reset.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)?;
        let mut rest = [0; 512];
        loop {
            match self.read(&mut rest) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends it with RST, like a client that dies with unread data, or a firewall.
    pub(crate) fn reset(self) {
        // Otherwise the close below sends a FIN, which is tested as well.
        let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    /// Ends it with FIN alone: with TLS the `close_notify` is missing.
    pub(crate) fn drop_off(self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for ProofStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for ProofStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
