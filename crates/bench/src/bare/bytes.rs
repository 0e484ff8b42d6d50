//! Without TLS: downloads by `sendfile`, uploads by `splice`.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use rustix::fs::sendfile;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

use crate::bench::number::size;

/// Size of the pipe between socket and file: the most that the kernel allows without privileges.
const PIPE_BYTES: usize = 1 << 20;

/// Sends a whole file.
pub(super) fn send(path: &Path, stream: &TcpStream, span: u64) -> io::Result<()> {
    let file = File::open(path)?;
    while sendfile(stream, &file, None, size(span))? > 0 {}
    stream.shutdown(Shutdown::Write)
}

/// Receives all bytes into a new file.
pub(super) fn receive(stream: &TcpStream, path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    let (outlet, inlet) = pipe()?;
    // The kernel allows about 64 pipes of this size per user; the others stay small.
    let _ = fcntl_setpipe_size(&inlet, PIPE_BYTES);
    loop {
        let mut waiting = splice(stream, None, &inlet, None, PIPE_BYTES, SpliceFlags::MOVE)?;
        if waiting == 0 {
            return Ok(());
        }
        while waiting > 0 {
            waiting -= splice(&outlet, None, &file, None, waiting, SpliceFlags::MOVE)?;
        }
    }
}
