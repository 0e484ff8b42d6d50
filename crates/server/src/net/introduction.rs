//! A proxy's word for whom it connects, and a connection that has its client's address then.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use wharf_proto::proxy::{Client, Progress, parse};

use super::{Link, Socket, plain};

/// A proxy says at once for whom it comes: as long as for a handshake of TLS.
const INTRODUCTION_MAX: Duration = Duration::from_secs(10);

/// Reads the header of the PROXY protocol from a connection, and nothing behind it. From then on
/// the other end is the client that the header names; where it names none it is the proxy itself.
///
/// # Errors
/// There is no header, or a bad one, or it does not come in time, or the connection broke.
pub(crate) async fn introduced(socket: Socket) -> io::Result<Socket> {
    timeout(INTRODUCTION_MAX, read(socket)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn read(mut socket: Socket) -> io::Result<Socket> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Progress::Done(Client::Proxy) => return Ok(socket),
            Progress::Done(Client::Behind { source, .. }) => {
                return Ok(socket.announced(plain(source)));
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
    /// The same connection, of whose other end somebody has told us.
    fn announced(self, peer: SocketAddr) -> Self {
        match self {
            Self::Tcp(connection) => Self::Tcp(connection.announced(peer)),
            Self::Link(link) => Self::Link(Box::new(Announced { link, peer })),
        }
    }
}

struct Announced {
    link: Box<dyn Link>,
    peer: SocketAddr,
}

impl Link for Announced {
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.link.local_address()
    }
}

impl AsyncRead for Announced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_read(context, buffer)
    }
}

impl AsyncWrite for Announced {
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
