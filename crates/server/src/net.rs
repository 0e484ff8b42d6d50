//! The only door to what is outside: sockets, chance and the calendar.
//!
//! A simulation or an embedder brings its own [`Net`]; [`Tcp`] is the real one.

use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;
use wharf_core::async_trait;
use wharf_proto::time::Timestamp;

/// Bursts of clients wait here; the kernel lowers it to its own limit.
const CONTROL_BACKLOG: u32 = 1024;
/// One client is expected; a few strangers may come before it.
const DATA_BACKLOG: u32 = 16;
/// How long a silent control connection is left alone before the kernel asks whether its peer
/// still lives.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);

/// Makes sockets, and knows chance and the time of day.
#[async_trait]
pub trait Net: Send + Sync {
    /// Listens for clients. On `::`, `takes_ipv4` says whether IPv4 clients come here too.
    async fn listen(&self, at: SocketAddr, takes_ipv4: bool) -> io::Result<Box<dyn Listener>>;

    /// Listens for one data connection.
    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Opens a data connection from one of our addresses; its port is 0: any. Cancel safe.
    async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket>;

    /// Fills `bytes` with what nobody can guess.
    fn random(&self, bytes: &mut [u8]);

    /// The time of day, for listings. Deadlines use tokio's clock.
    fn now(&self) -> Timestamp;
}

/// A listening socket. Dropping it closes it.
#[async_trait]
pub trait Listener: Send + Sync {
    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// The next connection. Cancel safe. Errors are survivable: the caller tries again.
    async fn accept(&self) -> io::Result<Socket>;
}

/// A connection that is not TCP of this computer: a simulated one, or an embedder's.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {
    /// The other end.
    fn peer_address(&self) -> SocketAddr;

    /// Our end.
    fn local_address(&self) -> SocketAddr;
}

/// A connection without TLS.
pub enum Socket {
    /// TCP of this computer.
    Tcp(TcpStream),
    /// The same for a control connection, on which urgent data may come (telnet Synch).
    Urgent(TcpStream),
    /// Anything else.
    Link(Box<dyn Link>),
}

/// A connection, with or without TLS.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// Real sockets of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Net for Tcp {
    async fn listen(&self, at: SocketAddr, takes_ipv4: bool) -> io::Result<Box<dyn Listener>> {
        let socket = open(at)?;
        if at.is_ipv6() {
            SockRef::from(&socket).set_only_v6(!takes_ipv4)?;
        }
        // A server that restarts must get its port back while old connections linger.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        Ok(Box::new(TcpDoor { listener: socket.listen(CONTROL_BACKLOG)?, is_control: true }))
    }

    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let socket = open(at)?;
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        Ok(Box::new(TcpDoor { listener: socket.listen(DATA_BACKLOG)?, is_control: false }))
    }

    async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
        let socket = open(to)?;
        socket.bind(from)?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(stream))
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness once it has booted");
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        }
    }
}

fn open(at: SocketAddr) -> io::Result<TcpSocket> {
    if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

struct TcpDoor {
    listener: TcpListener,
    is_control: bool,
}

#[async_trait]
impl Listener for TcpDoor {
    fn local_address(&self) -> SocketAddr {
        self.listener.local_addr().expect("the listener is bound, so it has an address")
    }

    async fn accept(&self) -> io::Result<Socket> {
        let (stream, _) = self.listener.accept().await?;
        // Replies and small files must not wait for the acknowledgement of what went before.
        stream.set_nodelay(true)?;
        if self.is_control {
            let socket = SockRef::from(&stream);
            // The urgent byte of a telnet Synch must stay in its place in the line.
            socket.set_out_of_band_inline(true)?;
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
        }
        Ok(if self.is_control { Socket::Urgent(stream) } else { Socket::Tcp(stream) })
    }
}

impl Socket {
    /// The other end; an IPv4 client on an IPv6 socket has its IPv4 address.
    ///
    /// # Errors
    /// The peer is gone already.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        Ok(plain(match self {
            Self::Tcp(stream) | Self::Urgent(stream) => stream.peer_addr()?,
            Self::Link(link) => link.peer_address(),
        }))
    }

    /// Our end, in the same form.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(plain(match self {
            Self::Tcp(stream) | Self::Urgent(stream) => stream.local_addr()?,
            Self::Link(link) => link.local_address(),
        }))
    }

    /// Asks the kernel to take at most about `bytes` ahead of us, so that a throttled upload is
    /// slow for its sender too. A wish: errors do not matter.
    pub(crate) fn limit_receive_buffer(&self, bytes: usize) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_recv_buffer_size(bytes);
        }
    }
}

/// The address without the IPv6 form of IPv4. A link-local one keeps its interface.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The same address, with its interface if it is link-local, at another port.
pub(crate) fn at_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Urgent(stream) => poll_read_urgent(stream, context, buffer),
            Self::Link(link) => Pin::new(link).poll_read(context, buffer),
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

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) | Self::Urgent(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Link(link) => Pin::new(link).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) | Self::Urgent(stream) => Pin::new(stream).poll_flush(context),
            Self::Link(link) => Pin::new(link).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) | Self::Urgent(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Link(link) => Pin::new(link).poll_shutdown(context),
        }
    }

    /// In one call, several buffers of TLS: records, and the alert behind them when it fails.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) | Self::Urgent(stream) => {
                Pin::new(stream).poll_write_vectored(context, buffers)
            }
            Self::Link(link) => Pin::new(link).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) | Self::Urgent(stream) => stream.is_write_vectored(),
            Self::Link(link) => link.is_write_vectored(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
