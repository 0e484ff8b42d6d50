//! Temporary folders of a proof.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A new folder. Dropping it removes it with its content.
///
/// A locked file beside it shows that it is in use: process ids do not work for that, because some
/// proofs run in their own PID namespace.
#[derive(Debug)]
pub(crate) struct TemporaryFolder {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

/// Attempts to find a free name.
const TRIES_MAX: u32 = 1000;
const LOCK: &str = "lock";

impl TemporaryFolder {
    /// Makes a folder below `place`, and removes those of processes that have died.
    pub(crate) fn new(place: &Path) -> Result<Self, String> {
        clear(place);
        for number in 0..TRIES_MAX {
            let path = place.join(number.to_string());
            let lock_path = path.with_extension(LOCK);
            let Ok(lock) = File::create_new(&lock_path) else { continue };
            if lock.try_lock().is_ok() && lock_path.exists() {
                make(&path)?;
                return Ok(Self { path, lock_path, _lock: lock });
            }
        }
        Err(format!("cannot make a folder below {}", place.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // It is removed by the next run if that fails.
        if fs::remove_dir_all(&self.path).is_ok() {
            drop(fs::remove_file(&self.lock_path));
        }
    }
}

/// Makes a folder and its parents.
pub(crate) fn make(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("cannot make {}: {error}", path.display()))
}

/// Writes a file that only the current user may read.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_ref()));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Removes the content of a folder.
pub(crate) fn empty(folder: &Path) -> Result<(), String> {
    let describe = |error| format!("cannot empty {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(describe)? {
        let path = entry.map_err(describe)?.path();
        let removed = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(describe)?;
    }
    Ok(())
}

/// Removes the folders that are not in use.
fn clear(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let locks = entries.map(|entry| entry.path());
    for path in locks.filter(|path| path.extension().is_some_and(|end| end == LOCK)) {
        let is_free = File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_free {
            drop(fs::remove_dir_all(path.with_extension("")));
            drop(fs::remove_file(path));
        }
    }
}
