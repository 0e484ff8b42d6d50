//! The room on a file system, where the standard library has no call to ask for it.

use std::io;

use wharf_core::storage::Space;

/// Nobody says. A full disk is then met only by a write that fails.
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail")]
pub(in crate::disk) fn of<T>(_: &T) -> io::Result<Option<Space>> {
    Ok(None)
}
