//! Owners and permission bits, as Unix has them.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Which file it is.
pub(super) fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

/// When anything about it changed: seconds and nanoseconds.
pub(super) fn changed(about: &Metadata) -> (i64, i64) {
    (about.ctime(), about.ctime_nsec())
}

/// The permission bits, if users other than the owner may read or write.
pub(super) fn open_to_others(about: &Metadata) -> Option<u32> {
    let mode = about.permissions().mode() & 0o7777;
    (mode & 0o066 != 0).then_some(mode)
}

/// A new file that only its owner may read and write.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Gives the file the owner of `model`. Only root can do this, and only root needs to: for other
/// users the owner is the same already, or cannot be changed.
pub(super) fn set_owner(file: &File, model: &Metadata) {
    let _ = fchown(file, Some(model.uid()), Some(model.gid()));
}

/// Makes a rename in the folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
