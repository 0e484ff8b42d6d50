//! Unix: a socket with a path, and permission bits.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::{UnixListener, UnixStream, unix};

/// A listening socket.
pub(super) struct LocalListener {
    socket: UnixListener,
    path: PathBuf,
    /// The inode; another server may have replaced the file.
    inode: u64,
    /// The final path, if the socket is not there yet.
    place: Option<(PathBuf, PathBuf)>,
    /// The path used until then; see [`super::AdminSocket::open`].
    stable_path: PathBuf,
}

/// The process at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerIdentity(Option<unix::UCred>);

impl LocalListener {
    pub(super) fn open(path: &Path, stable_path: &Path, group: Option<u32>) -> io::Result<Self> {
        if stable_path.symlink_metadata().is_ok_and(|facts| facts.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(stable_path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(stable_path)?;
        }
        Self::bind(path, stable_path, group)
    }

    /// Listens beside `path`, where another server still listens.
    pub(super) fn open_for_takeover(
        path: &Path,
        stable_path: &Path,
        group: Option<u32>,
    ) -> io::Result<Self> {
        let beside = |path: &Path| {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".new");
            PathBuf::from(beside)
        };
        let path_beside = beside(stable_path);
        match fs::remove_file(&path_beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut listener = Self::bind(&beside(path), &path_beside, group)?;
        listener.place = Some((path.to_owned(), stable_path.to_owned()));
        Ok(listener)
    }

    pub(super) fn take_over(&mut self) -> io::Result<()> {
        if let Some((path, stable_path)) = self.place.take() {
            fs::rename(&self.stable_path, &stable_path)?;
            (self.path, self.stable_path) = (path, stable_path);
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn bind(path: &Path, stable_path: &Path, group: Option<u32>) -> io::Result<Self> {
        // The mode is set before it exists: a process that connected earlier would stay connected.
        let mask = if group.is_some() { 0o117 } else { 0o177 };
        let before = umask(Mode::from_raw_mode(mask));
        let bound = UnixListener::bind(stable_path);
        umask(before);
        let socket = bound?;
        if let Some(group) = group {
            std::os::unix::fs::lchown(stable_path, None, Some(group))?;
        }
        let inode = fs::symlink_metadata(stable_path)?.ino();
        let (path, stable_path) = (path.to_owned(), stable_path.to_owned());
        Ok(Self { socket, path, inode, place: None, stable_path })
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|facts| facts.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl axum::serve::Listener for LocalListener {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        axum::serve::Listener::accept(&mut self.socket).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.socket.local_addr()
    }
}

impl Connected<IncomingStream<'_, LocalListener>> for PeerIdentity {
    fn connect_info(stream: IncomingStream<'_, LocalListener>) -> Self {
        Self(stream.io().peer_cred().ok())
    }
}

/// As in `uid=1000 gid=1000 pid=4711`.
impl fmt::Display for PeerIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peer) = &self.0 else { return out.write_str("unknown") };
        write!(out, "uid={} gid={}", peer.uid(), peer.gid())?;
        match peer.pid() {
            Some(pid) => write!(out, " pid={pid}"),
            None => Ok(()),
        }
    }
}

/// Connects to the server that listens at `path`.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}
