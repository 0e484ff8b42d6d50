//! The PROXY protocol: reads the header and gives the connection its client's address.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use wharf_proto::proxy::{Client, Progress, parse};

use super::{Link, Socket, canonical};

/// A proxy sends its header at once; the same limit as for a TLS handshake.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the PROXY header of a connection contains.
pub(crate) enum ProxiedPeer {
    /// The connection of a client; its peer address is that of the client.
    Client(Socket),
    /// A health check of the proxy, or a client without known address (version 2 `LOCAL`, version 1
    /// `UNKNOWN`).
    HealthCheck(Socket),
    /// The connection was closed without a byte.
    Closed,
}

impl ProxiedPeer {
    /// The connection, if it is still open.
    pub(crate) fn into_socket(self) -> Option<Socket> {
        match self {
            Self::Client(socket) | Self::HealthCheck(socket) => Some(socket),
            Self::Closed => None,
        }
    }
}

/// Reads the header of the PROXY protocol from a connection, and nothing after it.
///
/// # Errors
/// The header is missing, invalid or late, or the connection failed.
pub(crate) async fn read_proxy_header(socket: Socket) -> io::Result<ProxiedPeer> {
    timeout(PROXY_HEADER_TIMEOUT, read(socket)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn read(socket: Socket) -> io::Result<ProxiedPeer> {
    let Some(mut socket) = socket.wait_for_data().await else { return Ok(ProxiedPeer::Closed) };
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Progress::Done(Client::Proxy) => return Ok(ProxiedPeer::HealthCheck(socket)),
            Progress::Done(Client::Behind { source, .. }) => {
                return Ok(ProxiedPeer::Client(socket.with_peer(canonical(source))));
            }
            Progress::Needs(missing) => {
                let begun = bytes.len();
                bytes.resize(begun + missing, 0);
                let (_, rest) = bytes.split_at_mut(begun);
                socket.read_exact(rest).await?;
            }
        }
    }
}

impl Socket {
    /// Waits until the peer has sent something, without consuming it; `None` if the peer closes or
    /// resets the connection.
    pub(crate) async fn wait_for_data(self) -> Option<Self> {
        match self {
            Self::Tcp(mut connection) => {
                let has_come = connection.peek().await.is_ok_and(|count| count > 0);
                has_come.then_some(Self::Tcp(connection))
            }
            Self::Link(mut link) => {
                let mut first = [0];
                let count = link.read(&mut first).await.ok()?;
                let ahead = Some(first[0]);
                (count > 0).then(|| Self::Link(Box::new(PeekedLink { link, ahead })))
            }
        }
    }

    /// The same connection with the client address from the header.
    fn with_peer(self, peer: SocketAddr) -> Self {
        match self {
            Self::Tcp(connection) => Self::Tcp(connection.with_peer(peer)),
            Self::Link(link) => Self::Link(Box::new(ProxiedLink { link, peer })),
        }
    }
}

/// A connection of which the first byte was read ahead.
struct PeekedLink {
    link: Box<dyn Link>,
    ahead: Option<u8>,
}

impl Link for PeekedLink {
    fn peer_address(&self) -> SocketAddr {
        self.link.peer_address()
    }

    fn local_address(&self) -> SocketAddr {
        self.link.local_address()
    }
}

impl AsyncRead for PeekedLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(byte) = self.ahead.take()
        {
            buffer.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.link).poll_read(context, buffer)
    }
}

struct ProxiedLink {
    link: Box<dyn Link>,
    peer: SocketAddr,
}

impl Link for ProxiedLink {
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.link.local_address()
    }
}

impl AsyncRead for ProxiedLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_read(context, buffer)
    }
}

impl AsyncWrite for ProxiedLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }
}

impl AsyncWrite for PeekedLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }
}
