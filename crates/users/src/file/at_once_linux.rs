//! What the kernel has in memory about a file.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, makedev, openat2, statx};

use super::Stamp;

/// The stamp, without any wait; `None` if the kernel would have to wait, or cannot tell.
///
/// On a network file system it can be as old as its last check: [`FileUsers::refresh`] checks once
/// a second.
///
/// [`FileUsers::refresh`]: crate::file::FileUsers::refresh
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::BASIC_STATS;
    let about = statx(&file, "", flags, wanted).ok()?;
    if !StatxFlags::from_bits_retain(about.stx_mask).contains(wanted) {
        return None;
    }
    let seconds = u64::try_from(about.stx_mtime.tv_sec).ok()?;
    let modified = UNIX_EPOCH + Duration::new(seconds, about.stx_mtime.tv_nsec);
    Some(Stamp {
        modified: Some(modified),
        changed: (about.stx_ctime.tv_sec, about.stx_ctime.tv_nsec.into()),
        bytes: about.stx_size,
        identity: (makedev(about.stx_dev_major, about.stx_dev_minor), about.stx_ino),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::disk;

    #[test]
    fn the_stamp_is_that_of_the_file_and_changes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        assert_eq!(stamp(&path), None);
        std::fs::write(&path, "a").unwrap();
        let first = stamp(&path);
        assert_eq!(first, Some(disk::stamp(&path).unwrap()));
        std::fs::write(folder.path().join("new"), "ab").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(stamp(&path), first);
        assert_eq!(stamp(&path), Some(disk::stamp(&path).unwrap()));
    }
}
