//! Sockets by the calls that every system has.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::Socket;

/// Whether any address in 127.0.0.0/8 can be the source of a connection.
pub(crate) const HAS_MANY_LOOPBACKS: bool = false;

/// Connects within the socket's time-out for writing.
pub(crate) fn connect(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let timeout = socket.write_timeout()?.unwrap_or(Duration::MAX);
    socket.connect_timeout(&address.into(), timeout)
}

/// Takes what has arrived, up to the length of `buffer`, and returns how much it was; 0 at the end.
pub(crate) fn drain(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether the system sends files by itself.
pub(crate) const SENDS_FILES: bool = false;

/// Sends a part of a file, which no call here does.
pub(crate) fn send_file(_: &TcpStream, _: &File, _: u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file in memory, where there is such a thing.
pub(crate) fn memory_file() -> Option<File> {
    None
}
