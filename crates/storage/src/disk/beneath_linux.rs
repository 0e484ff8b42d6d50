//! Opening below a root with the kernel's help.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};

use super::FollowSymlinks;

/// How often a resolution is tried again that someone's rename came in the way of.
const TRIES_MAX: usize = 16;

/// Opens a relative path, last link included, never outside of the root unless links may lead
/// there. What leads out is `XDEV`, a link that is not followed `LOOP`.
pub(super) fn open(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: FollowSymlinks,
) -> Result<OwnedFd> {
    let resolve = ResolveFlags::NO_MAGICLINKS
        | match links {
            FollowSymlinks::Inside => ResolveFlags::BENEATH,
            FollowSymlinks::Never => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            FollowSymlinks::Always => ResolveFlags::empty(),
        };
    let mut tries = 0;
    loop {
        tries += 1;
        match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES_MAX => {}
            ended => return ended,
        }
    }
}

/// Whether the kernel has the call and no sandbox forbids it.
pub(super) fn is_supported(root: impl AsFd) -> bool {
    open(root, b".", OFlags::PATH | OFlags::CLOEXEC, FollowSymlinks::Inside).is_ok()
}
