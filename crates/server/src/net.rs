//! Access to the environment: sockets, random bytes and the time of day.
//!
//! A simulation or an embedder supplies its own [`Net`]; [`Tcp`] uses the operating system.

mod connection;
mod proxy_header;
#[cfg(target_os = "linux")]
#[path = "net/ready_threads_linux.rs"]
mod ready_threads;
mod reserve_fd;
#[cfg(target_os = "linux")]
#[path = "net/short_pause_linux.rs"]
mod short_pause;
#[cfg(target_os = "linux")]
#[path = "net/tcp_listener_linux.rs"]
mod tcp_listener;
#[cfg(not(target_os = "linux"))]
#[path = "net/tcp_listener_other.rs"]
mod tcp_listener;
mod tls_transport;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, SockRef};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpSocket;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use wharf_core::async_trait;
use wharf_proto::time::Timestamp;

use self::reserve_fd::ReserveFd;
use self::tcp_listener::PlatformListener;

pub use self::connection::Connection;
pub(crate) use self::proxy_header::{ProxiedPeer, read_proxy_header};
pub(crate) use self::tls_transport::{TlsTransport, WithholdFlag};

/// Backlog for bursts of clients; the kernel lowers it to its own limit.
const CONTROL_BACKLOG: i32 = 4096;
/// One client is expected, or some dozens on a shared port. Unexpected peers may connect before the
/// client requests a transfer, and must not fill the backlog until they are closed.
const DATA_BACKLOG: i32 = 4096;

/// Creates sockets, and provides random bytes and the time of day.
#[async_trait]
pub trait Net: Send + Sync {
    /// Listens for clients. On `::`, `takes_ipv4` selects whether IPv4 clients are accepted too.
    async fn listen(&self, at: SocketAddr, takes_ipv4: bool) -> io::Result<Box<dyn Listener>>;

    /// Listens for one data connection.
    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Opens a data connection from a local address; from any port if that of `from` is 0 or not
    /// available. Cancel safe.
    async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket>;

    /// Fills `bytes` with cryptographically secure random bytes.
    fn random(&self, bytes: &mut [u8]);

    /// The time of day, for listings. Deadlines use tokio's clock.
    fn now(&self) -> Timestamp;

    /// How long the next blocking call takes in a simulation, where such calls run in tasks, so
    /// that the order of events is repeatable. `None`: they run on threads. Whether it is `None`
    /// must not change.
    fn simulated_blocking(&self) -> Option<Duration> {
        None
    }
}

/// A listening socket. Dropping it closes it.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The address on which it listens.
    fn local_address(&self) -> SocketAddr;

    /// Accepts the next connection. Cancel safe; several tasks may wait at a time, and each
    /// connection goes to one of them. Errors are temporary: the caller tries again.
    async fn accept(&self) -> io::Result<Socket>;

    /// Duplicates the socket for another process.
    ///
    /// # Errors
    /// It is not an operating system socket, or no file descriptor is left.
    fn duplicate(&self) -> io::Result<TcpListener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// If the system has no file descriptors left: accepts some pending clients with a reserved
    /// one, sends them `words` without waiting, and closes them. Returns their addresses.
    fn reject_pending(&self, words: &[u8]) -> Vec<SocketAddr> {
        let _ = words;
        Vec::new()
    }
}

/// A connection that is not a TCP socket: simulated, or supplied by an embedder.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {
    /// The address of the peer.
    fn peer_address(&self) -> SocketAddr;

    /// The local address.
    fn local_address(&self) -> SocketAddr;

    /// The calls that a kernel copy needs. `None`: all data goes through memory.
    fn for_kernel_copy(&self) -> Option<Arc<dyn KernelCopyLink>> {
        None
    }
}

/// What a kernel copy does with a connection that is not a TCP socket. Only a simulation needs it:
/// it runs the control flow of a kernel copy without a kernel.
#[async_trait]
pub trait KernelCopyLink: Send + Sync {
    /// Reads what has arrived; `WouldBlock` if nothing has.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what fits; `WouldBlock` if nothing does.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until `read` or `write` would not return `WouldBlock`. Cancel safe.
    async fn ready(&self, direction: CopyDirection);

    /// Ends both directions at once, also for a copy that is running.
    fn shut_down(&self);
}

