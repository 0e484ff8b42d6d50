//! Properties of file systems, on systems without permission bits.

use std::path::Path;

use super::{FileSystem, FolderAccess};

/// Not available.
pub(super) fn file_system(_folder: &Path) -> Option<FileSystem> {
    None
}

/// Whether this process can list the folder.
pub(super) fn may(path: &Path, _who: Option<(u32, u32)>, wish: FolderAccess) -> bool {
    match wish {
        FolderAccess::Enter | FolderAccess::Read => std::fs::read_dir(path).is_ok(),
        FolderAccess::Write => {
            std::fs::metadata(path).is_ok_and(|facts| !facts.permissions().readonly())
        }
    }
}
