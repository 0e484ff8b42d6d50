//! Walks a directory tree, for listings with `-R` and for RMDA.

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::permission::Permissions;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::glob::Glob;
use wharf_proto::path::VPath;

use super::collect;
use crate::blocking_pool::BlockingPool;
use crate::files::SessionFiles;

/// Entries that one command visits at most, since a client could request a whole disk.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// Walks a directory tree in pre-order, sorted by name. Links are not followed, so the walk ends.
/// Iterative: the state is a list of pending directories.
pub(crate) struct DirectoryWalk {
    files: SessionFiles,
    /// Directories without this permission are skipped.
    permission: Permissions,
    depth_max: usize,
    /// Entries of the first directory that do not match are left out.
    only: Option<Glob>,
    /// Pending directories with their depth; the last one is next.
    pending: Vec<(VPath, usize)>,
    /// The remaining number of entries.
    left: usize,
    /// Whether the limit of entries was exceeded.
    is_cut: bool,
    blocking_pool: BlockingPool,
}

/// A directory with its entries.
pub(crate) struct WalkedDirectory {
    pub(crate) at: VPath,
    pub(crate) entries: Vec<Entry>,
}

impl DirectoryWalk {
    /// Walks `at` and at most `depth_max` levels below it, at most [`ENTRIES_MAX`] entries in all.
    pub(crate) fn new(
        files: SessionFiles,
        at: VPath,
        permission: Permissions,
        depth_max: usize,
        blocking_pool: BlockingPool,
    ) -> Self {
        let (pending, left, is_cut) = (vec![(at, 0)], ENTRIES_MAX, false);
        let only = None;
        Self { files, permission, depth_max, only, pending, left, is_cut, blocking_pool }
    }

    /// Visits only matching entries of the first directory.
    pub(crate) fn matching(self, only: Option<Glob>) -> Self {
        Self { only, ..self }
    }

    /// The next directory, together with the walk.
    pub(crate) async fn step(mut self) -> (Self, Result<Option<WalkedDirectory>>) {
        let folder = self.next().await;
        (self, folder)
    }

    /// The next directory; `None` after the last one. Not cancel safe: after a cancelled call, the
    /// walk must be dropped.
    ///
    /// # Errors
    /// `TooLarge` after the last directory if a limit is exceeded; errors of the store for the
    /// first directory. Directories below it that are missing or forbidden are skipped.
    pub(crate) async fn next(&mut self) -> Result<Option<WalkedDirectory>> {
        while let Some((at, depth)) = self.pending.pop() {
            if self.is_cut || depth > self.depth_max {
                return Err(Error::from(ErrorKind::TooLarge));
            }
            let Some(listed) = self.files.list_for(&at, self.permission).await else { continue };
            let collected = match listed {
                Ok(entries) => collect(entries, self.left, &self.blocking_pool).await,
                Err(error) => Err(error),
            };
            let (mut entries, is_cut) = match collected {
                Ok(collected) => collected,
                Err(error) if depth > 0 && is_passing(error.kind) => continue,
                Err(error) => return Err(error),
            };
            self.left = self.left.saturating_sub(entries.len());
            if let Some(only) = self.only.take() {
                entries.retain(|entry| only.matches(&entry.name));
            }
            entries.sort_unstable_by(|one, two| one.name.cmp(&two.name));
            if is_cut {
                self.is_cut = true;
                // The next step fails with `TooLarge`.
                self.pending.push((at.clone(), depth));
                return Ok(Some(WalkedDirectory { at, entries }));
            }
            for entry in entries.iter().rev() {
                if entry.kind == Kind::Dir
                    && !entry.via_link
                    && let Ok(below) = at.join(&entry.name)
                {
                    self.pending.push((below, depth + 1));
                }
            }
            return Ok(Some(WalkedDirectory { at, entries }));
        }
        Ok(None)
    }
}

/// Whether a directory may be skipped: it was removed meanwhile, or the system denies access.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::Forbidden)
}
