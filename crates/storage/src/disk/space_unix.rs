//! Free space on a file system of Unix.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstatvfs;
use wharf_core::storage::Space;

/// The space available to unprivileged users on the file system of an open file. `None` if the file
/// system does not report it.
pub(in crate::disk) fn of(file: impl AsFd) -> io::Result<Option<Space>> {
    let facts = fstatvfs(file)?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    let space = Space { free: bytes(facts.f_bavail), total: bytes(facts.f_blocks) };
    Ok(Some(space).filter(|space| space.total > 0))
}
