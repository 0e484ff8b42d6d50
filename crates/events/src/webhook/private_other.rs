//! Other systems: what waits has the rights of its folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// How to open a file.
pub(super) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Opens a file so, and makes it if it is missing.
pub(super) fn make_private(how: &OpenOptions, path: &Path) -> io::Result<File> {
    how.clone().create(true).open(path)
}

/// Makes a folder, with those above it.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}
