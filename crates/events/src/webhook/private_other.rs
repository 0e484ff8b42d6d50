//! Other systems: what waits has the rights of its folder.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// How to open a file.
pub(super) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Makes a folder, with those above it.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}
