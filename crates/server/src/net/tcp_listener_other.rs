//! A listening socket.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::TcpListener;

use super::connection::Connection;

/// A listening socket.
pub(super) struct PlatformListener(TcpListener);

impl PlatformListener {
    /// Over a listener that is nonblocking.
    pub(super) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self(TcpListener::from_std(listener)?))
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub(super) fn duplicate(&self) -> io::Result<std::net::TcpListener> {
        SockRef::from(&self.0).try_clone().map(Into::into)
    }

    /// Accepts the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = self.0.accept().await?;
        Connection::registered(stream)
    }
}

/// A nonblocking socket.
pub(super) fn socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
