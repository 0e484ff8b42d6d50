//! A TCP connection that registers with the reactor lazily.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream as Std};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Idle time of a control connection before the kernel sends keepalive probes.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);
/// The largest read into an uninitialized buffer before the connection is registered: it
/// initializes the buffer.
const UNREGISTERED_READ_BYTES: usize = 64 * 1024;

/// A TCP connection.
///
/// It is registered with the reactor only when an operation would block. A small file is sent in
/// one call, and most such connections close without ever being registered.
pub struct Connection {
    state: ConnectionState,
    peer: SocketAddr,
    /// Urgent data may come (telnet Synch).
    is_control: bool,
}

enum ConnectionState {
    /// Nonblocking.
    Unregistered(Std),
    Registered(TcpStream),
    /// Registration failed.
    Lost,
}

impl Connection {
    /// A connection that is not registered yet.
    ///
    /// # Errors
    /// The system cannot make it nonblocking, or its peer is gone.
    pub fn new(stream: Std) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let peer = stream.peer_addr()?;
        Ok(Self::unregistered(stream, peer))
    }

    /// The same for a stream that is nonblocking already.
    pub(super) fn unregistered(stream: Std, peer: SocketAddr) -> Self {
        Self { state: ConnectionState::Unregistered(stream), peer, is_control: false }
    }

    /// From a stream of tokio.
    ///
    /// # Errors
    /// Its peer is gone.
    pub fn registered(stream: TcpStream) -> io::Result<Self> {
        let peer = stream.peer_addr()?;
        Ok(Self { state: ConnectionState::Registered(stream), peer, is_control: false })
    }

    /// Sets the options of a control connection: no delay for replies, urgent data in line,
    /// keepalive.
    pub(super) fn into_control(mut self) -> io::Result<Self> {
        let socket = self.socket()?;
        socket.set_tcp_nodelay(true)?;
        socket.set_out_of_band_inline(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
        self.is_control = true;
        Ok(self)
    }

    /// Deregisters it, so that it is registered with the runtime of the task that polls it next.
    pub(crate) fn deregister(self) -> io::Result<Self> {
        let state = match self.state {
            ConnectionState::Registered(stream) => {
                ConnectionState::Unregistered(stream.into_std()?)
            }
            other => other,
        };
        Ok(Self { state, ..self })
    }

    /// The same connection with the client address from a PROXY header.
    pub(super) fn with_peer(self, peer: SocketAddr) -> Self {
        Self { peer, ..self }
    }

    pub(super) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.state {
            ConnectionState::Unregistered(stream) => stream.local_addr(),
            ConnectionState::Registered(stream) => stream.local_addr(),
            ConnectionState::Lost => Err(lost()),
        }
    }

    /// For socket options. It must stay nonblocking.
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match &self.state {
            ConnectionState::Unregistered(stream) => Ok(SockRef::from(stream)),
            ConnectionState::Registered(stream) => Ok(SockRef::from(stream)),
            ConnectionState::Lost => Err(lost()),
        }
    }

    /// Whether the peer is known to have closed or reset the connection, also after bytes that have
    /// not been read. The reactor learns of it only at its next poll.
    pub(crate) fn has_ended(&self) -> bool {
        self.socket().is_ok_and(|socket| has_ended(&socket))
    }

    /// Waits for data or the end of the stream without consuming it. Returns 1 for data, 0 at the
    /// end.
    pub(super) async fn peek(&mut self) -> io::Result<usize> {
        self.register()?.peek(&mut [0]).await
    }

    /// Waits until the reactor reports readiness since the last `clear_ready`.
    #[cfg(target_os = "linux")]
    pub(crate) async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        self.register()?.ready(interest).await.map(drop)
    }

    /// Clears the readiness, so that the next `ready` waits for an event.
    #[cfg(target_os = "linux")]
    pub(crate) fn clear_ready(&self, interest: Interest) {
        if let ConnectionState::Registered(stream) = &self.state {
            let nothing = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
            let _ = stream.try_io(interest, nothing);
        }
    }

    /// Duplicates the descriptor for another thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn duplicate(&self) -> io::Result<socket2::Socket> {
        self.socket()?.try_clone()
    }

    /// The stream, registered with the reactor of the calling task.
    fn register(&mut self) -> io::Result<&mut TcpStream> {
        if let ConnectionState::Unregistered(_) = self.state
            && let ConnectionState::Unregistered(stream) =
                std::mem::replace(&mut self.state, ConnectionState::Lost)
        {
            self.state = ConnectionState::Registered(TcpStream::from_std(stream)?);
        }
        match &mut self.state {
            ConnectionState::Registered(stream) => Ok(stream),
            ConnectionState::Unregistered(_) | ConnectionState::Lost => Err(lost()),
        }
    }
}

