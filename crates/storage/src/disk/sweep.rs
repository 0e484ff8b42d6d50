//! Temporaries that nobody came back for.

use std::io;
use std::path::Path;

use super::journal;
use super::system::{Directory, DirectoryNames, Root};
use super::temporary::{TemporaryKind, is_orphan, remove_if_unused, temporary_kind};
use super::{DiskOptions, FollowSymlinks};
use crate::quota::QuotaCounter;

/// How deep a sweep goes. Each level costs an open file while it is being read.
const DEPTH_MAX: usize = 200;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many temporaries were removed.
    pub removed: u64,
    /// How many bytes those held.
    pub bytes: u64,
    /// How many temporaries were left: too young, in use, or not ours.
    pub kept: u64,
    /// How many directories or temporaries could not be looked into, or lie too deep.
    pub skipped: u64,
}

/// Removes our own temporaries beneath `root` that are older than `options.partial_upload_retention`, except
/// those in use, and cuts off what a crash left of bytes that were being added to a file. Follows
/// no link and touches nothing else.
///
/// Blocks for as long as it takes to look at every directory. It may run while uploads do.
///
/// # Errors
/// Where `root` cannot be opened; the message names it. What cannot be read below is counted in
/// [`SweepReport::skipped`].
pub fn sweep(root: &Path, options: &DiskOptions) -> io::Result<SweepReport> {
    sweep_counted(root, options, None)
}

/// The same where what is kept is counted.
pub(super) fn sweep_counted(
    root: &Path,
    options: &DiskOptions,
    counter: Option<&QuotaCounter>,
) -> io::Result<SweepReport> {
    let with_path = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot sweep {}: {error}", root.display()))
    };
    let opened = Root::open(root, FollowSymlinks::Never).map_err(with_path)?;
    let top = opened.top().map_err(with_path)?;
    let mut swept = SweepReport::default();
    let mut open = vec![SweepLevel { names: top.names().map_err(with_path)?, dir: top }];
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
                // It is older than what was left under it, and no upload takes that long.
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

/// A directory that is being read.
struct SweepLevel {
    dir: Directory,
    names: DirectoryNames,
}

impl SweepLevel {
    /// A directory in this one; none if it is something else.
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
        self.kept = self.kept.saturating_add(other.kept);
        self.skipped = self.skipped.saturating_add(other.skipped);
    }
}

impl SweepReport {
    /// Counts a temporary by what became of it.
    fn note(&mut self, removed: &io::Result<Option<u64>>) {
        match removed {
            Ok(Some(bytes)) => {
                self.removed += 1;
                self.bytes = self.bytes.saturating_add(*bytes);
            }
            Ok(None) => self.kept += 1,
            Err(_) => self.skipped += 1,
        }
    }
}
