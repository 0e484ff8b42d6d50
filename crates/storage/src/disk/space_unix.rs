//! The room on a file system of Unix.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstatvfs;
use wharf_core::storage::Space;

/// The room where an open file is, for users without privileges. None where the file system has
/// no such numbers.
pub(in crate::disk) fn of(file: impl AsFd) -> io::Result<Option<Space>> {
    let facts = fstatvfs(file)?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    let space = Space { free: bytes(facts.f_bavail), total: bytes(facts.f_blocks) };
    Ok(Some(space).filter(|space| space.total > 0))
}
