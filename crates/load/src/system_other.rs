//! Socket operations of every system.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::Socket;

/// Whether any address in 127.0.0.0/8 can be the source of a connection.
pub(crate) const HAS_MANY_LOOPBACKS: bool = false;

/// Connects within the socket's write timeout.
pub(crate) fn connect(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let timeout = socket.write_timeout()?.unwrap_or(Duration::MAX);
    socket.connect_timeout(&address.into(), timeout)
}

/// Discards received bytes, up to the length of `buffer`, and returns how many; 0 at the end.
pub(crate) fn drain(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether the system can send files.
pub(crate) const SENDS_FILES: bool = false;

/// Sends a part of a file; not supported here.
pub(crate) fn send_file(_: &TcpStream, _: &File, _: u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file in memory, if the system has any.
pub(crate) fn memory_file() -> Option<File> {
    None
}