/// The direction of a kernel copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// From the connection to a file.
    Receive,
    /// From a file to the connection.
    Send,
}

/// A connection without TLS.
pub enum Socket {
    /// A TCP socket.
    Tcp(Connection),
    /// Any other connection.
    Link(Box<dyn Link>),
}

/// A connection, with or without TLS.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<TlsTransport>>),
}

/// The sockets of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Net for Tcp {
    async fn listen(&self, at: SocketAddr, takes_ipv4: bool) -> io::Result<Box<dyn Listener>> {
        #[cfg(target_os = "linux")]
        ready_threads::prepare();
        Ok(Box::new(control_listener(listener(at, CONTROL_BACKLOG, takes_ipv4)?)?))
    }

    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let tcp_listener = PlatformListener::new(listener(at, DATA_BACKLOG, true)?)?;
        Ok(Box::new(TcpAcceptor { tcp_listener, spare: None }))
    }

    async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
        if from.port() != 0 {
            // A port below 1024 may need a privilege; another may be in use, or may have had a
            // connection to the same port of the client recently.
            match dial(from, to).await {
                Err(error) if is_local_port_error(&error) => {}
                dialled => return dialled,
            }
        }
        dial(at_port(from, 0), to).await
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

/// Lets `time`, below a second, pass. Connections other than TCP sockets may have a clock of their
/// own: that of the runtime.
pub(crate) async fn pause(time: Duration, is_tcp: bool) {
    #[cfg(target_os = "linux")]
    if is_tcp {
        return short_pause::short_pause(time).await;
    }
    let _ = is_tcp;
    sleep(time).await;
}

/// Whether no thread of this machine but the calling one runs or waits for a processor. `false` if
/// the system does not report it.
pub(crate) fn is_machine_idle() -> bool {
    #[cfg(target_os = "linux")]
    return ready_threads::ready_threads() == Some(1);
    #[cfg(not(target_os = "linux"))]
    false
}

async fn dial(from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Many data connections use one source port, to different ports of clients.
    #[cfg(unix)]
    if from.port() != 0 {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(from)?;
    Ok(Socket::Tcp(Connection::registered(socket.connect(to).await?)?))
}

/// Whether connecting failed because of the source port.
fn is_local_port_error(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AlreadyExists
    )
}

/// Checks whether an address is available to listen on. It is bound for a moment without listening,
/// so that no client connects and two checks do not conflict. On `::`, `takes_ipv4` selects whether
/// IPv4 clients would be accepted too.
///
/// # Errors
/// The error of `bind`.
pub fn try_address(at: SocketAddr, takes_ipv4: bool) -> io::Result<()> {
    bound(at, takes_ipv4).map(drop)
}

/// Adopts a socket that listens already.
///
/// # Errors
/// The system cannot make it nonblocking.
pub(crate) fn adopted(listener: TcpListener) -> io::Result<Box<dyn Listener>> {
    listener.set_nonblocking(true)?;
    Ok(Box::new(control_listener(listener)?))
}

fn control_listener(listener: TcpListener) -> io::Result<TcpAcceptor> {
    let spare = ReserveFd::new(&listener)?;
    Ok(TcpAcceptor { tcp_listener: PlatformListener::new(listener)?, spare: Some(spare) })
}

