//! Reads and replaces the file atomically. Everything here blocks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wharf_core::trusted_file;

use super::problem::UsersFileError;

#[cfg(target_os = "linux")]
#[path = "at_once_linux.rs"]
mod at_once;
#[cfg(not(target_os = "linux"))]
#[path = "at_once_other.rs"]
mod at_once;
#[cfg(not(unix))]
#[path = "system_other.rs"]
mod system;
#[cfg(unix)]
#[path = "system_unix.rs"]
mod system;

/// The largest accounts file that is read.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How often a lock held by another program is retried before giving up: ten seconds in total.
const LOCK_TRIES_MAX: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What shows that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    /// When its permissions, owner or content changed, if the system records it.
    changed: (i64, i64),
    bytes: u64,
    /// Which file it is, where the system has such a number: device and inode.
    pub(super) identity: (u64, u64),
}

impl Stamp {
    fn of(about: &fs::Metadata) -> Self {
        Self {
            modified: about.modified().ok(),
            changed: system::changed(about),
            bytes: about.len(),
            identity: system::identity(about),
        }
    }

    /// Whether both are of the same file, with the same content.
    fn has_content_of(&self, other: &Self) -> bool {
        let content = |stamp: &Self| (stamp.modified, stamp.bytes, stamp.identity);
        content(self) == content(other)
    }
}

/// The current stamp of the file.
///
/// # Errors
/// [`UsersFileError::Missing`], or the error of the system.
pub fn stamp(path: &Path) -> Result<Stamp, UsersFileError> {
    fs::metadata(path).map(|about| Stamp::of(&about)).map_err(|error| unreadable(path, error))
}

/// The current stamp of the file, if the system has it in memory. Does not wait for a disk or a
/// network.
pub(super) fn stamp_at_once(path: &Path) -> Option<Stamp> {
    at_once::stamp(path)
}

/// The stamp of an open file.
///
/// # Errors
/// The error of the system.
pub fn stamp_of(file: &File) -> io::Result<Stamp> {
    file.metadata().map(|about| Stamp::of(&about))
}

/// The text of the file, if only its owner may read and write it.
///
/// The stamp is taken before reading: if the file changes meanwhile, the next check detects it.
pub(super) fn read(path: &Path) -> Result<(String, Stamp), UsersFileError> {
    let failure = |error| unreadable(path, error);
    let file = trusted_file::open(path).map_err(failure)?;
    let about = file.metadata().map_err(failure)?;
    if let Some(mode) = system::open_to_others(&about) {
        return Err(UsersFileError::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failure)?;
    if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
        return Err(UsersFileError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    let text =
        String::from_utf8(bytes).map_err(|_| UsersFileError::NotText { path: path.to_owned() })?;
    Ok((text, Stamp::of(&about)))
}

/// Creates an empty file that only its owner may read and write, with the owner of its folder. An
/// existing file is left unchanged. Blocks.
///
/// # Errors
/// The file cannot be created.
pub fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match system::private(&mut options).open(path) {
        Ok(file) => {
            if let Ok(about) = fs::metadata(folder(path)) {
                system::set_owner(&file, &about);
            }
            file.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The permission bits of a file, if users other than its owner may read or write it. Blocks.
///
/// # Errors
/// The error of the system.
pub fn open_to_others(path: &Path) -> io::Result<Option<u32>> {
    fs::metadata(path).map(|about| system::open_to_others(&about))
}

fn unreadable(path: &Path, source: io::Error) -> UsersFileError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => UsersFileError::Missing { path },
        _ => UsersFileError::Unreadable { path, source },
    }
}

/// The file itself where `path` is a symbolic link, so that a new one takes its place and not the
/// place of the link.
pub(super) fn resolve_symlink(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether to wait for another program that changes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Ten seconds.
    Bounded,
    /// Not at all.
    None,
}

/// The lock to change the file, held until dropped. It is on a separate lock file, since the file
/// itself is replaced by each change. `None` while another program holds it.
///
/// # Errors
/// The lock file cannot be created or locked.
pub fn lock(path: &Path, wait: LockWait) -> io::Result<Option<File>> {
    let file = open_lock(&lock_file(path), path)?;
    let tries = if wait == LockWait::Bounded { LOCK_TRIES_MAX } else { 1 };
    for turn in 0..tries {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if turn + 1 < tries => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Ok(None)
}

/// The path of the file that is locked while the file of accounts at `path` is written.
#[must_use]
pub fn lock_file(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    beside.into()
}

fn open_lock(lock: &Path, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let mut fresh = options.clone();
    match system::private(fresh.create_new(true)).open(lock) {
        Ok(file) => {
            // The owner is changed only for a file that was just created. An existing file may be a
            // link, made by the owner of the folder, to a file of root.
            if let Some(about) = owner_model(path) {
                system::set_owner(&file, &about);
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(lock),
        Err(error) => Err(error),
    }
}

/// Replaces the file with `text` atomically, also across a power failure. Only its owner may read
/// it.
///
/// # Errors
/// The file cannot be replaced; the old one stays.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    replace_stamped(path, text).map(drop)
}

/// As [`replace`], and returns the stamp of the written file.
///
/// The stamp is that of the open file, not of the path: another program may have replaced the file
/// at that path already, and the stamp of its content would hide the change from the next check.
///
/// # Errors
/// As for [`replace`].
pub fn replace_stamped(path: &Path, text: &str) -> io::Result<Stamp> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
    let fresh = folder(path).join(name);
    let result = write_new(&fresh, path, text).and_then(|(file, written)| {
        // It stays open: std opens files on Windows so that an open file can be renamed.
        fs::rename(&fresh, path)?;
        Ok((file, written))
    });
    if result.is_err() {
        // The first error is returned; at worst a hidden temporary file remains.
        let _ = fs::remove_file(&fresh);
    }
    let (file, written) = result?;
    system::sync_folder(folder(path))?;
    let renamed = stamp_of(&file).ok();
    // A rename changes the time of change, and nothing else.
    Ok(renamed.filter(|renamed| renamed.has_content_of(&written)).unwrap_or(written))
}

/// Returns the new file, still open, with its stamp.
fn write_new(fresh: &Path, path: &Path, text: &str) -> io::Result<(File, Stamp)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = system::private(&mut options).open(fresh)?;
    if let Some(about) = owner_model(path) {
        system::set_owner(&file, &about);
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let written = Stamp::of(&file.metadata()?);
    Ok((file, written))
}

/// The model for the owner of a new file: the old file, else the folder. An administrator who edits
/// as root must not lock out the server, which runs as another user.
fn owner_model(path: &Path) -> Option<fs::Metadata> {
    fs::metadata(path).or_else(|_| fs::metadata(folder(path))).ok()
}

/// The folder of the file.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
