//! The transport of a TLS connection. It can withhold the TLS 1.3 ticket of an upload until the
//! upload is complete.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Socket;

/// Bytes that are withheld at most: a ticket, and what may follow it before the end (a client can
/// ask for new keys as often as it likes). More is sent.
const WITHHELD_BYTES_MAX: usize = 16 * 1024;

/// A socket below TLS.
///
/// A client that only sends does not read a ticket that arrives during its upload. When it closes
/// its socket with unread data, its system resets the connection, and the rest of the upload may be
/// lost. So the ticket of an upload is withheld, and sent in one write with `close_notify`. TLS
/// records are numbered, so whatever follows a withheld record waits behind it.
pub(crate) struct TlsTransport {
    socket: Socket,
    withheld: Vec<u8>,
    /// Set once a ticket was issued that is to be withheld.
    withholds: WithholdFlag,
}

/// Tells a transport to withhold everything from now on. It is set when a ticket is issued, which
/// is the last step of a handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct WithholdFlag(Option<Arc<AtomicBool>>);

impl WithholdFlag {
    /// A flag that can be set; the default one cannot.
    pub(crate) fn armed() -> Self {
        Self(Some(Arc::default()))
    }

    pub(crate) fn set(&self) {
        if let Some(is_set) = &self.0 {
            is_set.store(true, Ordering::Relaxed);
        }
    }

    fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|is_set| is_set.load(Ordering::Relaxed))
    }
}

impl TlsTransport {
    pub(crate) fn new(socket: Socket, withholds: WithholdFlag) -> Self {
        Self { socket, withheld: Vec::new(), withholds }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The socket, and the records that must precede all others.
    pub(crate) fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket, self.withheld)
    }

    /// Stops withholding. The next write or flush sends what was withheld.
    pub(crate) fn release(&mut self) {
        self.withholds = WithholdFlag::default();
    }

    fn withholds(&self) -> bool {
        self.withholds.is_set() && self.withheld.len() < WITHHELD_BYTES_MAX
    }

    /// Sends what was withheld.
    fn poll_send_withheld(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.withheld.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(context, &self.withheld))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.withheld.drain(..sent.min(self.withheld.len()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsTransport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsTransport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.withholds() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send_withheld(context))?;
        Pin::new(&mut this.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.release();
        ready!(this.poll_send_withheld(context))?;
        Pin::new(&mut this.socket).poll_shutdown(context)
    }

    /// Writes several TLS buffers in one call: records, and the alert after them on failure.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.withholds() {
            let before = this.withheld.len();
            for buffer in buffers {
                this.withheld.extend_from_slice(buffer);
            }
            return Poll::Ready(Ok(this.withheld.len() - before));
        }
        ready!(this.poll_send_withheld(context))?;
        Pin::new(&mut this.socket).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::testing::link;

    #[tokio::test]
    async fn what_is_withheld_is_sent_first_and_at_the_end() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let flag = WithholdFlag::armed();
        let mut transport = TlsTransport::new(link(server), flag.clone());
        transport.write_all(b"hello ").await.unwrap();
        flag.set();
        transport.write_all(b"ticket ").await.unwrap();
        transport.flush().await.unwrap();
        let mut sent = [0; 32];
        assert_eq!(client.read(&mut sent).await.unwrap(), 6, "the ticket is withheld");
        transport.write_all(b"close_notify").await.unwrap();
        transport.shutdown().await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "ticket close_notify");
    }

    #[tokio::test]
    async fn what_is_withheld_is_sent_before_the_next_bytes_once_released() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let flag = WithholdFlag::armed();
        let mut transport = TlsTransport::new(link(server), flag.clone());
        flag.set();
        transport.write_all(b"ticket ").await.unwrap();
        transport.release();
        transport.write_all(b"data").await.unwrap();
        drop(transport);
        let mut sent = String::new();
        client.read_to_string(&mut sent).await.unwrap();
        assert_eq!(sent, "ticket data");
    }

    #[tokio::test]
    async fn no_more_than_the_bound_is_withheld() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let flag = WithholdFlag::armed();
        let mut transport = TlsTransport::new(link(server), flag.clone());
        flag.set();
        transport.write_all(&[1; WITHHELD_BYTES_MAX]).await.unwrap();
        transport.write_all(&[2; 10]).await.unwrap();
        let mut sent = vec![0; WITHHELD_BYTES_MAX + 10];
        client.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent.split_off(WITHHELD_BYTES_MAX), [2; 10]);
        assert!(sent.iter().all(|byte| *byte == 1));
    }

    #[tokio::test]
    async fn a_flag_that_is_not_armed_withholds_nothing() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let flag = WithholdFlag::default();
        let mut transport = TlsTransport::new(link(server), flag.clone());
        flag.set();
        transport.write_all(b"ticket").await.unwrap();
        let mut sent = [0; 6];
        client.read_exact(&mut sent).await.unwrap();
        assert_eq!(&sent, b"ticket");
    }
}
