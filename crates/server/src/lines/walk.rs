//! A directory and all below it, folder by folder: for listings with `-R`, and for RMDA.

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::permission::Permissions;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::collect;
use crate::files::Files;

/// Entries that one command goes through at most: a client could ask for a whole disk.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// Goes through a directory and those below it, each before what it holds, in the order of names.
/// It follows no link, so it ends. State is a list of folders to come, not a stack of calls.
pub(crate) struct Walk {
    files: Files,
    /// Folders without this right are left out.
    right: Permissions,
    depth_max: usize,
    /// Folders to come and how far below the first they lie; the last is next.
    pending: Vec<(VPath, usize)>,
    /// How many entries may still come.
    left: usize,
    /// Whether there is more than may be given.
    is_cut: bool,
}

/// One folder with what it holds.
pub(crate) struct WalkedDirectory {
    pub(crate) at: VPath,
    pub(crate) entries: Vec<Entry>,
}

impl Walk {
    /// From `at` on, at most `depth_max` levels below it and [`ENTRIES_MAX`] entries in all.
    pub(crate) fn new(files: Files, at: VPath, right: Permissions, depth_max: usize) -> Self {
        let pending = vec![(at, 0)];
        Self { files, right, depth_max, pending, left: ENTRIES_MAX, is_cut: false }
    }

    /// The next folder, with the walk to go on with.
    pub(crate) async fn step(mut self) -> (Self, Result<Option<WalkedDirectory>>) {
        let folder = self.next().await;
        (self, folder)
    }

    /// The next folder; none after the last. Cancel safe only if nothing follows.
    ///
    /// # Errors
    /// `TooLarge` behind the last folder that is given where there is more; what the store says of
    /// the first folder. One below it that is gone or closed is left out.
    pub(crate) async fn next(&mut self) -> Result<Option<WalkedDirectory>> {
        while let Some((at, depth)) = self.pending.pop() {
            if self.is_cut || depth > self.depth_max {
                return Err(Error::from(ErrorKind::TooLarge));
            }
            let Some(listed) = self.files.list_for(&at, self.right).await else { continue };
            let collected = match listed {
                Ok(entries) => collect(entries, self.left).await,
                Err(error) => Err(error),
            };
            let (mut entries, is_cut) = match collected {
                Ok(collected) => collected,
                Err(error) if depth > 0 && is_passing(error.kind) => continue,
                Err(error) => return Err(error),
            };
            self.left = self.left.saturating_sub(entries.len());
            entries.sort_unstable_by(|one, two| one.name.cmp(&two.name));
            if is_cut {
                self.is_cut = true;
                // So that there is a next step, which fails.
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

/// Whether a folder may just be left out: it vanished meanwhile, or the system keeps it closed.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::Forbidden)
}
