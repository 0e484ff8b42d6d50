//! Windows: a local named pipe. Its default permissions admit administrators, the system and the
//! account that created it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::windows::named_pipe::{
    ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions,
};

/// `ERROR_PIPE_BUSY`: all instances of the pipe are in use.
const ERROR_PIPE_BUSY: i32 = 231;
/// Attempts to open a pipe without a free instance.
const TRIES_MAX: u32 = 100;

/// A pipe, and its instance for the next client.
pub(super) struct LocalListener {
    name: OsString,
    next: NamedPipeServer,
}

/// The process at the other end; Windows has checked its permissions.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerIdentity;

impl LocalListener {
    pub(super) fn open(path: &Path, _bind_path: &Path, _group: Option<u32>) -> io::Result<Self> {
        let name = path.as_os_str().to_owned();
        let next = first(&name).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => io::ErrorKind::AddrInUse.into(),
            _ => error,
        })?;
        Ok(Self { name, next })
    }
}

impl LocalListener {
    /// Taking over from another process is not supported.
    pub(super) fn open_for_takeover(
        path: &Path,
        _bind_path: &Path,
        group: Option<u32>,
    ) -> io::Result<Self> {
        Self::open(path, path, group)
    }

    #[expect(clippy::unnecessary_wraps, reason = "other systems have a file to rename")]
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(&self.name)
    }
}

fn first(name: &OsStr) -> io::Result<NamedPipeServer> {
    ServerOptions::new().first_pipe_instance(true).reject_remote_clients(true).create(name)
}

impl axum::serve::Listener for LocalListener {
    type Io = NamedPipeServer;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let connected = self.next.connect().await;
            let fresh = ServerOptions::new().reject_remote_clients(true).create(&self.name);
            if let (Ok(()), Ok(fresh)) = (connected, fresh) {
                return (std::mem::replace(&mut self.next, fresh), ());
            }
            // As after a failed accept: neither stop nor spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, LocalListener>> for PeerIdentity {
    fn connect_info(_stream: IncomingStream<'_, LocalListener>) -> Self {
        Self
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an account of this computer")
    }
}

/// Connects to the server that listens on the pipe `path`.
pub(crate) async fn connect(path: &Path) -> io::Result<NamedPipeClient> {
    for _ in 0..TRIES_MAX {
        match ClientOptions::new().open(path.as_os_str()) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
