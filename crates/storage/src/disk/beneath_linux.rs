//! Opening paths below a root with `openat2`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, fstatfs, ioctl_getflags, openat2};
use rustix::io::{Errno, Result};

use super::FollowSymlinks;
use super::latency::FileSystemKind;

/// How often a resolution is retried that a concurrent rename interrupted.
const TRIES_MAX: usize = 16;

/// Opens a relative path, including a final link, never outside of the root unless links may lead
/// there. A path that leads out fails with `XDEV`, a link that is not followed with `LOOP`.
pub(super) fn open(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: FollowSymlinks,
) -> Result<OwnedFd> {
    let resolve = confined(links);
    let mut tries = 0;
    loop {
        tries += 1;
        match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES_MAX => {}
            ended => return ended,
        }
    }
}

/// Like [`open`], but never waits for a disk and stays on the file system of the root. `None` if
/// that does not succeed: then `open` reports the result.
pub(super) fn open_at_once(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: FollowSymlinks,
) -> Option<OwnedFd> {
    let resolve = confined(links) | ResolveFlags::CACHED | ResolveFlags::NO_XDEV;
    openat2(root, path, flags, Mode::empty(), resolve).ok()
}

/// Opens a directory by its system path without waiting for a disk, if the kernel can also confine
/// paths below it.
pub(super) fn open_top_at_once(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()
}

/// Whether a system path, resolved without waiting for a disk, leads to an open directory.
pub(super) fn leads_to(path: &Path, directory: impl AsFd) -> bool {
    let looked = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let found = openat2(CWD, path, looked, Mode::empty(), ResolveFlags::CACHED).and_then(fstat);
    match (found, fstat(directory)) {
        (Ok(found), Ok(open)) => (found.st_dev, found.st_ino) == (open.st_dev, open.st_ino),
        _ => false,
    }
}

fn confined(links: FollowSymlinks) -> ResolveFlags {
    ResolveFlags::NO_MAGICLINKS
        | match links {
            FollowSymlinks::Inside => ResolveFlags::BENEATH,
            FollowSymlinks::Never => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            FollowSymlinks::Always => ResolveFlags::empty(),
        }
}

/// The kind of file system of a directory, by the magic numbers of statfs(2).
pub(super) fn medium(root: impl AsFd) -> FileSystemKind {
    const MEMORY: &[u32] = &[0x0102_1994, 0x8584_58f6];
    // ext4 and its predecessors, XFS, Btrfs, F2FS, and overlayfs of containers.
    const DISKS: &[u32] = &[0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x794c_7630];
    let kind = fstatfs(root).ok().and_then(|facts| u32::try_from(facts.f_type).ok());
    match kind {
        Some(kind) if MEMORY.contains(&kind) => FileSystemKind::Memory,
        Some(kind) if DISKS.contains(&kind) => FileSystemKind::Disk,
        _ => FileSystemKind::Unknown,
    }
}

/// Whether names in a directory may be case-insensitive.
///
/// Known case-sensitive file systems are, unless the directory itself is marked otherwise (`chattr
/// +F`). All others, such as Windows disks and network shares, are assumed to ignore case:
/// permission rules then apply to every spelling, which never grants more than configured.
pub(super) fn ignores_case(root: impl AsFd) -> bool {
    // FS_CASEFOLD_FL of linux/fs.h.
    const CASEFOLD: u32 = 0x4000_0000;
    let is_folded = ioctl_getflags(&root).is_ok_and(|flags| flags.bits() & CASEFOLD != 0);
    let kind = fstatfs(&root).ok().and_then(|facts| u32::try_from(facts.f_type).ok());
    is_folded || !kind.is_some_and(is_case_sensitive)
}

fn is_case_sensitive(kind: u32) -> bool {
    // Memory and disks as above; then NFS, squashfs, erofs and bcachefs.
    const THOSE: &[u32] = &[
        0x0102_1994, 0x8584_58f6, 0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x794c_7630,
        0x6969, 0x7371_7368, 0xe0f5_e1e2, 0xca45_1a4e,
    ];
    THOSE.contains(&kind)
}

/// Whether the kernel has the call and no sandbox forbids it.
pub(super) fn is_supported(root: impl AsFd) -> bool {
    open(root, b".", OFlags::PATH | OFlags::CLOEXEC, FollowSymlinks::Inside).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_30_an_unknown_file_system_is_assumed_to_ignore_case() {
        let (vfat, exfat, ntfs3, smb2, fuse, plan9) =
            (0x4d44, 0x2011_bab0, 0x7366_746e, 0xfe53_4d42, 0x6573_5546, 0x0102_1997);
        for kind in [vfat, exfat, ntfs3, smb2, fuse, plan9, 0, u32::MAX] {
            assert!(!is_case_sensitive(kind), "{kind:x}");
        }
        assert!(is_case_sensitive(0xef53));
        let folder = tempfile::tempdir().expect("it can be written");
        let open = std::fs::File::open(folder.path()).expect("it was made");
        std::fs::write(folder.path().join("a"), "").expect("it can be written");
        assert_eq!(ignores_case(&open), folder.path().join("A").exists());
    }
}
