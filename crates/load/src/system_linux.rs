//! Efficient socket operations that only Linux has.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};

use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::Socket;

/// Whether any address in 127.0.0.0/8 can be the source of a connection.
pub(crate) const HAS_MANY_LOOPBACKS: bool = true;

/// Connects within the socket's write timeout, which applies to this call, too (socket(7)).
pub(crate) fn connect(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.connect(&address.into()).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::INPROGRESS.raw_os_error() => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

/// Discards received bytes, up to the length of `buffer`, and returns how many; 0 at the end. The
/// content of `buffer` is undefined afterwards: the kernel drops the bytes (`MSG_TRUNC`, tcp(7)).
pub(crate) fn drain(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Ok((_, length)) => return Ok(length),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the system can send files.
pub(crate) const SENDS_FILES: bool = true;

/// Sends up to `length` bytes of a file from `at` on, and returns how many were sent.
pub(crate) fn send_file(
    socket: &TcpStream,
    file: &File,
    at: u64,
    length: u64,
) -> io::Result<usize> {
    let mut at = at;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    loop {
        match sendfile(socket, file, Some(&mut at), length) {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A file in memory that is freed with its last handle.
pub(crate) fn memory_file() -> Option<File> {
    memfd_create("wharf-load", MemfdFlags::CLOEXEC).ok().map(File::from)
}
