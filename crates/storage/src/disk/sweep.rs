//! Removing abandoned temporary files.

use std::io;
use std::path::Path;

use super::journal;
use super::system::{Directory, DirectoryNames, Root};
use super::temporary::{TemporaryKind, is_orphan, remove_if_unused, temporary_kind};
use super::{DiskOptions, FollowSymlinks};
use crate::quota::QuotaCounter;

/// Maximum depth. Each level keeps a file open while it is being read.
const DEPTH_MAX: usize = 200;

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of removed temporary files.
    pub removed: u64,
    /// Their total size in bytes.
    pub bytes: u64,
    /// Number of temporary files that were retained: too recent, in use, or not in the format of
    /// the server.
    pub retained: u64,
    /// Number of directories or temporary files that could not be read, or are nested too deeply.
    pub skipped: u64,
}

/// Removes temporary files of the server beneath `root` that are older than
/// `options.partial_upload_retention`, except those in use, and undoes appends that a crash
/// interrupted. Follows no links and changes nothing else.
///
/// Blocks until every directory is read. It may run concurrently with uploads.
///
/// # Errors
/// If `root` cannot be opened; the error does not contain its path. Unreadable entries below it are
/// counted in [`SweepReport::skipped`].
pub fn sweep(root: &Path, options: &DiskOptions) -> io::Result<SweepReport> {
    sweep_counted(root, options, None)
}

/// Like [`sweep`], where a quota is counted.
pub(super) fn sweep_counted(
    root: &Path,
    options: &DiskOptions,
    counter: Option<&QuotaCounter>,
) -> io::Result<SweepReport> {
    let top = Root::open(root, FollowSymlinks::Never)?.top()?;
    let mut swept = SweepReport::default();
    let mut open = vec![SweepLevel { names: top.names()?, dir: top }];
    while let Some(level) = open.last_mut() {
        let entry = match level.names.next() {
            Some(Ok(entry)) => entry,
            Some(Err(_)) => {
                swept.skipped += 1;
                continue;
            }
            None => {
                open.pop();
                continue;
            }
        };
        match temporary_kind(&entry.name) {
            Some(TemporaryKind::Upload) => {
                let remove =
                    || remove_if_unused(&level.dir, &entry.name, options.partial_upload_retention);
                swept.note(&counter.map_or_else(remove, |counter| counter.sweep(remove)));
                continue;
            }
            Some(TemporaryKind::Base) => {
                if is_orphan(&level.dir, &entry.name) {
                    let _ = level.dir.unlink(&entry.name);
                }
                continue;
            }
            Some(TemporaryKind::Undo) => {
                let undo = || journal::recover_by(&level.dir, &entry.name).map(|cut| ((), cut));
                let undone =
                    counter.map_or_else(|| undo().map(drop), |counter| counter.shrink(undo));
                swept.skipped += u64::from(undone.is_err());
                continue;
            }
            Some(TemporaryKind::AbsentMark) => {
                // The mark must outlive the uploads that depend on it, and no upload takes that
                // long.
                let keep = options.partial_upload_retention.saturating_mul(2);
                let _ = remove_if_unused(&level.dir, &entry.name, keep);
                continue;
            }
            None => {}
        }
        if entry.may_be_dir {
            let below = level.below(&entry.name);
            match below {
                Ok(Some(below)) if open.len() < DEPTH_MAX => open.push(below),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => swept.skipped += 1,
            }
        }
    }
    journal::mark_swept(root);
    Ok(swept)
}

/// A directory being read.
struct SweepLevel {
    dir: Directory,
    names: DirectoryNames,
}

impl SweepLevel {
    /// A subdirectory; `None` if it is something else.
    fn below(&self, name: &[u8]) -> io::Result<Option<Self>> {
        match self.dir.subdirectory(name) {
            Ok(dir) => Ok(Some(Self { names: dir.names()?, dir })),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl std::ops::AddAssign for SweepReport {
    fn add_assign(&mut self, other: Self) {
        self.removed = self.removed.saturating_add(other.removed);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.retained = self.retained.saturating_add(other.retained);
        self.skipped = self.skipped.saturating_add(other.skipped);
    }
}

impl SweepReport {
    /// Adds the result for one temporary file.
    fn note(&mut self, removed: &io::Result<Option<u64>>) {
        match removed {
            Ok(Some(bytes)) => {
                self.removed += 1;
                self.bytes = self.bytes.saturating_add(*bytes);
            }
            Ok(None) => self.retained += 1,
            Err(_) => self.skipped += 1,
        }
    }
}
