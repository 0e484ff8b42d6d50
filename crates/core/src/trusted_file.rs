//! How files are opened that the configuration names: accounts, certificates, keys, secrets.
//!
//! A program that root starts must not be led by links that another user made. How a path is
//! walked is the program's affair, which sets it once; the stores that read such files ask here.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// Opens a file for reading, or says why that is not safe.
pub type Opener = fn(&Path) -> io::Result<File>;

static OPENER: OnceLock<Opener> = OnceLock::new();

/// Sets how files are opened from now on; the first call counts.
pub fn set_opener(opener: Opener) {
    let _ = OPENER.set(opener);
}

/// Opens a file for reading, as the program wants it; by its path where it wants nothing. Blocks.
///
/// # Errors
/// What the system says, or why the file may not be trusted.
pub fn open(path: &Path) -> io::Result<File> {
    OPENER.get().map_or_else(|| File::open(path), |opener| opener(path))
}
