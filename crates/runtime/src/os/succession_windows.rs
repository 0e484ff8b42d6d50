//! Windows: upgrade without downtime is not supported; a service is restarted.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;

/// Not available on Windows.
#[derive(Debug)]
pub(crate) struct SuccessorStarter;

impl SuccessorStarter {
    /// Not supported.
    pub(crate) fn begin() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not supported.
    pub(crate) fn start(&mut self, _sockets: &[TcpListener]) -> Result<u32, String> {
        Err("cannot pass listening sockets to a new process on this system; restart the service"
            .to_owned())
    }
}

/// Never called on Windows.
pub fn be_starter(_words: &[OsString]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never called on Windows.
pub fn be_successor(_words: &[OsString]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never.
pub fn is_successor() -> bool {
    false
}

/// Does nothing.
pub fn report_to_predecessor(_how: Result<(), &str>) {}
