//! Sockets: how a session connects to its server, and connections with or without TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::now;
use crate::system;
use crate::tls::TlsStream;

/// How one session connects to its server.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    address: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
}

impl Connector {
    /// For the session with this number. One local address has some 28,000 ports for one server, so
    /// very many sessions on one computer need several addresses.
    pub(crate) fn new(address: SocketAddr, number: usize, timeout: Duration) -> Self {
        let is_here = address.is_ipv4() && address.ip().is_loopback();
        let block = u8::try_from(number / SESSIONS_PER_SOURCE).unwrap_or(u8::MAX);
        let source = (is_here && block > 0 && system::HAS_MANY_LOOPBACKS)
            .then(|| Ipv4Addr::new(127, 0, 1, block).into());
        // To the system, zero means no timeout.
        Self { address, source, timeout: timeout.max(TIMEOUT_MIN) }
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
pub(crate) fn accept_one(
    listener: &TcpListener,
    from: IpAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let begun = now();
    let mut unexpected = None;
    while begun.elapsed() < timeout {
        match listener.accept() {
            Ok((stream, peer)) if peer.ip().to_canonical() == from.to_canonical() => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(timeout.max(TIMEOUT_MIN)))?;
                stream.set_write_timeout(Some(timeout.max(TIMEOUT_MIN)))?;
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

/// A connection, with or without TLS.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Ends the sending direction, and reads until the peer does the same.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.finish(),
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
