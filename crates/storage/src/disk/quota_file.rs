//! The file that stores the counted usage of every home between two runs of the server.
//!
//! The file exists only while nothing has changed since it was written: it is removed before the
//! first change of a run and written again at a clean shutdown. A crash therefore leaves none, and
//! if the file is missing or damaged, every home is counted again.
//!
//! ```text
//! wharf quota ledger 1
//! <bytes> <files> <counted, seconds since 1970> <home>
//! sha256 <of all above>
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::hex;
use wharf_core::lock;
use wharf_core::storage::UsedSpace;

use super::fault::fault;
use crate::quota::DirtyMark;

const HEADER: &str = "wharf quota ledger 1";
const NAME: &str = "quota.ledger";
const FRESH_NAME: &str = "quota.ledger.new";
const LOCK_NAME: &str = "quota.lock";
/// A longer file was not written by the server.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The usage of a home, and when it was counted.
pub(super) type CountedHome = (UsedSpace, u64);

/// The file, and whether it is still valid.
pub(super) struct QuotaFile {
    folder: PathBuf,
    is_removed: AtomicBool,
    /// Held by the one server that may write here, from its first change on.
    lock: Mutex<Option<File>>,
}

impl QuotaFile {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder, is_removed: AtomicBool::new(false), lock: Mutex::new(None) }
    }

    /// The counts of the last run; empty if there is any doubt.
    pub(super) fn read(&self) -> HashMap<PathBuf, CountedHome> {
        let path = self.folder.join(NAME);
        let is_temporary = fs::symlink_metadata(&path)
            .is_ok_and(|facts| facts.is_file() && facts.len() <= FILE_BYTES_MAX);
        let text = is_temporary.then(|| fs::read_to_string(path).ok()).flatten();
        text.and_then(|text| parse(&text)).unwrap_or_default()
    }

    /// Writes the counts, unless nothing changed since the file was read.
    pub(super) fn write(&self, homes: &[(PathBuf, CountedHome)]) -> io::Result<()> {
        let lock = lock(&self.lock);
        if lock.is_none() {
            return Ok(());
        }
        let fresh = self.folder.join(FRESH_NAME);
        let mut file = private(&fresh)?;
        file.write_all(text_of(homes).as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, self.folder.join(NAME))?;
        sync_folder(&self.folder)
    }

    fn remove(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let lock = private(&self.folder.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "another server counts quotas in {}; give each server its own server.state_dir",
                    self.folder.display()
                );
                return Err(io::Error::other(message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match fs::remove_file(self.folder.join(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        sync_folder(&self.folder)?;
        Ok(lock)
    }
}

impl DirtyMark for QuotaFile {
    fn is_set(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    fn set(&self) -> Result<()> {
        if self.is_set() {
            return Ok(());
        }
        let mut lock = lock(&self.lock);
        if lock.is_none() {
            *lock = Some(self.remove().map_err(|error| {
                let known = fault(io::Error::from(error.kind()));
                if known.kind == ErrorKind::NoSpace {
                    return known;
                }
                let message =
                    format!("cannot change the quota file in {}: {error}", self.folder.display());
                Error::new(ErrorKind::Broken, message)
            })?);
            self.is_removed.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// A file with read permission only for the user of this process.
fn private(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Syncs a directory, where the system has a call for it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn text_of(homes: &[(PathBuf, CountedHome)]) -> String {
    let mut text = format!("{HEADER}\n");
    for (home, (used, counted_at)) in homes {
        // A home that cannot be written is counted again.
        let Some(home) = home.to_str().filter(|home| !home.contains('\n')) else { continue };
        let _ = writeln!(text, "{} {} {counted_at} {home}", used.bytes, used.files);
    }
    let sum = sum_of(&text);
    text.push_str(&sum);
    text
}

fn sum_of(text: &str) -> String {
    format!("sha256 {}\n", hex(&Sha256::digest(text.as_bytes())))
}

fn parse(text: &str) -> Option<HashMap<PathBuf, CountedHome>> {
    let end = text.rfind("sha256 ")?;
    let (body, sum) = text.split_at_checked(end)?;
    if sum != sum_of(body) {
        return None;
    }
    let mut lines = body.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    lines.map(line).collect()
}

fn line(line: &str) -> Option<(PathBuf, CountedHome)> {
    let mut words = line.splitn(4, ' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (bytes, files, counted_at) = (number()?, number()?, number()?);
    Some((PathBuf::from(words.next()?), (UsedSpace { bytes, files }, counted_at)))
}
