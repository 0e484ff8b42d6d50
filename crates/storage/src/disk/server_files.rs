//! Files and directories of the server itself, which no account can access through any storage.
//!
//! Configuration, accounts, keys and state may be on the same disks as the served files, and a home
//! may contain them. They are recognized by identity, not by path: a hard link, a symbolic link and
//! a second mount lead to the same file.

#[cfg_attr(unix, path = "server_files_unix.rs")]
#[cfg_attr(not(unix), path = "server_files_other.rs")]
pub(super) mod system;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use system::ServerFileIndex;

/// How much of a path belongs to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// This file only.
    File,
    /// This file, and files in the same directory whose names derive from it: backups and swap
    /// files of editors, database journals, temporary files.
    FileAndCopies,
    /// This directory with all its content, including files created later.
    Folder,
}

/// Files and directories of the server itself. Every account is denied access: they are not listed,
/// opened or changed, and no directory above them can be renamed or removed.
///
/// The default denies nothing. Cloning is cheap.
#[derive(Clone, Default)]
pub struct ServerFiles {
    index: Option<Arc<ServerFileIndex>>,
}

impl ServerFiles {
    /// These paths, whether they exist now or are created later.
    pub fn new(paths: impl IntoIterator<Item = (PathBuf, Extent)>) -> Self {
        let paths: Vec<_> = paths
            .into_iter()
            .map(|(path, extent)| (std::path::absolute(&path).unwrap_or(path), extent))
            .collect();
        Self { index: Some(Arc::new(ServerFileIndex::new(paths))) }
    }

    /// Denies the files of `other` from now on, and no longer those that it denied before. This
    /// also applies to clones and to directories that are open. The default value stays as it is.
    pub fn replace_with(&self, other: &Self) {
        if let (Some(index), Some(other)) = (&self.index, &other.index) {
            index.replace_paths(other.paths());
        }
    }

    /// The paths that lie in a directory, whatever path leads to it.
    pub fn beneath(&self, folder: &Path) -> Vec<PathBuf> {
        self.index.as_ref().map(|index| index.beneath(folder)).unwrap_or_default()
    }

    /// The directory of the server that contains or equals `folder`. Such a directory cannot be
    /// served: everything in it is denied.
    pub fn folder_around(&self, folder: &Path) -> Option<PathBuf> {
        self.index.as_ref()?.folder_around(folder)
    }

    /// Whether a path leads to something that is denied.
    pub fn contains(&self, path: &Path) -> bool {
        self.index.as_ref().is_some_and(|index| index.contains(path))
    }

    /// Whether a denied path lies below `path`, which then cannot be renamed.
    pub fn is_above(&self, path: &Path) -> bool {
        self.index.as_ref().is_some_and(|index| index.is_above(path))
    }

    pub(crate) fn index(&self) -> Option<&Arc<ServerFileIndex>> {
        self.index.as_ref()
    }
}

impl fmt::Debug for ServerFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServerFiles").field("is_empty", &self.index.is_none()).finish()
    }
}

/// Whether a name derives from the name of a file in the same directory: `users.toml~`,
/// `.users.toml.swp`, `#users.toml#`, `users.db-wal`.
fn is_copy(name: &[u8], file: &[u8]) -> bool {
    let start = name.iter().position(|byte| !b".#~".contains(byte)).unwrap_or(name.len());
    // The file's own name may begin with a dot.
    [name, name.get(start..).unwrap_or_default()].into_iter().any(|name| {
        let rest = name.get(file.len()..);
        let begins = name.get(..file.len()).is_some_and(|it| it.eq_ignore_ascii_case(file));
        begins && rest.is_some_and(|rest| rest.first().is_none_or(|byte| b".-_~# ".contains(byte)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_by_editors_and_databases_are_recognized_by_name() {
        for name in
            ["users.toml", "users.toml~", ".users.toml.swp", "#users.toml#", "users.toml.bak"]
        {
            assert!(is_copy(name.as_bytes(), b"users.toml"), "{name}");
        }
        assert!(is_copy(b"users.db-wal", b"users.db"));
        assert!(is_copy(b".secret", b".secret"));
        for name in ["users.tom", "users.tomlx", "other-users.toml", "my.users.toml", ""] {
            assert!(!is_copy(name.as_bytes(), b"users.toml"), "{name}");
        }
    }
}
