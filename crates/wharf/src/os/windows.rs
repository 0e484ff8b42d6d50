//! Windows: Ctrl+C; open sockets have no limit to raise, and files inherit who may read them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::Stop;

/// The signals that stop a server.
#[derive(Debug)]
pub(crate) struct Signals;

impl Signals {
    /// Listens for signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        if tokio::signal::ctrl_c().await.is_err() {
            // No console: nobody can press anything.
            std::future::pending::<()>().await;
        }
        Stop::Interrupt
    }
}

/// Nothing to do here.
pub(crate) fn raise_file_limit() {}

/// How to write a file anew; the folder's rights are the file's.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    options
}

/// How to write to the end of a log.
pub(crate) fn appended() -> OpenOptions {
    let mut options = File::options();
    options.append(true).create(true);
    options
}

/// Makes a folder, with all that are missing above it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Permission bits are no notion here.
pub(crate) fn mode_if_open(_path: &Path) -> Option<u32> {
    None
}

/// Folders cannot be synced here; NTFS keeps a journal of names.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no journal here.
pub(crate) fn is_journal() -> bool {
    false
}