/// Creates a nonblocking listening socket. On `::`, `takes_ipv4` selects whether IPv4 clients are
/// accepted too.
fn listener(at: SocketAddr, backlog: i32, takes_ipv4: bool) -> io::Result<TcpListener> {
    let socket = bound(at, takes_ipv4)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

fn bound(at: SocketAddr, takes_ipv4: bool) -> io::Result<socket2::Socket> {
    let socket = tcp_listener::socket(Domain::for_address(at))?;
    if at.is_ipv6() {
        socket.set_only_v6(!takes_ipv4)?;
    }
    // A restarted server must get its port while old connections are in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

struct TcpAcceptor {
    tcp_listener: PlatformListener,
    /// For control connections.
    spare: Option<ReserveFd>,
}

#[async_trait]
impl Listener for TcpAcceptor {
    fn local_address(&self) -> SocketAddr {
        self.tcp_listener.local_address().expect("the listener is bound, so it has an address")
    }

    async fn accept(&self) -> io::Result<Socket> {
        let connection = self.tcp_listener.accept().await?;
        Ok(Socket::Tcp(if self.spare.is_some() { connection.into_control()? } else { connection }))
    }

    fn duplicate(&self) -> io::Result<TcpListener> {
        self.tcp_listener.duplicate()
    }

    fn reject_pending(&self, words: &[u8]) -> Vec<SocketAddr> {
        self.spare.as_ref().map(|spare| spare.reject_pending(words)).unwrap_or_default()
    }
}

impl Socket {
    /// The address of the peer; for an IPv4 client on an IPv6 socket, its IPv4 address.
    ///
    /// # Errors
    /// The peer is gone already.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        Ok(canonical(match self {
            Self::Tcp(stream) => stream.peer_address(),
            Self::Link(link) => link.peer_address(),
        }))
    }

    /// The local address, in the same form.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(canonical(match self {
            Self::Tcp(stream) => stream.local_address()?,
            Self::Link(link) => link.local_address(),
        }))
    }

    /// Limits the receive buffer of the kernel to about `bytes`, so that a throttled upload is slow
    /// for its sender too. Best effort: errors are ignored.
    pub(crate) fn limit_receive_buffer(&self, bytes: usize) {
        self.set(|socket| socket.set_recv_buffer_size(bytes));
    }

    /// Sets `TCP_NODELAY`: small writes are sent at once. Best effort.
    pub(crate) fn do_not_delay(&self) {
        self.set(|socket| socket.set_tcp_nodelay(true));
    }

    /// Whether both ends are TCP sockets of this machine.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let Self::Tcp(connection) = self else { return false };
        let peer = connection.peer_address().ip().to_canonical();
        let is_own = || connection.local_address().is_ok_and(|own| own.ip().to_canonical() == peer);
        peer.is_loopback() || is_own()
    }

    /// Whether the peer is known to have closed or reset the connection. A link shows it only when
    /// it is read.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.has_ended(),
            Self::Link(_) => false,
        }
    }

    fn set(&self, what: impl FnOnce(&SockRef<'_>) -> io::Result<()>) {
        if let Self::Tcp(stream) = self {
            let _ = stream.socket().and_then(|socket| what(&socket));
        }
    }

    /// Deregisters the connection from the reactor that accepted it; the runtime of its session
    /// registers it again.
    pub(crate) fn deregister(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.deregister()?),
            link @ Self::Link(_) => link,
        })
    }
}

/// The address with an IPv4-mapped IPv6 address converted to IPv4. A link-local one keeps its
/// scope.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The same address, with its scope if it is link-local, and another port.
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
            Self::Link(link) => Pin::new(link).poll_read(context, buffer),
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
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Link(link) => Pin::new(link).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Link(link) => Pin::new(link).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Link(link) => Pin::new(link).poll_shutdown(context),
        }
    }

    /// Writes several TLS buffers in one call: records, and the alert after them on failure.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Link(link) => Pin::new(link).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that was free a moment ago.
    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        listener.local_addr().expect("it is bound").port()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn an_active_connection_uses_the_requested_source_port_or_another() {
        let clients = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("it can be had"));
        let to = |client: &TcpListener| client.local_addr().expect("it is bound");
        let peer = |client: &TcpListener| client.accept().expect("it was dialled").1.port();
        let wanted = free_port();
        let from: SocketAddr = ([127, 0, 0, 1], wanted).into();
        let one = Tcp.connect(from, to(&clients[0])).await.expect("it listens");
        assert_eq!(peer(&clients[0]), wanted);
        // Other connections use it as well while that one is open.
        let other = Tcp.connect(from, to(&clients[1])).await.expect("it listens");
        assert_eq!(peer(&clients[1]), wanted);
        // A second one to the same port of the client needs another source port.
        let again = Tcp.connect(from, to(&clients[0])).await.expect("it listens");
        assert_ne!(peer(&clients[0]), wanted);
        drop((one, other, again));
        let taken = TcpListener::bind("127.0.0.1:0").expect("it can be had");
        let from = to(&taken);
        let _socket = Tcp.connect(from, to(&clients[0])).await.expect("it listens");
        assert_ne!(peer(&clients[0]), from.port());
    }
}
