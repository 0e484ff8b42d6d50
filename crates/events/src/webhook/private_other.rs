//! Other systems: spool files inherit the permissions of their folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// How to open a file.
pub(super) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Opens or creates a file.
pub(super) fn make_private(how: &OpenOptions, path: &Path) -> io::Result<File> {
    how.clone().create(true).open(path)
}

/// Makes a folder and its parents.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}
