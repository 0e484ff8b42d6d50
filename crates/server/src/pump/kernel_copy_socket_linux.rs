//! The connection of a kernel copy, as its worker uses it.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::Socket as Socket2;
use tokio::io::Interest;

use crate::net::{CopyDirection, KernelCopyLink, Socket};

/// One block between a file and a simulated connection.
pub(super) const LINK_BLOCK_BYTES: usize = 64 * 1024;

/// A duplicate of the connection for a worker. Its calls do not wait.
pub(super) enum CopySocket {
    Tcp(Socket2),
    /// In a simulation.
    Link(Arc<dyn KernelCopyLink>),
}

impl CopySocket {
    pub(super) fn of(socket: &Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(connection) => connection.duplicate().map(Self::Tcp),
            Socket::Link(link) => {
                let link = link.for_kernel_copy().map(Self::Link);
                link.ok_or_else(|| io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// Waits a moment for the client. Returns whether the socket became ready. A simulated client
    /// never keeps up, since nothing else runs meanwhile.
    pub(super) fn wait(&self, direction: CopyDirection, most: Duration) -> io::Result<bool> {
        let Self::Tcp(socket) = self else { return Ok(false) };
        let flags = match direction {
            CopyDirection::Receive => PollFlags::IN,
            CopyDirection::Send => PollFlags::OUT,
        };
        let most = Timespec { tv_sec: 0, tv_nsec: most.subsec_nanos().into() };
        match poll(&mut [PollFd::new(socket, flags)], Some(&most)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a run on another thread.
    pub(super) fn shut_down(&self) {
        match self {
            Self::Tcp(socket) => {
                let _ = socket.shutdown(Shutdown::Both);
            }
            Self::Link(link) => link.shut_down(),
        }
    }
}

/// The readiness that is requested from the reactor.
pub(super) fn interest(direction: CopyDirection) -> Interest {
    match direction {
        CopyDirection::Receive => Interest::READABLE,
        CopyDirection::Send => Interest::WRITABLE,
    }
}

/// What `sendfile` does, for a simulated connection.
pub(super) fn send_to_link(
    link: &dyn KernelCopyLink,
    file: &File,
    from: &mut u64,
    most: usize,
) -> io::Result<usize> {
    let mut block = vec![0; most.min(LINK_BLOCK_BYTES)];
    let got = file.read_at(&mut block, *from)?;
    if got == 0 {
        return Ok(0);
    }
    let sent = link.write(block.get(..got).unwrap_or_default())?;
    *from = from.saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
    Ok(sent)
}

impl Read for &CopySocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            CopySocket::Tcp(socket) => (&mut &*socket).read(buffer),
            CopySocket::Link(link) => link.read(buffer),
        }
    }
}

impl Write for &CopySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            CopySocket::Tcp(socket) => (&mut &*socket).write(bytes),
            CopySocket::Link(link) => link.write(bytes),
        }
    }

    /// In one call, several records of TLS.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            CopySocket::Tcp(socket) => (&mut &*socket).write_vectored(buffers),
            CopySocket::Link(link) => {
                let bytes = buffers.iter().find(|buffer| !buffer.is_empty());
                bytes.map_or(Ok(0), |bytes| link.write(bytes))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