#[cfg(target_os = "linux")]
fn has_ended(socket: &SockRef<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let socket: &socket2::Socket = socket;
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    // An error of `poll` shows nothing about the connection.
    let is_answered = poll(&mut polled, Some(&Timespec::default())).is_ok();
    is_answered && !polled.iter().all(|socket| socket.revents().is_empty())
}

/// On this system the end is visible only after everything before it was read.
#[cfg(not(target_os = "linux"))]
fn has_ended(socket: &SockRef<'_>) -> bool {
    match socket.peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn lost() -> io::Error {
    io::Error::other("cannot register the connection with the reactor")
}

/// Whether a first attempt, without the reactor, completed.
fn is_done<T>(tried: &io::Result<T>) -> bool {
    !matches!(tried, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let ConnectionState::Unregistered(stream) = &mut this.state
            && (buffer.remaining() <= UNREGISTERED_READ_BYTES
                || buffer.initialized().len() == buffer.capacity())
        {
            let tried = stream.read(buffer.initialize_unfilled());
            if is_done(&tried) {
                buffer.advance(tried?);
                return Poll::Ready(Ok(()));
            }
        }
        let is_control = this.is_control;
        let stream = this.register()?;
        if is_control {
            poll_read_urgent(stream, context, buffer)
        } else {
            Pin::new(stream).poll_read(context, buffer)
        }
    }
}

/// Reads past an urgent mark.
///
/// The kernel ends a read at the mark, and tokio takes a read that does not fill its buffer for
/// the last one: what stands behind the mark would wait until more comes. Here only the kernel's
/// own word ends the reading.
fn poll_read_urgent(
    stream: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        let place = buffer.initialize_unfilled();
        let read = || (&*SockRef::from(stream)).read(place);
        match stream.try_io(Interest::READABLE, read) {
            Ok(count) => {
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let ConnectionState::Unregistered(stream) = &mut this.state {
            let tried = stream.write(bytes);
            if is_done(&tried) {
                return Poll::Ready(tried);
            }
        }
        Pin::new(this.register()?).poll_write(context, bytes)
    }

    /// The kernel has what was written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket()?.shutdown(Shutdown::Write))
    }

    /// In one call, several buffers of TLS: records, and the alert behind them when it fails.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let ConnectionState::Unregistered(stream) = &mut this.state {
            let tried = stream.write_vectored(buffers);
            if is_done(&tried) {
                return Poll::Ready(tried);
            }
        }
        Pin::new(this.register()?).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Std) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let peer = Std::connect(address).expect("it listens");
        let (stream, _) = listener.accept().expect("it was dialled");
        (Connection::new(stream).expect("its peer is there"), peer)
    }

    #[test]
    fn the_end_of_a_connection_is_known_without_the_reactor() {
        let ends: [fn(Std); 2] = [drop, |peer| {
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("a setting of sockets");
        }];
        for end in ends {
            let (connection, peer) = pair();
            assert!(!connection.has_ended());
            end(peer);
            assert!(connection.has_ended());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_end_of_a_connection_is_detected_behind_unread_bytes() {
        let (connection, mut peer) = pair();
        peer.write_all(b"NOOP\r\n").expect("the connection stands");
        assert!(!connection.has_ended());
        drop(peer);
        assert!(connection.has_ended());
    }
}
