//! Unix: spool files are readable by the folder's owner only.
//!
//! A server that root runs without `server.user` may find the spool of one that ran with it. Files
//! that root creates there are given to the folder's owner at once; otherwise the next run with
//! `server.user` could not read the events.

use std::fs::{DirBuilder, File, OpenOptions, metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

/// Attempts to open a file that another process creates and removes.
const TRIES_MAX: usize = 4;

/// Opens files for their owner only, without following links: the folder may belong to the server's
/// user while root opens it.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Opens or creates a file.
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
    Err(io::Error::other("another process keeps creating and removing it"))
}

/// Makes a private folder and its parents.
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

/// Gives a file that was created just now to the owner of its folder. Only root can do that, and
/// only root needs to. Files that existed before or have content are not given away.
fn give(made: &File, path: &Path) {
    let Some(folder) = path.parent().and_then(|folder| metadata(folder).ok()) else { return };
    if rustix::process::geteuid().is_root() && folder.uid() != 0 {
        // If it fails, the run that cannot read the file reports it.
        let _ = fchown(made, Some(folder.uid()), Some(folder.gid()));
    }
}
