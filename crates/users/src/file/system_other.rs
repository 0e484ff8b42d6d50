//! Where files have no owners and permission bits of the Unix kind, the folder's permissions
//! protect.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Identifies the file by its creation time: seconds and nanoseconds. Windows may give a new file
/// the creation time of a removed one of the same name, which then counts as changed in place.
pub(super) fn identity(about: &Metadata) -> (u64, u64) {
    let birth = about.created().ok().and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
    birth.map_or((0, 0), |birth| (birth.as_secs(), birth.subsec_nanos().into()))
}

/// The time of the content's change is all there is.
pub(super) fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

/// Access of other users cannot be checked here.
pub(super) fn open_to_others(_: &Metadata) -> Option<u32> {
    None
}

/// A new file has the permissions of its folder.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// A new file has the default owner.
pub(super) fn set_owner(_: &File, _: &Metadata) {}

/// A folder cannot be flushed; the rename is in the journal of the file system.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
