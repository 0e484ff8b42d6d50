//! Unix: what waits is for the owner of the folder alone.
//!
//! A server that root runs without `server.user` may find the spool of one that ran with it. What
//! root makes there is given to the folder's owner at once: else the next run with `server.user`
//! could not read the events that wait.

use std::fs::{DirBuilder, File, OpenOptions, metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

/// How often a file is opened again that comes and goes meanwhile.
const TRIES_MAX: usize = 4;

/// How to open a file that only its owner may read. A link is never followed: the folder may
/// belong to the server's user while root opens it.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Opens a file so, and makes it if it is missing.
pub(super) fn make_private(how: &OpenOptions, path: &Path) -> io::Result<File> {
    for _ in 0..TRIES_MAX {
        match how.clone().create_new(true).open(path) {
            Ok(file) => {
                give(&file, path);
                return Ok(file);
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        match how.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
    Err(io::Error::other("another process makes and removes it"))
}

/// Makes a folder that only its owner may enter, with those above it.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    let is_new = !path.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if is_new {
        let how = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).bits().cast_signed();
        if let Ok(folder) = OpenOptions::new().read(true).custom_flags(how).open(path)
            && folder.metadata().is_ok_and(|about| is_own(&about))
        {
            give(&folder, path);
        }
    }
    Ok(())
}

fn is_own(about: &std::fs::Metadata) -> bool {
    about.uid() == rustix::process::geteuid().as_raw()
}

/// Gives what this process made this moment to the owner of the folder that it is in. Only root
/// can, and nobody else needs to. Nothing but what is new and empty is given away.
fn give(made: &File, path: &Path) {
    let Some(folder) = path.parent().and_then(|folder| metadata(folder).ok()) else { return };
    if rustix::process::geteuid().is_root() && folder.uid() != 0 {
        // Where it fails, the run that cannot read it says so, with a remedy.
        let _ = fchown(made, Some(folder.uid()), Some(folder.gid()));
    }
}
