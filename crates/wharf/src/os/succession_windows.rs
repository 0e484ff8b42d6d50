//! Windows: no program takes the place of a server that runs; a service is restarted.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;

/// Nothing that there is.
#[derive(Debug)]
pub(crate) struct SuccessorStarter;

impl SuccessorStarter {
    /// There is none here.
    pub(crate) fn begin() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is none here.
    pub(crate) fn start(&mut self, _sockets: &[TcpListener]) -> Result<u32, String> {
        Err("this system has no way to hand sockets on; restart the service".to_owned())
    }
}

/// Nobody is started for that here.
pub(crate) fn be_starter(_words: &[OsString]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nobody is started for that here.
pub(crate) fn be_successor(_words: &[OsString]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never.
pub(crate) fn is_successor() -> bool {
    false
}

/// Nobody waits.
pub(crate) fn report_to_predecessor(_how: Result<(), &str>) {}
