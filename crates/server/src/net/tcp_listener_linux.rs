//! A listening socket that registers with the reactor only when an accept would block.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::connection::Connection;

/// A listening socket, nonblocking.
pub(super) struct PlatformListener {
    listener: Arc<TcpListener>,
    registered: OnceLock<AsyncFd<Arc<TcpListener>>>,
}

impl PlatformListener {
    /// Over a listener that is nonblocking.
    #[expect(clippy::unnecessary_wraps, reason = "other systems must ask their reactor")]
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { listener: Arc::new(listener), registered: OnceLock::new() })
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) fn duplicate(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// Accepts the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        if self.registered.get().is_none() {
            match accept(&self.listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
        self.registered()?.async_io(Interest::READABLE, |listener| accept(listener)).await
    }

    fn registered(&self) -> io::Result<&AsyncFd<Arc<TcpListener>>> {
        if let Some(registered) = self.registered.get() {
            return Ok(registered);
        }
        #[expect(deprecated, reason = "it warns of descriptors that change; a listener's does not")]
        let registered = AsyncFd::with_interest(Arc::clone(&self.listener), Interest::READABLE)?;
        Ok(self.registered.get_or_init(|| registered))
    }
}

/// A nonblocking socket, created in one call.
pub(super) fn socket(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), None)
}

/// `accept4` returns the peer's address, which saves `getpeername`.
fn accept(listener: &TcpListener) -> io::Result<Connection> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (stream, peer) = match acceptfrom_with(listener, flags) {
        Ok((stream, Some(peer))) => (stream, peer),
        Ok((_, None)) => return Err(io::ErrorKind::NotConnected.into()),
        Err(Errno::INTR) => return Err(io::ErrorKind::Interrupted.into()),
        Err(error) => return Err(error.into()),
    };
    let peer = SocketAddr::try_from(peer).map_err(io::Error::from)?;
    Ok(Connection::unregistered(stream.into(), peer))
}
