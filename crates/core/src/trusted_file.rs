//! Opens files named in the configuration: accounts, certificates, keys, secrets.
//!
//! A program started by root must not follow links that another user created. The program sets once
//! how paths are resolved; stores that read such files use this module.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// Opens a file for reading, or returns why that is not safe.
pub type Opener = fn(&Path) -> io::Result<File>;

static OPENER: OnceLock<Opener> = OnceLock::new();

/// Sets how files are opened; only the first call has an effect.
pub fn set_opener(opener: Opener) {
    let _ = OPENER.set(opener);
}

/// Opens a file for reading with the function that was set, or by its path. Blocks.
///
/// # Errors
/// The error of the system, or why the file is not trusted.
pub fn open(path: &Path) -> io::Result<File> {
    OPENER.get().map_or_else(|| File::open(path), |opener| opener(path))
}
