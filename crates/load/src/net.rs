//! Sockets: how a session connects to its server, and connections with or without TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::clock::now;
use crate::error::ErrorKind;
use crate::system;
use crate::target::TargetServer;
use crate::tls::TlsStream;

/// How one session connects to its server.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    address: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(address: SocketAddr, timeout: Duration) -> Self {
        // To the system, zero means no timeout.
        Self { address, source: None, timeout: timeout.max(TIMEOUT_MIN) }
    }

    /// For the session with this number. One local address has some 28,000 ports for one server, so
    /// very many sessions on one computer need several addresses.
    pub(crate) fn of_session(target: &TargetServer, number: usize) -> Self {
        let address = target.address;
        let is_here = address.is_ipv4() && address.ip().is_loopback();
        let block = u8::try_from(number / SESSIONS_PER_SOURCE).unwrap_or(u8::MAX);
        let other = (is_here && block > 0 && system::HAS_MANY_LOOPBACKS)
            .then(|| Ipv4Addr::new(127, 0, 1, block).into());
        Self { source: target.source.or(other), ..Self::new(address, target.timeout) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to the server's control port, or to a data port.
    pub(crate) fn connect(&self, data_port: Option<u16>) -> io::Result<TcpStream> {
        let mut address = self.address;
        if let Some(port) = data_port {
            address.set_port(port);
        }
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_write_timeout(Some(self.timeout))?;
        socket.set_read_timeout(Some(self.timeout))?;
        if let Some(source) = self.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        system::connect(&socket, address)?;
        Ok(socket.into())
    }
}

/// Opens a connection to a server, and sends and reads nothing.
///
/// # Errors
/// The server cannot be reached.
pub fn dial(target: &TargetServer) -> io::Result<TcpStream> {
    Connector::of_session(target, 0).connect(None)
}

const SESSIONS_PER_SOURCE: usize = 20_000;
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Listens for one data connection, at the local address of a control connection.
pub(crate) fn listen_beside(local: SocketAddr) -> io::Result<TcpListener> {
    let address = SocketAddr::new(local.ip(), 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Waits for the server; connections from other addresses are closed.
pub(crate) fn accept_one(listener: &TcpListener, server: &Connector) -> io::Result<TcpStream> {
    let (from, timeout) = (server.address.ip(), server.timeout);
    let begun = now();
    let mut unexpected = None;
    while begun.elapsed() < timeout {
        match listener.accept() {
            Ok((stream, peer)) if peer.ip().to_canonical() == from.to_canonical() => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Ok((_, peer)) => unexpected = Some(peer.ip()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(POLL_INTERVAL),
            Err(error) => return Err(error),
        }
    }
    Err(match unexpected {
        None => io::ErrorKind::TimedOut.into(),
        Some(ip) => {
            io::Error::other(format!("unexpected connection from {ip} instead of the server"))
        }
    })
}

/// The standard library has no timeout for accepting, so it is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A connection, with or without TLS, which can end in every way.
#[derive(Debug)]
pub enum Transport {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Ends the sending direction. With TLS: sends `close_notify`, and reads until the peer does
    /// the same.
    ///
    /// # Errors
    /// The connection was lost.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.finish(),
        }
    }

    /// Ends it with RST, like a client that dies with unread data, or a firewall.
    pub fn reset(self) {
        // Otherwise the close below sends a FIN, which is tested as well.
        let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    /// Ends it with FIN alone: with TLS the `close_notify` is missing.
    pub fn drop_off(self) {
        // The peer may have closed it already.
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// Reads to the end, which with TLS is `close_notify`.
    pub(crate) fn read_whole(&mut self) -> Result<Vec<u8>, ErrorKind> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        match self {
            Self::Tls(stream) if stream.is_truncated() => Err(ErrorKind::Closed),
            _ => Ok(bytes),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let done = match self {
                Self::Plain(socket) => socket.read(buffer),
                Self::Tls(stream) => stream.read(buffer),
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
