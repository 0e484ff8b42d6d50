//! Systems without device and inode numbers in the standard library: real paths are compared.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use wharf_core::lock;

use super::{Extent, is_copy};

/// The paths of the server.
pub(crate) struct ServerFileIndex {
    paths: Mutex<Vec<(PathBuf, Extent)>>,
}

impl ServerFileIndex {
    pub(super) fn new(paths: Vec<(PathBuf, Extent)>) -> Self {
        Self { paths: Mutex::new(paths) }
    }

    pub(super) fn paths(&self) -> Vec<(PathBuf, Extent)> {
        lock(&self.paths).clone()
    }

    pub(super) fn replace_paths(&self, paths: Vec<(PathBuf, Extent)>) {
        *lock(&self.paths) = paths;
    }

    /// Whether access to a real path is denied.
    pub(crate) fn denies(&self, path: &Path) -> bool {
        lock(&self.paths).iter().any(|(own, extent)| {
            let own = real(own);
            let is_beside = own.parent() == path.parent();
            path == own
                || *extent == Extent::Folder && path.starts_with(&own)
                || *extent == Extent::FileAndCopies
                    && is_beside
                    && is_copy(&name(path), &name(&own))
        })
    }

    /// Whether a real path must not be created, removed or renamed.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.denies(path) || self.is_above(path)
    }

    pub(super) fn beneath(&self, folder: &Path) -> Vec<PathBuf> {
        let folder = real(folder);
        let all = lock(&self.paths);
        let paths = all.iter().map(|(path, _)| path);
        paths.filter(|path| real(path).starts_with(&folder)).cloned().collect()
    }

    pub(super) fn folder_around(&self, folder: &Path) -> Option<PathBuf> {
        let folder = real(folder);
        let all = lock(&self.paths);
        let folders = all.iter().filter(|(_, extent)| *extent == Extent::Folder);
        folders.map(|(path, _)| path).find(|path| folder.starts_with(real(path))).cloned()
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.denies(&real(path))
    }

    pub(super) fn is_above(&self, path: &Path) -> bool {
        let path = real(path);
        lock(&self.paths).iter().any(|(own, _)| real(own).starts_with(&path))
    }
}

fn name(path: &Path) -> Vec<u8> {
    path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default()
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut at = path.to_owned();
    loop {
        if let Ok(real) = at.canonicalize() {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        match at.file_name().map(std::ffi::OsStr::to_owned) {
            Some(name) if at.pop() => missing.push(name),
            _ => return path.to_owned(),
        }
    }
}
